//! What a seed draws, and how it is made smaller.

use std::fmt;
use std::time::Duration;

use tymist::sim::fault::{Effect, Rule};
use tymist::sim::{Act, Cut, HostId, Link, Op, Rng, World};
use tymist::tyme::Tyme;

/// A run apart from its seed.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// How many messages each client sends.
    pub(crate) clients: Vec<u32>,
    pub(crate) faults: Vec<Fault>,
}

/// Each hits one call or one moment, and draws nothing while it runs: so one can be left out and the others stay what they are.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// One read of the server gets few bytes.
    ShortRead { conn: u64, nth: u64, size: usize },
    /// One write to the server moves few bytes.
    ShortWrite { client: u64, nth: u64, size: usize },
    /// One read of the server says that it would block.
    WouldBlock { conn: u64, nth: u64 },
    /// The server's machine is busy for so long.
    Pause(Duration),
    /// Nobody reaches the server for so long.
    Isolate(Duration),
    /// All links are so slow.
    Slow(Duration),
}

impl Fault {
    fn draw(dice: &mut Rng) -> Fault {
        let time = Duration::from_millis(dice.between(10, 5000));
        let size = usize::try_from(dice.between(1, 300)).unwrap_or(1);
        let (number, nth) = (dice.below(3), dice.below(30));
        match dice.below(9) {
            0..3 => Fault::ShortRead { conn: number, nth, size },
            3..5 => Fault::ShortWrite { client: number, nth, size },
            5 => Fault::WouldBlock { conn: number, nth },
            6 => Fault::Pause(time),
            7 => Fault::Isolate(time),
            _ => Fault::Slow(time / 20),
        }
    }

    pub(crate) fn put_into(&self, world: &mut World, server: HostId) {
        let at = Tyme::ZERO + Duration::from_millis(500);
        match *self {
            Fault::ShortRead { conn, nth, size } => {
                let rule = Rule::new("short read", Effect::Short(size)).on(&[Op::Read]);
                world.rule(rule.host("server").conn(conn).nth(nth));
            }
            Fault::ShortWrite { client, nth, size } => {
                let rule = Rule::new("short write", Effect::Short(size)).on(&[Op::Write]);
                world.rule(rule.host(&format!("client-{client}")).nth(nth));
            }
            Fault::WouldBlock { conn, nth } => {
                let rule = Rule::new("would block", Effect::WouldBlock).on(&[Op::Read]);
                world.rule(rule.host("server").conn(conn).nth(nth));
            }
            Fault::Pause(time) => world.plan(at, Act::Pause(server, time)),
            Fault::Isolate(time) => {
                world.plan(at, Act::Partition(Cut::Isolate(server)));
                world.plan(at + time, Act::Heal);
            }
            Fault::Slow(latency) => {
                for host in world.hosts().filter(|&host| host != server) {
                    world.set_link(host, server, &Link::new(latency));
                }
            }
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::ShortRead { conn, nth, size } => {
                write!(f, "read {nth} of the server on connection {conn}: at most {size} bytes")
            }
            Fault::ShortWrite { client, nth, size } => {
                write!(f, "write {nth} of client {client}: at most {size} bytes")
            }
            Fault::WouldBlock { conn, nth } => {
                write!(f, "read {nth} of the server on connection {conn}: would block")
            }
            Fault::Pause(time) => write!(f, "the server is busy for {time:?}"),
            Fault::Isolate(time) => write!(f, "the server is cut off for {time:?}"),
            Fault::Slow(time) => write!(f, "the links take {time:?}"),
        }
    }
}

impl Plan {
    pub(crate) fn draw(seed: u64) -> Plan {
        let mut dice = Rng::stream(seed, "plan");
        let count = dice.between(1, 3);
        let messages = |_| u32::try_from(dice.between(5, 60)).unwrap_or(1);
        let clients = (0..count).map(messages).collect();
        let count = dice.between(1, 12);
        let faults = (0..count).map(|_| Fault::draw(&mut dice)).collect();
        Plan { clients, faults }
    }

    /// What it could be reduced to in one step; the greatest steps first.
    pub(crate) fn smaller(&self) -> Vec<Plan> {
        let mut plans = Vec::new();
        for at in 0..self.faults.len() {
            let mut plan = self.clone();
            plan.faults.remove(at);
            plans.push(plan);
        }
        for at in 0..self.clients.len() {
            let mut plan = self.clone();
            plan.clients.remove(at);
            plans.push(plan);
        }
        for (at, &count) in self.clients.iter().enumerate() {
            for less in [count / 2, count - 1] {
                let mut plan = self.clone();
                plan.clients[at] = less;
                plans.extend((less > 0).then_some(plan));
            }
        }
        plans
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let messages: u32 = self.clients.iter().sum();
        write!(f, "{} clients, {messages} messages, faults:", self.clients.len())?;
        self.faults.iter().try_for_each(|fault| write!(f, "\n    {fault}"))
    }
}
