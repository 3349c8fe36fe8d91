//! What the links are like, which calls fail, and what befalls the world.

use std::time::Duration;

use tymist::sim::fault::{Effect, Rule};
use tymist::sim::{Act, Cut, Errno, HostId, Link, Op, Rng, World};
use tymist::tyme::Tyme;

use super::PORT;
use super::options::{Level, Options};

/// Draws a link for each pair of hosts.
pub(crate) fn links(world: &mut World, dice: &mut Rng, hosts: &[HostId], level: Level) {
    for (place, &one) in hosts.iter().enumerate() {
        for &other in &hosts[place + 1..] {
            let mut link = Link::new(Duration::from_micros(dice.between(200, 80_000)));
            link.bandwidth = dice.chance(0.3).then_some(1 << 20);
            if level != Level::None {
                link.jitter = Duration::from_micros(dice.below(5000));
                link.loss = if level == Level::Light { 0.001 } else { 0.02 };
            }
            world.set_link(one, other, &link);
        }
    }
}

/// Adds rules and plans incidents, one after another; returns how many of these.
pub(crate) fn plan(world: &mut World, options: &Options) -> usize {
    let (every, often) = match options.faults {
        Level::None => return 0,
        Level::Light => (Duration::from_secs(600), 0.001),
        Level::Heavy => (Duration::from_secs(60), 0.01),
    };
    // Rare ones need not come to pass in a short run.
    let rules = [
        Rule::new("short reads and writes", Effect::Short(1)).chance(often * 10.0),
        Rule::new("would block", Effect::WouldBlock).chance(often * 10.0),
        Rule::new("stalls", Effect::Stall(Duration::from_secs(1))).chance(often),
        Rule::new("resets", Effect::Reset).chance(often / 10.0),
        Rule::new("cut ends", Effect::Eof).chance(often / 10.0),
        Rule::new("out of descriptors", Effect::Fail(Errno::Emfile)).on(&[Op::Accept]).chance(0.05),
    ];
    for rule in rules {
        world.rule(rule.optional());
    }
    let hosts: Vec<HostId> = world.hosts().collect();
    let mut dice = world.rng("incidents");
    let end = Tyme::ZERO + options.time;
    let mut at = Tyme::ZERO + every.mul_f64(0.5);
    let mut count = 0;
    loop {
        let lasts = Duration::from_millis(dice.between(1000, 20_000));
        if at + lasts >= end {
            return count;
        }
        incident(world, &mut dice, &hosts, (at, at + lasts));
        count += 1;
        at = at + lasts + every.mul_f64(0.5 + dice.below(1000) as f64 / 1000.0);
    }
}

fn incident(world: &mut World, dice: &mut Rng, hosts: &[HostId], (from, until): (Tyme, Tyme)) {
    let one = hosts[dice.index(hosts.len())];
    let other = hosts[(one.index() + 1 + dice.index(hosts.len() - 1)) % hosts.len()];
    let (begin, end) = match dice.below(7) {
        0 => (Act::Partition(Cut::draw(dice, hosts)), Act::Heal),
        1 => (Act::Partition(Cut::Isolate(one)), Act::Heal),
        2 => (Act::Partition(Cut::OneWay { from: one, to: other }), Act::Heal),
        3 => (Act::Clog { from: one, to: other }, Act::Unclog { from: one, to: other }),
        4 => (Act::Crash(one), Act::Restart(one)),
        5 => return world.plan(from, Act::Pause(one, until - from)),
        _ => return world.plan(from, Act::LoseListener(hosts[0], PORT)),
    };
    world.plan(from, begin);
    world.plan(until, end);
}
