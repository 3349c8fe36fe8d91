//! A closed-loop load generator: each connection keeps so many messages on their way, checks that every reply is what it sent, and sends
//! the next one for it. Prints the rate and how long replies took. The peer is an echo server.
//!
//!     cargo run --release --example load -- --port 7000 --connections 64 --size 64 --depth 1 --seconds 5
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "what it is for")]

mod common;

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::Result;
use hdrhistogram::Histogram;
use lexopt::prelude::*;
use tymist::{Clients, Config, Connect, Event, Id};

const USAGE: &str =
    "usage: load --port N [--host NAME] [--connections N] [--size BYTES] [--depth N] [--seconds S]";

struct Options {
    connect: Connect,
    connections: usize,
    size: usize,
    depth: usize,
    time: Duration,
}

fn options() -> Result<Options> {
    let (mut host, mut port) = (String::from("localhost"), None);
    let (mut connections, mut size, mut depth) = (64, 64, 1);
    let mut time = Duration::from_secs(5);
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("host") => host = parser.value()?.parse()?,
            Long("port") => port = Some(parser.value()?.parse()?),
            Long("connections") => connections = parser.value()?.parse()?,
            Long("size") => size = parser.value()?.parse()?,
            Long("depth") => depth = parser.value()?.parse()?,
            Long("seconds") => time = common::secs(&parser.value()?)?,
            Long("help") | Short('h') => {
                eprintln!("{USAGE}");
                std::process::exit(0);
            }
            other => return Err(format!("{}\n{USAGE}", other.unexpected()).into()),
        }
    }
    if connections == 0 || size == 0 || depth == 0 {
        return Err("connections, size and depth are at least 1".into());
    }
    let connect = Connect::to_name(&host, port.ok_or(USAGE)?);
    Ok(Options { connect, connections, size, depth, time })
}

/// One connection's messages on their way.
struct Exchange {
    /// What is sent, over and over; different for each connection, so that replies that went astray are noticed.
    message: Bytes,
    /// When each message on its way was sent, the oldest first.
    sent: VecDeque<Instant>,
    /// Bytes of the oldest reply that have come already.
    have: usize,
}

impl Exchange {
    fn new(number: usize, size: usize) -> Self {
        let message = (0..size).map(|at| u8::try_from((at * 31 + number * 7) % 251).unwrap_or(0));
        Exchange { message: message.collect(), sent: VecDeque::new(), have: 0 }
    }
}

struct Load {
    clients: Clients,
    exchanges: Vec<Exchange>,
    times: Histogram<u64>,
    replies: u64,
    failed: Option<String>,
}

impl Load {
    fn new(options: &Options) -> Result<Self> {
        let mut config = Config::new();
        config.limits.remoters = options.connections;
        config.limits.tx_bytes = options.size.saturating_mul(options.depth).max(1);
        let mut clients = Clients::new(config);
        let mut exchanges = Vec::new();
        for number in 0..options.connections {
            let id = clients.connect(options.connect.clone())?;
            debug_assert_eq!(id.index(), number);
            exchanges.push(Exchange::new(number, options.size));
        }
        // From 1 us to a minute, to three digits.
        let times = Histogram::new_with_bounds(1, 60_000_000, 3)?;
        Ok(Load { clients, exchanges, times, replies: 0, failed: None })
    }

    /// One tick: `depth` messages for each that has connected, one more for each reply.
    fn turn(&mut self, depth: usize) {
        self.clients.wait(Some(Duration::from_millis(100)));
        self.clients.service();
        let now = clock();
        while let Some(event) = self.clients.poll_event() {
            match event {
                Event::Connected(id) => self.send(id, depth, now),
                Event::Received(id) => {
                    let count = self.check(id, now);
                    self.send(id, count, now);
                }
                Event::ConnectFailed { addr, error, .. } => eprintln!("{addr}: {error}"),
                Event::Unresolved { host, why, .. } => eprintln!("{host}: {why}"),
                Event::Closed(id, reason) => self.failed = Some(format!("{id}: {reason}")),
                _ => {}
            }
        }
        self.clients.service_sends();
    }

    fn send(&mut self, id: Id, count: usize, now: Instant) {
        let exchange = &mut self.exchanges[id.index()];
        let Some(remoter) = self.clients.remoter_mut(id) else { return };
        for _ in 0..count {
            if remoter.tx_bytes(&mut exchange.message.clone()) != Ok(exchange.message.len()) {
                self.failed = Some(format!("{id}: its queue is full"));
                return;
            }
            exchange.sent.push_back(now);
        }
    }

    /// Compares what has come with what was sent; returns how many replies it completes.
    fn check(&mut self, id: Id, now: Instant) -> usize {
        let exchange = &mut self.exchanges[id.index()];
        let Some(remoter) = self.clients.remoter_mut(id) else { return 0 };
        let mut data = remoter.take();
        let mut complete = 0;
        while !data.is_empty() {
            let wanted = &exchange.message[exchange.have..];
            let part = data.split_to(wanted.len().min(data.len()));
            if part != wanted[..part.len()] || exchange.sent.is_empty() {
                self.failed = Some(format!("{id}: the reply is not what was sent"));
                return 0;
            }
            exchange.have += part.len();
            if exchange.have == exchange.message.len() {
                exchange.have = 0;
                complete += 1;
                if let Some(sent) = exchange.sent.pop_front() {
                    let micros = u64::try_from((now - sent).as_micros()).unwrap_or(u64::MAX);
                    self.times.saturating_record(micros.max(1));
                }
            }
        }
        self.replies += u64::try_from(complete).unwrap_or(u64::MAX);
        complete
    }
}

fn main() -> Result<()> {
    let options = options()?;
    let mut load = Load::new(&options)?;
    let stop = common::stop_on_signal(load.clients.waker()?)?;

    // All are connected before the clock runs.
    while load.clients.connected() < options.connections && load.failed.is_none() {
        load.turn(options.depth);
        if stop.load(Ordering::Acquire) {
            return Ok(());
        }
    }
    load.times.clear();
    load.replies = 0;
    let begin = clock();
    while clock() - begin < options.time && load.failed.is_none() {
        load.turn(options.depth);
        if stop.load(Ordering::Acquire) {
            break;
        }
    }
    let time = (clock() - begin).as_secs_f64();
    if let Some(why) = load.failed {
        return Err(why.into());
    }
    #[expect(clippy::cast_precision_loss, reason = "a rate to look at")]
    let rate = load.replies as f64 / time;
    println!(
        "{} connections, {} bytes, {} deep: {} replies in {time:.2} s, {rate:.0} a second, all as sent",
        options.connections, options.size, options.depth, load.replies
    );
    let at = |quantile| load.times.value_at_quantile(quantile);
    println!(
        "microseconds: median {}, 90 % {}, 99 % {}, 99.9 % {}, most {}",
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999),
        load.times.max()
    );
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a program may look at its own clock")]
fn clock() -> Instant {
    Instant::now()
}
