//! An echo server in smol's world (async-io, any executor), beside another future: one that tells how it goes.
//!
//!     cargo run --features smol --example smol_bridge -- --port 7008
#![allow(clippy::print_stderr, reason = "statistics on request")]

mod common;

use std::future::pending;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use async_io::Timer;
use common::Result;
use futures_util::StreamExt;
use futures_util::future::{Either, select};
use lexopt::prelude::*;
use tymist::doing::{Echo, Recur, ServerDoer};
use tymist::run::Driver;
use tymist::run::smol::turn;
use tymist::{Config, Server};

const USAGE: &str = "usage: smol_bridge [--host IP] [--port N] [--idle-timeout SECS] [--max-remoters N] [--stats SECS]";

/// How long connections may take to end after a signal.
const DRAIN: Duration = Duration::from_secs(2);

struct Options {
    bind: common::Bind,
    config: Config,
    stats: Option<Duration>,
}

fn options() -> Result<Options> {
    let mut options = Options { bind: common::Bind::default(), config: Config::new(), stats: None };
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("host") => options.bind.host = parser.value()?.parse()?,
            Long("port") => options.bind.port = parser.value()?.parse()?,
            Long("idle-timeout") => {
                options.config.timeouts.idle = Some(common::secs(&parser.value()?)?);
            }
            Long("max-remoters") => options.config.limits.remoters = parser.value()?.parse()?,
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

/// Ready when the next report is due; never, if none is wanted.
async fn due(every: &mut Option<Timer>) -> Option<Instant> {
    match every {
        Some(every) => every.next().await,
        None => pending().await,
    }
}

fn main() -> Result<()> {
    let options = options()?;
    let mut server = Server::new(options.config);
    let acceptor = options.bind.listen(&mut server)?;
    let stop = common::stop_on_signal(server.waker()?)?;
    common::announce(&server, acceptor);

    let mut every = options.stats.map(Timer::interval);
    let mut driver = Driver::new(ServerDoer::new(server, Echo::new()));
    // smol's own `block_on` is this one.
    async_io::block_on(async {
        loop {
            // Dropping a turn that waits loses nothing.
            let done = match select(pin!(turn(&mut driver)), pin!(due(&mut every))).await {
                Either::Left((done, _)) => Some(done.map_err(|error| error.to_string())?),
                Either::Right(_) => None,
            };
            let server = &mut driver.server;
            match done {
                Some(Recur::Done) => return Ok(()),
                Some(Recur::Again) => {}
                None => eprintln!("{} connections, {:?}", server.len(), server.counters()),
            }
            if stop.load(Ordering::Acquire) && server.draining().is_none() {
                server.drain(Some(DRAIN));
                server.close_remoters();
            }
        }
    })
}
