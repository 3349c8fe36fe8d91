//! What a world writes down, against what was done in it: each call with its result, each counter, each socket.

use std::collections::BTreeMap;

use crate::sim_util::lab::{Call, Kinds, Lab, draw};
use crate::sim_util::*;
use tymist::sim::trace::{Fate, Trace, What};
use tymist::sim::{Errno, HostSpec, Op, Rng, Stats, Tracing, World, WorldSpec};

fn op_of(call: &Call) -> Op {
    match call {
        Call::Listen(_) | Call::ListenAt { .. } => Op::Listen,
        Call::Dial { .. } | Call::DialAt { .. } => Op::Connect,
        Call::Bind { .. } | Call::BindAt { .. } => Op::Bind,
        Call::Accept(_) => Op::Accept,
        Call::Connected(_) => Op::Connected,
        Call::Read(..) => Op::Read,
        Call::Write(..) => Op::Write,
        Call::Shutdown(..) => Op::Shutdown,
        Call::Abort(_) => Op::Abort,
        Call::Receive(..) => Op::Receive,
        Call::Send { .. } | Call::SendAt { .. } => Op::Send,
        Call::Drop(_) => Op::Close,
    }
}

/// The number that a result begins with, or 1 for what is true.
fn number(said: &str) -> Option<u64> {
    match said {
        "up: true" => Some(1),
        "up: false" => Some(0),
        _ => said.split([' ', ':']).next()?.parse().ok(),
    }
}

/// What a trace says of the counters.
pub(crate) fn recount(trace: &Trace) -> Stats {
    let mut stats = Stats::default();
    for record in trace.records() {
        let lost = |fate: &Fate| u64::from(matches!(fate, Fate::Lost(_)));
        match &record.what {
            What::Turn { .. } => stats.turns += 1,
            What::Call { op, result, .. } => {
                stats.calls += 1;
                stats.accepted += u64::from(*op == Op::Accept && result.is_ok());
                stats.connections += u64::from(*op == Op::Connect && result.is_ok());
            }
            What::Segment { fate, .. }
            | What::Gram { fate, .. }
            | What::Unreachable { fate, .. } => {
                stats.packets += 1;
                stats.lost += lost(fate);
            }
            What::Dropped { .. } => stats.lost += 1,
            What::Fault { effect, .. } => stats.faults += u64::from(!effect.starts_with("still")),
            What::Act { .. } => stats.acts += 1,
            _ => {}
        }
    }
    stats
}

/// Those counters that are nothing but records of one kind.
pub(crate) fn counted(stats: &Stats) -> [u64; 8] {
    let Stats { turns, calls, packets, lost, connections, accepted, faults, acts, .. } = *stats;
    [turns, calls, packets, lost, connections, accepted, faults, acts]
}

struct Life {
    world: World,
    lab: Lab,
    dice: Rng,
}

impl Life {
    fn new(seed: u64) -> Self {
        let mut spec = WorldSpec::new(seed);
        spec.tracing = Tracing::Full;
        let mut world = World::with(spec);
        let host = world.add_host(HostSpec::new("host"));
        let lab = Lab::new(world.host(host).net(), "/lab", Kinds::ALL, false);
        Life { world, lab, dice: Rng::stream(seed, "calls") }
    }

    fn step(&mut self) -> (Call, String) {
        let call = draw(&self.lab, &mut self.dice);
        let said = self.lab.call(&call);
        (call, said)
    }

    fn settle(&mut self) {
        self.world.run_for(millis(100));
        self.lab.harvest(false);
    }
}

#[test]
fn each_call_is_written_down_with_its_result() {
    let mut kinds: BTreeMap<Op, u64> = BTreeMap::new();
    for seed in 0..30 {
        let mut life = Life::new(seed);
        let mut made = Vec::new();
        for _ in 0..300 {
            let (call, said) = life.step();
            life.settle();
            // What a socket of that kind cannot do never gets to the network.
            if said != "Unsupported" {
                made.push((call, said));
            }
        }
        let trace = life.world.trace();
        let written: Vec<_> = trace
            .records()
            .filter_map(|record| match record.what {
                What::Call { op, result, .. } => Some((op, result)),
                _ => None,
            })
            .collect();
        assert_eq!(written.len(), made.len(), "seed {seed}");
        for ((op, result), (call, said)) in written.into_iter().zip(made) {
            // Unix sockets know no reset of one's own.
            let op = if op == Op::Close && said == "aborted" { Op::Abort } else { op };
            assert_eq!(op, op_of(&call), "seed {seed}, {call:?}");
            *kinds.entry(op).or_default() += 1;
            check(result, &call, &said, seed);
        }
    }
    assert_eq!(kinds.len(), 12, "{kinds:?}");
}

fn check(result: Result<u64, Errno>, call: &Call, said: &str, seed: u64) {
    match (result, call, number(said)) {
        (Err(Errno::Eaddrinuse), ..) => {
            assert!(said == "AddrInUse" || said == "EADDRINUSE", "{said}");
        }
        (Err(errno), ..) => assert_eq!(errno.to_string(), said, "seed {seed}, {call:?}"),
        (Ok(count), Call::Send { len, .. } | Call::SendAt { len, .. }, _) => {
            assert_eq!((count, said), (*len as u64, "sent"), "seed {seed}, {call:?}");
        }
        (Ok(count), _, Some(number)) => assert_eq!(count, number, "seed {seed}, {call:?}: {said}"),
        (Ok(_), _, None) => assert!(!said.starts_with('E'), "seed {seed}, {call:?}: {said}"),
    }
}

#[test]
fn the_counters_are_what_the_trace_says_and_the_sockets_what_is_open() {
    for seed in 0..40 {
        let mut life = Life::new(seed);
        let host = life.world.hosts().next().unwrap();
        for _ in 0..300 {
            life.step();
            life.settle();
            assert_eq!(life.world.sockets(host), life.lab.open(), "seed {seed}");
        }
        let stats = life.world.stats();
        assert_eq!(counted(&stats), counted(&recount(&life.world.trace())), "seed {seed}");
    }
}
