//! An echo server as async tasks: one for the listener, one for each connection, all driven by the tick.
//!
//!     cargo run --example async_echo -- --port 7000
//!     cargo run --example async_echo --features dev-cert -- --port 7000 --tls

mod common;

use std::process::ExitCode;
use std::sync::atomic::Ordering;

use common::{Args, DRAIN, Result};
use tymist::tasks::{Handle, TaskListener, TaskStream, Tasks};
use tymist::{Config, Event};

const USAGE: &str = "usage: async_echo [--host NAME] [--port N] [--idle-timeout SECS] [--max-remoters N] [--unix PATH|@NAME]";

#[derive(Default)]
struct Options {
    bind: common::Bind,
    config: Config,
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
            #[cfg(feature = "tls")]
            option if common::tls::Tls::knows(option) => options.tls.take(option, &mut args)?,
            _ => return Err(args.unknown()),
        }
    }
    #[cfg(feature = "tls")]
    options.tls.check(&args)?;
    Ok(options)
}

/// Gives each connection a task of its own, until there is no listener any more.
async fn serve(handle: Handle, mut listener: TaskListener) {
    while let Ok(stream) = listener.accept().await {
        drop(handle.spawn(echo(stream)));
    }
}

/// Sends back what comes in. Where the peer does not read, the write waits, and with it the next read.
async fn echo(mut stream: TaskStream) -> std::io::Result<()> {
    loop {
        let mut data = stream.read_bytes().await?;
        if data.is_empty() {
            return stream.close().await;
        }
        stream.write_bytes(&mut data).await?;
    }
}

fn main() -> ExitCode {
    common::run(program)
}

fn program() -> Result<()> {
    #[cfg_attr(not(feature = "tls"), allow(unused_mut, reason = "TLS keeps something here"))]
    let mut options = options()?;
    let mut tasks = Tasks::new(options.config.clone());
    #[cfg(feature = "tls")]
    let acceptor = options.tls.listen(&options.bind, &mut tasks.server_mut())?;
    #[cfg(not(feature = "tls"))]
    let acceptor = options.bind.listen(&mut tasks.server_mut())?;
    let listener = tasks.adopt_listener(acceptor).ok_or("it was opened just now")?;
    let stop = common::stop_on_signal(tasks.waker()?)?;
    let reload = common::reload_on_signal(tasks.waker()?)?;
    common::announce(&tasks.server(), acceptor)?;
    let handle = tasks.handle();
    drop(handle.spawn(serve(handle.clone(), listener)));

    // A program that is nothing but tasks would say `tasks.run_until(serve(..))`.
    let mut ending = common::Ending::new(DRAIN);
    let mut going = true;
    while going {
        let told = stop.load(Ordering::Acquire);
        tasks.wait(told.then_some(common::LOOK));
        tasks.service();
        while let Some(event) = tasks.poll_event() {
            match event {
                Event::DrainEnded { .. } => going = false,
                #[cfg(feature = "tls")]
                other => common::tls::report(&other),
                #[cfg(not(feature = "tls"))]
                _ => {}
            }
        }
        if stop.load(Ordering::Acquire) && going {
            // What a task has in hand it could not send yet, so it is seen by what waits to be sent.
            let now = tasks.server().tyme();
            ending.turn(&mut tasks.server_mut(), now);
        }
        #[cfg(feature = "tls")]
        if reload.swap(false, Ordering::AcqRel) {
            tasks.server_mut().reload_tls(acceptor); // An event tells how it went.
        }
        #[cfg(not(feature = "tls"))]
        reload.store(false, Ordering::Release);
    }
    Ok(())
}
