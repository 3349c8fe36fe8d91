//! Faults: each kind, each guard, on the simulated network; and on real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::io::ErrorKind;

use crate::sim_util::programs::{Echo, Pinger};
use crate::sim_util::*;
use tymist::net::{Bind, Dial};
use tymist::sim::fault::{Effect, Rule};
use tymist::sim::{Act, Errno, Op, Side, World};
use tymist::tyme::Tyme;

#[test]
fn short_reads_and_writes_lose_nothing_and_are_reported_again() {
    let mut pair = Pair::new();
    let (_listener, mut dialled, mut accepted) = pair.connection();
    accepted.register(token(1)).unwrap();
    dialled.register(token(2)).unwrap();
    pair.world.rule(Rule::new("short read", Effect::Short(2)).on(&[Op::Read]).host("server"));
    pair.world.rule(Rule::new("short write", Effect::Short(3)).on(&[Op::Write]).host("client"));
    harvest(&mut pair.client_net);
    assert_eq!(write(&mut dialled, b"abcdef").unwrap(), 3);
    pair.run(MS);
    assert_eq!(reports(&mut pair.client_net), [(2, false, true, false)], "there is room after all");
    harvest(&mut pair.server_net);
    let mut buf = [0; 8];
    assert_eq!(accepted.read(&mut buf).unwrap(), 2);
    assert!(harvest(&mut pair.server_net).is_empty());
    pair.run(MS);
    assert_eq!(reports(&mut pair.server_net), [(1, true, false, false)], "there is more");
    assert_eq!(accepted.read(&mut buf).unwrap(), 1);
    assert_eq!(&buf[..1], b"c");
    assert!(pair.world.all_fired().is_ok());
    assert_eq!(pair.world.stats().faults, 2, "the last read was short by itself");
}

#[test]
fn would_block_storms_pass() {
    let mut world = World::new(3);
    let server = world.add("server", |host| Echo::new(host, 80));
    let client = world.add("client", |host| Pinger::new(host, "server", 80, 10 * MS, 50));
    world.rule(Rule::new("storm", Effect::WouldBlock).chance(0.7));
    world.run_for(10 * SECOND);
    let pinger = world.program::<Pinger>(client).unwrap();
    assert_eq!((pinger.answered, pinger.wrong, pinger.connects), (50, 0, 1));
    assert!(world.stats().faults > 50);
    world.all_fired().unwrap();
    assert_eq!(world.program::<Echo>(server).unwrap().open(), 0);
}

#[test]
fn a_reset_after_so_many_bytes_hits_both_sides() {
    let mut pair = Pair::new();
    let (_listener, mut dialled, mut accepted) = pair.connection();
    let rule = Rule::new("cut", Effect::Reset).on(&[Op::Read]).side(Side::Accepted).after(5);
    pair.world.rule(rule);
    write_all(&mut dialled, b"hello world");
    pair.run(MS);
    let mut buf = [0; 32];
    assert_eq!(accepted.read(&mut buf).unwrap(), 5);
    assert_eq!(read_error(&mut accepted), ErrorKind::ConnectionReset);
    assert_eq!(accepted.read(&mut buf).unwrap(), 0);
    assert_eq!(write_error(&mut accepted), ErrorKind::BrokenPipe);
    pair.run(MS);
    assert_eq!(read_error(&mut dialled), ErrorKind::ConnectionReset);
    pair.world.all_fired().unwrap();
}

#[test]
fn a_write_is_cut_at_the_very_byte() {
    let mut pair = Pair::new();
    let (_listener, mut dialled, mut accepted) = pair.connection();
    pair.world.rule(Rule::new("cut", Effect::Reset).on(&[Op::Write]).after(7));
    // The nearest of several counts.
    pair.world.rule(Rule::new("later", Effect::Reset).on(&[Op::Write]).after(9));
    assert_eq!(write(&mut dialled, b"hello").unwrap(), 5);
    assert_eq!(write(&mut dialled, b" world").unwrap(), 2);
    pair.run(MS);
    let mut buf = [0; 32];
    assert_eq!(accepted.read(&mut buf).unwrap(), 7);
    assert_eq!(write_error(&mut dialled), ErrorKind::ConnectionReset);
    pair.run(MS);
    assert_eq!(read_error(&mut accepted), ErrorKind::ConnectionReset);
}

