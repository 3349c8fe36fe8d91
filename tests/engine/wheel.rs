//! The timer wheel against a model that is too simple to be wrong.

#![allow(clippy::unwrap_used, reason = "a test says so by failing")]

use proptest::prelude::*;
use proptest::sample::Index;
use tymist::tyme::{Timer, Tyme, Wheel};

fn at(nanos: u64) -> Tyme {
    Tyme::from_nanos(nanos)
}

/// Fires all that is due at `now` and returns the payloads.
fn fire(wheel: &mut Wheel<u32>, now: u64) -> Vec<u32> {
    let mut due = Vec::new();
    wheel.advance(at(now), &mut due);
    due.into_iter().map(|(_, payload)| payload).collect()
}

/// All armed deadlines in the order in which they fire.
struct Model {
    now: u64,
    orders: u64,
    armed: Vec<Armed>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Armed {
    deadline: u64,
    order: u64,
    payload: usize,
}

impl Model {
    fn put(&mut self, deadline: u64, payload: usize) {
        self.orders += 1;
        self.armed.push(Armed { deadline, order: self.orders, payload });
        self.armed.sort_unstable();
    }

    fn take(&mut self, payload: usize) -> Option<Armed> {
        let index = self.armed.iter().position(|armed| armed.payload == payload)?;
        Some(self.armed.remove(index))
    }

    fn get(&self, payload: usize) -> Option<u64> {
        self.armed.iter().find(|armed| armed.payload == payload).map(|armed| armed.deadline)
    }

    fn advance(&mut self, now: u64) -> Vec<(Tyme, usize)> {
        self.now = self.now.max(now);
        let split = self.armed.partition_point(|armed| armed.deadline <= self.now);
        self.armed.drain(..split).map(|armed| (at(armed.deadline), armed.payload)).collect()
    }
}

/// A point in time, in words that make interesting ones likely.
#[derive(Clone, Debug)]
enum When {
    /// From now, within a slot or a few.
    Near(u64),
    /// From now, up to 18 minutes.
    Far(u64),
    /// Anywhere at all.
    Any(u64),
    /// Now with one bit turned over: just where the levels meet.
    Bit(u32, i8),
    /// So far before now.
    Past(u64),
    /// The same as an armed one, or next to it.
    Like(Index, i8),
}

impl When {
    fn resolve(&self, model: &Model) -> u64 {
        let now = model.now;
        match *self {
            When::Near(nanos) | When::Far(nanos) => now.saturating_add(nanos),
            When::Any(nanos) => nanos,
            When::Bit(bit, by) => (now ^ (1 << bit)).saturating_add_signed(by.into()),
            When::Past(nanos) => now.saturating_sub(nanos),
            When::Like(..) if model.armed.is_empty() => now,
            When::Like(index, by) => {
                index.get(&model.armed).deadline.saturating_add_signed(by.into())
            }
        }
    }
}

fn whens() -> impl Strategy<Value = When> {
    prop_oneof![
        4 => (0..200_u64).prop_map(When::Near),
        3 => (0..1_u64 << 40).prop_map(When::Far),
        1 => any::<u64>().prop_map(When::Any),
        2 => (0..64_u32, -1..=1_i8).prop_map(|(bit, by)| When::Bit(bit, by)),
        1 => (0..200_u64).prop_map(When::Past),
        4 => (any::<Index>(), -1..=1_i8).prop_map(|(index, by)| When::Like(index, by)),
    ]
}

#[derive(Clone, Debug)]
enum Op {
    Arm(When),
    /// Any timer ever made, so mostly a stale one after a while.
    Rearm(Index, When),
    /// One that is armed for certain.
    RearmArmed(Index, When),
    Cancel(Index),
    CancelArmed(Index),
    Next,
    Advance(When),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        6 => whens().prop_map(Op::Arm),
        1 => (any::<Index>(), whens()).prop_map(|(index, when)| Op::Rearm(index, when)),
        2 => (any::<Index>(), whens()).prop_map(|(index, when)| Op::RearmArmed(index, when)),
        1 => any::<Index>().prop_map(Op::Cancel),
        1 => any::<Index>().prop_map(Op::CancelArmed),
        3 => Just(Op::Next),
        3 => whens().prop_map(Op::Advance),
    ];
    prop::collection::vec(op, 1..if cfg!(miri) { 40 } else { 250 })
}

