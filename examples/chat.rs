//! Everybody's lines go to everybody else.
//!
//!     cargo run --example chat -- --port 7001
//!     nc 127.0.0.1 7001      (twice)
#![allow(clippy::print_stderr, reason = "shows the events")]

mod common;

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use common::Result;
use lexopt::prelude::*;
use tymist::{Config, Event, Id, Server};

const USAGE: &str = "usage: chat [--host IP] [--port N] [--idle-timeout SECS] [--max-remoters N] [--max-line BYTES]";

/// How long connections may take to end after a signal.
const DRAIN: Duration = Duration::from_secs(2);

struct Options {
    bind: common::Bind,
    config: Config,
    max_line: usize,
    #[cfg(feature = "tls")]
    tls: common::tls::Tls,
}

fn options() -> Result<Options> {
    let mut options = Options {
        bind: common::Bind::default(),
        config: Config::new(),
        max_line: 4096,
        #[cfg(feature = "tls")]
        tls: common::tls::Tls::default(),
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("host") => options.bind.host = parser.value()?.parse()?,
            Long("port") => options.bind.port = parser.value()?.parse()?,
            Long("idle-timeout") => {
                options.config.timeouts.idle = Some(common::secs(&parser.value()?)?);
            }
            Long("max-remoters") => options.config.limits.remoters = parser.value()?.parse()?,
            Long("max-line") => options.max_line = parser.value()?.parse()?,
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
    let max_line = options.max_line;
    let mut server = Server::new(options.config.clone());
    #[cfg(feature = "tls")]
    let acceptor = options.tls.listen(&options.bind, &mut server)?;
    #[cfg(not(feature = "tls"))]
    let acceptor = options.bind.listen(&mut server)?;
    let stop = common::stop_on_signal(server.waker()?)?;
    common::announce(&server, acceptor);

    let mut going = true;
    while going {
        server.wait(None);
        server.service();
        while let Some(event) = server.poll_event() {
            eprintln!("{event:?}");
            match event {
                Event::Accepted(id) => say(&mut server, id, b"* has come"),
                Event::Received(id) => lines(&mut server, id, max_line),
                Event::Closed(id, _) => say(&mut server, id, b"* has gone"),
                Event::DrainEnded { .. } => going = false,
                _ => {}
            }
        }
        if stop.load(Ordering::Acquire) && server.draining().is_none() && going {
            server.drain(Some(DRAIN));
            server.close_remoters();
        }
    }
    Ok(())
}

/// Passes on the whole lines that one peer has sent; an unfinished one stays where it is.
fn lines(server: &mut Server, id: Id, max_line: usize) {
    while let Some(remoter) = server.remoter_mut(id) {
        let end = remoter.rx().iter().position(|&byte| byte == b'\n');
        let Some(end) = end else {
            if remoter.rx().len() > max_line {
                remoter.abort();
            }
            return;
        };
        let line = remoter.take_first(end + 1);
        say(server, id, line.trim_ascii_end());
    }
}

/// Queues what one peer said for all others that have room for it.
fn say(server: &mut Server, id: Id, words: &[u8]) {
    let Some(remoter) = server.remoter(id) else { return };
    let mut line = BytesMut::new();
    line.put_slice(format!("{}: ", remoter.peer_addr()).as_bytes());
    line.put_slice(words);
    line.put_u8(b'\n');
    let line: Bytes = line.freeze();
    let to = server.broadcast(&line, |other| other.id() != id);
    if to.skipped > 0 {
        eprintln!("{} too slow for a line of {}", to.skipped, id);
    }
}
