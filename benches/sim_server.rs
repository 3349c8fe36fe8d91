//! What a world costs with a `Server` on top: `cargo bench --features sim --bench sim_server`.
//!
//! A message is one write that is received at the other end, so an echo is two. Clients are programs on the bare seam. Time is processor time where
//! the system tells it (Linux), and the best of several runs counts: whatever else the machine does only adds.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark")]
#![expect(clippy::disallowed_methods, reason = "it measures real time")]

use std::io::IoSlice;
use std::time::{Duration, Instant};

use tymist::doing::{DoError, Doer, Recur};
use tymist::net::{Dial, Listen, Net, Readiness, Stream, Token};
use tymist::sim::{Host, HostSpec, Tracing, World, WorldSpec};
use tymist::tyme::Tyme;
use tymist::{Config, Event, Server, Wake};

const MESSAGE: [u8; 64] = [7; 64];
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Connections of one client, so that none runs out of ports.
const PER_CLIENT: usize = 1000;

/// An echo server on the engine.
struct Echo(Server);

impl Echo {
    fn new(host: &Host, idle: Option<Duration>) -> Self {
        let mut config = Config::new();
        config.timeouts.idle = idle;
        let mut server = Server::with_net(config, host.net());
        server.wind(host.tymth());
        let mut listen = Listen::new(([0, 0, 0, 0], 80));
        listen.backlog = 16_384;
        server.listen(listen).unwrap();
        Echo(server)
    }
}

impl Doer for Echo {
    fn recur(&mut self, _: Tyme) -> Result<Recur, DoError> {
        self.0.service();
        while let Some(event) = self.0.poll_event() {
            if let Event::Received(id) = event {
                let remoter = self.0.remoter_mut(id).unwrap();
                let mut data = remoter.take();
                remoter.tx_bytes(&mut data).unwrap();
            }
        }
        self.0.service_sends();
        Ok(Recur::Again)
    }

    fn wake(&self) -> Wake {
        self.0.wake()
    }
}

/// Keeps one message under way on each of its connections, or says one each `pause`.
struct Callers {
    net: Box<dyn Net>,
    dial: Dial,
    /// How many connections it is to have.
    count: usize,
    streams: Vec<Box<dyn Stream>>,
    ready: Vec<Readiness>,
    buf: Vec<u8>,
    pause: Option<Duration>,
    next: Tyme,
}

impl Callers {
    /// Dials at `start`, so that not all callers come at once and overflow the backlog.
    fn new(host: &Host, count: usize, pause: Option<Duration>, start: Tyme) -> Self {
        let dial = Dial::new((host.resolve("server")[0], 80));
        let (net, streams, ready, buf) = (host.net(), Vec::new(), Vec::new(), vec![0; 4096]);
        Callers { net, dial, count, streams, ready, buf, pause, next: start }
    }

    fn dial(&mut self) {
        for number in 0..self.count {
            let mut stream = self.net.connect(&self.dial).unwrap();
            stream.register(Token(number)).unwrap();
            self.streams.push(stream);
        }
    }
}

impl Doer for Callers {
    fn recur(&mut self, now: Tyme) -> Result<Recur, DoError> {
        self.net.harvest(None, &mut self.ready).unwrap();
        for ready in self.ready.drain(..) {
            let stream = &mut self.streams[ready.token.0];
            let got = ready.readable && stream.read(&mut self.buf).is_ok();
            if self.pause.is_none() && (got || ready.writable) {
                stream.write(&[IoSlice::new(&MESSAGE)]).unwrap();
            }
        }
        if now < self.next {
            return Ok(Recur::Again);
        }
        self.next = self.pause.map_or(Tyme::NEVER, |pause| now + pause);
        if self.streams.is_empty() {
            self.dial();
            return Ok(Recur::Again);
        }
        for stream in &mut self.streams {
            stream.write(&[IoSlice::new(&MESSAGE)]).unwrap();
        }
        Ok(Recur::Again)
    }

    fn wake(&self) -> Wake {
        Wake::At(self.next)
    }
}

/// Nanoseconds that this thread has been on a processor; elsewhere than on Linux the time that has passed.
fn processor_nanos(begin: Instant) -> f64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let spent = told.and_then(|text| text.split(' ').next()?.parse().ok());
    spent.unwrap_or_else(|| begin.elapsed().as_secs_f64() * 1e9)
}

