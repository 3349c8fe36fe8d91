//! Random lives of connections on random links against a model: every byte once and in order, an end only when it was one, and never
//! stuck for want of a report. `TYMIST_SEEDS=n` runs more seeds, `TYMIST_SEED=n` that one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "tests")]
#![allow(clippy::cast_possible_truncation, reason = "small numbers")]

use std::io::ErrorKind;
use std::time::Duration;

use crate::ledger::{counted, recount};
use crate::sim_util::ends::{End, Side};
use crate::sim_util::*;
use tymist::net::{Addr, Dial, Listener};
use tymist::sim::fault::{Effect, Rule};
use tymist::sim::{Act, Cut, HostSpec, Link, Rng, World, WorldSpec};

struct Run {
    world: World,
    dice: Rng,
    client: Side,
    server: Side,
    listener: Box<dyn Listener>,
    waiting: bool,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut dice = Rng::stream(seed, "workload");
        let mut spec = WorldSpec::new(seed);
        spec.tracing = tymist::sim::Tracing::Full;
        let mut world = World::with(spec);
        let mut host = |name: &str| {
            let mut spec = HostSpec::new(name);
            let size = |dice: &mut Rng| [1, 10, 1000, 65_536][dice.index(4)];
            spec.recv_buffer = size(&mut dice);
            spec.send_buffer = size(&mut dice);
            world.add_host(spec)
        };
        let (server, client) = (host("server"), host("client"));
        let side = |host| Side { net: world.host(host).net(), ends: Vec::new() };
        let (mut server, client) = (side(server), side(client));
        let mut listen = tymist::net::Listen::new(([0, 0, 0, 0], 80));
        listen.backlog = dice.below(4) as u32;
        let mut listener = server.net.listen(&listen).unwrap();
        listener.register(token(usize::MAX)).unwrap();
        Run { world, dice, client, server, listener, waiting: false }
    }

    fn harvest(&mut self) {
        self.waiting |= self.server.harvest();
        self.client.harvest();
        if self.waiting {
            match self.listener.accept() {
                Ok(stream) => self.server.add(stream, false),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    self.waiting = false;
                }
            }
        }
    }

    fn dial(&mut self) {
        let target = Addr::from((self.world.resolve("server")[0], 80));
        let stream = self.client.net.connect(&Dial::new(target)).unwrap();
        self.client.add(stream, true);
    }

    fn weather(&mut self) {
        let hosts: Vec<_> = self.world.hosts().collect();
        let (from, to) =
            if self.dice.chance(0.5) { (hosts[0], hosts[1]) } else { (hosts[1], hosts[0]) };
        let act = match self.dice.below(8) {
            0 => Act::Partition(Cut::Pair(from, to)),
            1 => Act::Partition(Cut::OneWay { from, to }),
            2 => Act::Clog { from, to },
            3 => Act::Unclog { from, to },
            4 | 5 => Act::Heal,
            _ => {
                let mut link = Link::new(Duration::from_micros(self.dice.between(0, 30_000)));
                link.jitter = Duration::from_micros(self.dice.between(0, 20_000));
                link.loss = [0.0, 0.01, 0.3][self.dice.index(3)];
                link.bandwidth = [None, Some(1000), Some(1_000_000)][self.dice.index(3)];
                Act::Relink { from, to, link }
            }
        };
        self.world.act(&act);
    }

    fn fair_weather(&mut self) {
        let hosts: Vec<_> = self.world.hosts().collect();
        for (from, to) in [(hosts[0], hosts[1]), (hosts[1], hosts[0])] {
            self.world.act(&Act::Unclog { from, to });
            self.world.act(&Act::Relink { from, to, link: Link::default() });
        }
        self.world.act(&Act::Heal);
        self.world.faults().stop();
    }

    fn one(&mut self, rude: bool) {
        self.harvest();
        let side = if self.dice.chance(0.5) { &mut self.client } else { &mut self.server };
        let index = self.dice.index(side.ends.len());
        let Some(end) = side.ends.get_mut(index) else { return };
        match self.dice.below(100) {
            0..45 => end.write(self.dice.between(1, 3000)),
            45..90 => end.read(self.dice.between(1, 5000) as usize),
            90..93 => end.finish(),
            93 if rude => end.stream = None,
            94 if rude => {
                if let Some(mut stream) = end.stream.take() {
                    stream.set_abortive().unwrap();
                }
            }
            _ => {}
        }
    }

    /// Everybody says the last word and hears the other's.
    fn wind_up(&mut self, limit: Duration) {
        let until = self.world.tyme() + limit;
        let open = |end: &End| end.stream.is_some() && !(end.finished && end.ended);
        while self.world.tyme() < until {
            self.harvest();
            for end in self.client.ends.iter_mut().chain(&mut self.server.ends) {
                end.finish();
                for _ in 0..10 {
                    end.read(10_000);
                }
            }
            let ends = self.client.ends.iter().chain(&self.server.ends);
            if !ends.into_iter().any(open) && !self.waiting {
                return;
            }
            // Nothing is looked at but what is reported: whatever is missed is stuck.
            let more = self
                .client
                .ends
                .iter()
                .chain(&self.server.ends)
                .any(|end| end.stream.is_some() && end.up && end.readable && !end.ended);
            if !more && !self.waiting {
                self.world.next_turn(until);
            }
        }
    }

    /// Both ends of each connection that was accepted.
    fn pairs(&self) -> impl Iterator<Item = (&End, &End)> {
        self.server.ends.iter().map(|accepted| {
            let dialled = self.client.ends.iter().find(|end| end.port == accepted.port).unwrap();
            (dialled, accepted)
        })
    }

    fn check(&self, seed: u64, rude: bool) {
        for (dialled, accepted) in self.pairs() {
            for (one, other) in [(dialled, accepted), (accepted, dialled)] {
                assert!(one.got <= other.sent, "seed {seed}");
                if one.ended && !rude {
                    assert!(other.finished, "seed {seed}: an end that nobody made");
                    assert_eq!(one.got, other.sent, "seed {seed}: an end before the end");
                }
                if !rude {
                    assert_eq!(one.failed, None, "seed {seed}, port {}", one.port);
                    assert!(one.ended, "seed {seed}: port {} is stuck", one.port);
                }
            }
        }
    }
}

