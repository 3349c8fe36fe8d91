//! Input that makes no sense, and what must not grow.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::sim_util::programs::Echo;
use crate::sim_util::*;
use tymist::net::{Bind, Dial, Net};
use tymist::sim::{Act, Cut, HostSpec, Link, Rng, World, WorldSpec};
use tymist::tyme::Tyme;
use tymist::{Clients, Config, Wake};

#[test]
fn a_link_that_takes_for_ever_loses_and_overflows_nothing() {
    let mut link = Link::new(Duration::MAX);
    link.jitter = Duration::MAX;
    link.overtaken_by = Duration::MAX;
    link.reorder = 1.0;
    let mut spec = WorldSpec::new(1);
    spec.link = link.clone();
    spec.start = Tyme::from_nanos(u64::MAX - 2_000_000_000_000);
    let mut pair = Pair::with(spec, HostSpec::new("server"), HostSpec::new("client"));
    let _listener = pair.listen(80);
    let mut dialled = pair.dial(80);
    let mut socket = pair.client_net.bind(&Bind::new(([0, 0, 0, 0], 0))).unwrap();
    socket.send(b"x", &pair.target(9)).unwrap();
    pair.run(millis(500));
    assert_eq!(pair.world.stats().lost, 2);
    pair.run(200 * SECOND);
    assert_eq!(dialled.connected().unwrap_err().kind(), ErrorKind::TimedOut, "it was tried again");
    pair.world.set_link(pair.client, pair.server, &link);
    // As it is told: a century.
    let century = Duration::from_secs(36_525 * 24 * 3600);
    (link.latency, link.jitter, link.overtaken_by) = (century, century, century);
    assert_eq!(pair.world.route(pair.client, pair.server), link);
    let mut spec = HostSpec::new("slow");
    spec.loopback = Link::new(Duration::MAX);
    let slow = pair.world.add_host(spec);
    assert_eq!(pair.world.route(slow, slow).latency, century);
}

#[test]
fn buffers_beyond_all_bounds_are_cut() {
    let big = |name: &str| {
        let mut spec = HostSpec::new(name);
        (spec.recv_buffer, spec.send_buffer) = (usize::MAX, usize::MAX);
        spec.gram_buffer = usize::MAX;
        spec
    };
    let mut pair = Pair::with(WorldSpec::new(1), big("server"), big("client"));
    let (listener, mut dialled, mut accepted) = pair.connection();
    assert_eq!(listener.buffer_sizes().unwrap().recv, 1 << 31);
    let socket = pair.client_net.bind(&Bind::new(([0, 0, 0, 0], 0))).unwrap();
    assert_eq!(socket.buffer_sizes().unwrap().recv, 1 << 30);
    write_all(&mut dialled, b"hello");
    pair.run(MS);
    expect_read(&mut accepted, b"hello");
}

