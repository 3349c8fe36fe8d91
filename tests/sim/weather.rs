//! Which faults are drawn for a swarm, where, when and how likely.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tymist::sim::swarm::{Fault, Plan, Role, Shape, What};
use tymist::sim::{Act, Cut, HostId};

/// The fields of a rule, as it is printed: nothing else tells what is in it.
fn fields(fault: &Fault) -> Option<BTreeMap<String, String>> {
    let What::Rule(rule) = &fault.what else { return None };
    let text = format!("{rule:?}");
    let mut inside = text.strip_prefix("Rule { ").unwrap().strip_suffix(" }").unwrap();
    let mut fields = BTreeMap::new();
    while !inside.is_empty() {
        let mut depth = 0;
        let ends = |(_, letter): &(usize, char)| {
            depth += i32::from("([{".contains(*letter)) - i32::from(")]}".contains(*letter));
            depth == 0 && *letter == ','
        };
        let end = inside.char_indices().find(ends).map_or(inside.len(), |(at, _)| at);
        let (name, value) = inside[..end].split_once(": ").unwrap();
        fields.insert(name.to_owned(), value.trim_matches('"').to_owned());
        inside = inside.get(end + 2..).unwrap_or("");
    }
    Some(fields)
}

/// The number within what is printed as `Some(number)` or as a number of seconds.
fn number<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.trim_start_matches("Some(").trim_end_matches(')').parse().unwrap()
}

fn stormy() -> Shape {
    let mut shape = Shape::default();
    (shape.servers, shape.clients) = (2..=2, 2..=2);
    shape.faults = 60;
    shape.false_ends = true;
    shape
}

fn plans(shape: &Shape) -> Vec<Plan> {
    (0..600).map(|seed| Plan::draw(seed, shape)).collect()
}

/// What it is called, what it does and at which calls, without the numbers.
fn kind(rule: &BTreeMap<String, String>) -> String {
    let (name, effect) = (rule["name"].rsplit_once(' ').unwrap().0, &rule["effect"]);
    let effect =
        if effect.starts_with("Fail") { effect } else { effect.split('(').next().unwrap() };
    format!("{name}: {effect} at {}", rule["ops"])
}

#[test]
fn all_kinds_of_rules_are_drawn_each_for_the_calls_that_it_is_for() {
    let wanted = "\
        blocked: Stall at [Read, Write, Accept]\n\
        blocked: WouldBlock at [Read, Write, Accept]\n\
        cut datagram: Short at [Receive]\n\
        failed accept: Fail(Econnaborted) at [Accept]\n\
        failed accept: Fail(Emfile) at [Accept]\n\
        failed accept: Fail(Enfile) at [Accept]\n\
        failed accept: Fail(Enobufs) at [Accept]\n\
        failed call: Fail(Econnrefused) at [Connected]\n\
        failed call: Fail(Econnreset) at [Read]\n\
        failed call: Fail(Eaddrnotavail) at [Connect]\n\
        failed call: Fail(Eintr) at [Read]\n\
        failed call: Fail(Eintr) at [Write]\n\
        failed call: Fail(Enobufs) at [Write]\n\
        failed call: Fail(Epipe) at [Write]\n\
        failed call: Fail(Etimedout) at [Read]\n\
        failed datagram: Fail(Econnrefused) at [Receive]\n\
        failed datagram: Fail(Econnrefused) at [Send]\n\
        failed datagram: Fail(Eintr) at [Receive]\n\
        failed datagram: Fail(Eintr) at [Send]\n\
        failed datagram: Fail(Enetunreach) at [Send]\n\
        failed datagram: Fail(Enobufs) at [Receive]\n\
        failed datagram: Fail(Enobufs) at [Send]\n\
        failed datagram: Stall at [Receive]\n\
        failed datagram: Stall at [Send]\n\
        failed look-up: Fail(Etimedout) at [Lookup]\n\
        failed look-up: Stall at [Lookup]\n\
        false end: Eof at [Read]\n\
        reset: Reset at [Read, Write]\n\
        short: Short at [Read, Write]\n\
        short: Short at [Read]\n\
        short: Short at [Write]";
    let wanted: BTreeSet<String> = wanted.lines().map(ToOwned::to_owned).collect();
    let mut tame = stormy();
    tame.false_ends = false;
    for (shape, false_ends) in [(stormy(), true), (tame, false)] {
        let plans = plans(&shape);
        let faults = plans.iter().flat_map(|plan| &plan.faults);
        let kinds: BTreeSet<String> = faults.filter_map(fields).map(|it| kind(&it)).collect();
        let wanted = wanted.iter().filter(|kind| false_ends || !kind.starts_with("false end"));
        assert_eq!(kinds, wanted.cloned().collect());
    }
}