/// Prints what is new in the trace, where one seed is looked at.
fn show(world: &World, from: usize) -> usize {
    if std::env::var_os("TYMIST_SEED").is_none() {
        return 0;
    }
    let trace = world.trace();
    trace.records().skip(from).for_each(|record| println!("{record}"));
    from + trace.records().skip(from).count()
}

fn life(seed: u64, rude: bool, faults: bool) {
    let mut run = Run::new(seed);
    if faults {
        run.world.rule(Rule::new("short", Effect::Short(1 + seed as usize % 7)).chance(0.2));
        run.world.rule(Rule::new("storm", Effect::WouldBlock).chance(0.3));
        run.world.rule(Rule::new("stall", Effect::Stall(millis(70))).chance(0.02).optional());
    }
    for _ in 0..400 {
        match run.dice.below(100) {
            0..3 => run.dial(),
            3..7 => run.weather(),
            7..27 => {
                let time = Duration::from_micros(run.dice.between(0, 50_000));
                run.world.run_for(time);
            }
            27 => drop(run.world.run_for(SECOND)),
            _ => run.one(rude),
        }
    }
    run.fair_weather();
    run.wind_up(600 * SECOND);
    let shown = show(&run.world, 0);
    run.check(seed, rude);
    let bytes: u64 = run.pairs().map(|(one, other)| one.sent + other.sent).sum();
    let Run { mut world, client, server, listener, .. } = run;
    drop((client, server, listener));
    // Longer than the patience of retransmissions.
    world.run_for(1000 * SECOND);
    show(&world, shown);
    for host in world.hosts() {
        assert_eq!(world.sockets(host), 0, "seed {seed}");
        assert_eq!(world.lingering(host), 0, "seed {seed}");
    }
    assert_eq!(world.next_due(), None, "seed {seed}: something never ends");
    let stats = world.stats();
    assert_eq!(counted(&stats), counted(&recount(&world.trace())), "seed {seed}");
    if !rude {
        assert_eq!(stats.bytes, bytes, "seed {seed}: what arrived is what was sent");
    }
}

/// Those that have found something before, and some more.
fn seeds() -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    match number("TYMIST_SEED") {
        Some(seed) => vec![seed],
        None => {
            let known = [30, 34, 42, 46, 192, 194, 365, 476, 501, 1440];
            known.into_iter().chain(0..number("TYMIST_SEEDS").unwrap_or(30)).collect()
        }
    }
}

#[test]
fn polite_lives_end_complete() {
    seeds().into_iter().for_each(|seed| life(seed, false, false));
}

#[test]
fn polite_lives_under_faults_end_complete() {
    seeds().into_iter().for_each(|seed| life(seed, false, true));
}

#[test]
fn rude_lives_leave_nothing() {
    seeds().into_iter().for_each(|seed| life(seed, true, seed % 2 == 0));
}
