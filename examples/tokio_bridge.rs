//! An echo server as a task of a tokio runtime, beside others: one that tells how it goes.
//!
//!     cargo run --features tokio --example tokio_bridge -- --port 7006

mod common;

use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Duration;

use common::{DRAIN, Result, say};
use tymist::doing::Recur;
use tymist::run::Driver;
use tymist::run::tokio::turn;
use tymist::{Event, Remoter, Server};

fn main() -> ExitCode {
    common::run(program)
}

fn program() -> Result<()> {
    let options = common::Plain::parse("tokio_bridge")?;
    let mut server = Server::new(options.config);
    let acceptor = options.bind.listen(&mut server)?;
    // The engine needs no more than one thread; other tasks may want more.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // tokio's own signals would do as well.
        let stop = common::stop_on_signal(server.waker()?)?;
        common::announce(&server, acceptor)?;
        let mut every = tokio::time::interval(options.stats.unwrap_or(Duration::MAX / 4));
        every.tick().await;

        let mut server = Driver::new(server);
        let mut ending = common::Ending::new(DRAIN);
        let mut going = true;
        while going {
            let told = stop.load(Ordering::Acquire);
            tokio::select! {
                done = turn(&mut server) => going = done.map_err(|error| error.to_string())? == Recur::Again,
                _ = every.tick() => {
                    say(format_args!("{} connections, {:?}", server.len(), server.counters()));
                }
                () = tokio::time::sleep(common::LOOK), if told => {}
            }
            while let Some(event) = server.poll_event() {
                match event {
                    Event::Received(id) | Event::Drained(id) => {
                        if let Some(remoter) = server.remoter_mut(id) {
                            echo(remoter);
                        }
                    }
                    Event::DrainEnded { .. } => going = false,
                    _ => {}
                }
            }
            if stop.load(Ordering::Acquire) && going {
                let now = server.tyme(); // the driver's
                ending.turn(&mut server, now);
            }
        }
        Ok(())
    })
}

/// Sends back what can be sent; the rest stays unread, which holds the peer back, until `Drained`.
fn echo(remoter: &mut Remoter) {
    let mut data = remoter.take();
    // An error says that the connection is closing: nobody is left to echo to.
    let _ = remoter.tx_bytes(&mut data);
    remoter.unread(data);
}