/// Each kind is switched off in half of the plans: what is rare together is seldom tried otherwise.
#[test]
fn half_of_the_kinds_are_off_in_a_plan() {
    let mut with: BTreeMap<String, u32> = BTreeMap::new();
    let plans: Vec<Plan> = plans(&stormy());
    let plans: Vec<&Plan> = plans.iter().filter(|plan| plan.faults.len() >= 30).collect();
    for plan in &plans {
        let name = |fault: &Fault| match &fault.what {
            What::Rule(_) => kind(&fields(fault).unwrap()).split(": ").next().unwrap().to_owned(),
            What::Spell { begin, .. } => {
                format!("{begin:?}").split([' ', '(']).next().unwrap().to_owned()
            }
        };
        let names: BTreeSet<String> = plan.faults.iter().map(name).collect();
        names.into_iter().for_each(|name| *with.entry(name).or_default() += 1);
    }
    assert_eq!(with.len(), 15, "{with:?}");
    for (name, count) in with {
        let percent = 100 * count / u32::try_from(plans.len()).unwrap();
        assert!((38..=60).contains(&percent), "{name} in {percent} of 100");
    }
}

#[test]
fn no_two_rules_of_a_plan_have_the_same_name() {
    let mut most = 0;
    for plan in plans(&stormy()) {
        let names: Vec<String> = plan
            .faults
            .iter()
            .filter_map(fields)
            .map(|mut it| it.remove("name").unwrap())
            .collect();
        let distinct: BTreeSet<&String> = names.iter().collect();
        assert_eq!(distinct.len(), names.len(), "{names:?}");
        most = most.max(plan.faults.len());
        let numbers = plan.faults.iter().map(|fault| fault.number);
        assert!(numbers.eq(0..plan.faults.len()));
    }
    assert!((55..=60).contains(&most), "{most}");
}

/// Guards of rules: some are for one host, one side, one port, a while, one connection, one call; all are optional, as nobody knows whether a call
/// will meet them.
#[test]
fn rules_are_guarded_in_every_way() {
    let mut seen: BTreeMap<&'static str, BTreeSet<String>> = BTreeMap::new();
    let (mut rules, mut hosts, mut guarded) = (0_u32, 0_u32, [0_u32; 5]);
    for plan in plans(&stormy()) {
        for rule in plan.faults.iter().filter_map(fields) {
            rules += 1;
            assert_eq!(rule["optional"], "true");
            for field in ["host", "side", "port", "probability", "conn", "nth", "times"] {
                seen.entry(field).or_default().insert(rule[field].clone());
            }
            hosts += u32::from(rule["host"] != "None");
            let (from, until) = (&rule["from"], &rule["until"]);
            let guards = [
                rule["side"] != "None",
                rule["port"] != "None",
                from != "0.000000000",
                until != "never",
                rule["nth"] != "None",
            ];
            guards.iter().zip(&mut guarded).for_each(|(guard, count)| *count += u32::from(*guard));
            assert!(number::<f64>(from) < plan.safety.as_secs_f64(), "{rule:?}");
            if until != "never" {
                let time = number::<f64>(until) - number::<f64>(from);
                assert!(time > 0.0 && time < 16.8, "{rule:?}");
            }
            let one = rule["name"].starts_with("reset") || rule["name"].starts_with("false end");
            assert_eq!(rule["conn"] != "None", one, "{rule:?}");
            let after: u64 = number(&rule["after"]);
            assert!(if one { (1..1 << 16).contains(&after) } else { after == 0 }, "{rule:?}");
        }
    }
    let set = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<BTreeSet<_>>();
    let names = ["None", "server0", "server1", "client0", "client1"];
    let named =
        names.map(|name| if name == "None" { name.into() } else { format!("Some(\"{name}\")") });
    assert_eq!(seen["host"], named.into_iter().collect());
    assert_eq!(seen["side"], set(&["None", "Some(Dialled)", "Some(Accepted)"]));
    assert_eq!(seen["port"], set(&["None", "Some(80)", "Some(81)"]));
    assert_eq!(seen["probability"], set(&["0.001", "0.01", "0.1", "0.5", "1.0"]));
    let numbers = |field: &str| {
        let some = seen[field].iter().filter(|text| *text != "None");
        some.map(|text| number::<u64>(text)).collect::<BTreeSet<_>>()
    };
    assert_eq!(numbers("conn"), (0..6).collect());
    assert_eq!(numbers("times"), (1..16).collect());
    let calls = numbers("nth");
    assert!(calls.first() == Some(&0) && (200..255).contains(calls.last().unwrap()), "{calls:?}");
    let percent = |count: u32| (100 * count + rules / 2) / rules;
    assert!((57..=63).contains(&percent(hosts)), "{hosts} of {rules} on one host");
    let [side, port, from, until, nth] = guarded.map(percent);
    assert!([side, port, from].iter().all(|percent| (9..=11).contains(percent)), "{guarded:?}");
    assert!((6..=8).contains(&until) && (4..=6).contains(&nth), "{guarded:?}");
}