/// The timers ever made; the payload of each is its place.
fn run(start: u64, ops: &[Op]) -> Result<(), TestCaseError> {
    let mut wheel: Wheel<usize> = Wheel::new(at(start));
    let mut model = Model { now: start, orders: 0, armed: Vec::new() };
    let mut timers: Vec<Timer> = Vec::new();
    for op in ops {
        match op {
            Op::Arm(when) => {
                let deadline = when.resolve(&model);
                let timer = wheel.arm(at(deadline), timers.len());
                prop_assert!(!timers.contains(&timer), "a handle twice");
                model.put(deadline, timers.len());
                timers.push(timer);
            }
            Op::Rearm(index, when) if !timers.is_empty() => {
                rearm(&mut wheel, &mut model, &timers, index.index(timers.len()), when)?;
            }
            Op::RearmArmed(index, when) if !model.armed.is_empty() => {
                let payload = index.get(&model.armed).payload;
                rearm(&mut wheel, &mut model, &timers, payload, when)?;
            }
            Op::Cancel(index) if !timers.is_empty() => {
                cancel(&mut wheel, &mut model, &timers, index.index(timers.len()))?;
            }
            Op::CancelArmed(index) if !model.armed.is_empty() => {
                let payload = index.get(&model.armed).payload;
                cancel(&mut wheel, &mut model, &timers, payload)?;
            }
            Op::Rearm(..) | Op::RearmArmed(..) | Op::Cancel(_) | Op::CancelArmed(_) => {}
            Op::Next => {
                let next = model.armed.first().map(|armed| at(armed.deadline));
                prop_assert_eq!(wheel.next(), next);
            }
            Op::Advance(when) => {
                let now = when.resolve(&model);
                let mut due = vec![(at(1), usize::MAX)];
                wheel.advance(at(now), &mut due);
                prop_assert_eq!(due.remove(0), (at(1), usize::MAX), "what was in there stays");
                prop_assert_eq!(due, model.advance(now));
            }
        }
        prop_assert_eq!(wheel.len(), model.armed.len());
        prop_assert_eq!(wheel.is_empty(), model.armed.is_empty());
    }
    for (payload, timer) in timers.iter().enumerate() {
        prop_assert_eq!(wheel.deadline(*timer), model.get(payload).map(at));
    }
    let mut rest = Vec::new();
    wheel.advance(Tyme::NEVER, &mut rest);
    prop_assert_eq!(rest, model.advance(u64::MAX));
    prop_assert_eq!((wheel.len(), wheel.next()), (0, None));
    Ok(())
}

fn rearm(
    wheel: &mut Wheel<usize>,
    model: &mut Model,
    timers: &[Timer],
    payload: usize,
    when: &When,
) -> Result<(), TestCaseError> {
    let deadline = when.resolve(model);
    let was_armed = model.take(payload).is_some();
    prop_assert_eq!(wheel.rearm(timers[payload], at(deadline)), was_armed);
    if was_armed {
        model.put(deadline, payload);
        prop_assert_eq!(wheel.deadline(timers[payload]), Some(at(deadline)));
    }
    Ok(())
}

fn cancel(
    wheel: &mut Wheel<usize>,
    model: &mut Model,
    timers: &[Timer],
    payload: usize,
) -> Result<(), TestCaseError> {
    let taken = model.take(payload).map(|armed| armed.payload);
    prop_assert_eq!(wheel.cancel(timers[payload]), taken);
    prop_assert_eq!(wheel.deadline(timers[payload]), None);
    prop_assert_eq!(wheel.cancel(timers[payload]), None, "twice");
    Ok(())
}

proptest! {
    #[test]
    fn the_wheel_does_what_the_model_does(
        start in prop_oneof![Just(0), Just(u64::MAX), 0..1_000_000_u64, any::<u64>()],
        ops in ops(),
    ) {
        run(start, &ops)?;
    }
}

/// At each place where two levels meet, from below and from above.
#[test]
fn a_deadline_fires_at_its_nanosecond_and_not_one_earlier() {
    for bit in 0..64 {
        for start in [0, 1, (1 << bit) - 1, (1 << bit) / 2 + 3] {
            for deadline in [(1_u64 << bit).saturating_sub(1), 1 << bit, (1 << bit) + 1] {
                if deadline <= start {
                    continue;
                }
                let mut wheel = Wheel::new(at(start));
                wheel.arm(at(deadline), 7);
                assert_eq!(fire(&mut wheel, deadline - 1), [], "{start} to {deadline}, before");
                assert_eq!(wheel.next(), Some(at(deadline)));
                assert_eq!(fire(&mut wheel, deadline), [7], "{start} to {deadline}, at");
                assert_eq!(fire(&mut wheel, deadline + 1), [], "{start} to {deadline}, twice");

                let mut wheel = Wheel::new(at(start));
                wheel.arm(at(deadline), 7);
                assert_eq!(fire(&mut wheel, deadline + 1), [7], "{start} to {deadline}, after");
            }
        }
    }
}