/// Seconds that `work` takes.
fn timed<T>(work: impl FnOnce() -> T) -> f64 {
    let begin = Instant::now();
    let before = processor_nanos(begin);
    work();
    (processor_nanos(begin) - before) * 1e-9
}

struct Case {
    tracing: Tracing,
    connections: usize,
    pause: Option<Duration>,
    idle: Option<Duration>,
}

impl Case {
    fn world(&self) -> World {
        let mut spec = WorldSpec::new(1);
        spec.tracing = self.tracing;
        let mut world = World::with(spec);
        let idle = self.idle;
        world.add(HostSpec::new("server"), move |host| Echo::new(host, idle));
        for client in 0..self.connections.div_ceil(PER_CLIENT) {
            let part = (self.connections - client * PER_CLIENT).min(PER_CLIENT);
            let pause = self.pause;
            let start = Tyme::ZERO + Duration::from_millis(10) * u32::try_from(client).unwrap();
            world.add(format!("client {client}"), move |host| {
                Callers::new(host, part, pause, start)
            });
        }
        world.run_for(Duration::from_secs(1));
        let echo: &Echo = world.program(world.hosts().next().unwrap()).unwrap();
        assert_eq!(echo.0.len(), self.connections);
        world
    }

    fn measure(&self, rounds: usize, tyme: Duration) -> Cost {
        let mut cost = Cost { seconds: f64::MAX, messages: 0, packets: 0 };
        for _ in 0..rounds {
            let mut world = self.world();
            let before = world.stats();
            let seconds = timed(|| world.run_for(tyme));
            let after = world.stats();
            cost.seconds = cost.seconds.min(seconds);
            cost.messages = after.segments - before.segments;
            cost.packets = after.packets - before.packets;
        }
        cost
    }
}

/// What a span of simulated time has taken.
struct Cost {
    seconds: f64,
    messages: u64,
    /// Acknowledgements included.
    packets: u64,
}

impl Cost {
    fn each(&self) -> f64 {
        self.seconds * 1e9 / self.messages as f64
    }

    fn each_packet(&self) -> f64 {
        self.seconds * 1e9 / self.packets as f64
    }
}

fn rate(name: &str, tracing: Tracing, connections: usize, tyme: Duration) -> Cost {
    let case = Case { tracing, connections, pause: None, idle: Some(Duration::from_secs(300)) };
    let cost = case.measure(5, tyme);
    let (each, packet) = (cost.each(), cost.each_packet());
    println!(
        "{name:<36} {each:>5.0} ns a message, {:>5.2} million/s, {packet:>5.0} ns a packet",
        1e3 / each
    );
    cost
}

fn main() {
    let second = Duration::from_secs(1);
    rate("1 connection, no trace", Tracing::Off, 1, 200 * second);
    rate("100 connections, no trace", Tracing::Off, 100, 4 * second);
    let busy = rate("1,000 connections, no trace", Tracing::Off, 1000, second);
    rate("10,000 connections, no trace", Tracing::Off, 10_000, second / 5);
    rate("100 connections, hash", Tracing::Hash, 100, 4 * second);
    rate("1,000 connections, hash", Tracing::Hash, 1000, second);

    let minute = Some(Duration::from_secs(60));
    let mut beats = Case { tracing: Tracing::Off, connections: 1000, pause: minute, idle: None };
    for (name, idle) in [("no time-out", None), ("idle time-out 90 s", Some(90 * second))] {
        beats.idle = idle;
        // A quarter of a day, 1,460 of which are a year.
        let cost = beats.measure(5, DAY / 4);
        println!(
            "1,000 connections, an exchange a minute, {name}: {:.0} ns a message, {:.0} ns a packet ({:.2} of those under load)",
            cost.each(),
            cost.each_packet(),
            cost.each_packet() / busy.each_packet(),
        );
        let (seconds, billions) = (cost.seconds * 1460.0, cost.messages as f64 * 1460e-9);
        println!("    a year: {seconds:.0} s for {billions:.2} billion messages");
    }

    let never = Some(Duration::from_secs(1 << 40));
    for (name, idle) in [("no time-out", None), ("idle time-out 2 years", Some(730 * DAY))] {
        let silent = Case { tracing: Tracing::Hash, connections: 10_000, pause: never, idle };
        let mut world = silent.world();
        let mut steps = 0;
        let millis = timed(|| steps = world.run_for(365 * DAY)) * 1e3;
        println!("10,000 silent connections, {name}: a year in {millis:.3} ms, {steps} steps");
    }
}