#[test]
fn an_early_end_is_an_end_for_good() {
    let mut pair = Pair::new();
    let (_listener, mut dialled, mut accepted) = pair.connection();
    pair.world.rule(Rule::new("end", Effect::Eof).host("server").after(3).times(1));
    write_all(&mut dialled, b"abcdef");
    pair.run(MS);
    expect_end(&mut accepted, b"abc");
    expect_end(&mut accepted, b"");
    write_all(&mut accepted, b"still writable");
}

#[test]
fn chosen_errors_come_from_each_call() {
    let mut pair = Pair::new();
    let fail =
        |name: &'static str, errno, op: Op| Rule::new(name, Effect::Fail(errno)).on(&[op]).times(1);
    pair.world.rule(fail("listen", Errno::Eacces, Op::Listen));
    pair.world.rule(fail("connect", Errno::Enetunreach, Op::Connect));
    pair.world.rule(fail("connected", Errno::Etimedout, Op::Connected));
    pair.world.rule(fail("accept", Errno::Emfile, Op::Accept));
    pair.world.rule(fail("read", Errno::Eio, Op::Read));
    pair.world.rule(fail("write", Errno::Enobufs, Op::Write));
    pair.world.rule(fail("bind", Errno::Eacces, Op::Bind));
    pair.world.rule(fail("send", Errno::Enobufs, Op::Send));
    pair.world.rule(fail("receive", Errno::Econnrefused, Op::Receive));
    let denied = pair.try_listen(80, |_| {}).err().unwrap();
    assert_eq!(denied.kind(), ErrorKind::PermissionDenied);
    let mut listener = pair.listen(80);
    let dial = Dial::new(pair.target(80));
    let error = pair.client_net.connect(&dial).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::NetworkUnreachable);
    let mut dialled = pair.dial(80);
    pair.run(millis(5));
    assert_eq!(dialled.connected().unwrap_err().kind(), ErrorKind::TimedOut);
    assert!(dialled.connected().unwrap());
    let error = listener.accept().err().unwrap();
    #[cfg(target_os = "linux")]
    assert_eq!(error.raw_os_error(), Some(24));
    assert_ne!(error.kind(), ErrorKind::WouldBlock);
    let mut accepted = listener.accept().expect("the connection waited on");
    let error = accepted.read(&mut [0; 4]).unwrap_err();
    assert_ne!(error.kind(), ErrorKind::WouldBlock);
    assert_ne!(write_error(&mut accepted), ErrorKind::WouldBlock);
    write_all(&mut accepted, b"fine again");
    assert!(pair.client_net.bind(&Bind::new(([0, 0, 0, 0], 0))).is_err());
    let mut socket = pair.client_net.bind(&Bind::new(([0, 0, 0, 0], 0))).unwrap();
    let to = pair.target(9);
    assert!(socket.send(b"x", &to).is_err());
    socket.send(b"x", &to).unwrap();
    let error = socket.receive(&mut [0; 4]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    pair.world.all_fired().unwrap();
}

#[test]
fn an_aborted_accept_loses_the_connection() {
    let mut pair = Pair::new();
    let mut listener = pair.listen(80);
    let rule = Rule::new("gone", Effect::Fail(Errno::Econnaborted)).on(&[Op::Accept]).times(1);
    pair.world.rule(rule);
    assert_eq!(listener.accept().err().unwrap().kind(), ErrorKind::WouldBlock);
    assert!(pair.world.all_fired().is_err(), "nobody was there to lose");
    let mut dialled = pair.dial(80);
    pair.run(millis(5));
    assert_eq!(listener.accept().err().unwrap().kind(), ErrorKind::ConnectionAborted);
    pair.run(millis(5));
    assert_eq!(read_error(&mut dialled), ErrorKind::ConnectionReset);
    pair.world.all_fired().unwrap();
}

