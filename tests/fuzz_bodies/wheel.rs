//! The timer wheel against a sorted map.

use std::collections::BTreeMap;

use arbitrary::{Arbitrary, Result, Unstructured};
use tymist::tyme::{Timer, Tyme, Wheel};

/// A point in time, in words that make interesting ones likely.
#[derive(Arbitrary, Debug)]
enum When {
    Near(u8),
    Far(u32),
    Any(u64),
    /// Now with one bit turned over: just where the levels meet.
    Bit(u8, i8),
    Past(u16),
    /// As the next that is due, or beside it.
    Next(i8),
}

#[derive(Arbitrary, Debug)]
enum Op {
    Arm(When),
    Rearm(u8, When),
    Cancel(u8),
    Advance(When),
}

#[derive(Default)]
struct Model {
    now: u64,
    order: u64,
    /// By deadline and order of arming; the value is the place of the timer.
    armed: BTreeMap<(u64, u64), usize>,
    /// Where each timer ever made stands, if it is armed.
    places: Vec<Option<(u64, u64)>>,
}

impl Model {
    fn resolve(&self, when: &When) -> Tyme {
        let now = self.now;
        Tyme::from_nanos(match *when {
            When::Near(nanos) => now.saturating_add(nanos.into()),
            When::Far(nanos) => now.saturating_add(u64::from(nanos) << 8),
            When::Any(nanos) => nanos,
            When::Bit(bit, by) => (now ^ 1 << (bit % 64)).saturating_add_signed(by.into()),
            When::Past(nanos) => now.saturating_sub(nanos.into()),
            When::Next(by) => {
                let next = self.armed.first_key_value().map_or(now, |((deadline, _), _)| *deadline);
                next.saturating_add_signed(by.into())
            }
        })
    }

    fn put(&mut self, deadline: Tyme, timer: usize) {
        self.order += 1;
        let key = (deadline.as_nanos(), self.order);
        self.armed.insert(key, timer);
        self.places[timer] = Some(key);
    }

    fn take(&mut self, timer: usize) -> bool {
        self.places[timer].take().is_some_and(|key| self.armed.remove(&key).is_some())
    }

    fn advance(&mut self, now: Tyme) -> Vec<(Tyme, usize)> {
        self.now = self.now.max(now.as_nanos());
        let mut due = Vec::new();
        while let Some(entry) = self.armed.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let ((deadline, _), timer) = entry.remove_entry();
            self.places[timer] = None;
            due.push((Tyme::from_nanos(deadline), timer));
        }
        due
    }
}

/// Lists of operations on the wheel against the model.
pub fn wheel(bytes: &[u8]) {
    // What is cut short has been run so far.
    let _ = run(&mut Unstructured::new(bytes));
}

fn run(input: &mut Unstructured<'_>) -> Result<()> {
    let start = u64::arbitrary(input)? >> (u8::arbitrary(input)? % 64);
    let mut wheel: Wheel<usize> = Wheel::new(Tyme::from_nanos(start));
    let mut model = Model { now: start, ..Model::default() };
    let mut timers: Vec<Timer> = Vec::new();
    while !input.is_empty() {
        match Op::arbitrary(input)? {
            Op::Arm(when) => {
                let deadline = model.resolve(&when);
                model.places.push(None);
                model.put(deadline, timers.len());
                timers.push(wheel.arm(deadline, timers.len()));
            }
            Op::Rearm(number, when) if !timers.is_empty() => {
                let number = usize::from(number) % timers.len();
                let deadline = model.resolve(&when);
                let armed = model.take(number);
                assert_eq!(wheel.rearm(timers[number], deadline), armed);
                if armed {
                    model.put(deadline, number);
                }
            }
            Op::Cancel(number) if !timers.is_empty() => {
                let number = usize::from(number) % timers.len();
                let armed = model.take(number);
                assert_eq!(wheel.cancel(timers[number]), armed.then_some(number));
            }
            Op::Advance(when) => {
                let now = model.resolve(&when);
                let mut due = Vec::new();
                wheel.advance(now, &mut due);
                assert_eq!(due, model.advance(now));
            }
            Op::Rearm(..) | Op::Cancel(_) => {}
        }
        assert_eq!(wheel.len(), model.armed.len());
        let next = model.armed.first_key_value();
        assert_eq!(wheel.next(), next.map(|((deadline, _), _)| Tyme::from_nanos(*deadline)));
    }
    let mut due = Vec::new();
    wheel.advance(Tyme::NEVER, &mut due);
    assert_eq!(due, model.advance(Tyme::NEVER));
    assert!(wheel.is_empty());
    Ok(())
}
