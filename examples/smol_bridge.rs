//! An echo server in smol's world (async-io, any executor), beside another future: one that tells how it goes.
//!
//!     cargo run --features smol --example smol_bridge -- --port 7008

mod common;

use std::future::pending;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Instant;

use async_io::Timer;
use common::{DRAIN, Result, say};
use futures_util::StreamExt;
use futures_util::future::{Either, select};
use tymist::Server;
use tymist::doing::{Echo, Recur, ServerDoer};
use tymist::run::Driver;
use tymist::run::smol::turn;

/// Ready when the next report is due; never, if none is wanted.
async fn due(every: &mut Option<Timer>) -> Option<Instant> {
    match every {
        Some(every) => every.next().await,
        None => pending().await,
    }
}

fn main() -> ExitCode {
    common::run(program)
}

fn program() -> Result<()> {
    let options = common::Plain::parse("smol_bridge")?;
    let mut server = Server::new(options.config);
    let acceptor = options.bind.listen(&mut server)?;
    let stop = common::stop_on_signal(server.waker()?)?;
    common::announce(&server, acceptor)?;

    let mut every = options.stats.map(Timer::interval);
    let mut driver = Driver::new(ServerDoer::new(server, Echo::new()));
    let mut ending = common::Ending::new(DRAIN);
    // smol's own `block_on` is this one.
    async_io::block_on(async {
        loop {
            if stop.load(Ordering::Acquire) {
                every = Some(Timer::after(common::LOOK)); // It is ending: no more reports, but looks at how far it is.
            }
            // Dropping a turn that waits loses nothing.
            let done = match select(pin!(turn(&mut driver)), pin!(due(&mut every))).await {
                Either::Left((done, _)) => Some(done.map_err(|error| error.to_string())?),
                Either::Right(_) => None,
            };
            let now = driver.tyme();
            let server = &mut driver.server;
            match done {
                Some(Recur::Done) => return Ok(()),
                _ if stop.load(Ordering::Acquire) => ending.turn(server, now),
                Some(Recur::Again) => {}
                None => say(format_args!("{} connections, {:?}", server.len(), server.counters())),
            }
        }
    })
}