#[test]
fn stalls_last_their_time_and_end_with_a_report() {
    let mut pair = Pair::new();
    let (_listener, mut dialled, mut accepted) = pair.connection();
    accepted.register(token(1)).unwrap();
    let rule = Rule::new("stall", Effect::Stall(millis(50))).on(&[Op::Read]).times(1);
    pair.world.rule(rule);
    write_all(&mut dialled, b"patience");
    pair.run(MS);
    harvest(&mut pair.server_net);
    assert_eq!(read_error(&mut accepted), ErrorKind::WouldBlock);
    pair.run(millis(49));
    pair.server_net.now();
    assert_eq!(read_error(&mut accepted), ErrorKind::WouldBlock);
    assert!(harvest(&mut pair.server_net).is_empty());
    pair.run(MS);
    assert_eq!(reports(&mut pair.server_net), [(1, true, false, false)]);
    expect_read(&mut accepted, b"patience");
}

#[test]
fn guards_by_connection_port_call_tyme_and_chance_hold() {
    let mut pair = Pair::new();
    let _listeners = (pair.listen(80), pair.listen(81));
    let mut calls: Vec<_> = [80, 81, 80].map(|port| pair.dial(port)).into();
    pair.run(millis(5));
    let none = |_: &str| Effect::Fail(Errno::Eio);
    pair.world.rule(Rule::new("conn", none("")).on(&[Op::Write]).host("client").conn(0).times(1));
    pair.world.rule(Rule::new("port", none("")).on(&[Op::Write]).port(81).nth(1));
    let (from, until) = (at_millis(100), at_millis(200));
    let tyme = Rule::new("tyme", none("")).on(&[Op::Write]).conn(2).from(from).until(until);
    pair.world.rule(tyme);
    pair.world.rule(Rule::new("other host", none("")).host("server"));
    let mut round = |pair: &mut Pair| {
        pair.client_net.now();
        calls.iter_mut().map(|call| write(call, b"x").is_ok()).collect::<Vec<_>>()
    };
    assert_eq!(round(&mut pair), [false, true, true]);
    assert_eq!(round(&mut pair), [true, false, true]);
    assert_eq!(round(&mut pair), [true, true, true]);
    pair.run(millis(100));
    assert_eq!(round(&mut pair), [true, true, false]);
    pair.run(millis(100));
    assert_eq!(round(&mut pair), [true, true, true]);
    assert_eq!(pair.world.all_fired().unwrap_err().rules, ["other host"]);
    pair.world.rule(Rule::new("chance", none("")).on(&[Op::Write]).chance(0.5));
    let bad = (0..300).flat_map(|_| round(&mut pair)).filter(|ok| !ok).count();
    assert!((380..520).contains(&bad), "{bad} of 900");
    pair.world.faults().stop();
    assert_eq!(round(&mut pair), [true, true, true]);
}

#[test]
fn datagrams_fail_by_rules_too() {
    let mut pair = Pair::new();
    let mut server = pair.server_net.bind(&Bind::new(([0, 0, 0, 0], 53))).unwrap();
    let mut client = pair.client_net.bind(&Bind::new(([0, 0, 0, 0], 0))).unwrap();
    server.register(token(1)).unwrap();
    pair.world.rule(Rule::new("cut", Effect::Short(2)).on(&[Op::Receive]).times(1));
    let later = Rule::new("later", Effect::WouldBlock).on(&[Op::Receive]).times(1);
    pair.world.rule(later);
    let to = pair.target(53);
    client.send(b"first", &to).unwrap();
    client.send(b"second", &to).unwrap();
    pair.run(MS);
    harvest(&mut pair.server_net);
    let mut buf = [0; 16];
    let gram = server.receive(&mut buf).unwrap();
    assert_eq!((gram.len, gram.truncated), (2, true));
    assert_eq!(server.receive(&mut buf).unwrap_err().kind(), ErrorKind::WouldBlock);
    pair.run(MS);
    assert_eq!(reports(&mut pair.server_net), [(1, true, false, false)]);
    assert_eq!(server.receive(&mut buf).unwrap().len, 6);
    pair.world.all_fired().unwrap();
}

