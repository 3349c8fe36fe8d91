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

#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// Reads of the server get at most so many bytes, so many times.
    ShortReads(usize, u64),
    /// Writes of all move at most so many bytes, so many times.
    ShortWrites(usize, u64),
    /// So many calls say that they would block.
    WouldBlock(u64),
    /// The server's machine is busy for so long.
    Pause(Duration),
    /// Nobody reaches the server for so long.
    Isolate(Duration),
    /// The links of the server are so slow, and as uneven.
    Slow(Duration),
}

impl Fault {
    fn draw(dice: &mut Rng) -> Fault {
        let time = Duration::from_millis(dice.between(10, 10_000));
        let size = usize::try_from(dice.between(1, 200)).unwrap_or(1);
        match dice.below(6) {
            0 => Fault::ShortReads(size, dice.between(1, 30)),
            1 => Fault::ShortWrites(size, dice.between(1, 30)),
            2 => Fault::WouldBlock(dice.between(1, 30)),
            3 => Fault::Pause(time),
            4 => Fault::Isolate(time),
            _ => Fault::Slow(time / 20),
        }
    }

    pub(crate) fn put_into(&self, world: &mut World, server: HostId) {
        let at = Tyme::ZERO + Duration::from_millis(500);
        match *self {
            Fault::ShortReads(size, times) => {
                let rule = Rule::new("short reads", Effect::Short(size)).on(&[Op::Read]);
                world.rule(rule.host("server").times(times).chance(0.5));
            }
            Fault::ShortWrites(size, times) => {
                let rule = Rule::new("short writes", Effect::Short(size)).on(&[Op::Write]);
                world.rule(rule.times(times).chance(0.5));
            }
            Fault::WouldBlock(times) => {
                world.rule(Rule::new("would block", Effect::WouldBlock).times(times).chance(0.5));
            }
            Fault::Pause(time) => world.plan(at, Act::Pause(server, time)),
            Fault::Isolate(time) => {
                world.plan(at, Act::Partition(Cut::Isolate(server)));
                world.plan(at + time, Act::Heal);
            }
            Fault::Slow(latency) => {
                let mut link = Link::new(latency);
                link.jitter = latency;
                for host in world.hosts().filter(|&host| host != server) {
                    world.set_link(host, server, &link);
                }
            }
        }
    }

    /// The same with half of it.
    fn halved(&self) -> Option<Fault> {
        match *self {
            Fault::ShortReads(size, times) if times > 1 => Some(Fault::ShortReads(size, times / 2)),
            Fault::ShortWrites(size, times) if times > 1 => {
                Some(Fault::ShortWrites(size, times / 2))
            }
            Fault::WouldBlock(times) if times > 1 => Some(Fault::WouldBlock(times / 2)),
            _ => None,
        }
    }
}

impl Plan {
    pub(crate) fn draw(seed: u64) -> Plan {
        let mut dice = Rng::stream(seed, "plan");
        let clients = (0..dice.between(1, 5)).map(|_| dice.between(5, 60)).collect::<Vec<_>>();
        let clients = clients.into_iter().map(|count| u32::try_from(count).unwrap_or(1)).collect();
        let faults = (0..dice.between(1, 6)).map(|_| Fault::draw(&mut dice)).collect();
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
        for (at, fault) in self.faults.iter().enumerate() {
            let mut plan = self.clone();
            if let Some(halved) = fault.halved() {
                plan.faults[at] = halved;
                plans.push(plan);
            }
        }
        plans
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let messages: u32 = self.clients.iter().sum();
        write!(f, "{} clients, {messages} messages, faults:", self.clients.len())?;
        for fault in &self.faults {
            match fault {
                Fault::ShortReads(size, times) => {
                    write!(f, "\n    {times} reads of the server get at most {size} bytes")
                }
                Fault::ShortWrites(size, times) => {
                    write!(f, "\n    {times} writes move at most {size} bytes")
                }
                Fault::WouldBlock(times) => write!(f, "\n    {times} calls would block"),
                Fault::Pause(time) => write!(f, "\n    the server is busy for {time:?}"),
                Fault::Isolate(time) => write!(f, "\n    the server is cut off for {time:?}"),
                Fault::Slow(time) => write!(f, "\n    the links take {time:?}"),
            }?;
        }
        Ok(())
    }
}
