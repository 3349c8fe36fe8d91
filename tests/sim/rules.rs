//! What is written down of rules that fire, and what is not; and what they leave behind.

use std::io::{ErrorKind, IoSlice};

use crate::sim_util::*;
use tymist::net::{Addr, Bind, Dial, Listen};
use tymist::sim::fault::{Effect, Rule};
use tymist::sim::trace::What;
use tymist::sim::{Act, Errno, Op, World};
use tymist::tyme::Tyme;
use tymist::{Clients, Config, Connect, Event};

/// Rules and calls of the faults that are written down: those that fired, and those calls that one of them still answered.
fn written(world: &World) -> Vec<(String, Op, bool)> {
    let trace = world.trace();
    trace
        .records()
        .filter_map(|record| match record.what {
            What::Fault { rule, op, effect, .. } => Some((rule, op, effect.starts_with("still"))),
            _ => None,
        })
        .collect()
}

/// Each call by its own rule: it is written down, counted, and told; once.
#[test]
fn a_rule_that_fires_is_written_down_counted_and_told() {
    for &op in Op::ALL {
        let mut pair = Pair::traced();
        let (mut listener, mut dialled, mut accepted) = pair.connection();
        let mut gram = pair.client_net.bind(&Bind::new(([0, 0, 0, 0], 9))).unwrap();
        gram.send(b"a", &"127.0.0.1:9".parse().unwrap()).unwrap();
        write_all(&mut dialled, b"hello");
        let waiting = pair.dial(80);
        pair.run(SECOND);
        pair.world.rule(Rule::new("it", Effect::Fail(Errno::Eio)).on(&[op]).times(1));
        let error = match op {
            Op::Listen => pair.try_listen(81, |_| {}).err(),
            Op::Connect => pair.client_net.connect(&Dial::new(pair.target(80))).err(),
            Op::Connected => dialled.connected().err(),
            Op::Accept => listener.accept().err(),
            Op::Read => accepted.read(&mut [0; 8]).err(),
            Op::Write => write(&mut dialled, b"x").err(),
            Op::Bind => pair.client_net.bind(&Bind::new(([0, 0, 0, 0], 0))).err(),
            Op::Receive => gram.receive(&mut [0; 8]).err(),
            Op::Send => gram.send(b"b", &"127.0.0.1:9".parse().unwrap()).err(),
            Op::Lookup => looked_up(&mut pair).err().map(|text| {
                assert!(text.contains("nput/output error"), "{text}");
                Errno::Eio.error()
            }),
            // No rule makes these fail.
            _ => continue,
        };
        let error = error.unwrap_or_else(|| panic!("{op} did not fail"));
        assert_eq!(error.kind(), Errno::Eio.error().kind(), "{op}");
        assert_eq!(written(&pair.world), [("it".to_string(), op, false)], "{op}");
        assert_eq!(pair.world.stats().faults, 1, "{op}");
        assert_eq!(pair.world.faults().fired(), [("it".to_string(), 1)], "{op}");
        assert!(format!("{:?}", pair.world.faults()).contains("\"it\", 1"), "{op}");
        drop(waiting);
    }
}

/// Effects that need more than a failing call: who waits is lost, a name is looked up later.
#[test]
fn a_lost_connection_and_a_late_look_up_are_written_down_too() {
    for (op, effect) in [
        (Op::Accept, Effect::Fail(Errno::Econnaborted)),
        (Op::Accept, Effect::Fail(Errno::Eproto)),
        (Op::Lookup, Effect::Stall(millis(30))),
    ] {
        let mut pair = Pair::traced();
        let mut listener = pair.listen(80);
        let _waiting = pair.dial(80);
        pair.run(millis(5));
        pair.world.rule(Rule::new("it", effect.clone()).on(&[op]).times(1));
        match op {
            Op::Accept => assert!(listener.accept().is_err()),
            _ => assert_eq!(looked_up(&mut pair), Ok(())),
        }
        assert_eq!(written(&pair.world), [("it".to_string(), op, false)], "{effect:?}");
        assert_eq!(pair.world.stats().faults, 1, "{effect:?}");
    }
}

