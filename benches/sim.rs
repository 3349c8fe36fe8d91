//! What the simulated network costs by itself: `cargo bench --features sim --bench sim`.
//!
//! Programs on the bare seam, so that no engine is measured with it. A message is one write that is one read at the other end.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark")]
#![expect(clippy::disallowed_methods, reason = "it measures real time")]

use std::io::IoSlice;
use std::time::{Duration, Instant};

use tymist::Wake;
use tymist::doing::{DoError, Doer, Recur};
use tymist::net::{Dial, Listen, Listener, Net, Readiness, Stream, Token};
use tymist::sim::{Host, HostSpec, Link, Tracing, World, WorldSpec};
use tymist::tyme::Tyme;

const SIZE: usize = 64;

struct Echo {
    net: Box<dyn Net>,
    listener: Box<dyn Listener>,
    streams: Vec<Box<dyn Stream>>,
    ready: Vec<Readiness>,
    buf: Vec<u8>,
}

impl Echo {
    fn new(host: &Host) -> Self {
        let mut net = host.net();
        let mut listen = Listen::new(([0, 0, 0, 0], 80));
        listen.backlog = 4096;
        let mut listener = net.listen(&listen).unwrap();
        listener.register(Token(usize::MAX)).unwrap();
        let (streams, ready) = (Vec::new(), Vec::new());
        Echo { net, listener, streams, ready, buf: vec![0; 65_536] }
    }
}

impl Doer for Echo {
    fn recur(&mut self, _: Tyme) -> Result<Recur, DoError> {
        self.net.harvest(None, &mut self.ready).unwrap();
        for ready in self.ready.drain(..) {
            if ready.token.0 == usize::MAX {
                while let Ok(mut stream) = self.listener.accept() {
                    stream.register(Token(self.streams.len())).unwrap();
                    self.streams.push(stream);
                }
            } else if ready.readable
                && let Ok(count) = self.streams[ready.token.0].read(&mut self.buf)
            {
                self.streams[ready.token.0].write(&[IoSlice::new(&self.buf[..count])]).unwrap();
            }
        }
        Ok(Recur::Again)
    }

    fn wake(&self) -> Wake {
        Wake::OnIo
    }
}

/// Keeps one message under way on each of its connections, or one each `pause`.
struct Pingers {
    net: Box<dyn Net>,
    streams: Vec<Box<dyn Stream>>,
    ready: Vec<Readiness>,
    buf: Vec<u8>,
    pause: Option<Duration>,
    next: Tyme,
    messages: u64,
}

impl Pingers {
    fn new(host: &Host, count: usize, pause: Option<Duration>) -> Self {
        let mut net = host.net();
        let dial = Dial::new((host.resolve("server")[0], 80));
        let streams = (0..count)
            .map(|number| {
                let mut stream = net.connect(&dial).unwrap();
                stream.register(Token(number)).unwrap();
                stream
            })
            .collect();
        let next = pause.map_or(Tyme::NEVER, |pause| host.tyme() + pause);
        Pingers { net, streams, ready: Vec::new(), buf: vec![0; 65_536], pause, next, messages: 0 }
    }
}

impl Doer for Pingers {
    fn recur(&mut self, now: Tyme) -> Result<Recur, DoError> {
        let message = [7; SIZE];
        self.net.harvest(None, &mut self.ready).unwrap();
        for ready in self.ready.drain(..) {
            let stream = &mut self.streams[ready.token.0];
            let start = self.pause.is_none() && ready.writable;
            let got = ready.readable && stream.read(&mut self.buf).is_ok();
            self.messages += u64::from(got);
            if start || (got && self.pause.is_none()) {
                stream.write(&[IoSlice::new(&message)]).unwrap();
            }
        }
        if now >= self.next
            && let Some(pause) = self.pause
        {
            self.next = now + pause;
            for stream in &mut self.streams {
                stream.write(&[IoSlice::new(&message)]).unwrap();
            }
        }
        Ok(Recur::Again)
    }

    fn wake(&self) -> Wake {
        Wake::At(self.next)
    }
}

fn world(tracing: Tracing, count: usize, pause: Option<Duration>, jitter: Duration) -> World {
    let mut spec = WorldSpec::new(1);
    spec.tracing = tracing;
    spec.link = Link::new(Duration::from_millis(1));
    spec.link.jitter = jitter;
    let mut world = World::with(spec);
    let mut server = HostSpec::new("server");
    server.max_sockets = 100_000;
    world.add(server, Echo::new);
    // Several hosts, so that callers do not run out of ports.
    for client in 0..count.div_ceil(1000) {
        let part = (count - client * 1000).min(1000);
        world.add(format!("client {client}"), move |host| Pingers::new(host, part, pause));
    }
    world
}

fn messages(name: &str, tracing: Tracing, count: usize, tyme: Duration, jitter: Duration) {
    let mut best = f64::MAX;
    let mut segments = 0;
    for _ in 0..3 {
        let mut world = world(tracing, count, None, jitter);
        world.run_for(Duration::from_millis(20));
        let before = world.stats().segments;
        let start = Instant::now();
        world.run_for(tyme);
        let taken = start.elapsed().as_secs_f64();
        segments = world.stats().segments - before;
        best = best.min(taken / segments as f64);
    }
    println!(
        "{name:<44} {:>8.0} ns a message, {:>6.2} million/s ({segments} messages)",
        best * 1e9,
        1e-6 / best
    );
}

fn main() {
    let tyme = Duration::from_secs(2);
    let none = Duration::ZERO;
    messages("64 B, 100 connections, no trace", Tracing::Off, 100, tyme, none);
    messages("64 B, 100 connections, jitter, no trace", Tracing::Off, 100, tyme, tyme / 1000);
    messages("64 B, 1000 connections, no trace", Tracing::Off, 1000, tyme, none);
    messages("64 B, 1 connection, no trace", Tracing::Off, 1, tyme * 100, none);
    messages("64 B, 100 connections, hash", Tracing::Hash, 100, tyme, none);
    messages("64 B, 100 connections, full trace", Tracing::Full, 100, tyme, none);

    let mut idle = world(Tracing::Off, 10_000, Some(Duration::from_secs(1 << 40)), none);
    idle.run_for(Duration::from_secs(10));
    let start = Instant::now();
    let steps = idle.run_for(Duration::from_secs(365 * 24 * 3600));
    println!(
        "idle year of 10,000 connections {:>21.3} ms, {steps} steps",
        start.elapsed().as_secs_f64() * 1e3
    );

    let mut beats = world(Tracing::Off, 1000, Some(Duration::from_secs(60)), none);
    let start = Instant::now();
    beats.run_for(Duration::from_secs(24 * 3600));
    let (taken, segments) = (start.elapsed().as_secs_f64(), beats.stats().segments);
    println!(
        "a day of 1,000 connections, a beat a minute {:>8.0} ns a message; a year {:.0} s",
        taken / segments as f64 * 1e9,
        taken * 365.0
    );
}
