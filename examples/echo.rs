//! An echo server: sends back what comes in, as far as the peer takes it.
//!
//!     cargo run --example echo -- --port 7000
//!     nc 127.0.0.1 7000
//!     cargo run --features uds --example echo -- --unix echo.sock
//!
//! With TLS, by a certificate of its own or yours; SIGHUP reads the files again:
//!
//!     cargo run --example echo --features dev-cert -- --port 7000 --tls
//!     cargo run --example echo -- --port 7000 --tls --cert chain.pem --key key.pem
#![allow(clippy::print_stderr, reason = "statistics on request, and how it ended")]

mod common;

use std::sync::atomic::Ordering;
use std::time::Duration;

use common::Result;
use lexopt::prelude::*;
use tymist::tyme::Tymer;
use tymist::{Config, Event, Remoter, Server};

const USAGE: &str = "usage: echo [--host IP] [--port N] [--idle-timeout SECS] [--max-remoters N] \
                     [--rx-cap BYTES] [--tx-cap BYTES] [--stats SECS] [--unix PATH]";

/// How long connections may take to end after a signal.
const DRAIN: Duration = Duration::from_secs(2);

#[derive(Default)]
struct Options {
    bind: common::Bind,
    config: Config,
    stats: Option<Duration>,
    #[cfg(feature = "tls")]
    tls: common::tls::Tls,
}

fn options() -> Result<Options> {
    let mut options = Options::default();
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("host") => options.bind.host = parser.value()?.parse()?,
            Long("port") => options.bind.port = parser.value()?.parse()?,
            Long("unix") => options.bind.unix = Some(parser.value()?.into()),
            Long("idle-timeout") => {
                options.config.timeouts.idle = Some(common::secs(&parser.value()?)?);
            }
            Long("max-remoters") => options.config.limits.remoters = parser.value()?.parse()?,
            Long("rx-cap") => options.config.limits.rx_bytes = parser.value()?.parse()?,
            Long("tx-cap") => options.config.limits.tx_bytes = parser.value()?.parse()?,
            Long("stats") => options.stats = Some(common::secs(&parser.value()?)?),
            #[cfg(feature = "tls")]
            Long(option) if common::tls::Tls::knows(option) => {
                let option = option.to_owned();
                options.tls.take(&option, &mut parser)?;
            }
            Long("help") | Short('h') => {
                eprintln!("{USAGE}");
                #[cfg(feature = "tls")]
                eprintln!("       {}", common::tls::USAGE);
                std::process::exit(0);
            }
            other => return Err(format!("{}\n{USAGE}", other.unexpected()).into()),
        }
    }
    Ok(options)
}

fn main() -> Result<()> {
    #[cfg_attr(not(feature = "tls"), allow(unused_mut, reason = "TLS keeps something here"))]
    let mut options = options()?;
    let mut server = Server::new(options.config.clone());
    #[cfg(feature = "tls")]
    let acceptor = options.tls.listen(&options.bind, &mut server)?;
    #[cfg(not(feature = "tls"))]
    let acceptor = options.bind.listen(&mut server)?;
    let stop = common::stop_on_signal(server.waker()?)?;
    let reload = common::reload_on_signal(server.waker()?)?;
    common::announce(&server, acceptor);

    let mut report = options.stats.map(|every| Tymer::new(server.tyme(), every));
    let mut going = true;
    while going {
        server.wait(report.map(|report| report.remaining(server.tyme())));
        server.service();
        while let Some(event) = server.poll_event() {
            match event {
                Event::Received(id) | Event::Drained(id) => {
                    if let Some(remoter) = server.remoter_mut(id) {
                        echo(remoter);
                    }
                }
                Event::DrainEnded { .. } => going = false,
                #[cfg(feature = "tls")]
                other => common::tls::report(&other),
                #[cfg(not(feature = "tls"))]
                _ => {}
            }
        }
        if stop.load(Ordering::Acquire) && server.draining().is_none() && going {
            server.drain(Some(DRAIN));
            server.close_remoters();
        }
        #[cfg(feature = "tls")]
        if reload.swap(false, Ordering::AcqRel) {
            server.reload_tls(acceptor); // An event tells how it went.
        }
        #[cfg(not(feature = "tls"))]
        reload.store(false, Ordering::Release);
        if report.as_mut().is_some_and(|report| report.catch_up(server.tyme()) > 0) {
            eprintln!("{} connections, {:?}", server.len(), server.counters());
        }
    }
    Ok(())
}

/// Sends back what can be sent; the rest stays unread, which holds the peer back, until `Drained`.
fn echo(remoter: &mut Remoter) {
    let mut data = remoter.take();
    // An error says that the connection is closing: nobody is left to echo to.
    let _ = remoter.tx_bytes(&mut data);
    remoter.unread(data);
}
