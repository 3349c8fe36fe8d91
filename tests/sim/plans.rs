//! Plans and seeds as text, and leaving out parts of a plan.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::time::Duration;

use tymist::sim::swarm::{Fault, Plan, Role, Shape, What, parse_seed};
use tymist::sim::{Act, HostId};

/// Three servers, four clients, at least four faults.
fn shape() -> Shape {
    let mut shape = Shape::default();
    (shape.servers, shape.clients, shape.faults) = (3..=3, 4..=4, 12);
    shape
}

fn seed() -> u64 {
    (17..1000).find(|seed| Plan::draw(*seed, &shape()).faults.len() > 3).unwrap()
}

fn told(plan: &Plan) -> (Vec<usize>, Vec<usize>, Vec<usize>, Duration) {
    let faults = plan.faults.iter().map(|fault| fault.number).collect();
    (plan.kept(Role::Server), plan.kept(Role::Client), faults, plan.safety)
}

#[test]
fn a_plan_is_read_as_it_is_printed() {
    let seed = seed();
    let whole = told(&Plan::draw(seed, &shape()));
    let all: Vec<usize> = (0..whole.2.len()).collect();
    // Rules last for as long as there are faults.
    let rules = |numbers: &[usize]| {
        let plan = Plan::draw(seed, &shape());
        let faults = plan.faults.iter().filter(|fault| matches!(fault.what, What::Rule(_)));
        faults.map(|it| it.number).filter(|number| numbers.contains(number)).collect::<Vec<_>>()
    };
    let (three, four) = (vec![0, 1, 2], vec![0, 1, 2, 3]);
    let instant = Duration::from_micros(1);
    for (words, wanted) in [
        ("", whole.clone()),
        (" servers=1", (vec![1], four.clone(), all.clone(), whole.3)),
        (" clients=0,3", (three.clone(), vec![0, 3], all.clone(), whole.3)),
        (" faults=1,3", (three.clone(), four.clone(), vec![1, 3], whole.3)),
        (" faults=", (three.clone(), four.clone(), vec![], whole.3)),
        (" safety=1us", (three.clone(), four.clone(), rules(&all), instant)),
        (" servers= clients= faults= safety=1us", (vec![], vec![], vec![], instant)),
        (" servers=0,2 clients=1,2,3 faults=0", (vec![0, 2], vec![1, 2, 3], vec![0], whole.3)),
    ] {
        let text = format!("{seed}{words}");
        let plan = Plan::parse(&text, &shape()).unwrap();
        assert_eq!(told(&plan), wanted, "{text}");
        let mut printed = text.clone();
        if words == " safety=1us" && wanted.2.len() < all.len() {
            let left: Vec<String> = wanted.2.iter().map(ToString::to_string).collect();
            printed = format!("{seed} faults={} safety=1us", left.join(","));
        }
        assert_eq!(plan.to_string(), printed);
        let quoted = if words.is_empty() { text } else { format!("'{printed}'") };
        assert_eq!(plan.command("my program"), format!("my program --seed {quoted}"));
    }
    // In any order, with more than there is, and as a seed of another kind.
    let odd =
        format!(" {seed:#x}  safety=99999999us clients=0,1,2,3,4,5 faults=0,1,2,3,99 servers=2,0");
    let plan = Plan::parse(&odd, &shape()).unwrap();
    assert_eq!(told(&plan), (vec![0, 2], four, vec![0, 1, 2, 3], whole.3));
}

#[test]
fn what_is_no_plan_is_named() {
    for (text, word) in [
        ("", ""),
        ("lucky clients=1", "lucky clients=1"),
        ("17 clients", "clients"),
        ("17 hosts=1", "hosts=1"),
        ("17 clients=0 clients=-1", "clients=-1"),
        ("17 faults=1,x", "faults=1,x"),
        ("17 safety=1", "safety=1"),
        ("17 safety=1ms", "safety=1ms"),
        ("17 safety=-1us", "safety=-1us"),
    ] {
        let wrong = Plan::parse(text, &shape()).unwrap_err();
        assert_eq!(wrong.to_string(), format!("{word:?} is no part of a plan"));
    }
}

#[test]
fn what_was_left_out_stays_out() {
    let mut plan = Plan::draw(1, &shape());
    plan.keep(Role::Client, |number| number != 1);
    plan.keep(Role::Client, |number| number != 2);
    plan.keep(Role::Server, |number| number < 2);
    assert_eq!((plan.kept(Role::Server), plan.kept(Role::Client)), (vec![0, 1], vec![0, 3]));
    let ids = |role| plan.hosts(role).iter().map(|id| id.index()).collect::<Vec<_>>();
    assert_eq!((ids(Role::Server), ids(Role::Client)), (vec![0, 1], vec![3, 6]));
    assert_eq!(plan.places.len(), 7, "they are there all the same");
    plan.shorten(Duration::from_millis(20));
    plan.shorten(Duration::from_millis(30));
    assert_eq!(plan.safety, Duration::from_millis(20));
    plan.shorten(Duration::from_nanos(7_999));
    assert_eq!(plan.safety, Duration::from_micros(7));
    plan.shorten(Duration::ZERO);
    assert_eq!(plan.safety, Duration::from_micros(1));
}

#[test]
fn a_shorter_plan_is_without_what_would_begin_after_it() {
    let mut plan = Plan::draw(1, &shape());
    let host: HostId = plan.hosts(Role::Server)[0];
    let spell = |(number, micros): (usize, u64)| {
        let at = Duration::from_micros(micros);
        let end = Some((at * 10, Act::Restart(host)));
        Fault { number, what: What::Spell { at, begin: Act::Crash(host), end } }
    };
    plan.faults = [0, 4999, 5000, 5001].into_iter().enumerate().map(spell).collect();
    plan.shorten(Duration::from_millis(5));
    let left: Vec<String> = plan.faults.iter().map(ToString::to_string).collect();
    assert_eq!(
        left,
        [
            "0: at 0ns Crash(host 0), at 0ns Restart(host 0)",
            "1: at 4.999ms Crash(host 0), at 49.99ms Restart(host 0)"
        ]
    );
    let begin = Act::Pause(host, Duration::from_secs(1));
    let what = What::Spell { at: Duration::from_secs(2), begin, end: None };
    assert_eq!(Fault { number: 7, what }.to_string(), "7: at 2s Pause(host 0, 1s)");
}

#[test]
fn seeds_are_numbers_or_hashes() {
    for (text, seed) in [
        ("17", Some(17)),
        (" 17\n", Some(17)),
        ("0x11", Some(0x11)),
        ("18446744073709551615", Some(u64::MAX)),
        // Too large for a number, it is a hash, and its first 16 digits count.
        ("18446744073709551616", Some(0x1844_6744_0737_0955)),
        ("cafe", Some(0xcafe)),
        ("d5a6ca6f00d5a6ca6f00d5a6ca6f00d5a6ca6f00", Some(0xd5a6_ca6f_00d5_a6ca)),
        // Neither so short, nor so long, nor with anything else behind it.
        ("bad", None),
        ("d5a6ca6f00d5a6ca6f00d5a6ca6f00d5a6ca6f00d5a6ca6f00d5a6ca6f00d5a6c", None),
        ("d5a6ca6f00d5a6ca and on", None),
        ("0xd5a6ca6f00d5a6ca6", None),
        ("0x", None),
        ("lucky", None),
        ("-1", None),
        ("", None),
    ] {
        assert_eq!(parse_seed(text), seed, "{text:?}");
    }
}
