//! A closed-loop load generator: each connection keeps so many messages on their way, checks that every reply is what it sent, and sends
//! the next one for it. Prints the rate and how long replies took. The peer is an echo server, which may speak TLS (`--tls`, with the options of `client`).
//!
//!     cargo run --release --example load -- --port 7000 --connections 64 --size 64 --depth 1 --seconds 5

mod common;

use std::collections::VecDeque;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use common::{Args, Result, print, say};
use hdrhistogram::Histogram;
use tymist::{Clients, Config, Connect, Event, Id};

const USAGE: &str =
    "usage: load --port N [--host NAME] [--connections N] [--size BYTES] [--depth N] [--seconds S]";

#[cfg(feature = "tls")]
use common::tls_client;

/// The most connections, and the most messages on their way on each of them.
const CONNECTIONS: usize = 1_000_000;
const DEPTH: usize = 65_536;
/// Bytes that wait to be sent on a connection: longer messages are made piece by piece.
const WAITING: usize = 256 << 10;
/// A connection that owes a reply and has sent nothing for so long stands still.
const SILENCE: Duration = Duration::from_secs(1);
/// After so many bytes messages repeat themselves.
const PERIOD: usize = 251;

struct Options {
    connect: Connect,
    connections: usize,
    size: usize,
    depth: usize,
    time: Duration,
}

/// The usage, with what was compiled in.
fn usage() -> String {
    #[cfg(feature = "tls")]
    return format!("{USAGE}\n       {}", tls_client::USAGE);
    #[cfg(not(feature = "tls"))]
    USAGE.into()
}

fn options() -> Result<Options> {
    let (mut host, mut port) = (String::from("localhost"), None);
    let (mut connections, mut size, mut depth) = (64, 64, 1);
    let mut time = Duration::from_secs(5);
    #[cfg(feature = "tls")]
    let mut tls = tls_client::TlsTo::default();
    let mut args = Args::new(usage());
    while let Some(option) = args.next()? {
        match &*option {
            "host" => host = args.text()?,
            "port" => port = Some(args.target_port()?),
            "connections" => connections = args.number(1..=CONNECTIONS)?,
            "size" => size = args.count()?,
            "depth" => depth = args.number(1..=DEPTH)?,
            "seconds" => time = args.secs()?,
            #[cfg(feature = "tls")]
            option if tls_client::TlsTo::knows(option) => tls.take(option, &mut args)?,
            _ => return Err(args.unknown()),
        }
    }
    let port = port.ok_or_else(|| args.refuse("--port says where to"))?;
    args.spare_descriptors("--connections", connections, 1)?;
    let host = match common::bare(&host) {
        "" => "localhost",
        host => host,
    };
    let connect = Connect::to_name(host, port);
    #[cfg(feature = "tls")]
    let connect = tls.wrap(connect, host, &args)?;
    Ok(Options { connect, connections, size, depth, time })
}

/// One connection's messages on their way. All are the same, over and over; those of another connection are not, so that replies that went
/// astray are noticed.
struct Exchange {
    /// Where in the pattern a message begins.
    shift: usize,
    /// Messages that are to be sent, the one that is half sent among them.
    due: usize,
    /// Bytes of the one that is half sent.
    begun: usize,
    /// When each message on its way was begun, the oldest first.
    sent: VecDeque<Instant>,
    /// Bytes of the oldest reply that have come already.
    have: usize,
    /// When something came.
    heard: Option<Instant>,
}

impl Exchange {
    fn new(number: usize) -> Self {
        let sent = VecDeque::new();
        Exchange { shift: number % PERIOD, due: 0, begun: 0, sent, have: 0, heard: None }
    }

    /// Whether a reply is owed of which nothing has come for long.
    fn stands_still(&self, now: Instant) -> bool {
        let since = self.sent.front().copied().max(self.heard);
        !self.sent.is_empty() && since.is_some_and(|since| now - since >= SILENCE)
    }
}

/// What messages are pieces of.
fn pattern() -> Bytes {
    let bytes = (0..WAITING + 2 * PERIOD).map(|at| u8::try_from(at * 31 % PERIOD).unwrap_or(0));
    bytes.collect::<BytesMut>().freeze()
}

/// The bytes of a message from one on, as many as there are in a row.
fn piece(pattern: &Bytes, shift: usize, from: usize, size: usize) -> Bytes {
    let start = (shift + from) % PERIOD;
    pattern.slice(start..start + (size - from).min(WAITING))
}

struct Load {
    clients: Clients,
    exchanges: Vec<Exchange>,
    pattern: Bytes,
    size: usize,
    times: Histogram<u64>,
    replies: u64,
    /// Addresses that could not be reached.
    unreached: usize,
    failed: Option<String>,
}

