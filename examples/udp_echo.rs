//! A datagram echo server: sends each datagram back to whom it came from.
//!
//!     cargo run --example udp_echo -- --port 7000
//!     nc -u 127.0.0.1 7000
#![allow(clippy::print_stdout, reason = "the line that says where it listens")]
#![allow(clippy::print_stderr, reason = "statistics on request")]

mod common;

use std::sync::atomic::Ordering;
use std::time::Duration;

use common::Result;
use lexopt::prelude::*;
use tymist::tyme::Tymer;
use tymist::{GramConfig, Peer};

const USAGE: &str = "usage: udp_echo [--host IP] [--port N] [--max-gram BYTES] [--stats SECS]";

#[derive(Default)]
struct Options {
    bind: common::Bind,
    config: GramConfig,
    stats: Option<Duration>,
}

fn options() -> Result<Options> {
    let mut options = Options::default();
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("host") => options.bind.host = parser.value()?.parse()?,
            Long("port") => options.bind.port = parser.value()?.parse()?,
            Long("max-gram") => options.config.max_gram = parser.value()?.parse()?,
            Long("stats") => options.stats = Some(common::secs(&parser.value()?)?),
            Long("help") | Short('h') => {
                eprintln!("{USAGE}");
                std::process::exit(0);
            }
            other => return Err(format!("{}\n{USAGE}", other.unexpected()).into()),
        }
    }
    Ok(options)
}

fn main() -> Result<()> {
    let Options { bind, config, stats } = options()?;
    let mut peer = Peer::new(config);
    peer.open(bind.addr()?)?;
    let stop = common::stop_on_signal(peer.waker()?)?;
    println!("listening on {}", peer.local_addr());

    let mut report = stats.map(|every| Tymer::new(peer.tyme(), every));
    while !stop.load(Ordering::Acquire) {
        peer.wait(report.map(|report| report.remaining(peer.tyme())));
        peer.service();
        echo(&mut peer);
        // What could not be sent is counted; nobody else wants to know.
        peer.clear_events();
        if report.as_mut().is_some_and(|report| report.catch_up(peer.tyme()) > 0) {
            eprintln!("{:?}", peer.counters());
        }
    }
    Ok(())
}

/// Sends back what came in. What finds the queue full is dropped and counted, as datagrams are.
fn echo(peer: &mut Peer) {
    while let Some(gram) = peer.take() {
        let _ = peer.tx_bytes(gram.data, gram.from);
    }
}