#[test]
fn a_link_without_bandwidth_sends_a_byte_a_second_and_fills_its_queue() {
    let mut pair = Pair::new();
    let mut link = Link::new(MS);
    link.bandwidth = Some(0);
    link.queue = 100;
    pair.world.set_link(pair.client, pair.server, &link);
    let mut server = pair.server_net.bind(&Bind::new(([0, 0, 0, 0], 9))).unwrap();
    let mut socket = pair.client_net.bind(&Bind::new(([0, 0, 0, 0], 0))).unwrap();
    let to = pair.target(9);
    // 42 bytes of headers each; the first finds the link idle, so it goes although it is larger than the queue.
    socket.send(&[7; 200], &to).unwrap();
    socket.send(&[7; 200], &to).unwrap();
    pair.run(241 * SECOND);
    assert_eq!(server.receive(&mut [0; 300]).unwrap_err().kind(), ErrorKind::WouldBlock);
    pair.run(300 * SECOND);
    assert_eq!(server.receive(&mut [0; 300]).unwrap().len, 200);
    assert_eq!(server.receive(&mut [0; 300]).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(pair.world.stats().lost, 1);
}

#[test]
fn mapped_addresses_are_those_of_ipv4() {
    let mut spec = HostSpec::new("server");
    spec.addrs = vec!["::ffff:192.0.2.7".parse().unwrap()];
    let mut pair = Pair::with(WorldSpec::new(1), spec, HostSpec::new("client"));
    assert_eq!(pair.world.host(pair.server).addrs()[0].to_string(), "192.0.2.7");
    let (_listener, dialled, _accepted) = pair.connection();
    assert_eq!(dialled.peer_addr().to_string(), "192.0.2.7:80");
}

#[test]
fn a_host_of_another_world_is_refused_where_it_is_named() {
    let mut other = World::new(1);
    let foreign = (0..9).map(|n| other.add_host(format!("h{n}"))).last().unwrap();
    let mut world = World::new(1);
    let own = world.add_host("own");
    let mut refused = |what: &mut dyn FnMut(&mut World)| {
        let panic = catch_unwind(AssertUnwindSafe(|| what(&mut world))).unwrap_err();
        let text = panic.downcast_ref::<&str>().copied().unwrap_or_default();
        assert!(text.contains("another world"), "{text:?}");
    };
    refused(&mut |world| world.plan(Tyme::ZERO, Act::Crash(foreign)));
    refused(&mut |world| world.act(&Act::Partition(Cut::Pair(own, foreign))));
    refused(&mut |world| assert!(world.is_up(foreign)));
    refused(&mut |world| assert_eq!(world.sockets(foreign), 0));
    refused(&mut |world| world.set_wake(foreign, Wake::Now));
    refused(&mut |world| world.start(foreign, |host| Echo::new(host, 80)));
    refused(&mut |world| world.set_link(own, foreign, &Link::default()));
}

#[test]
fn a_program_given_to_a_host_that_is_down_is_made_when_it_comes_up() {
    let mut world = World::new(1);
    let host = world.add_host("down");
    world.act(&Act::Crash(host));
    world.start(host, |host| Echo::new(host, 80));
    assert!(world.program::<Echo>(host).is_none());
    world.run_for(SECOND);
    world.act(&Act::Restart(host));
    world.run_for(SECOND);
    assert!(world.program::<Echo>(host).is_some());
    assert_eq!(world.sockets(host), 1);
}

/// Each wake nearer than the one before it left a dead entry in the queue, which `next_due` then told of.
#[test]
fn wakes_that_jump_to_and_fro_leave_nothing_behind() {
    let mut world = World::new(1);
    let host = world.add_host("host");
    let far = Tyme::from_secs(1_000_000);
    for round in 1..1000 {
        world.set_wake(host, Wake::At(far));
        world.set_wake(host, Wake::At(at_millis(round)));
        assert_eq!(world.next_turn(far), Some(host));
    }
    world.set_wake(host, Wake::OnIo);
    world.run_until(at_millis(5000));
    assert_eq!(world.next_due(), Some(far));
    world.run_until(far);
    assert_eq!(world.next_due(), None);
}

#[test]
fn a_clogged_way_holds_as_many_datagrams_as_its_queue() {
    let mut pair = Pair::new();
    let mut server = pair.server_net.bind(&Bind::new(([0, 0, 0, 0], 9))).unwrap();
    let mut socket = pair.client_net.bind(&Bind::new(([0, 0, 0, 0], 0))).unwrap();
    let mut link = Link::new(MS);
    link.queue = 1000;
    pair.world.set_link(pair.client, pair.server, &link);
    let (from, to) = (pair.client, pair.server);
    pair.world.act(&Act::Clog { from, to });
    for _ in 0..50 {
        socket.send(&[7; 100], &pair.target(9)).unwrap();
    }
    pair.run(SECOND);
    assert_eq!(pair.world.stats().lost, 40);
    pair.world.act(&Act::Unclog { from, to });
    let got = (0..50).filter(|_| server.receive(&mut [0; 200]).is_ok()).count();
    assert_eq!(got, 10);
}

#[test]
fn acts_that_change_nothing_are_told() {
    let mut world = World::new(1);
    let hosts: Vec<_> = (0..3).map(|n| world.add_host(format!("h{n}"))).collect();
    for cut in [Cut::Split(vec![]), Cut::Split(hosts.clone())] {
        world.act(&Act::Partition(cut));
    }
    let link = world.route(hosts[0], hosts[1]);
    world.act(&Act::Relink { from: hosts[0], to: hosts[1], link });
    assert_eq!(world.all_fired().unwrap_err().acts.len(), 3);
    world.act(&Act::Partition(Cut::Isolate(hosts[0])));
    assert_eq!(world.all_fired().unwrap_err().acts.len(), 3);
    world.act(&Act::Partition(Cut::Pair(hosts[0], hosts[1])));
    assert_eq!(world.all_fired().unwrap_err().acts.len(), 4, "it was severed already");
}

#[test]
fn a_drawn_cut_has_two_sides() {
    let mut world = World::new(1);
    let hosts: Vec<_> = (0..2).map(|n| world.add_host(format!("h{n}"))).collect();
    let mut rng = Rng::new(1);
    for _ in 0..100 {
        let Cut::Split(group) = Cut::draw(&mut rng, &hosts) else { panic!("a split") };
        assert_eq!(group.len(), 1);
    }
    // One alone is on either.
    let sizes = (0..100).map(|_| match Cut::draw(&mut rng, &hosts[..1]) {
        Cut::Split(group) => group.len(),
        _ => panic!("a split"),
    });
    assert_eq!(sizes.collect::<std::collections::BTreeSet<_>>(), [0, 1].into());
}

#[test]
fn an_engine_draws_the_same_whoever_else_has_a_network() {
    let seed = |others: usize, epoch: bool| {
        let mut world = World::new(1);
        let other = world.add_host("other");
        let host = world.add_host("host");
        for _ in 0..others {
            drop(world.host(other).net());
        }
        if epoch {
            world.act(&Act::Crash(host));
        }
        let mut nets: Vec<Box<dyn Net>> = (0..2).map(|_| world.host(host).net()).collect();
        nets.iter_mut().map(|net| net.seed()).collect::<Vec<_>>()
    };
    let plain = seed(0, false);
    assert_eq!(plain, seed(5, false));
    assert_ne!(plain[0], plain[1]);
    assert_ne!(plain, seed(0, true), "it is another after a crash");
}

/// What is lost on one way must not depend on what goes on elsewhere, or leaving out a host changes all that a failing run was about.
#[test]
fn each_way_draws_for_itself() {
    let arrived = |busy: bool| {
        let mut spec = WorldSpec::new(1);
        spec.link.loss = 0.5;
        let mut pair = Pair::with(spec, HostSpec::new("server"), HostSpec::new("client"));
        let third = pair.world.add_host("third");
        let mut noise = pair.world.host(third).net().bind(&Bind::new(([0, 0, 0, 0], 9))).unwrap();
        let mut server = pair.server_net.bind(&Bind::new(([0, 0, 0, 0], 9))).unwrap();
        let mut socket = pair.client_net.bind(&Bind::new(([0, 0, 0, 0], 0))).unwrap();
        let to = pair.target(9);
        let mut got = Vec::new();
        for number in 0..50 {
            socket.send(&[number], &to).unwrap();
            if busy {
                let _ = noise.send(b"noise", &to);
            }
            pair.run(millis(5));
            let mut buf = [0; 9];
            while let Ok(gram) = server.receive(&mut buf) {
                got.extend((gram.len == 1).then_some(buf[0]));
            }
        }
        got
    };
    let quiet = arrived(false);
    assert!((10..40).contains(&quiet.len()));
    assert_eq!(quiet, arrived(true));
}

#[test]
fn names_are_compared_as_in_the_dns() {
    let mut world = World::new(1);
    let host = world.add_host("Server.Example");
    for name in ["server.example", "SERVER.EXAMPLE.", "Server.Example"] {
        assert_eq!(world.find(name), Some(host), "{name}");
        assert_eq!(world.resolve(name).len(), 2, "{name}");
    }
    assert_eq!(world.find("server.example.."), None);
    assert!(world.add_name("www.", host));
    assert_eq!(world.find("WWW"), Some(host));
    assert!(catch_unwind(AssertUnwindSafe(|| world.add_host("SERVER.example"))).is_err());
    let client = world.add_host("client");
    let mut clients = Clients::with_net(Config::new(), world.host(client).net());
    let id = clients.connect(tymist::Connect::to_name("WWW.", 80)).unwrap();
    clients.service();
    assert!(clients.remoter(id).is_some());
    let _ = Dial::new(([127, 0, 0, 1], 80));
}

#[test]
fn regression_a_host_that_has_an_address_twice_leaves_no_name_behind() {
    let mut world = World::new(1);
    let mut spec = HostSpec::new("server");
    spec.addrs = vec![[10, 0, 0, 9].into(); 2];
    assert!(catch_unwind(AssertUnwindSafe(|| world.add_host(spec))).is_err());
    assert_eq!(world.find("server"), None);
    assert_eq!(world.resolve("server").len(), 0);
    let host = world.add_host("server");
    assert_eq!(world.find("server"), Some(host));
}