#[test]
fn clogs_hold_in_order_and_let_go() {
    let mut pair = Pair::new();
    let (_listener, mut dialled, mut accepted) = pair.connection();
    let (from, to) = (pair.client, pair.server);
    pair.world.act(&Act::Clog { from, to });
    write_all(&mut dialled, b"one ");
    pair.run(SECOND);
    write_all(&mut dialled, b"two");
    pair.run(SECOND);
    assert_eq!(read_error(&mut accepted), ErrorKind::WouldBlock);
    write_all(&mut accepted, b"the other way is free");
    pair.run(MS);
    expect_read(&mut dialled, b"the other way is free");
    pair.world.act(&Act::Unclog { from, to });
    expect_read(&mut accepted, b"one two");
    write_all(&mut dialled, b"!");
    pair.run(MS);
    expect_read(&mut accepted, b"!");
}

#[test]
fn a_lost_listener_says_so() {
    let mut pair = Pair::new();
    let mut listener = pair.listen(80);
    listener.register(token(1)).unwrap();
    pair.world.act(&Act::LoseListener(pair.server, 80));
    assert_eq!(reports(&mut pair.server_net), [(1, true, false, true)]);
    let error = listener.accept().err().unwrap();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let mut dialled = pair.dial(80);
    pair.run(millis(2));
    assert_eq!(dialled.connected().unwrap_err().kind(), ErrorKind::ConnectionRefused);
    drop(listener);
    pair.listen(80);
    pair.world.all_fired().unwrap();
}

#[test]
fn crashes_and_restarts_run_the_program_anew() {
    let mut world = World::new(5);
    let server = world.add("server", |host| Echo::new(host, 80));
    let client = world.add("client", |host| Pinger::new(host, "server", 80, 100 * MS, 100));
    world.plan(Tyme::from_secs(2), Act::Crash(server));
    world.plan(Tyme::from_secs(3), Act::Restart(server));
    world.run_until(Tyme::from_nanos(2_500_000_000));
    assert!(!world.is_up(server));
    assert!(world.program::<Echo>(server).is_none());
    assert_eq!(world.sockets(server), 0);
    world.run_until(Tyme::from_secs(60));
    let pinger = world.program::<Pinger>(client).unwrap();
    assert_eq!((pinger.answered, pinger.wrong, pinger.connects), (100, 0, 2));
    assert_eq!(world.program::<Echo>(server).unwrap().accepted, 1);
    world.all_fired().unwrap();
}

#[test]
fn a_paused_host_makes_up_for_it_later() {
    let mut world = World::new(5);
    let server = world.add("server", |host| Echo::new(host, 80));
    let client = world.add("client", |host| Pinger::new(host, "server", 80, 10 * MS, 20));
    world.plan(at_millis(50), Act::Pause(server, SECOND));
    world.run_until(at_millis(1_040));
    let early = world.program::<Pinger>(client).unwrap().answered;
    assert!(early < 6, "{early}");
    world.run_until(at_millis(1_100));
    assert_eq!(world.program::<Pinger>(client).unwrap().answered, 20);
}

#[test]
fn a_paused_host_goes_on_when_it_is_told_to() {
    let mut world = World::new(5);
    let server = world.add("server", |host| Echo::new(host, 80));
    let client = world.add("client", |host| Pinger::new(host, "server", 80, 10 * MS, 20));
    world.plan(at_millis(50), Act::Pause(server, 3600 * SECOND));
    world.plan(at_millis(500), Act::Resume(server));
    world.run_until(at_millis(499));
    assert!(world.program::<Pinger>(client).unwrap().answered < 6);
    world.run_until(at_millis(550));
    assert_eq!(world.program::<Pinger>(client).unwrap().answered, 20);
    world.all_fired().unwrap();
    // Who is not paused, or is down, has nothing to go on with.
    world.act(&Act::Resume(server));
    world.act(&Act::Pause(server, SECOND));
    world.act(&Act::Crash(server));
    world.act(&Act::Resume(server));
    assert_eq!(world.all_fired().unwrap_err().acts.len(), 2);
}

