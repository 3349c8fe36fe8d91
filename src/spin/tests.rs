#![allow(clippy::unwrap_used, reason = "a test says so by failing")]

use super::*;
use crate::random::SplitMix;

/// A machine and a peer, by what they take, in microseconds.
#[derive(Copy, Clone)]
struct Pace {
    /// From wait to wait where it sleeps, and the CPU time of that.
    asleep: u64,
    asleep_cpu: u64,
    /// From wait to wait where it looks, all of it CPU time.
    looking: u64,
    /// Bytes that come in at once where it looks; asleep, it is 64.
    bytes: u64,
}

/// An engine with that peer.
struct Run {
    spin: Spin,
    most: Duration,
    now: Tyme,
    cpu: Duration,
    work: Work,
    looks: u64,
    longest: Duration,
    measured: u64,
}

const MOST: Duration = Duration::from_micros(100);

impl Run {
    fn new(most: Duration) -> Self {
        Run {
            spin: Spin::new(),
            most,
            now: Tyme::from_secs(1),
            cpu: Duration::ZERO,
            work: Work::default(),
            looks: 0,
            longest: Duration::ZERO,
            measured: 0,
        }
    }

    /// So many waits; the CPU time that they took in terms of that of sleeping in each, for each byte.
    fn waits(&mut self, count: u64, pace: Pace) -> f64 {
        let (cpu, bytes) = (self.cpu, self.work.bytes);
        for _ in 0..count {
            let sample = Sample::new(self.cpu, self.work);
            let look = self.spin.begin(self.now, self.most, || {
                self.measured += 1;
                Some(sample)
            });
            let looks = look > Duration::ZERO;
            self.looks += u64::from(looks);
            self.longest = self.longest.max(look);
            let most = u64::try_from(look.as_micros()).unwrap();
            let (time, cpu, bytes) = match looks {
                true if pace.looking <= most => (pace.looking, pace.looking, pace.bytes),
                true => (pace.looking, most + pace.asleep_cpu, 64),
                false => (pace.asleep, pace.asleep_cpu, 64),
            };
            self.now += Duration::from_micros(time);
            self.cpu += Duration::from_micros(cpu);
            self.work = Work { calls: self.work.calls + 1, bytes: self.work.bytes + bytes };
        }
        let per_byte =
            (self.cpu - cpu).as_nanos() as f64 / 1000.0 / (self.work.bytes - bytes) as f64;
        per_byte / (pace.asleep_cpu as f64 / 64.0)
    }
}

/// A virtual machine, whose threads are woken slowly, and a peer that answers at once.
const AT_ONCE: Pace = Pace { asleep: 90, asleep_cpu: 40, looking: 27, bytes: 64 };

#[test]
fn who_is_answered_at_once_looks() {
    let mut run = Run::new(MOST);
    let cost = run.waits(100_000, AT_ONCE);
    assert!(run.looks > 97_000, "{} looks", run.looks);
    assert!(cost < 0.69, "{cost} of what sleeping takes"); // Looking takes 0.675.
    assert!(run.measured < 1000, "{} measured", run.measured);
}

#[test]
fn where_sleeping_takes_less_next_to_nobody_looks() {
    // A machine that wakes its threads fast, and a peer that takes its time.
    let mut run = Run::new(MOST);
    let pace = Pace { asleep: 45, asleep_cpu: 5, looking: 40, bytes: 64 };
    let cost = run.waits(200_000, pace);
    assert!(run.looks < 1100, "{} looks", run.looks);
    assert!(cost < 1.05, "{cost} of what sleeping takes");
    let cost = run.waits(1_000_000, pace);
    assert!(cost < 1.02, "{cost} of what sleeping takes, later");
}

#[test]
fn what_comes_later_than_a_look_lasts_is_slept_for() {
    let mut run = Run::new(MOST);
    let cost = run.waits(200_000, Pace { asleep: 200, asleep_cpu: 40, looking: 150, bytes: 64 });
    assert!(cost < 1.002, "{cost} of what sleeping takes");
    assert!(run.looks < 100, "{} looks", run.looks);
}

