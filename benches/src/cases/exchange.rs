//! The parts in which messages go to and fro.

use std::time::Duration;

use crate::cases::CROWD;
use crate::load::{Load, Mode};
use crate::report::{Goal, Report};
use crate::rounds::{Sample, Series, interleave};
use crate::servers::Kind;
use crate::{Options, Outcome};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

fn cost(sample: &Sample) -> f64 {
    sample.cost
}

fn rate(sample: &Sample) -> f64 {
    sample.rate
}

fn microseconds(nanoseconds: f64) -> String {
    format!("{:.2} µs", nanoseconds / 1e3)
}

/// The servers, whose first is the one that ratios are taken to.
fn names(servers: &[Kind]) -> Vec<String> {
    servers.iter().map(ToString::to_string).collect()
}

/// CPU per message: little more than mio's, and less than tokio's.
fn echo_goal(over: &str, under: &str) -> Option<Goal> {
    match (over, under) {
        ("tymist", "mio") => Some(Goal::AtMost(1.05)),
        ("tymist", "tokio") => Some(Goal::Below(1.0)),
        ("tasks", "tokio") => Some(Goal::AtMost(1.0)),
        _ => None,
    }
}

fn rate_goal(over: &str, under: &str) -> Option<Goal> {
    (over == "tymist" && under == "mio").then_some(Goal::AtLeast(0.95))
}

/// The same server against itself: what the harness adds in noise and in bias.
pub fn control(options: &Options, report: &mut Report) -> Outcome<()> {
    let servers = [Kind::Mio, Kind::MioAgain];
    for connections in [1, 64] {
        let load = Load::echo(connections, 64, 1, options.window);
        let series = interleave(&names(&servers), options.rounds, |index| {
            load.measure(servers[index], 1.0)
        })?;
        let case = format!("control, 64 B, {connections} conn.");
        report.ratios(&case, "CPU/message", &series, cost, microseconds, |_, _| None);
    }
    Ok(())
}

/// Small messages.
pub fn echo64(options: &Options, report: &mut Report) -> Outcome<()> {
    for (connections, depth) in [(1, 1), (64, 1), (1000, 1), (64, 16)] {
        let load = Load::echo(connections, 64, depth, options.window);
        let servers = &options.servers;
        let series =
            interleave(&names(servers), options.rounds, |index| load.measure(servers[index], 1.0))?;
        let deep = if depth > 1 { format!(" × {depth} deep") } else { String::new() };
        let case = format!("64 B{deep}, {connections} conn.");
        // The goals are for one message at a time.
        let goal = |over: &str, under: &str| echo_goal(over, under).filter(|_| depth == 1);
        report.ratios(&case, "CPU/message", &series, cost, microseconds, goal);
    }
    Ok(())
}

/// One engine of a manager against two: what each costs beside a plain loop, and whether a message costs more where there are two.
///
/// The load generator takes a core, so that two engines cannot show twice the rate on two cores. If a message costs both the same, two engines on
/// cores of their own have twice the rate.
pub fn threads(options: &Options, report: &mut Report) -> Outcome<()> {
    for (connections, size) in [(64, 64), (1000, 64), (16, 16 * KIB)] {
        let load = Load::echo(connections, size, 1, options.window);
        let servers = [Kind::Threads(1), Kind::Threads(2), Kind::Tymist];
        let series = interleave(&names(&servers), options.rounds, |index| {
            load.measure(servers[index], 1.0)
        })?;
        let goal = |over: &str, under: &str| {
            (over == "threads-2" && under == "threads-1").then_some(Goal::AtMost(1.05))
        };
        let case = format!("{size} B, {connections} conn.");
        report.ratios(&case, "CPU/message", &series, cost, microseconds, goal);
    }
    Ok(())
}

/// Large messages.
pub fn bulk(options: &Options, report: &mut Report) -> Outcome<()> {
    for (connections, size) in [(16, 16 * KIB), (1, MIB), (16, MIB)] {
        let load = Load::echo(connections, size, 1, options.window);
        let servers = &options.servers;
        let megabytes = size as f64 / 1e6;
        let series = interleave(&names(servers), options.rounds, |index| {
            load.measure(servers[index], megabytes)
        })?;
        let size = if size == MIB { "1 MiB".into() } else { format!("{} KiB", size / KIB) };
        let case = format!("{size}, {connections} conn.");
        report.ratios(
            &case,
            "throughput",
            &series,
            rate,
            |rate| format!("{rate:.0} MB/s"),
            rate_goal,
        );
        report.ratios(&case, "CPU/MB", &series, cost, microseconds, |_, _| None);
    }
    Ok(())
}

/// Connections that come, say one thing, and go.
pub fn churn(options: &Options, report: &mut Report) -> Outcome<()> {
    let load = Load { mode: Mode::Churn, ..Load::echo(16, 64, 1, options.window) };
    let servers = &options.servers;
    let series =
        interleave(&names(servers), options.rounds, |index| load.measure(servers[index], 1.0))?;
    let case = "accept, exchange 64 B, close; 16 at once";
    report.ratios(case, "rate", &series, rate, |rate| format!("{:.1} k/s", rate / 1e3), rate_goal);
    report.ratios(case, "CPU/connection", &series, cost, microseconds, |_, _| None);
    Ok(())
}

