//! When a host has a turn and when it has none: wishes that come, go, and outlive a crash; and what else is due at the same tyme.

use crate::sim_util::*;
use tymist::Wake;
use tymist::net::Bind;
use tymist::sim::{Act, HostSpec, Step};
use tymist::tyme::Tyme;

/// The tymes of a host's turns up to a limit.
fn turns(pair: &mut Pair, limit: Tyme) -> Vec<Tyme> {
    let mut turns = Vec::new();
    while pair.world.next_turn(limit).is_some() {
        turns.push(pair.world.tyme());
    }
    turns
}

/// What was due then does not come, and does not keep the host from its next turn.
#[test]
fn a_crash_takes_the_turn_that_was_due() {
    let mut pair = Pair::new();
    let server = pair.server;
    pair.world.act(&Act::Pause(server, millis(100)));
    pair.world.set_wake(server, Wake::Now);
    pair.world.run_until(at_millis(50));
    pair.world.act(&Act::Crash(server));
    // Who is down gets none, whoever asks.
    pair.world.set_wake(server, Wake::Now);
    assert_eq!(turns(&mut pair, at_millis(200)), []);
    pair.world.act(&Act::Restart(server));
    assert_eq!(turns(&mut pair, at_millis(300)), [at_millis(200)]);
}

#[test]
fn a_crash_takes_the_deadline() {
    let mut pair = Pair::new();
    pair.world.set_wake(pair.server, Wake::At(Tyme::from_secs(10)));
    pair.run(SECOND);
    pair.world.act(&Act::Crash(pair.server));
    pair.world.act(&Act::Restart(pair.server));
    assert_eq!(turns(&mut pair, Tyme::from_secs(20)), [Tyme::from_secs(1)]);
}

/// The last wish counts, and what was wished before leaves nothing behind that would be due.
#[test]
fn of_several_wishes_the_last_counts() {
    let at = |seconds| Wake::At(Tyme::from_secs(seconds));
    let cases: [(&[Wake], &[u64]); 6] = [
        (&[at(10), at(5)], &[5]),
        (&[at(5), at(10)], &[10]),
        (&[at(10), at(5), at(7)], &[7]),
        (&[at(10), at(0)], &[0]),
        (&[at(5), at(10), Wake::OnIo], &[]),
        (&[at(10), Wake::At(Tyme::NEVER)], &[]),
    ];
    for (wishes, expected) in cases {
        let mut pair = Pair::new();
        for &wish in wishes {
            pair.world.set_wake(pair.server, wish);
        }
        let expected: Vec<Tyme> = expected.iter().map(|&at| Tyme::from_secs(at)).collect();
        assert_eq!(turns(&mut pair, Tyme::from_secs(20)), expected, "{wishes:?}");
    }
    // An alarm that comes too soon moves on by itself, so that a later wish needs none of its own.
    let mut pair = Pair::new();
    for wish in [at(5), at(10), Wake::OnIo] {
        pair.world.set_wake(pair.server, wish);
    }
    pair.run(6 * SECOND);
    assert_eq!(pair.world.next_due(), None);
}

/// At one tyme the order is that of asking: who asks again keeps its place, who was given an earlier turn since does not.
#[test]
fn turns_and_packets_of_one_tyme_come_in_the_order_of_asking() {
    for resumed in [false, true] {
        let mut pair = Pair::new();
        let server = pair.server;
        let target = pair.target(7);
        let mut gram = pair.client_net.bind(&Bind::new(([0, 0, 0, 0], 0))).unwrap();
        pair.world.act(&Act::Pause(server, millis(100)));
        pair.world.set_wake(server, Wake::Now);
        pair.world.run_until(at_millis(50));
        if resumed {
            pair.world.act(&Act::Resume(server));
            assert_eq!(turns(&mut pair, at_millis(50)), [at_millis(50)]);
            pair.world.act(&Act::Pause(server, millis(50)));
        }
        pair.world.run_until(at_millis(99));
        gram.send(b"?", &target).unwrap();
        pair.world.set_wake(server, Wake::Now);
        let steps = [(); 2].map(|()| pair.world.step().unwrap());
        let turn = Step::Turn(server);
        let expected = if resumed { [Step::Packet, turn] } else { [turn, Step::Packet] };
        assert_eq!(steps, expected);
        assert_eq!(pair.world.tyme(), at_millis(100));
        assert_eq!(turns(&mut pair, Tyme::from_secs(1)), []);
    }
}

/// What is too much for one look at what is ready is looked at in the next turn, which comes by itself.
#[test]
fn what_one_harvest_leaves_has_a_turn_of_its_own() {
    let mut pair = Pair::new();
    let mut grams: Vec<_> =
        (0..1030).map(|_| pair.server_net.bind(&Bind::new(([0, 0, 0, 0], 0))).unwrap()).collect();
    for (at, gram) in grams.iter_mut().enumerate() {
        gram.register(token(at)).unwrap();
    }
    for expected in [1024, 6] {
        assert_eq!(pair.world.next_turn(Tyme::from_secs(1)), Some(pair.server));
        assert_eq!(harvest(&mut pair.server_net).len(), expected);
    }
    assert_eq!(pair.world.next_turn(Tyme::from_secs(1)), None);
}

/// What an engine draws after a crash does not depend on how many networks there were before it.
#[test]
fn networks_are_counted_anew_after_a_crash() {
    let seeds = |before: usize| {
        let mut pair = Pair::new();
        let host = pair.world.add_host(HostSpec::new("host"));
        let net = || pair.world.host(host).net();
        let first: Vec<u64> = (0..before).map(|_| net().seed()).collect();
        pair.world.act(&Act::Crash(host));
        pair.world.act(&Act::Restart(host));
        (first[0], pair.world.host(host).net().seed())
    };
    assert_eq!(seeds(1), seeds(3));
    assert_ne!(seeds(1).0, seeds(1).1, "but it is another life");
}