/// The port beside the last one is the last one.
#[test]
fn the_port_of_the_shape_may_be_the_last_there_is() {
    let mut shape = stormy();
    shape.port = u16::MAX;
    let plans = plans(&shape);
    let rules = plans.iter().flat_map(|plan| &plan.faults).filter_map(fields);
    let ports: BTreeSet<String> = rules.map(|mut rule| rule.remove("port").unwrap()).collect();
    assert_eq!(ports.into_iter().collect::<Vec<_>>(), ["None", "Some(65535)"]);
}

#[test]
fn what_befalls_a_world_begins_under_faults_and_ends_with_them() {
    let (mut ways, mut kinds) = (BTreeMap::<_, BTreeSet<_>>::new(), BTreeSet::new());
    let (mut longest, mut full) = (Duration::ZERO, 0);
    for plan in plans(&stormy()) {
        let servers = plan.hosts(Role::Server);
        for fault in &plan.faults {
            let What::Spell { at, begin, end } = &fault.what else { continue };
            assert!(*at < plan.safety, "{fault}");
            if let Some((until, _)) = end {
                assert!(at <= until && *until <= plan.safety, "{fault}");
                full += u32::from(*until == plan.safety);
                longest = longest.max(*until - *at);
            }
            let undone = end.as_ref().map(|(_, act)| act.clone());
            let mut way = |name: &'static str, from: HostId, to: HostId| {
                assert_ne!(from, to, "{fault}");
                ways.entry(name).or_default().insert((from.index(), to.index()));
            };
            let wanted = match begin {
                Act::Partition(cut) => {
                    let name = match cut {
                        Cut::Split(some) => {
                            assert!((1..4).contains(&some.len()), "{fault}");
                            "split"
                        }
                        Cut::Isolate(_) => "isolate",
                        Cut::Pair(one, other) => {
                            way("pair", *one, *other);
                            "pair"
                        }
                        Cut::OneWay { from, to } => {
                            way("one way", *from, *to);
                            "one way"
                        }
                        other => panic!("{other:?}"),
                    };
                    kinds.insert(name);
                    Some(Act::Heal)
                }
                &Act::Clog { from, to } => {
                    way("clog", from, to);
                    Some(Act::Unclog { from, to })
                }
                &Act::Crash(host) => Some(Act::Restart(host)),
                &Act::Pause(_, time) => {
                    assert!(!time.is_zero() && time < Duration::from_micros(1 << 23));
                    None
                }
                Act::LoseListener(host, port) => {
                    assert!(*port == 80 && servers.contains(host), "{fault}");
                    None
                }
                &Act::Relink { from, to, .. } => {
                    way("relink", from, to);
                    None
                }
                other => panic!("{other:?}"),
            };
            assert_eq!(undone, wanted, "{fault}");
        }
    }
    assert!(longest > Duration::from_secs(5) && full > 100, "{longest:?}, {full}");
    assert_eq!(kinds, BTreeSet::from(["isolate", "one way", "pair", "split"]));
    assert_eq!(ways.len(), 4);
    for (name, pairs) in ways {
        assert_eq!(pairs.len(), 12, "{name}: each of four to each other: {pairs:?}");
    }
}