#[test]
fn what_is_late_when_armed_fires_at_the_next_advance() {
    let mut wheel = Wheel::new(at(1_000));
    wheel.arm(at(1_000), 1);
    wheel.arm(at(3), 2);
    assert_eq!(wheel.next(), Some(at(3)), "the exact deadline, though passed");
    assert_eq!(fire(&mut wheel, 1_000), [2, 1]);
    wheel.arm(at(1_000), 3);
    assert_eq!(fire(&mut wheel, 5), [3], "an earlier now counts as the same");
    wheel.arm(at(1_001), 4);
    assert_eq!(fire(&mut wheel, 5), [], "and does not turn the wheel back");
    assert_eq!(fire(&mut wheel, 1_001), [4]);
}

/// Its slot has to be split even where nothing in it is due, or what is armed next would hide it.
#[test]
fn what_is_in_a_slot_that_begins_now_comes_before_what_is_armed_behind_it() {
    for level in 1..10 {
        let start = 1 << (6 * level);
        let mut wheel = Wheel::new(at(0));
        wheel.arm(at(start + 6), 1);
        assert_eq!(fire(&mut wheel, start), []);
        wheel.arm(at(start + 20), 2);
        assert_eq!(fire(&mut wheel, start + 10), [1], "level {level}");
        assert_eq!(fire(&mut wheel, start + 20), [2], "level {level}");
    }
}

#[test]
fn equal_deadlines_fire_in_the_order_in_which_they_were_armed() {
    let deadline = 1_u64 << 40;
    let mut wheel = Wheel::new(at(0));
    let first = wheel.arm(at(deadline), 0);
    for payload in 1..100 {
        // Some from afar, some when the deadline has come closer and stands at another level.
        fire(&mut wheel, deadline - (1 << (40 - payload / 3)));
        wheel.arm(at(deadline), payload);
    }
    assert!(wheel.rearm(first, at(deadline)), "armed anew is last in the line");
    let expected: Vec<u32> = (1..100).chain([0]).collect();
    assert_eq!(fire(&mut wheel, deadline), expected);
}

/// More than a sort leaves alone by chance.
#[test]
fn a_crowd_that_is_due_at_once_fires_in_order() {
    let mut wheel = Wheel::new(at(0));
    let mut expected = Vec::new();
    for n in 0..if cfg!(miri) { 100 } else { 2_000_u32 } {
        let deadline = 1 + u64::from(n.wrapping_mul(2_654_435_761) % 97); // about 20 to each
        wheel.arm(at(deadline), n);
        expected.push((deadline, n));
    }
    expected.sort_unstable();
    let payloads: Vec<u32> = expected.into_iter().map(|(_, n)| n).collect();
    assert_eq!(fire(&mut wheel, 100), payloads);
}

#[test]
fn a_stale_timer_touches_nobody_who_came_after() {
    let mut wheel = Wheel::new(at(0));
    let fired = wheel.arm(at(10), 1);
    let cancelled = wheel.arm(at(20), 2);
    assert_eq!(wheel.cancel(cancelled), Some(2));
    assert_eq!(fire(&mut wheel, 10), [1]);

    let heirs = [wheel.arm(at(30), 3), wheel.arm(at(40), 4)]; // in the places of the two
    for stale in [fired, cancelled] {
        assert!(!wheel.rearm(stale, at(99)));
        assert_eq!(wheel.cancel(stale), None);
        assert_eq!(wheel.deadline(stale), None);
    }
    assert_eq!(heirs.map(|heir| wheel.deadline(heir)), [Some(at(30)), Some(at(40))]);
    assert_eq!(wheel.len(), 2);
}

#[test]
fn the_end_of_time_can_be_armed_and_reached() {
    let mut wheel = Wheel::new(Tyme::ZERO);
    wheel.arm(Tyme::NEVER, 1);
    wheel.arm(at(u64::MAX - 1), 2);
    assert_eq!(wheel.next(), Some(at(u64::MAX - 1)));
    assert_eq!(fire(&mut wheel, u64::MAX - 1), [2]);
    assert_eq!(wheel.next(), Some(Tyme::NEVER));
    assert_eq!(fire(&mut wheel, u64::MAX), [1]);
}
