//! A datagram echo server: sends each datagram back to whom it came from.
//!
//!     cargo run --example udp_echo -- --port 7000
//!     nc -u 127.0.0.1 7000

mod common;

use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Duration;

use common::{Args, Result, say};
use tymist::tyme::Tymer;
use tymist::{GramConfig, Peer};

const USAGE: &str = "usage: udp_echo [--host NAME] [--port N] [--max-gram BYTES] [--stats SECS]";

#[derive(Default)]
struct Options {
    bind: common::Bind,
    config: GramConfig,
    stats: Option<Duration>,
}

fn options() -> Result<Options> {
    let mut options = Options::default();
    let mut args = Args::new(USAGE);
    while let Some(option) = args.next()? {
        match &*option {
            "host" => options.bind.host = args.text()?,
            "port" => options.bind.port = args.port()?,
            "max-gram" => options.config.max_gram = args.number(1..=65_535)?,
            "stats" => options.stats = args.secs_or_none()?,
            _ => return Err(args.unknown()),
        }
    }
    Ok(options)
}

fn main() -> ExitCode {
    common::run(program)
}

fn program() -> Result<()> {
    let Options { bind, config, stats } = options()?;
    let mut peer = Peer::new(config);
    peer.open(bind.addr()?)?;
    let stop = common::stop_on_signal(peer.waker()?)?;
    common::print(format_args!("listening on {}", peer.local_addr()))?;

    let mut report = stats.map(|every| Tymer::new(peer.tyme(), every));
    while !stop.load(Ordering::Acquire) {
        peer.wait(report.map(|report| report.remaining(peer.tyme())));
        peer.service();
        echo(&mut peer);
        // What could not be sent is counted; nobody else wants to know.
        peer.clear_events();
        if report.as_mut().is_some_and(|report| report.catch_up(peer.tyme()) > 0) {
            say(format_args!("{:?}", peer.counters()));
        }
    }
    // What was echoed in the last turn still waits.
    peer.service_sends();
    Ok(())
}

/// Sends back what came in whole. What was longer than `--max-gram`, or finds the queue full, is dropped and counted, as datagrams are.
fn echo(peer: &mut Peer) {
    while let Some(gram) = peer.take() {
        if !gram.truncated {
            let _ = peer.tx_bytes(gram.data, gram.from);
        }
    }
}