#[test]
fn a_wait_that_is_not_soon_followed_by_another_never_looks() {
    for asleep in [301, 1_000, 1_000_000] {
        let mut run = Run::new(MOST);
        run.waits(10_000, Pace { asleep, ..AT_ONCE });
        assert_eq!((run.looks, run.measured), (0, 0), "{asleep} us");
    }
    let mut run = Run::new(MOST);
    run.waits(10_000, Pace { asleep: 300, ..AT_ONCE });
    assert!(run.looks > 9_000, "{} looks where it just is", run.looks);
}

#[test]
fn it_counts_what_a_byte_costs_too() {
    // Asleep, 64 bytes have come by the time it is awake; who looks takes them one by one.
    let mut run = Run::new(MOST);
    let pace = Pace { asleep: 30, asleep_cpu: 20, looking: 2, bytes: 1 };
    let cost = run.waits(1_000_000, pace);
    assert!(run.looks < 4000, "{} looks", run.looks);
    assert!(cost < 1.02, "{cost} of what sleeping takes");
}

#[test]
fn it_learns_anew_where_the_pace_changes() {
    let slow = Pace { asleep: 45, asleep_cpu: 5, looking: 40, bytes: 64 };
    let mut run = Run::new(MOST);
    run.waits(10_000, AT_ONCE);
    let looked = run.looks;
    run.waits(10_000, slow);
    let in_vain = run.looks - looked;
    assert!(in_vain < 2000, "{in_vain} looks where they are dear");
    let looked = run.looks;
    run.waits(100_000, AT_ONCE);
    assert!(run.looks - looked > 60_000, "{} looks once they pay again", run.looks - looked);
}

/// So many answers at once, then a pause, and so on; the looks of 100,000 waits.
fn bursts(of: u64) -> u64 {
    let mut run = Run::new(MOST);
    run.waits(10_000, AT_ONCE);
    let looked = run.looks;
    for _ in 0..100_000 / of {
        run.waits(of - 1, AT_ONCE);
        run.waits(1, Pace { asleep: 1_000, asleep_cpu: 40, looking: 1_000, bytes: 64 });
    }
    run.looks - looked
}

#[test]
fn a_pause_now_and_then_is_no_reason_to_stop() {
    // Eight of each hundred sleep, after the pause.
    let looks = bursts(100);
    assert!((85_000..93_000).contains(&looks), "{looks} looks");
}

#[test]
fn where_pauses_cost_as_much_as_is_won_nobody_looks() {
    let looks = bursts(20);
    assert!(looks < 2_000, "{looks} looks");
}

#[test]
fn chance_makes_next_to_nobody_look() {
    // As dear as sleeping, give or take three tenths.
    let mut run = Run::new(MOST);
    let mut chance = SplitMix::new(7);
    for _ in 0..10_000 {
        let looking = 70 + chance.up_to(60);
        run.waits(100, Pace { asleep: 150, asleep_cpu: 100, looking, bytes: 64 });
    }
    assert!(run.looks < 2500, "{} looks in a million waits", run.looks);
}

#[test]
fn nobody_looks_where_it_is_off_or_cannot_be_measured() {
    let mut run = Run::new(Duration::ZERO);
    run.waits(10_000, AT_ONCE);
    assert_eq!((run.looks, run.measured), (0, 0));

    let mut spin = Spin::new();
    let mut asked = 0;
    for at in 0..200_000 {
        let looks = spin.begin(Tyme::from_nanos(at * 30_000), MOST, || {
            asked += 1;
            None
        });
        assert_eq!(looks, Duration::ZERO);
    }
    assert!((1..10).contains(&asked), "asked {asked} times");
}

#[test]
fn clocks_that_stand_still_or_go_back_do_no_harm() {
    let mut spin = Spin::new();
    let mut looks = 0_u32;
    for at in 0..1_000_000_u64 {
        // A thread that was changed has a clock of its own.
        let cpu = Duration::from_micros(if at % 3 == 0 { 5 } else { at % 1000 });
        let calls = if at % 5 == 0 { at } else { at / 2 };
        let sample = Sample::new(cpu, Work { calls, bytes: calls });
        looks += u32::from(spin.begin(Tyme::ZERO, MOST, || Some(sample)) > Duration::ZERO);
    }
    assert!(looks < 20_000, "{looks} looks in a million waits");
}