#[test]
fn what_never_fired_is_named() {
    let mut world = World::new(1);
    let host = world.add_host("only");
    world.rule(Rule::new("never", Effect::Reset));
    world.rule(Rule::new("maybe", Effect::Reset).optional());
    world.plan(Tyme::from_secs(9), Act::Restart(host));
    world.plan(Tyme::from_secs(99), Act::Crash(host));
    world.run_until(Tyme::from_secs(10));
    let unfired = world.all_fired().unwrap_err();
    assert_eq!(unfired.rules, ["never"]);
    assert_eq!(unfired.acts.len(), 2, "{unfired}");
    assert!(unfired.to_string().contains("\"never\""), "{unfired}");
}

/// The same rules and the same expectations on real sockets.
#[cfg(feature = "os")]
mod real {
    #![expect(clippy::disallowed_methods, reason = "the other end is a plain socket")]

    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::time::Duration;

    use super::*;
    use tymist::net::os::OsNet;
    use tymist::net::{Listen, Net, Readiness};
    use tymist::sim::fault::{ChaosNet, Faults};

    /// Waits for a report about `wanted`.
    fn wait_for(net: &mut dyn Net, wanted: usize) -> Readiness {
        let mut ready = Vec::new();
        for _ in 0..1000 {
            net.harvest(Some(Duration::from_secs(5)), &mut ready).unwrap();
            if let Some(found) = ready.drain(..).find(|ready| ready.token.0 == wanted) {
                return found;
            }
        }
        panic!("no report of {wanted}");
    }

    #[test]
    fn rules_hold_on_real_sockets() {
        let faults = Faults::new(1);
        let mut net: Box<dyn Net> =
            Box::new(ChaosNet::new(Box::new(OsNet::new()), faults.clone(), "server"));
        let mut listener = net.listen(&"127.0.0.1:0".parse::<Listen>().unwrap()).unwrap();
        listener.register(token(1)).unwrap();
        let mut peer = TcpStream::connect(inet(listener.local_addr())).unwrap();
        wait_for(&mut *net, 1);
        faults.add(Rule::new("later", Effect::WouldBlock).on(&[Op::Accept]).times(1));
        assert_eq!(listener.accept().err().unwrap().kind(), ErrorKind::WouldBlock);
        wait_for(&mut *net, 1);
        let mut accepted = listener.accept().unwrap();
        accepted.register(token(2)).unwrap();
        faults.add(Rule::new("short", Effect::Short(2)).on(&[Op::Read]).times(1));
        faults.add(Rule::new("cut", Effect::Reset).on(&[Op::Read]).after(4));
        peer.write_all(b"abcdef").unwrap();
        while !wait_for(&mut *net, 2).readable {}
        let mut buf = [0; 16];
        assert_eq!(accepted.read(&mut buf).unwrap(), 2);
        assert!(wait_for(&mut *net, 2).readable, "there is more");
        assert_eq!(accepted.read(&mut buf).unwrap(), 2);
        assert_eq!(read_error(&mut accepted), ErrorKind::ConnectionReset);
        let error = peer.read(&mut buf).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert!(faults.unfired().is_empty());
    }
}

/// Who had no room in the queue of a listener that was then lost was let into it later, where nobody could ever accept it.
#[test]
fn a_lost_listener_takes_nobody_in() {
    let mut pair = Pair::new();
    let mut listener = pair.try_listen(80, |listen| listen.backlog = 0).unwrap();
    let (mut first, mut second) = (pair.dial(80), pair.dial(80));
    pair.run(millis(10));
    assert!(first.connected().unwrap() && second.connected().unwrap());
    pair.world.act(&Act::LoseListener(pair.server, 80));
    write_all(&mut second, b"hello");
    pair.run(10 * SECOND);
    assert_eq!(read_error(&mut first), ErrorKind::ConnectionReset);
    assert_eq!(read_error(&mut second), ErrorKind::ConnectionReset);
    assert_eq!(listener.accept().err().unwrap().raw_os_error(), Some(22));
    drop((first, second, listener));
    assert_eq!((pair.world.lingering(pair.server), pair.world.lingering(pair.client)), (0, 0));
}
