//! A line client like `nc`: what is typed goes to the peer, what the peer says is printed. At the end of the input its half is ended, and it waits for
//! the peer's.
//!
//!     cargo run --release --example client -- --host localhost --port 7000
//!
//! Names are looked up off the tick, several addresses are tried side by side, and `--reconnect` comes again when the peer is gone. With `--tls` the
//! server must prove to be NAME, or what `--server-name` says:
//!
//!     cargo run --example client -- --host 192.0.2.1 --port 443 --tls --ca roots.pem --server-name example.org
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "what it is for")]

mod common;

use std::io::{BufRead, Write};
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Receiver, SyncSender, TryRecvError};

use common::Result;
use lexopt::prelude::*;
use tymist::net::Waker;
use tymist::{Client, Config, Connect, Event};

const USAGE: &str = "usage: client --port N [--host NAME] [--reconnect] [--connect-timeout SECS] [--idle-timeout SECS] \
                     [--local IP:PORT]";

#[cfg(feature = "tls")]
use common::tls_client;

/// Pieces of input that wait to be sent; whoever types faster waits.
const WAITING: usize = 64;

struct Options {
    connect: Connect,
    config: Config,
}

fn options() -> Result<Options> {
    let (mut host, mut port) = (String::from("localhost"), None);
    let (mut local, mut reconnect) = (None, false);
    let mut config = Config::new();
    #[cfg(feature = "tls")]
    let mut tls = tls_client::TlsTo::default();
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("host") => host = parser.value()?.parse()?,
            Long("port") => port = Some(parser.value()?.parse()?),
            Long("local") => local = Some(parser.value()?.parse()?),
            Long("reconnect") => reconnect = true,
            Long("connect-timeout") => {
                config.timeouts.connect = Some(common::secs(&parser.value()?)?);
            }
            Long("idle-timeout") => config.timeouts.idle = Some(common::secs(&parser.value()?)?),
            #[cfg(feature = "tls")]
            Long(option) if tls_client::TlsTo::knows(option) => {
                let option = option.to_owned();
                tls.take(&option, &mut parser)?;
            }
            Long("help") | Short('h') => {
                eprintln!("{USAGE}");
                #[cfg(feature = "tls")]
                eprintln!("       {}", tls_client::USAGE);
                std::process::exit(0);
            }
            other => return Err(format!("{}\n{USAGE}", other.unexpected()).into()),
        }
    }
    let port = port.ok_or(USAGE)?;
    let mut connect = Connect::to_name(&host, port);
    #[cfg(feature = "tls")]
    {
        connect = tls.wrap(connect, &host)?;
    }
    connect.local = local;
    if reconnect {
        connect = connect.reconnectable();
    }
    Ok(Options { connect, config })
}

fn main() -> Result<ExitCode> {
    let Options { connect, config } = options()?;
    let mut client = Client::new(config, connect);
    let stop = common::stop_on_signal(client.waker()?)?;
    let input = read_input(client.waker()?);
    client.reopen()?;

    let mut typed = Some(input);
    let mut rest = bytes::Bytes::new();
    let mut clean = true;
    while client.opened() {
        client.wait(None);
        client.service();
        let mut over = false;
        while let Some(event) = client.poll_event() {
            over |= matches!(event, Event::Disconnected { .. });
            clean &= show(&mut client, &event)?;
        }
        feed(&mut client, &mut typed, &mut rest);
        let nothing_more = typed.is_none() && over;
        if nothing_more || stop.load(Ordering::Acquire) {
            client.close();
        }
    }
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Says what has happened; returns whether all is well.
fn show(client: &mut Client, event: &Event) -> Result<bool> {
    match event {
        Event::Connected(_) => {
            if let Some(peer) = client.peer_addr() {
                eprintln!("connected to {peer}");
            }
            #[cfg(feature = "tls")]
            if let Some(info) = client.remoter().and_then(tymist::Remoter::tls) {
                eprintln!("{}", tls_client::describe(info));
            }
        }
        Event::Received(_) => {
            let mut out = std::io::stdout().lock();
            out.write_all(&client.take())?;
            out.flush()?;
        }
        Event::ConnectFailed { addr, error, .. } => eprintln!("{addr}: {error}"),
        Event::Unresolved { host, why, .. } => eprintln!("{host}: {why}"),
        Event::Disconnected { reason, .. } => eprintln!("{reason}; trying again"),
        Event::Closed(_, reason) => {
            eprintln!("{reason}");
            return Ok(reason.is_clean() || *reason == tymist::CloseReason::ServerClosed);
        }
        _ => {}
    }
    Ok(true)
}

/// Queues what was typed, as much as fits; at the end of the input ends our half.
fn feed(client: &mut Client, typed: &mut Option<Receiver<Vec<u8>>>, rest: &mut bytes::Bytes) {
    while let Some(input) = typed {
        // An error says that our half is over: nobody is left to tell.
        if !rest.is_empty() && (client.tx_bytes(rest).is_err() || !rest.is_empty()) {
            return; // Goes on at `Drained`.
        }
        match input.try_recv() {
            Ok(data) => *rest = data.into(),
            Err(TryRecvError::Empty) => return,
            Err(TryRecvError::Disconnected) => {
                if let Some(remoter) = client.remoter_mut() {
                    remoter.shutdown_send();
                }
                *typed = None;
            }
        }
    }
}

/// Reads standard input on a thread, since that can only block, and wakes the loop for each line.
fn read_input(waker: Waker) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::sync_channel(WAITING);
    #[expect(
        clippy::disallowed_methods,
        reason = "a thread that waits for input and wakes the loop"
    )]
    std::thread::spawn(move || {
        send_lines(&sender, &waker);
        drop(sender);
        // Without a waker the loop would only see the end at its next event.
        let _ = waker.wake();
    });
    receiver
}

fn send_lines(sender: &SyncSender<Vec<u8>>, waker: &Waker) {
    let mut input = std::io::stdin().lock();
    // An error of the input is an end of it.
    while let Ok(data) = input.fill_buf() {
        let count = data.len();
        if count == 0 || sender.send(data.to_vec()).is_err() {
            return;
        }
        input.consume(count);
        let _ = waker.wake();
    }
}
