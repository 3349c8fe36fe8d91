//! A world of servers and clients under faults: hours in a moment, and the same hash for the same options in every process.
//!
//!     cargo run --release --features sim --example sim_world -- --seed 7 --hosts 12 --hours 24 --faults heavy
//!
//! Each server is the very `Server` that serves real sockets. Clients send numbered messages, check every byte of what comes back, and dial
//! again when they lose their connection. `--trace` writes down the run, `--pcap` its packets for Wireshark, `--timeline` a page to look at.

#[path = "../common/cli.rs"]
mod cli;
mod client;
mod options;
mod server;
mod weather;

use std::cell::RefCell;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use cli::{Result, print};
use client::Client;
use options::{Level, Options};
use server::EchoServer;
use tymist::sim::{HostId, HostSpec, Tracing, World, WorldSpec};
use tymist::tyme::Tyme;

/// The port of the service.
const PORT: u16 = 7000;
/// Simulated time between two looks for a signal.
const SLICE: Duration = Duration::from_secs(60);
/// Records on a timeline; beyond, a page gets too long to look at.
const DRAWN: usize = 2000;

/// What all programs together have seen. It outlives them, as hosts crash.
#[derive(Default)]
struct Tally {
    dialled: u64,
    lost: u64,
    answered: u64,
    wrong: u64,
    relistened: u64,
}

/// Where programs count.
type Count = Rc<RefCell<Tally>>;

fn main() -> ExitCode {
    cli::run(program)
}

fn program() -> Result<()> {
    let mut options = options::parse()?;
    let count = Count::default();
    let mut world = make(&options, &count);
    let incidents = weather::plan(&mut world, &options);

    let told = cli::told_to_end()?;
    let (start, end) = (clock(), Tyme::ZERO + options.time);
    let mut until = Tyme::ZERO;
    while !told.load(Ordering::Relaxed) {
        until = (until + SLICE).min(end);
        world.run_until(until);
        if until == end {
            break;
        }
    }
    let real = clock() - start;

    if until < end {
        options.time = until - Tyme::ZERO;
        cli::say("ended before its time by a signal: this is what has been until then");
    } else {
        // What was planned and never happened would make the run look better than it was.
        world.all_fired()?;
    }
    report(&world, &options, &count.borrow(), incidents, real)?;
    write_down(&world, &options)?;
    print(format_args!("hash: {:016x}", world.hash()))?;
    let wrong = count.borrow().wrong;
    if wrong > 0 { Err(format!("{wrong} messages came back wrong").into()) } else { Ok(()) }
}

/// One host in four is a server; each client has a connection to two of them.
fn make(options: &Options, count: &Count) -> World {
    let mut spec = WorldSpec::new(options.seed);
    let written = options.trace.is_some() || options.pcap.is_some() || options.timeline.is_some();
    spec.tracing = if written { Tracing::Full } else { Tracing::Hash };
    let mut world = World::with(spec);
    let mut dice = world.rng("topology");
    let servers = (options.hosts / 4).max(1);
    let mut names = Vec::new();
    for number in 0..options.hosts {
        let is_server = number < servers;
        let kind = if is_server { "server" } else { "client" };
        let name = format!("{kind}-{}", if is_server { number } else { number - servers });
        let mut host = HostSpec::new(&name);
        if options.faults == Level::Heavy {
            host.ahead = Duration::from_millis(dice.below(60_000));
            host.drift_ppb = i32::try_from(dice.below(100_000)).unwrap_or(0) - 50_000;
        }
        let count = Rc::clone(count);
        if is_server {
            names.push(name);
            world.add(host, move |host| EchoServer::new(host, Rc::clone(&count)));
        } else {
            let rng = dice.next_u64();
            let near = (number - servers) % servers;
            let targets = [names[near].clone(), names[(near + 1) % servers].clone()];
            world.add(host, move |host| Client::new(host, &targets, rng, Rc::clone(&count)));
        }
    }
    let hosts: Vec<HostId> = world.hosts().collect();
    weather::links(&mut world, &mut dice, &hosts, options.faults);
    world
}

fn report(
    world: &World,
    options: &Options,
    tally: &Tally,
    incidents: usize,
    real: Duration,
) -> Result<()> {
    let stats = world.stats();
    print(format_args!(
        "seed {}: {} hosts, faults {}",
        options.seed, options.hosts, options.faults
    ))?;
    print(format_args!(
        "connections: {} dialled, {} accepted, {} lost",
        tally.dialled, stats.accepted, tally.lost
    ))?;
    print(format_args!(
        "messages: {} answered, {} wrong; {} bytes in {} segments",
        tally.answered, tally.wrong, stats.bytes, stats.segments
    ))?;
    let packets = (stats.packets, stats.lost, stats.retries);
    print(format_args!(
        "packets: {} sent, {} lost, {} tried again",
        packets.0, packets.1, packets.2
    ))?;
    print(format_args!(
        "faults fired: {} in calls, {incidents} incidents ({} acts), {} listeners reopened",
        stats.faults, stats.acts, tally.relistened
    ))?;
    for (name, fired) in world.faults().fired() {
        print(format_args!("  {name}: {fired}"))?;
    }
    let simulated = options.time.as_secs_f64();
    print(format_args!(
        "simulated {simulated:.0} s in real {:.3} s, {:.0} times as fast",
        real.as_secs_f64(),
        simulated / real.as_secs_f64().max(1e-9)
    ))
}

fn write_down(world: &World, options: &Options) -> Result<()> {
    if let Some(path) = &options.trace {
        write(path, |out| world.trace().write_to(out))?;
        print(format_args!("trace: {} records in {}", world.records(), path.display()))?;
    }
    if let Some(path) = &options.pcap {
        write(path, |out| world.trace().write_pcapng(out))?;
        print(format_args!("packets: {}", path.display()))?;
    }
    if let Some(path) = &options.timeline {
        write(path, |out| world.trace().write_timeline(out, Tyme::ZERO, DRAWN))?;
        print(format_args!("timeline: {}", path.display()))?;
    }
    Ok(())
}

/// Makes a file. What goes wrong with it is told with its name.
fn write(
    path: &Path,
    content: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>,
) -> Result<()> {
    let done = File::create(path).map(BufWriter::new).and_then(|mut out| {
        content(&mut out)?;
        out.flush()
    });
    done.map_err(|error| format!("{}: {error}", path.display()).into())
}

#[expect(clippy::disallowed_methods, reason = "only to tell how long the run took")]
fn clock() -> Instant {
    Instant::now()
}