/// Calls of the network itself go by its clock as it is, not as it was at the last harvest.
#[test]
fn calls_of_the_network_go_by_the_clock_as_it_is() {
    for op in [Op::Listen, Op::Connect, Op::Bind] {
        let mut pair = Pair::new();
        let rule = Rule::new("it", Effect::Fail(Errno::Eacces)).on(&[op]).from(Tyme::from_secs(2));
        pair.world.rule(rule);
        let dial = Dial::new(pair.target(80));
        let net = &mut pair.client_net;
        let mut call = || match op {
            Op::Listen => net.listen(&Listen::new(([0, 0, 0, 0], 80))).is_ok(),
            Op::Connect => net.connect(&dial).is_ok(),
            _ => net.bind(&Bind::new(([0, 0, 0, 0], 0))).is_ok(),
        };
        assert!(call(), "{op}");
        pair.world.run_until(Tyme::from_secs(2));
        assert!(!call(), "{op}");
    }
}

/// Rules that were ended stay so, whatever is added later; and what they began lasts its time.
#[test]
fn rules_that_were_ended_stay_ended() {
    let mut pair = Pair::new();
    let (_listener, mut dialled, mut accepted) = pair.connection();
    let again = |name: &str| Rule::new(name.to_owned(), Effect::Fail(Errno::Eio)).on(&[Op::Write]);
    pair.world.rule(again("old"));
    assert_ne!(write_error(&mut dialled), ErrorKind::WouldBlock);
    pair.world.faults().stop();
    write_all(&mut dialled, b"through");
    pair.run(MS);
    pair.world.rule(again("new").times(1));
    pair.world.rule(Rule::new("stall", Effect::Stall(millis(30))).on(&[Op::Read]).times(1));
    assert_ne!(write_error(&mut dialled), ErrorKind::WouldBlock);
    write_all(&mut dialled, b"!");
    assert_eq!(pair.world.faults().fired()[0].1, 1);
    pair.run(MS);
    pair.server_net.now();
    assert_eq!(read_error(&mut accepted), ErrorKind::WouldBlock);
    pair.world.faults().stop();
    pair.run(millis(29));
    pair.server_net.now();
    assert_eq!(read_error(&mut accepted), ErrorKind::WouldBlock);
    pair.run(MS);
    pair.server_net.now();
    expect_read(&mut accepted, b"through!");
    pair.world.all_fired().unwrap();
}

/// Whether a wait changed anything shows after the end of all rules, too.
#[test]
fn a_wait_for_nothing_has_not_fired_although_rules_have_ended() {
    let mut pair = Pair::new();
    let (_listener, _dialled, mut accepted) = pair.connection();
    pair.world.rule(Rule::new("it", Effect::WouldBlock).on(&[Op::Read]));
    assert_eq!(read_error(&mut accepted), ErrorKind::WouldBlock);
    assert!(pair.world.all_fired().is_ok(), "as far as is known");
    pair.world.faults().stop();
    assert_eq!(read_error(&mut accepted), ErrorKind::WouldBlock);
    assert_eq!(pair.world.faults().unfired(), ["it"]);
}

/// A write under rules stopped at a part that was empty, as if there was no more.
#[test]
fn a_write_goes_past_its_empty_parts() {
    let mut pair = Pair::new();
    let (_listener, mut dialled, mut accepted) = pair.connection();
    pair.world.rule(Rule::new("short", Effect::Short(5)).on(&[Op::Write]).times(1));
    let parts = ["", "one ", "", "two", ""].map(|part| IoSlice::new(part.as_bytes()));
    assert_eq!(dialled.write(&parts).unwrap(), 5);
    assert_eq!(dialled.write(&parts).unwrap(), 7);
    pair.run(MS);
    expect_read(&mut accepted, b"one tone two");
}

/// Whether the server's name is found, by an engine of the client's.
fn looked_up(pair: &mut Pair) -> Result<(), String> {
    let mut clients = Clients::with_net(Config::new(), pair.world.host(pair.client).net());
    clients.wind(pair.world.host(pair.client).tymth());
    clients.connect("server:80".parse::<Connect>().unwrap()).unwrap();
    loop {
        clients.service();
        while let Some(event) = clients.poll_event() {
            match event {
                Event::Unresolved { why, .. } => return Err(why.to_string()),
                Event::Connected(_) | Event::ConnectFailed { .. } => return Ok(()),
                _ => {}
            }
        }
        pair.run(MS);
    }
}

