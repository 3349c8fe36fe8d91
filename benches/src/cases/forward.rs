//! Forwarders side by side.

use crate::load::{Load, Mode};
use crate::process::{Helper, read_figures};
use crate::report::{Goal, Report};
use crate::rounds::{Sample, interleave};
use crate::servers::forward::{Forwarder, haproxy_config};
use crate::{Options, Outcome};

/// At least as fast as socat, and no dearer; within a quarter of HAProxy.
fn goal(over: &str, under: &str, rate: bool) -> Option<Goal> {
    match (over, under, rate) {
        ("tymist", "socat", true) => Some(Goal::AtLeast(1.0)),
        ("tymist", "socat", false) => Some(Goal::AtMost(1.0)),
        ("tymist", "haproxy", true) => Some(Goal::AtLeast(0.8)),
        ("tymist", "haproxy", false) => Some(Goal::AtMost(1.25)),
        _ => None,
    }
}

/// One stream, and a hundred, through each forwarder.
pub fn run(options: &Options, report: &mut Report) -> Outcome<()> {
    let all = [Forwarder::Haproxy, Forwarder::Socat, Forwarder::Socat64, Forwarder::Tymist];
    let (here, missing): (Vec<Forwarder>, Vec<Forwarder>) =
        all.into_iter().partition(|forwarder| forwarder.at_hand());
    for forwarder in missing {
        println!("  passed over: no {forwarder} here");
    }
    let names: Vec<String> = here.iter().map(ToString::to_string).collect();
    for connections in [1, 100] {
        let load = Load { mode: Mode::Relay, ..Load::echo(connections, 1, 1, options.window) };
        let series = interleave(&names, options.rounds, |index| measure(&load, here[index]))?;
        let case = format!("forward, {connections} conn.");
        report.ratios(
            &case,
            "throughput",
            &series,
            |sample| sample.rate,
            |rate| format!("{:.0} MB/s", rate),
            |over, under| goal(over, under, true),
        );
        report.ratios(
            &case,
            "CPU/MB",
            &series,
            |sample| sample.cost,
            |cost| format!("{:.1} µs", cost / 1e3),
            |over, under| goal(over, under, false),
        );
    }
    Ok(())
}

/// Puts the load through a fresh forwarder.
fn measure(load: &Load, forwarder: Forwarder) -> Outcome<Sample> {
    let mut ends = load.start(0, 0)?;
    let target = ends.line()?;
    let mut middle = Helper::start(&["forwarder".into(), forwarder.to_string(), target])?;
    let port = middle.line()?;
    ends.tell(&format!("{port} {}", middle.pid()))?;
    let line = ends.line()?;
    ends.finish()?;
    // Only HAProxy has one.
    let _ = std::fs::remove_file(haproxy_config(middle.pid()));
    let figures = read_figures(&line)?;
    if std::env::var_os("VERSUS_TRACE").is_some() {
        eprintln!("  {forwarder}: {line}");
    }
    let figure = |name: &str| figures.get(name).copied().ok_or_else(|| format!("no {name}"));
    let megabytes = figure("messages")? / 1e6;
    if megabytes <= 0.0 {
        return Err(format!("nothing came through {forwarder}").into());
    }
    Ok(Sample {
        cost: figure("server")? / megabytes,
        own: figure("own")? / megabytes,
        rate: megabytes / figure("wall")? * 1e9,
        quiet: figure("others")? < 0.10 && figure("stolen")? < 0.02 && figure("waited")? < 0.03,
    })
}