#[test]
fn a_try_that_does_not_pay_costs_next_to_nothing() {
    for (every, asleep_cpu) in [(95, 3), (95, 5), (95, 10), (60, 5), (40, 5), (10, 2)] {
        let pace = Pace { asleep: every + 5, asleep_cpu, looking: every, bytes: 64 };
        let mut run = Run::new(MOST);
        let first = run.waits(20_000, pace);
        let later = run.waits(1_000_000, pace);
        assert!(first < 1.1, "every {every} us, {asleep_cpu} asleep: {first} at first");
        assert!(later < 1.005, "every {every} us, {asleep_cpu} asleep: {later} later");
    }
}

#[test]
fn what_sleeping_costs_is_measured_again_while_it_looks() {
    let mut run = Run::new(MOST);
    run.waits(20_000, AT_ONCE);
    let looked = run.looks;
    // Looking is as it was, and sleeping has become cheaper.
    run.waits(100_000, Pace { asleep_cpu: 5, ..AT_ONCE });
    let looks = run.looks - looked;
    assert!(looks < 10_000, "{looks} looks where sleeping is cheap");
}

#[test]
fn both_a_call_and_a_byte_must_take_less() {
    // Twice as much comes in at a time where it looks, as a peer that sends by the clock may do.
    let mut run = Run::new(MOST);
    run.waits(100_000, Pace { asleep: 60, asleep_cpu: 40, looking: 50, bytes: 128 });
    assert!(run.looks < 1_500, "{} looks", run.looks);
}

#[test]
fn a_dear_window_now_and_then_is_no_reason_to_stop() {
    let mut run = Run::new(MOST);
    for _ in 0..200 {
        run.waits(WINDOW.into(), Pace { looking: 70, ..AT_ONCE });
        run.waits(3000, AT_ONCE);
    }
    let share = run.looks as f64 / (200.0 * 3128.0);
    assert!(share > 0.96, "{share} of the waits look");
}

/// What somebody may do who knows all this: requests that are dear while sleeping is measured.
#[test]
fn a_single_dear_window_of_sleep_does_not_make_anybody_look() {
    let slow = Pace { asleep: 65, asleep_cpu: 15, looking: 60, bytes: 64 };
    let dear = Pace { asleep: 250, asleep_cpu: 200, ..slow };
    let mut run = Run::new(MOST);
    run.waits(20_000, slow);
    let (looked, mut waits) = (run.looks, 0);
    // Every other window of sleep that is measured.
    let mut is_dear = false;
    let mut was = run.spin.phase;
    while waits < 500_000 {
        if run.spin.phase != was {
            was = run.spin.phase;
            is_dear ^= was == Phase::Asleep;
        }
        run.waits(1, if is_dear && was == Phase::Asleep { dear } else { slow });
        waits += 1;
    }
    let looks = run.looks - looked;
    assert!(looks < 1_000, "{looks} looks");
}

#[test]
fn what_else_ends_waits_is_no_measure() {
    // Wakers, every 40 us; 5 us asleep; a read now and then.
    let mut run = Run::new(MOST);
    let mut chance = SplitMix::new(3);
    let looks = |run: &mut Run, reads: u64, chance: &mut SplitMix| {
        for _ in 0..500_000 {
            let before = run.work;
            run.waits(1, Pace { asleep: 45, asleep_cpu: 5, looking: 40, bytes: 64 });
            if chance.up_to(99) >= reads {
                run.work = before;
            }
        }
        core::mem::take(&mut run.looks)
    };
    assert_eq!(looks(&mut run, 0, &mut chance), 0, "where nothing is read");
    assert_eq!(looks(&mut run, 1, &mut chance), 0, "where a wait in a hundred reads");
    let some = looks(&mut run, 50, &mut chance);
    assert!(some < 500, "{some} looks where every other wait reads");
}

#[test]
fn a_look_is_never_longer_than_a_millisecond() {
    let mut run = Run::new(Duration::MAX);
    run.waits(2_000, AT_ONCE);
    assert!(run.looks > 1_000);
    assert_eq!(run.longest, Duration::from_millis(1));
    // Traffic that has become slow, but not too slow.
    let looked = run.looks;
    run.waits(10_000, Pace { asleep: 2_000, asleep_cpu: 40, looking: 1_900, bytes: 64 });
    assert!(run.looks - looked < 100, "{} looks", run.looks - looked);
}