/// A rule that could change nothing has not fired, whatever the call.
#[test]
fn what_changed_nothing_has_not_fired() {
    let effects = [
        // Too long for what there is, or no error that such a call has.
        (Op::Read, Effect::Short(100)),
        (Op::Write, Effect::Short(100)),
        (Op::Write, Effect::Short(5)),
        (Op::Write, Effect::Eof),
        (Op::Receive, Effect::Short(100)),
        (Op::Receive, Effect::Short(8)),
        (Op::Receive, Effect::Eof),
        (Op::Send, Effect::Short(1)),
        (Op::Listen, Effect::WouldBlock),
        (Op::Connect, Effect::Eof),
        (Op::Bind, Effect::Reset),
        (Op::Connected, Effect::Eof),
        (Op::Lookup, Effect::WouldBlock),
    ];
    for (op, effect) in effects {
        let mut pair = Pair::traced();
        let (_listener, mut dialled, mut accepted) = pair.connection();
        let mut gram = pair.client_net.bind(&Bind::new(([0, 0, 0, 0], 9))).unwrap();
        // More than there is room for below.
        gram.send(b"123456789", &"127.0.0.1:9".parse().unwrap()).unwrap();
        pair.run(SECOND);
        pair.world.rule(Rule::new("it", effect.clone()).on(&[op]));
        write_all(&mut dialled, b"hello");
        pair.run(SECOND);
        assert_eq!(accepted.read(&mut [0; 8]).unwrap(), 5);
        assert_eq!(gram.receive(&mut [0; 8]).unwrap().len, 8);
        gram.send(b"b", &"127.0.0.1:9".parse().unwrap()).unwrap();
        assert!(dialled.connected().unwrap());
        assert!(pair.try_listen(81, |_| {}).is_ok());
        pair.dial(80);
        assert!(pair.client_net.bind(&Bind::new(([0, 0, 0, 0], 0))).is_ok());
        assert_eq!(looked_up(&mut pair), Ok(()), "{op} {effect:?}");
        let trace = pair.world.trace();
        let found = |what: &What| matches!(what, What::Call { op: Op::Lookup, result: Ok(2), .. });
        assert!(trace.records().any(|record| found(&record.what)), "both addresses");
        assert_eq!(written(&pair.world), [], "{op} {effect:?}");
        assert_eq!(pair.world.faults().unfired(), ["it"], "{op} {effect:?}");
        assert_eq!(pair.world.stats().faults, 0);
    }
}

/// A connection that is up says that it is not, for one call or for a while; both are reported when they are over.
#[test]
fn coming_up_can_take_longer() {
    for (effect, time) in [(Effect::WouldBlock, MS), (Effect::Stall(millis(70)), millis(70))] {
        let mut pair = Pair::traced();
        let _listener = pair.listen(80);
        let mut call = pair.dial(80);
        call.register(token(3)).unwrap();
        pair.run(millis(5));
        harvest(&mut pair.client_net);
        pair.world.rule(Rule::new("late", effect.clone()).on(&[Op::Connected]).times(1));
        assert!(!call.connected().unwrap());
        if time > MS {
            assert!(!call.connected().unwrap());
        }
        pair.run(time);
        assert_eq!(reports(&mut pair.client_net), [(3, false, true, false)], "{effect:?}");
        assert!(call.connected().unwrap());
        let still = usize::from(time > MS);
        assert_eq!(written(&pair.world).len(), 1 + still);
        assert!(pair.world.all_fired().is_ok());
    }
}

/// While it is not up by itself, a rule that says so too changes nothing.
#[test]
fn who_is_not_up_anyway_is_no_fault() {
    let mut pair = Pair::new();
    let _listener = pair.listen(80);
    let mut call = pair.dial(80);
    pair.world.rule(Rule::new("late", Effect::WouldBlock).on(&[Op::Connected]).times(1));
    assert!(!call.connected().unwrap());
    assert!(!call.connected().unwrap());
    assert_eq!(pair.world.faults().unfired(), ["late"]);
}

/// Until its very end, and not at it.
#[test]
fn a_rule_holds_from_its_beginning_until_before_its_end() {
    let (from, until) = (Tyme::from_secs(2), Tyme::from_secs(3));
    let before = |tyme: Tyme| Tyme::from_nanos(tyme.as_nanos() - 1);
    for (at, fails) in [(before(from), false), (from, true), (before(until), true), (until, false)]
    {
        let mut pair = Pair::new();
        let mut gram = pair.client_net.bind(&Bind::new(([0, 0, 0, 0], 9))).unwrap();
        pair.world.rule(
            Rule::new("it", Effect::Fail(Errno::Enobufs)).on(&[Op::Send]).from(from).until(until),
        );
        pair.world.run_until(at);
        harvest(&mut pair.client_net);
        assert_eq!(gram.send(b"a", &"127.0.0.1:9".parse().unwrap()).is_err(), fails, "{at}");
    }
}