impl Load {
    fn new(options: &Options) -> Result<Self> {
        let mut config = Config::new();
        config.limits.remoters = options.connections;
        config.limits.tx_bytes = options.size.saturating_mul(options.depth).min(WAITING);
        let mut clients = Clients::new(config);
        let mut exchanges = Vec::new();
        for number in 0..options.connections {
            let id = clients.connect(options.connect.clone())?;
            debug_assert_eq!(id.index(), number);
            exchanges.push(Exchange::new(number));
        }
        // From 1 us to a minute, to three digits.
        let mut times = Histogram::new_with_bounds(1, 60_000_000, 3)?;
        times.auto(true); // Who waits for longer than a minute has waited for longer.
        let (pattern, size) = (pattern(), options.size);
        Ok(Load {
            clients,
            exchanges,
            pattern,
            size,
            times,
            replies: 0,
            unreached: 0,
            failed: None,
        })
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
                Event::Drained(id) => self.send(id, 0, now),
                Event::ConnectFailed { addr, error, .. } => {
                    self.unreached += 1;
                    if self.unreached <= 2 {
                        say(format_args!("{addr}: {error}")); // Others will say the same.
                    }
                }
                // The first to fail says it for all.
                Event::Unresolved { host, why, .. } if self.failed.is_none() => {
                    self.failed = Some(format!("{host}: {why}"));
                }
                Event::Closed(id, reason) if self.failed.is_none() => {
                    self.failed = Some(format!("{id}: {reason}"));
                }
                _ => {}
            }
        }
        self.clients.service_sends();
    }

    /// Sends so many messages more, as far as there is room.
    fn send(&mut self, id: Id, count: usize, now: Instant) {
        let exchange = &mut self.exchanges[id.index()];
        let Some(remoter) = self.clients.remoter_mut(id) else { return };
        exchange.due += count;
        while exchange.due > 0 {
            let mut data = piece(&self.pattern, exchange.shift, exchange.begun, self.size);
            // An error says that it is closing, which an event tells.
            let Ok(taken @ 1..) = remoter.tx_bytes(&mut data) else { return };
            if exchange.begun == 0 {
                exchange.sent.push_back(now);
            }
            exchange.begun += taken;
            if exchange.begun == self.size {
                exchange.begun = 0;
                exchange.due -= 1;
            }
            if !data.is_empty() {
                return; // Goes on at `Drained`.
            }
        }
    }

    /// Compares what has come with what was sent; returns how many replies it completes.
    fn check(&mut self, id: Id, now: Instant) -> usize {
        let exchange = &mut self.exchanges[id.index()];
        let Some(remoter) = self.clients.remoter_mut(id) else { return 0 };
        let mut data = remoter.take();
        exchange.heard = Some(now);
        let mut complete = 0;
        while !data.is_empty() {
            let wanted = piece(&self.pattern, exchange.shift, exchange.have, self.size);
            let part = data.split_to(wanted.len().min(data.len()));
            if part != wanted[..part.len()] || exchange.sent.is_empty() {
                self.failed = Some(format!("{id}: the reply is not what was sent"));
                return 0;
            }
            exchange.have += part.len();
            if exchange.have == self.size {
                exchange.have = 0;
                complete += 1;
                if let Some(sent) = exchange.sent.pop_front() {
                    let micros = u64::try_from((now - sent).as_micros()).unwrap_or(u64::MAX);
                    let _ = self.times.record(micros.max(1)); // It grows, so it takes all.
                }
            }
        }
        self.replies += u64::try_from(complete).unwrap_or(u64::MAX);
        complete
    }
}

fn main() -> ExitCode {
    common::run(program)
}

fn program() -> Result<()> {
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
    let now = clock();
    let time = (now - begin).as_secs_f64();
    let still = load.exchanges.iter().filter(|exchange| exchange.stands_still(now)).count();
    if let Some(why) = load.failed {
        return Err(why.into());
    }
    if load.replies == 0 {
        return Err(format!("no reply was whole within {time:.2} s").into());
    }
    #[expect(clippy::cast_precision_loss, reason = "a rate to look at")]
    let rate = load.replies as f64 / time;
    print(format_args!(
        "{} connections, {} bytes, {} deep: {} replies in {time:.2} s, {rate:.0} a second, all as sent",
        options.connections, options.size, options.depth, load.replies
    ))?;
    let at = |quantile| load.times.value_at_quantile(quantile);
    print(format_args!(
        "microseconds: median {}, 90 % {}, 99 % {}, 99.9 % {}, most {}",
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999),
        load.times.max()
    ))?;
    if still > 0 {
        let owed = format!(
            "{still} connections wait for a reply of which nothing has come for {SILENCE:?} and longer"
        );
        if still == options.connections {
            return Err(owed.into());
        }
        say(owed);
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a program may look at its own clock")]
fn clock() -> Instant {
    Instant::now()
}
