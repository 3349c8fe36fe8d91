//! What is drawn for a swarm: within its bounds, and as wild as it is meant to be.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
#![allow(clippy::cast_possible_truncation, reason = "small numbers")]

use std::collections::BTreeMap;
use std::time::Duration;

use tymist::sim::swarm::{Plan, Role, Shape, draw_config, draw_gram_config, draw_link};
use tymist::sim::{HostSpec, Link, Rng};
use tymist::{Config, GramConfig, GramsFull, Limits, OverLimit, RxFull, Timeouts, TxFull};

/// How often each number was drawn, by its name.
#[derive(Default)]
struct Drawn(BTreeMap<&'static str, BTreeMap<u64, u32>>);

impl Drawn {
    fn see(&mut self, name: &'static str, number: u64) {
        *self.0.entry(name).or_default().entry(number).or_default() += 1;
    }

    /// Nothing but what lies between the two; the least is there, and nearly the most.
    #[track_caller]
    fn lies_between(&self, name: &str, least: u64, most: u64) {
        let numbers = &self.0[name];
        let (low, high) = (numbers.keys().next().unwrap(), numbers.keys().next_back().unwrap());
        assert_eq!(*low, least, "{name}");
        assert!((most - most / 4..=most).contains(high), "{name}: {high} of {most}");
    }

    /// The first of the names is as likely as that, in parts of a hundred.
    #[track_caller]
    fn is_likely(&self, name: &str, number: u64, percent: std::ops::RangeInclusive<u32>) {
        let numbers = &self.0[name];
        let share = 100 * numbers.get(&number).unwrap_or(&0) / numbers.values().sum::<u32>();
        assert!(percent.contains(&share), "{name} is {number} in {share} of 100");
    }
}

fn micros(time: Duration) -> u64 {
    assert_eq!(time.subsec_nanos() % 1000, 0, "{time:?} is not in whole microseconds");
    time.as_micros() as u64
}

#[test]
fn links_are_near_or_far_and_half_of_them_perfect() {
    let mut rng = Rng::new(1);
    let mut drawn = Drawn::default();
    let of_1000 = |share: f64| (share * 1000.0).round() as u64;
    for _ in 0..20_000 {
        let link = draw_link(&mut rng);
        drawn.see("latency", micros(link.latency));
        drawn.see("perfect", u64::from(link == Link::new(link.latency)));
        drawn.see("jitter", micros(link.jitter));
        if let Some(bandwidth) = link.bandwidth {
            drawn.see("bandwidth", bandwidth);
            drawn.see("queue", link.queue as u64);
        }
        drawn.see("broad", u64::from(link.bandwidth.is_none()));
        for (name, share) in
            [("loss", link.loss), ("duplicate", link.duplicate), ("reorder", link.reorder)]
        {
            drawn.see(name, of_1000(share));
        }
        let plain = Link::new(link.latency);
        assert!(link.bandwidth.is_some() || link.queue == plain.queue);
        assert_eq!(link.overtaken_by, plain.overtaken_by);
    }
    drawn.lies_between("latency", 1, 200_000);
    drawn.lies_between("jitter", 0, (1 << 18) - 1);
    drawn.lies_between("bandwidth", 10_000, 1000 + (1 << 24) - 1);
    drawn.lies_between("queue", 2001, 2000 + (1 << 18) - 1);
    drawn.is_likely("perfect", 1, 45..=55);
    drawn.is_likely("broad", 0, 15..=25);
    let shares = |name: &str| drawn.0[name].keys().copied().collect::<Vec<_>>();
    assert_eq!(shares("loss"), [0, 1, 30, 300]);
    assert_eq!(shares("duplicate"), [0, 10, 300]);
    assert_eq!(shares("reorder"), [0, 10, 300]);
}

fn shape(servers: u64, clients: u64) -> Shape {
    let mut shape = Shape::default();
    shape.servers = servers..=servers;
    shape.clients = clients..=clients;
    shape
}

#[test]
fn hosts_are_plain_or_odd() {
    let mut drawn = Drawn::default();
    let plain = HostSpec::new("plain");
    for place in (0..500).flat_map(|seed| Plan::draw(seed, &shape(3, 9)).places) {
        let spec = place.spec;
        drawn.see("ahead", micros(spec.ahead));
        drawn.see("drift", u64::try_from(spec.drift_ppb + 200_000).unwrap());
        drawn.see("turn", micros(spec.turn));
        drawn.see("sockets", spec.max_sockets as u64);
        for (name, size) in [("recv", spec.recv_buffer), ("send", spec.send_buffer)] {
            if size != plain.recv_buffer {
                drawn.see(name, size as u64);
            }
            drawn.see("size", size as u64);
        }
        let rest = (spec.addrs, spec.gram_buffer, spec.loopback, spec.ephemeral_ports);
        let plain = plain.clone();
        assert_eq!(rest, (plain.addrs, plain.gram_buffer, plain.loopback, plain.ephemeral_ports));
    }
    drawn.lies_between("ahead", 0, (1 << 30) - 1);
    drawn.lies_between("turn", 1, (1 << 12) - 1);
    drawn.lies_between("recv", 65, 64 + (1 << 16) - 1);
    drawn.lies_between("send", 65, 64 + (1 << 16) - 1);
    let drift = &drawn.0["drift"];
    let (slow, fast) = (drift.keys().next().unwrap(), drift.keys().next_back().unwrap());
    assert!(*slow < 2000 && (398_000..=400_000).contains(fast), "{slow} to {fast}");
    // A million where nothing was drawn.
    let sockets: Vec<u64> = drawn.0["sockets"].keys().copied().collect();
    let few = (5..=35).chain([plain.max_sockets as u64]);
    assert_eq!(sockets, few.collect::<Vec<_>>());
    for (name, usual, percent) in [
        ("ahead", 0, 65..=75),
        ("drift", 200_000, 65..=75),
        ("size", 65_536, 55..=65),
        ("sockets", 1 << 20, 75..=85),
    ] {
        drawn.is_likely(name, usual, percent);
    }
}

#[test]
fn settings_are_left_alone_or_anything_from_useless_on() {
    let mut rng = Rng::new(2);
    let mut drawn: Vec<Vec<u64>> = Vec::new();
    let mut see = |number: usize, value: u64| {
        drawn.resize_with(drawn.len().max(number + 1), Vec::new);
        drawn[number].push(value);
    };
    for _ in 0..2000 {
        let config = draw_config(&mut rng);
        for (number, value) in limits(&config.limits).into_iter().enumerate() {
            see(number, value);
        }
        for (number, value) in gram_limits(&draw_gram_config(&mut rng)).into_iter().enumerate() {
            see(limits(&config.limits).len() + number, value);
        }
    }
    let (all, gram) = (limits(&Limits::new()), gram_limits(&GramConfig::new()));
    for (number, (values, usual)) in drawn.iter().zip(all.iter().chain(&gram)).enumerate() {
        let left = values.iter().filter(|value| *value == usual).count();
        assert!((1400..1600).contains(&left), "limit {number}: {left} of 2000 left alone");
        // One byte for all would leave no room to answer: the last of the limits.
        let least = if number + 1 == all.len() { 2 } else { 1 };
        let drawn = values.iter().filter(|value| *value != usual);
        assert_eq!(drawn.clone().min(), Some(&least), "limit {number}");
        let mut kinds: Vec<&u64> = drawn.collect();
        kinds.sort_unstable();
        kinds.dedup();
        assert!(kinds.len() > 10, "limit {number} is one of {kinds:?}");
        assert!(kinds.iter().all(|value| **value < 1 << 20), "limit {number} is one of {kinds:?}");
    }
}

/// `buffered` is the last.
fn limits(limits: &Limits) -> [u64; 21] {
    [
        limits.remoters,
        limits.remoters_per_ip,
        limits.accepts_per_tick,
        limits.accept_deque,
        limits.handshakes,
        limits.handshakes_per_ip,
        limits.handshakes_per_tick,
        limits.connects_per_tick,
        limits.lookups,
        limits.rx_bytes,
        limits.tx_bytes,
        limits.turns_per_tick,
        limits.remoter_tick_bytes,
        limits.tick_bytes,
        limits.tick_bytes_out,
        limits.burst_bytes,
        limits.grams_per_tick,
        limits.burst_grams,
        limits.events,
        limits.scratch,
        limits.buffered,
    ]
    .map(|limit| limit as u64)
}

fn gram_limits(config: &GramConfig) -> [u64; 10] {
    [
        config.max_gram,
        config.rx_grams,
        config.rx_bytes,
        config.tx_grams,
        config.tx_bytes,
        config.tick_grams,
        config.burst_grams,
        config.tick_bytes,
        config.events,
        config.buffer_grams,
    ]
    .map(|limit| limit as u64)
}

/// Each of the times is as it was, off, or drawn; nothing is drawn as zero, which would be off too.
#[test]
fn timeouts_are_left_alone_or_off_or_anything() {
    let mut rng = Rng::new(3);
    let times = |times: &Timeouts, stall| {
        let Timeouts { connect, handshake, first_byte, idle, lifetime, .. } = *times;
        let Timeouts { write_stall, linger, drain, .. } = *times;
        [connect, handshake, first_byte, idle, lifetime, write_stall, linger, drain, stall]
    };
    let usual = times(&Timeouts::new(), GramConfig::new().stall);
    let (mut seen, mut pauses) = ([[0_u32; 3]; 9], Drawn::default());
    for _ in 0..4000 {
        let (config, gram) = (draw_config(&mut rng), draw_gram_config(&mut rng));
        for (number, time) in times(&config.timeouts, gram.stall).into_iter().enumerate() {
            assert_ne!(time, Some(Duration::ZERO));
            let most = Duration::from_micros((1 << if number == 8 { 22 } else { 25 }) - 1);
            assert!(time == usual[number] || time.is_none_or(|time| time <= most), "{time:?}");
            let kind = if time.is_none() { 0 } else { 1 + usize::from(time == usual[number]) };
            seen[number][kind] += 1;
        }
        pauses.see("accept pause", micros(config.timeouts.accept_pause));
        pauses.see("pause", micros(gram.pause));
        pauses.see("rate", u64::from(config.timeouts.min_rate.is_some()));
        if let Some(rate) = config.timeouts.min_rate {
            pauses.see("bytes", rate.bytes);
            pauses.see("window", micros(rate.window));
        }
    }
    for (number, [off, drawn, left]) in seen.into_iter().enumerate() {
        let off = if usual[number].is_none() { off - 3000 } else { off };
        let left = if usual[number].is_none() { 3000 } else { left };
        assert!((150..250).contains(&off), "{off} of 4000 off at {number}");
        assert!((700..900).contains(&drawn), "{drawn} of 4000 drawn at {number}");
        assert!((2900..3100).contains(&left), "{left} of 4000 left alone at {number}");
    }
    pauses.lies_between("accept pause", 1, (1 << 22) - 1);
    pauses.lies_between("pause", 1, (1 << 22) - 1);
    pauses.lies_between("bytes", 1, (1 << 12) - 1);
    pauses.lies_between("window", 1, (1 << 24) - 1);
    pauses.is_likely("accept pause", 100_000, 75..=85);
    pauses.is_likely("pause", 100_000, 70..=80);
    pauses.is_likely("rate", 1, 7..=13);
}

#[test]
fn ways_of_dealing_with_it_are_the_usual_ones_more_often_than_not() {
    let mut rng = Rng::new(4);
    let mut seeds = Vec::new();
    let mut odd = [0; 8];
    for _ in 0..2000 {
        let config: Config = draw_config(&mut rng);
        let gram = draw_gram_config(&mut rng);
        seeds.extend(config.seed);
        let what = [
            !config.refreshable,
            config.refresh_handshake,
            config.half_open,
            config.rx_full == RxFull::Close,
            config.tx_full == TxFull::Close,
            config.over_limit == OverLimit::Wait,
            config.seed.is_some(),
            gram.rx_full == GramsFull::DropOldest,
        ];
        what.into_iter().zip(&mut odd).for_each(|(odd, count)| *count += u32::from(odd));
    }
    let percent = odd.map(|count| (count + 10) / 20);
    for (percent, wanted) in percent.into_iter().zip([20, 20, 20, 10, 10, 50, 50, 30]) {
        assert!(percent.abs_diff(wanted) < 5, "{percent} of 100 instead of {wanted}");
    }
    let drawn = seeds.len();
    seeds.sort_unstable();
    seeds.dedup();
    assert_eq!(seeds.len(), drawn, "each has a seed of its own");
}

#[test]
fn a_plan_has_the_hosts_links_and_time_of_its_shape() {
    let mut drawn = Drawn::default();
    for seed in 0..3000 {
        let plan = Plan::draw(seed, &Shape::default());
        let roles = [Role::Server, Role::Client].map(|role| plan.hosts(role));
        let [servers, clients] = roles.each_ref().map(|hosts| hosts.len() as u64);
        drawn.see("servers", servers);
        drawn.see("clients", clients);
        drawn.see("faults", plan.faults.len() as u64);
        // Servers first, by number, all of them kept, each with a link to all others.
        let names: Vec<&str> = plan.places.iter().map(|place| &*place.spec.name).collect();
        let wanted = (0..servers).map(|it| format!("server{it}"));
        let wanted: Vec<String> =
            wanted.chain((0..clients).map(|it| format!("client{it}"))).collect();
        assert_eq!(names, wanted);
        let ids = roles.iter().flatten().map(|id| id.index());
        assert!(ids.eq(0..plan.places.len()), "{roles:?}");
        let pairs: Vec<(usize, usize)> = plan.links.iter().map(|it| (it.0, it.1)).collect();
        let all = (1..names.len()).flat_map(|to| (0..to).map(move |from| (from, to)));
        assert_eq!(pairs, all.collect::<Vec<_>>());
        // In which doubling of the least time it lies.
        let safety = micros(plan.safety);
        assert!((100_000..=10_000_000).contains(&safety), "{safety}");
        drawn.see("doubling", u64::from((safety / 100_000).ilog2()));
        drawn.see("longest", u64::from(safety == 10_000_000));
        assert_eq!((plan.budget, plan.steps), (Duration::from_secs(600), 4_000_000));
        assert_eq!(plan.to_string(), seed.to_string());
    }
    for (name, range) in [("servers", 1..=2), ("clients", 1..=5), ("faults", 0..=8)] {
        assert_eq!(drawn.0[name].keys().copied().collect::<Vec<_>>(), range.collect::<Vec<_>>());
    }
    for doubling in 0..7 {
        drawn.is_likely("doubling", doubling, 11..=17);
    }
    drawn.is_likely("longest", 1, 3..=9);
}

/// Leaving out parts of a plan must not change the rest of it.
#[test]
fn a_host_is_the_same_whatever_else_there_is() {
    for seed in 0..20 {
        let (few, many) = (Plan::draw(seed, &shape(1, 2)), Plan::draw(seed, &shape(1, 6)));
        for (one, other) in few.places.iter().zip(&many.places) {
            assert_eq!(format!("{one:?}"), format!("{other:?}"));
        }
        assert_eq!(few.links, many.links[..few.links.len()]);
    }
}
