//! Everybody's lines go to everybody else.
//!
//!     cargo run --example chat -- --port 7001
//!     nc 127.0.0.1 7001      (twice)

mod common;

use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Unbounded};
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use common::{Args, DRAIN, Result};
use tymist::{Config, Event, Id, Server};

const USAGE: &str = "usage: chat [--host NAME] [--port N] [--idle-timeout SECS] [--max-remoters N] [--max-line BYTES]";

/// The longest line that can be asked for: one and its sender's address fit into what may wait for each peer.
const MAX_LINE: usize = 512 << 10;

/// Lines that are passed on in one turn of the loop: each goes to everybody, and what is read at once may be a hundred thousand.
const LINES: usize = 256;

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
    let mut args = Args::new(common::usage(USAGE));
    while let Some(option) = args.next()? {
        match &*option {
            "host" => options.bind.host = args.text()?,
            "port" => options.bind.port = args.port()?,
            "idle-timeout" => options.config.timeouts.idle = args.secs_or_none()?,
            "max-remoters" => options.config.limits.remoters = args.count()?,
            "max-line" => options.max_line = args.number(1..=MAX_LINE)?,
            #[cfg(feature = "tls")]
            option if common::tls::Tls::knows(option) => options.tls.take(option, &mut args)?,
            _ => return Err(args.unknown()),
        }
    }
    #[cfg(feature = "tls")]
    options.tls.check(&args)?;
    // A line and its end: a peer whose line is too long must not be held where that cannot be seen yet.
    let limits = &mut options.config.limits;
    limits.rx_bytes = limits.rx_bytes.max(options.max_line + 1);
    Ok(options)
}

fn main() -> ExitCode {
    common::run(program)
}

fn program() -> Result<()> {
    #[cfg_attr(not(feature = "tls"), allow(unused_mut, reason = "TLS keeps something here"))]
    let mut options = options()?;
    let max_line = options.max_line;
    let mut server = Server::new(options.config.clone());
    #[cfg(feature = "tls")]
    let acceptor = options.tls.listen(&options.bind, &mut server)?;
    #[cfg(not(feature = "tls"))]
    let acceptor = options.bind.listen(&mut server)?;
    let stop = common::stop_on_signal(server.waker()?)?;
    common::announce(&server, acceptor)?;

    let mut speakers = Speakers::default();
    let mut going = true;
    while going {
        server.wait((!speakers.0.is_empty()).then_some(Duration::ZERO));
        server.service();
        let mut room = LINES;
        while let Some(event) = server.poll_event() {
            common::say(format_args!("{event:?}"));
            match event {
                // Its handshake was under way when the others were closed.
                Event::Accepted(id) if server.draining().is_some() => {
                    if let Some(remoter) = server.remoter_mut(id) {
                        remoter.close();
                    }
                }
                Event::Accepted(id) => say(&mut server, id, b"* has come"),
                Event::Received(id) | Event::Eof(id) => _ = speakers.0.insert(id),
                Event::Closed(id, _) => {
                    // It is still there, with what it has said last.
                    while room > 0 && line(&mut server, id, max_line) {
                        room -= 1;
                    }
                    say(&mut server, id, b"* has gone");
                }
                Event::DrainEnded { .. } => going = false,
                _ => {}
            }
        }
        for _ in 0..room {
            let Some(id) = speakers.next() else { break };
            if !line(&mut server, id, max_line) {
                speakers.0.remove(&id);
            }
        }
        if stop.load(Ordering::Acquire) && server.draining().is_none() && going {
            server.drain(Some(DRAIN));
            server.close_remoters();
        }
    }
    Ok(())
}

/// Those who may have lines to pass on, and whose turn was the last.
#[derive(Default)]
struct Speakers(BTreeSet<Id>, Option<Id>);

impl Speakers {
    /// Whose turn it is: one after the other, however much somebody has to say.
    fn next(&mut self) -> Option<Id> {
        let behind = self.1.and_then(|last| self.0.range((Excluded(last), Unbounded)).next());
        self.1 = behind.or(self.0.first()).copied();
        self.1
    }
}

/// Passes on a line that a peer has sent; returns whether there may be another. An unfinished one stays where it is, until the peer's end: left there after
/// that it would keep the connection, too, until `linger` is over.
fn line(server: &mut Server, id: Id, max_line: usize) -> bool {
    let Some(remoter) = server.remoter_mut(id) else { return false };
    let end = remoter.rx().iter().position(|&byte| byte == b'\n');
    if end.unwrap_or(remoter.rx().len()) > max_line {
        remoter.abort();
        return false;
    }
    let line = match end {
        Some(end) => remoter.take_first(end + 1),
        None if remoter.is_eof() => remoter.take(),
        None => return false,
    };
    if !line.is_empty() {
        say(server, id, line.trim_ascii_end());
    }
    end.is_some()
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
        common::say(format_args!("{} too slow for a line of {}", to.skipped, id));
    }
}
