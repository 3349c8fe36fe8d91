//! What it costs, in things touched; and stamps.

use super::*;

const SECOND: u64 = 1_000_000_000;

fn at(nanos: u64) -> Tyme {
    Tyme::from_nanos(nanos)
}

/// How much `act` touches.
fn steps<T: Copy>(wheel: &mut Wheel<T>, act: impl FnOnce(&mut Wheel<T>)) -> u64 {
    let before = wheel.steps.get();
    act(wheel);
    wheel.steps.get() - before
}

#[test]
fn a_huge_jump_costs_no_more_than_what_is_armed() {
    let mut wheel = Wheel::new(Tyme::ZERO);
    let mut due = Vec::new();
    assert_eq!(steps(&mut wheel, |wheel| wheel.advance(at(1 << 62), &mut due)), 0);

    wheel.arm(at((1 << 63) + 12_345), ());
    let cost = steps(&mut wheel, |wheel| wheel.advance(at(1 << 63), &mut due));
    assert!(due.is_empty() && cost <= 2 * LEVELS as u64, "{cost} to pass by one timer");
    let cost = steps(&mut wheel, |wheel| wheel.advance(at(u64::MAX - 9), &mut due));
    assert_eq!(due.len(), 1);
    assert!((1..=2 * LEVELS as u64).contains(&cost), "{cost} to fire one timer");

    let mut wheel = Wheel::new(Tyme::ZERO);
    for n in 1..=1_000_u64 {
        wheel.arm(at(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)), ());
    }
    due.clear();
    let cost = steps(&mut wheel, |wheel| wheel.advance(Tyme::NEVER, &mut due));
    assert_eq!(due.len(), 1_000);
    assert!((1_000..=2 * 1_000 * (LEVELS as u64 + 1)).contains(&cost), "{cost} for 1,000");
}

#[test]
fn ticks_with_nothing_due_cost_next_to_nothing_whatever_is_armed() {
    let mut wheel = Wheel::new(at(77 * SECOND));
    for n in 0..10_000 {
        wheel.arm(at(177 * SECOND + n * 1_000_003), ());
    }
    let mut due = Vec::new();
    let cost = steps(&mut wheel, |wheel| {
        for tick in 0..100_000 {
            wheel.advance(at(77 * SECOND + tick * 1_000_000), &mut due);
            assert_eq!(wheel.next(), Some(at(177 * SECOND)));
        }
    });
    assert!(due.is_empty());
    // Each timer moves down a level now and then, and never more than once a level.
    assert!(cost <= 10_000 * LEVELS as u64, "{cost} in 100,000 ticks");
}

/// Connections with one timeout that go in the order in which they came, some of them in the same tick.
#[test]
fn the_next_deadline_is_found_at_once_among_equal_timeouts() {
    let mut wheel = Wheel::new(Tyme::ZERO);
    let timers: Vec<_> = (0..10_000).map(|n| wheel.arm(at(80 * SECOND + n / 2), n)).collect();
    let mut due = Vec::new();
    wheel.advance(at(SECOND), &mut due);
    let cost = steps(&mut wheel, |wheel| {
        for (index, timer) in timers.iter().enumerate() {
            assert_eq!(wheel.next(), wheel.deadline(*timer));
            assert_eq!(wheel.cancel(*timer), Some(index as u64));
        }
    });
    assert!(cost <= 10_000, "{cost} for 10,000");
}

/// Only what was the earliest has to be looked for again.
#[test]
fn moving_a_later_deadline_costs_no_look() {
    let mut wheel = Wheel::new(Tyme::ZERO);
    wheel.arm(at(SECOND), ());
    let later = wheel.arm(at(2 * SECOND), ());
    assert_eq!(wheel.next(), Some(at(SECOND)));
    let cost = steps(&mut wheel, |wheel| {
        assert!(wheel.rearm(later, at(3 * SECOND)));
        assert_eq!(wheel.next(), Some(at(SECOND)));
    });
    assert_eq!(cost, 0);
}

#[test]
fn stamps_are_never_zero_and_come_again_only_after_all_of_them() {
    let all = u64::from(u32::MAX);
    assert_eq!(
        [0, 1, all - 1, all, all + 1].map(|order| stamp_of(order).get()),
        [1, 2, u32::MAX, 1, 2]
    );
}