/// Datagrams.
pub fn udp(options: &Options, report: &mut Report) -> Outcome<()> {
    let servers = [Kind::MioUdp, Kind::TymistUdp];
    for (senders, depth) in [(1, 1), (1, 16), (64, 1)] {
        for size in [64, 1200] {
            let load = Load::echo(senders, size, depth, options.window);
            let load = Load { mode: Mode::Grams, ..load };
            let series = interleave(&names(&servers), options.rounds, |index| {
                load.measure(servers[index], 1.0)
            })?;
            let deep = if depth > 1 { format!(" × {depth} deep") } else { String::new() };
            let case = format!("datagrams of {size} B{deep}, {senders} senders");
            let goal = |_: &str, _: &str| Some(Goal::AtMost(1.0));
            report.ratios(&case, "CPU/message", &series, cost, microseconds, goal);
        }
    }
    Ok(())
}

/// Connections made from here: what many cost beside few, and beside a plain mio loop.
pub fn clients(options: &Options, report: &mut Report) -> Outcome<()> {
    const FEW: usize = 100;
    const MANY: usize = 10_000;
    let base = Load::echo(FEW, 64, 1, options.window);
    let ours = Load { mode: Mode::Clients, ..base };
    let many = |load: Load| Load { connections: MANY, ..load };
    let measure = |variants: &[(&str, Load)]| {
        let names: Vec<_> = variants.iter().map(|(name, _)| (*name).to_owned()).collect();
        interleave(&names, options.rounds, |index| variants[index].1.measure(Kind::Mio, 1.0))
    };
    let mut tell = |case: &str, series: &[Series], goal: Option<Goal>| {
        let own = |sample: &Sample| sample.own;
        report.ratios(case, "CPU/message", series, own, microseconds, |_, _| goal);
    };
    let goal = Some(Goal::AtMost(1.05));
    let among = [("tymist", ours), ("tymist among 10,000", Load { idle: MANY - FEW, ..ours })];
    tell("64 B, 100 clients that talk", &measure(&among)?, goal);
    let all = [
        ("mio, 100", base),
        ("tymist, 100", ours),
        ("mio, 10,000", many(base)),
        ("tymist, 10,000", many(ours)),
    ];
    let all = measure(&all)?;
    tell("64 B, 100 clients that talk", &all[..2], goal);
    tell("64 B, 10,000 clients that talk", &all[2..], goal);
    // Of so many the kernel makes something, too, for whatever loop: their sockets leave the caches, and what is answered later than in 40 ms is
    // acknowledged by a packet of its own.
    let [mio_few, few, mio_many, many] = &all[..] else { return Ok(()) };
    tell("64 B, all of them talk", &[mio_few.clone(), mio_many.clone()], None);
    tell("64 B, all of them talk", &[few.clone(), many.clone()], goal);
    Ok(())
}

/// Few that talk among many that do not.
pub fn idle(options: &Options, report: &mut Report) -> Outcome<()> {
    for &kind in &options.servers {
        let names = [kind.to_string(), format!("{kind} + {CROWD} idle")];
        let series = interleave(&names, options.rounds, |index| {
            let load = Load::echo(50, 64, 1, options.window);
            let load = Load {
                idle: [0, CROWD][index],
                // The crowd's arrival leaves work behind in the kernel.
                warm_up: load.warm_up + Duration::from_millis(index as u64 * 500),
                ..load
            };
            load.measure(kind, 1.0)
        })?;
        let goal = |_: &str, _: &str| (kind == Kind::Tymist).then_some(Goal::AtMost(1.05));
        report.ratios(
            "64 B, 50 conn. among idle ones",
            "CPU/message",
            &series,
            cost,
            microseconds,
            goal,
        );
    }
    Ok(())
}

/// hyper saying hello by HTTP/1, on tokio and on our tasks.
pub fn hyper(options: &Options, report: &mut Report) -> Outcome<()> {
    let servers = [Kind::HyperTokio, Kind::HyperTasks];
    for connections in [1, 64, 1000] {
        let load = Load { mode: Mode::Http, ..Load::echo(connections, 64, 1, options.window) };
        let series = interleave(&names(&servers), options.rounds, |index| {
            load.measure(servers[index], 1.0)
        })?;
        let case = format!("hyper, HTTP/1, {connections} conn.");
        let goal = |_: &str, _: &str| Some(Goal::AtMost(1.0));
        report.ratios(&case, "CPU/request", &series, cost, microseconds, goal);
        let rates = |rate| format!("{:.1} k/s", rate / 1e3);
        report.ratios(&case, "rate", &series, rate, rates, |_, _| None);
    }
    Ok(())
}
