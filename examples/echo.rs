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

mod common;

use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Duration;

use common::{Args, DRAIN, Result, say};
use tymist::tyme::Tymer;
use tymist::{Config, Event, Remoter, Server};

const USAGE: &str = "usage: echo [--host NAME] [--port N] [--idle-timeout SECS] [--max-remoters N] \
                     [--rx-cap BYTES] [--tx-cap BYTES] [--stats SECS] [--unix PATH|@NAME]";

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
    let mut args = Args::new(common::usage(USAGE));
    while let Some(option) = args.next()? {
        match &*option {
            "host" => options.bind.host = args.text()?,
            "port" => options.bind.port = args.port()?,
            "unix" => options.bind.unix = Some(args.path()?),
            "idle-timeout" => options.config.timeouts.idle = args.secs_or_none()?,
            "max-remoters" => options.config.limits.remoters = args.count()?,
            "rx-cap" => options.config.limits.rx_bytes = args.count()?,
            "tx-cap" => options.config.limits.tx_bytes = args.count()?,
            "stats" => options.stats = args.secs_or_none()?,
            #[cfg(feature = "tls")]
            option if common::tls::Tls::knows(option) => options.tls.take(option, &mut args)?,
            _ => return Err(args.unknown()),
        }
    }
    #[cfg(feature = "tls")]
    options.tls.check(&args)?;
    Ok(options)
}

fn main() -> ExitCode {
    common::run(program)
}

fn program() -> Result<()> {
    #[cfg_attr(not(feature = "tls"), allow(unused_mut, reason = "TLS keeps something here"))]
    let mut options = options()?;
    let mut server = Server::new(options.config.clone());
    #[cfg(feature = "tls")]
    let acceptor = options.tls.listen(&options.bind, &mut server)?;
    #[cfg(not(feature = "tls"))]
    let acceptor = options.bind.listen(&mut server)?;
    let stop = common::stop_on_signal(server.waker()?)?;
    let reload = common::reload_on_signal(server.waker()?)?;
    common::announce(&server, acceptor)?;

    let mut report = options.stats.map(|every| Tymer::new(server.tyme(), every));
    let (mut room, mut ending) = (common::Room::default(), common::Ending::new(DRAIN));
    let mut going = true;
    while going {
        let told = stop.load(Ordering::Acquire);
        server.wait(common::rest(report.as_ref(), server.tyme(), told));
        server.service();
        while let Some(event) = server.poll_event() {
            room.heed(&event);
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
        if stop.load(Ordering::Acquire) && going {
            let now = server.tyme();
            ending.turn(&mut server, now);
        }
        #[cfg(feature = "tls")]
        if reload.swap(false, Ordering::AcqRel) {
            server.reload_tls(acceptor); // An event tells how it went.
        }
        #[cfg(not(feature = "tls"))]
        reload.store(false, Ordering::Release);
        if report.as_mut().is_some_and(|report| report.catch_up(server.tyme()) > 0) {
            say(format_args!("{} connections, {:?}", server.len(), server.counters()));
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
