//! A world in which sockets come and go has no more of them in the end, nor of what they had: counted at the allocator.
//!
//! One test, since the counter is that of the whole process.
#![cfg(feature = "sim")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod sim_util;

use peak_alloc::PeakAlloc;
use sim_util::lab::{Kinds, Lab, draw};
use sim_util::{SECOND, millis};
use tymist::net::{Addr, Bind, Dial, Listen, Net, Token};
use tymist::sim::{Act, HostId, HostSpec, Rng, Tracing, World, WorldSpec};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// The same calls on a network of its own, and all that they have opened is closed.
fn round(world: &mut World) {
    let host = world.hosts().next().unwrap();
    let mut lab = Lab::new(world.host(host).net(), "/lab", Kinds::ALL, false);
    let mut dice = Rng::new(1);
    for _ in 0..600 {
        let call = draw(&lab, &mut dice);
        lab.call(&call);
        world.run_for(millis(100));
        lab.harvest(false);
    }
    drop(lab);
    troubles(world);
    // Longer than anything is kept for the network's sake.
    world.run_for(1000 * SECOND);
}

/// Connections that are given up by either end at each stage, and hosts that crash with all that they have.
fn troubles(world: &mut World) {
    let hosts: Vec<_> = world.hosts().collect();
    let (host, caller) = (hosts[0], hosts[1]);
    let target = Addr::from((world.host(host).addrs()[0], 80));
    for stage in 0..12 {
        let (mut net, mut far) = (world.host(host).net(), world.host(caller).net());
        let mut listen = Listen::new(([0, 0, 0, 0], 80));
        listen.backlog = 1;
        let mut listener = net.listen(&listen).unwrap();
        let dial = Dial::new(target.clone());
        let mut calls: Vec<_> = (0..4).map(|_| far.connect(&dial).unwrap()).collect();
        let mut name = Listen::new(Addr::from(std::path::Path::new("/lab/named")));
        name.file.replace_stale = true;
        let _named = net.listen(&name).unwrap();
        let _local = net.connect(&Dial::new(name.addr.clone())).unwrap();
        let _gram = net.bind(&Bind::new(([0, 0, 0, 0], 7))).unwrap();
        let _letters = net.bind(&Bind::new(Addr::Unnamed)).unwrap();
        world.run_for(millis(stage / 4));
        match stage % 4 {
            0 => calls.iter_mut().for_each(|call| call.set_abortive().unwrap()),
            1 => {
                world.act(&Act::Crash(caller));
            }
            2 => {
                world.act(&Act::Crash(host));
            }
            _ => {
                world.run_for(millis(5));
                drop(listener.accept());
            }
        }
        drop(calls);
        world.run_for(millis(2));
        drop(listener);
        if stage % 4 == 1 {
            world.act(&Act::Restart(caller));
        } else if stage % 4 == 2 {
            world.act(&Act::Restart(host));
        }
        world.run_for(1000 * SECOND);
    }
}

/// A listener that is lost with who waits there, one that is closed, and sockets that nobody speaks to, each on whichever port is free.
fn passing_sockets(world: &mut World, host: HostId, net: &mut dyn Net) {
    let any = ([0, 0, 0, 0], 0);
    let [lost, _closed] = [0, 1].map(|_| net.listen(&Listen::new(any)).unwrap());
    let port = lost.local_addr().inet().unwrap().port();
    let own = Addr::from((world.host(host).addrs()[0], port));
    let _waiting = net.connect(&Dial::new(own)).unwrap();
    world.run_for(millis(5));
    world.act(&Act::LoseListener(host, port));
    let _gram = net.bind(&Bind::new(any)).unwrap();
    let _letters = net.bind(&Bind::new(Addr::Unnamed)).unwrap();
    world.run_for(millis(10));
}

/// Sockets of one network, connections under a token of their own, that end and go.
fn comings_and_goings(world: &mut World, tokens: std::ops::Range<usize>) {
    let hosts: Vec<_> = world.hosts().collect();
    let (mut net, mut far) = (world.host(hosts[0]).net(), world.host(hosts[1]).net());
    let mut listener = net.listen(&Listen::new(([0, 0, 0, 0], 80))).unwrap();
    let target = Addr::from((world.host(hosts[0]).addrs()[0], 80));
    let mut ready = Vec::with_capacity(8);
    let mut before = 0;
    for number in tokens.clone() {
        let mut call = far.connect(&Dial::new(target.clone())).unwrap();
        world.run_for(millis(10));
        assert!(call.connected().unwrap());
        let mut accepted = listener.accept().unwrap();
        accepted.register(Token(number)).unwrap();
        drop(call);
        passing_sockets(world, hosts[0], &mut *net);
        world.run_for(millis(10));
        ready.clear();
        net.harvest(Some(std::time::Duration::ZERO), &mut ready).unwrap();
        assert!(ready[0].ending);
        drop(accepted);
        world.run_for(100 * SECOND);
        if number == tokens.start + 20 {
            before = MEMORY.current_usage();
        }
    }
    assert_eq!(MEMORY.current_usage(), before);
}

#[test]
fn rounds_of_calls_leave_no_more_than_the_first_ones() {
    let mut spec = WorldSpec::new(1);
    spec.tracing = Tracing::Off;
    let mut world = World::with(spec);
    world.add_host(HostSpec::new("host"));
    world.add_host(HostSpec::new("caller"));
    // Each network leaves 40 bytes of a table behind, of which there are 25 a round: room for all that come.
    let first = world.hosts().next().unwrap();
    for _ in 0..1100 {
        drop(world.host(first).net());
    }
    // Tables grow to their size by doubling. If each round left something behind, there would be three times as much of it in the end, and a table would
    // have grown.
    for _ in 0..8 {
        round(&mut world);
    }
    let before = MEMORY.current_usage();
    for _ in 0..16 {
        round(&mut world);
    }
    assert_eq!(MEMORY.current_usage(), before);
    comings_and_goings(&mut world, 0..200);
}