/// Namesakes draw from streams of their own.
#[test]
fn rules_of_one_name_draw_differently() {
    let draws = |times: usize| {
        let mut pair = Pair::new();
        let mut gram = pair.client_net.bind(&Bind::new(([0, 0, 0, 0], 9))).unwrap();
        let rule = || Rule::new("it", Effect::Fail(Errno::Enobufs)).on(&[Op::Send]).chance(0.5);
        for _ in 1..times {
            // In force and never met, so it is the last one that draws.
            pair.world.rule(rule().host("nobody").optional());
        }
        pair.world.rule(rule());
        let to = "127.0.0.1:9".parse().unwrap();
        (0..64).map(|_| gram.send(b"a", &to).is_err()).collect::<Vec<_>>()
    };
    assert_eq!(draws(1), draws(1));
    assert_ne!(draws(1), draws(2));
    assert_ne!(draws(2), draws(3));
}

/// A token that another source has now is not reported as ended because the one before it had ended: a connection, and a listener that was lost.
#[test]
fn a_token_that_is_used_again_has_not_ended() {
    let mut pair = Pair::new();
    let (mut listener, mut dialled, mut first) = pair.connection();
    let mut lost = pair.listen(81);
    first.register(token(5)).unwrap();
    lost.register(token(6)).unwrap();
    let _calls = [pair.dial(80), pair.dial(80)];
    dialled.shutdown(std::net::Shutdown::Write).unwrap();
    pair.run(millis(5));
    pair.world.act(&Act::LoseListener(pair.server, 81));
    let ended: Vec<bool> = harvest(&mut pair.server_net).iter().map(|it| it.ending).collect();
    assert_eq!(ended, [true, true]);
    drop((first, lost));
    for number in [5, 6] {
        let mut next = listener.accept().unwrap();
        next.register(token(number)).unwrap();
        harvest(&mut pair.server_net);
        let wait = Rule::new("wait", Effect::WouldBlock).on(&[Op::Read]);
        pair.world.rule(wait.host("server").times(1));
        assert_eq!(read_error(&mut next), ErrorKind::WouldBlock);
        pair.run(millis(5));
        assert_eq!(reports(&mut pair.server_net), [(number, true, false, false)]);
        drop(next);
    }
}

/// Bytes that a connection threw away went by the rules for reads.
#[test]
fn thrown_away_bytes_are_reads_too() {
    let mut pair = Pair::traced();
    let (_listener, mut dialled, mut accepted) = pair.connection();
    write_all(&mut dialled, b"hello world");
    pair.run(MS);
    pair.world.rule(Rule::new("short", Effect::Short(2)).on(&[Op::Read]).times(1));
    assert_eq!(accepted.discard(&mut [0; 16]).unwrap(), 2);
    assert_eq!(accepted.discard(&mut [0; 16]).unwrap(), 9);
    assert!(accepted.short_read_drains());
    let named = Addr::from(std::path::Path::new("/run/a"));
    let _named = pair.client_net.listen(&Listen::new(named.clone())).unwrap();
    let local = pair.client_net.connect(&Dial::new(named)).unwrap();
    assert!(!local.short_read_drains(), "as the stream below says");
    assert_eq!(written(&pair.world), [("short".to_string(), Op::Read, false)]);
}

/// What was stalled by `after` so many bytes counts those that went before there was any rule.
#[test]
fn bytes_that_went_before_the_rule_count() {
    let mut pair = Pair::new();
    let (_listener, mut dialled, mut accepted) = pair.connection();
    write_all(&mut dialled, b"hel");
    write_all(&mut dialled, b"lo");
    pair.run(MS);
    assert_eq!(accepted.read(&mut [0; 2]).unwrap(), 2);
    assert_eq!(accepted.read(&mut [0; 2]).unwrap(), 2);
    let cut = |op| Rule::new("cut", Effect::Fail(Errno::Eio)).on(&[op]).after(7);
    pair.world.rule(cut(Op::Write));
    pair.world.rule(cut(Op::Read));
    assert_eq!(write(&mut dialled, b" world").unwrap(), 2);
    assert!(write(&mut dialled, b"x").is_err());
    pair.run(MS);
    assert_eq!(accepted.read(&mut [0; 16]).unwrap(), 3);
    assert!(accepted.read(&mut [0; 16]).is_err());
}
