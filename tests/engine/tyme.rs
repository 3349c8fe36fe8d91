//! The clock: who advances it, who reads it, and single deadlines.

#![allow(clippy::unwrap_used, reason = "a test says so by failing")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use tymist::tyme::{Backwards, Tyme, Tymer, Tymist, Tymth};

const SECOND: Duration = Duration::from_secs(1);
const NANO: Duration = Duration::from_nanos(1);

fn at(nanos: u64) -> Tyme {
    Tyme::from_nanos(nanos)
}

// hio's behaviours 1 to 10. Number 5 (an unwound object has no tyme, not tyme zero) has no case here: a handle comes
// only from a clock. Number 6 (winding reaches all that an object owns) is the engine's.

#[test]
fn behaviour_1_a_tymist_starts_at_zero_and_ticks_by_its_tock_or_by_what_it_is_told() {
    let mut tymist = Tymist::new();
    assert_eq!(tymist.tyme(), Tyme::ZERO);
    assert_eq!(tymist.tock(), SECOND / 32);
    assert_eq!(tymist.tock(), Tymist::TOCK);
    assert_eq!(tymist.tick(), at(31_250_000));
    assert_eq!(tymist.tick_by(Duration::from_millis(750)), at(781_250_000));
    assert_eq!(tymist.tyme(), at(781_250_000));
    assert_eq!(tymist.tick_by(Duration::ZERO), at(781_250_000));
}

#[test]
fn behaviour_2_a_new_tock_counts_from_the_next_tick() {
    let mut tymist = Tymist::new().with_tock(SECOND);
    tymist.tick();
    tymist.set_tock(Duration::from_millis(250));
    assert_eq!(tymist.tyme(), Tyme::from_secs(1), "changing the tock moves nothing");
    assert_eq!(tymist.tick(), at(1_250_000_000));
}

#[test]
fn behaviour_3_tyme_may_start_anywhere_and_be_set_forwards_only() {
    let mut tymist = Tymist::starting_at(Tyme::from_secs(100));
    assert_eq!(tymist.tyme(), Tyme::from_secs(100));
    assert_eq!(tymist.set(Tyme::from_secs(103)), Ok(Tyme::from_secs(103)));
    assert_eq!(tymist.set(Tyme::from_secs(103)), Ok(Tyme::from_secs(103)), "to where it stands");

    let refused = tymist.set(Tyme::from_secs(103).minus(NANO));
    assert_eq!(refused, Err(Backwards { now: Tyme::from_secs(103), asked: at(102_999_999_999) }));
    assert_eq!(tymist.tyme(), Tyme::from_secs(103), "stays where it was");
    let text = refused.unwrap_err().to_string();
    assert!(text.contains("103.000000000") && text.contains("102.999999999"), "{text}");
}

#[test]
fn behaviour_4_a_handle_always_reads_the_current_tyme() {
    let mut tymist = Tymist::new();
    let tymth = tymist.tymth();
    let copy = tymth.clone();
    for _ in 0..3 {
        let now = tymist.tick();
        assert_eq!((tymth.tyme(), copy.tyme()), (now, now));
    }
    assert!(tymth.same_clock(&copy));
    assert!(tymth.same_clock(&copy.skewed(SECOND, 5)));
    assert!(!tymth.same_clock(&Tymist::new().tymth()));

    let last = tymist.tyme();
    drop(tymist);
    assert_eq!(tymth.tyme(), last, "a handle outlives its clock and reads its last tyme");
}

#[test]
fn handles_go_to_other_threads() {
    fn sharable<T: Send + Sync + Clone + 'static>(_: &T) {}
    fn movable<T: Send + 'static>(_: &T) {}
    let tymist = Tymist::new();
    sharable(&tymist.tymth());
    movable(&tymist);
}

#[test]
fn behaviour_7_a_tymer_expires_at_the_very_nanosecond_of_its_stop() {
    let tymer = Tymer::new(Tyme::from_secs(2), SECOND);
    let stop = Tyme::from_secs(3);
    assert_eq!((tymer.start(), tymer.duration(), tymer.stop()), (Tyme::from_secs(2), SECOND, stop));

    let before = stop.minus(NANO);
    assert!(!tymer.expired(before));
    assert_eq!(tymer.elapsed(before), SECOND - NANO);
    assert_eq!((tymer.remaining(before), tymer.remaining_nanos(before)), (NANO, 1));
    assert_eq!(tymer.overdue(before), Duration::ZERO);

    assert!(tymer.expired(stop));
    assert_eq!((tymer.remaining(stop), tymer.remaining_nanos(stop)), (Duration::ZERO, 0));

    let after = stop + NANO;
    assert!(tymer.expired(after));
    assert_eq!((tymer.remaining(after), tymer.remaining_nanos(after)), (Duration::ZERO, -1));
    assert_eq!(tymer.overdue(after), NANO);
    assert_eq!(tymer.elapsed(after), SECOND + NANO);
}

#[test]
fn behaviour_7_a_tymer_of_zero_has_expired_at_once() {
    let now = Tyme::from_secs(7);
    let tymer = Tymer::new(now, Duration::ZERO);
    assert!(tymer.expired(now));
    assert!(!tymer.expired(now.minus(NANO)));
}

#[test]
fn remaining_nanos_saturates_instead_of_wrapping() {
    let far = Tymer::new(Tyme::NEVER, SECOND);
    assert_eq!(far.remaining_nanos(Tyme::ZERO), i64::MAX);
    let old = Tymer::new(Tyme::ZERO, Duration::ZERO);
    assert_eq!(old.remaining_nanos(Tyme::NEVER), i64::MIN);
    assert_eq!(old.remaining_nanos(at(i64::MAX.unsigned_abs())), -i64::MAX);
}

#[test]
fn behaviour_8_a_tymer_may_start_before_or_after_now() {
    let now = Tyme::from_secs(10);
    let tymer = Tymer::new(Tyme::from_secs(4), Duration::from_secs(5));
    assert_eq!(tymer.stop(), Tyme::from_secs(9));
    assert!(tymer.expired(now));
    assert_eq!(tymer.elapsed(now), Duration::from_secs(6));

    let tymer = Tymer::new(Tyme::from_secs(12), Duration::from_secs(5));
    assert!(!tymer.expired(now));
    assert_eq!(tymer.elapsed(now), Duration::ZERO, "not begun");
    assert_eq!(tymer.remaining(now), Duration::from_secs(7));
}

#[test]
fn behaviour_9_extend_and_restart_are_lossless_and_refresh_is_not() {
    let late = at(2_700_000_000);
    let mut beat = Tymer::new(Tyme::from_secs(1), SECOND);
    let mut idle = beat;
    beat.extend();
    assert_eq!((beat.start(), beat.stop()), (Tyme::from_secs(2), Tyme::from_secs(3)));
    beat.restart(SECOND / 2);
    assert_eq!((beat.start(), beat.stop()), (Tyme::from_secs(3), at(3_500_000_000)));
    assert_eq!(beat.duration(), SECOND / 2);

    idle.refresh(late);
    assert_eq!((idle.start(), idle.stop()), (late, late + SECOND));
    assert_eq!(idle.duration(), SECOND);
}

/// hio defect 13: `refresh()` added the duration to the old deadline.
#[test]
fn refresh_counts_from_now_and_not_from_the_old_deadline() {
    let mut often = Tymer::new(Tyme::ZERO, SECOND);
    for _ in 0..10 {
        often.refresh(Tyme::ZERO);
    }
    assert_eq!(often.stop(), Tyme::from_secs(1), "ten refreshes at once do not add up");

    let mut seldom = Tymer::new(Tyme::ZERO, SECOND);
    seldom.refresh(Tyme::from_secs(10));
    assert!(!seldom.expired(Tyme::from_secs(10)), "a refresh after a long silence is not expired");
}

#[test]
fn behaviour_10_a_tymer_on_another_clock_starts_at_its_now_and_keeps_its_duration() {
    let mut tymer = Tymer::new(Tyme::from_secs(900), SECOND);
    let other = Tymist::starting_at(Tyme::from_secs(3));
    tymer.refresh(other.tymth().tyme());
    assert_eq!((tymer.stop(), tymer.duration()), (Tyme::from_secs(4), SECOND));
}

#[test]
fn catch_up_skips_the_beats_that_have_passed() {
    let mut beat = Tymer::new(Tyme::ZERO, SECOND);
    assert_eq!(beat.catch_up(Tyme::from_secs(1).minus(NANO)), 0, "none has come");
    assert_eq!(beat.catch_up(Tyme::from_secs(1)), 1);
    assert_eq!(beat.stop(), Tyme::from_secs(2));
    assert_eq!(beat.catch_up(at(9_900_000_000)), 8, "2, 3, 4, 5, 6, 7, 8 and 9 s");
    assert_eq!(beat.stop(), Tyme::from_secs(10), "still on whole seconds");

    let mut zero = Tymer::new(Tyme::ZERO, Duration::ZERO);
    assert_eq!(zero.catch_up(Tyme::from_secs(5)), 1);
    assert_eq!(zero.start(), Tyme::from_secs(5));
}

/// hio defect 33: a million ticks of 0.1 came to 100000.00000133.
#[test]
fn a_million_ticks_of_a_tenth_are_exact() {
    let tenth = Duration::from_millis(100);
    let mut tymist = Tymist::new().with_tock(tenth);
    let mut beat = Tymer::new(Tyme::ZERO, tenth);
    for _ in 0..1_000_000 {
        tymist.tick();
        beat.extend();
    }
    assert_eq!(tymist.tyme(), Tyme::from_secs(100_000));
    assert_eq!(beat.start(), Tyme::from_secs(100_000));
}

#[test]
fn a_clock_stops_at_the_end_of_time() {
    let mut tymist = Tymist::starting_at(Tyme::NEVER.minus(NANO)).with_tock(SECOND);
    assert_eq!(tymist.tick(), Tyme::NEVER);
    assert_eq!(tymist.tick_by(Duration::MAX), Tyme::NEVER);
    assert_eq!(Tyme::ZERO + Duration::MAX, Tyme::NEVER);
    assert_eq!(Tyme::from_secs(u64::MAX), Tyme::NEVER);
}

/// A clock of the outside world under the test's hand.
fn outside(start: Tyme) -> (Arc<Mutex<Tyme>>, Tymist) {
    let shared = Arc::new(Mutex::new(start));
    let read = Arc::clone(&shared);
    (shared, Tymist::following(move || *read.lock().unwrap()))
}

#[test]
fn a_following_clock_takes_the_progress_of_another_at_each_tick() {
    let (world, mut tymist) = outside(Tyme::from_secs(500));
    assert!(tymist.is_following() && !Tymist::new().is_following());
    assert_eq!(tymist.tick(), Tyme::ZERO, "its own origin");
    *world.lock().unwrap() = Tyme::from_secs(502);
    assert_eq!(tymist.tyme(), Tyme::ZERO, "not before the tick");
    assert_eq!(tymist.tick(), Tyme::from_secs(2));
}

#[test]
fn a_following_clock_stands_still_where_the_other_steps_back() {
    let (world, mut tymist) = outside(Tyme::from_secs(10));
    *world.lock().unwrap() = Tyme::from_secs(15);
    assert_eq!(tymist.tick(), Tyme::from_secs(5));
    for (theirs, ours) in [(3, 5), (12, 5), (15, 5), (16, 6)] {
        *world.lock().unwrap() = Tyme::from_secs(theirs);
        assert_eq!(tymist.tick(), Tyme::from_secs(ours), "while the other says {theirs}");
    }
}

#[test]
fn a_following_clock_put_ahead_waits_for_the_other() {
    let (world, mut tymist) = outside(Tyme::ZERO);
    tymist.tick_by(Duration::from_secs(4));
    *world.lock().unwrap() = Tyme::from_secs(3);
    assert_eq!(tymist.tick(), Tyme::from_secs(4));
    tymist.set(Tyme::from_secs(6)).unwrap();
    *world.lock().unwrap() = Tyme::from_secs(7);
    assert_eq!(tymist.tick(), Tyme::from_secs(7));
}

#[test]
fn tyme_prints_as_seconds() {
    assert_eq!(at(12_000_000_001).to_string(), "12.000000001");
    assert_eq!(format!("{:?}", Tyme::NEVER), "never");
    assert_eq!(Tyme::NEVER.minus(NANO).to_string(), "18446744073.709551614");
    assert!((at(1_500_000_000).as_secs_f64() - 1.5).abs() < 1e-12);
}

#[test]
fn clocks_and_their_handles_print_what_they_show() {
    let tymist = Tymist::starting_at(at(7));
    assert_eq!(format!("{:?}", tymist.tymth()), "Tymth(0.000000007)");
    let text = format!("{tymist:?}");
    assert!(text.contains("0.000000007") && text.contains("31.25ms"), "{text}");
    let mut wheel = tymist::tyme::Wheel::new(at(9));
    wheel.arm(at(10), ());
    let text = format!("{wheel:?}");
    assert!(text.contains("len: 1") && text.contains("0.000000009"), "{text}");
}

#[test]
fn time_between_two_points() {
    let mut tyme = at(5);
    tyme += NANO;
    assert_eq!(tyme, at(6));
    let (early, late) = (Tyme::from_secs(1), Tyme::from_secs(3));
    assert_eq!(late - early, 2 * SECOND);
    assert_eq!(early - late, Duration::ZERO);
    assert_eq!(late.checked_since(early), Some(2 * SECOND));
    assert_eq!(early.checked_since(late), None);
    assert_eq!(late.checked_since(late), Some(Duration::ZERO));
}

#[test]
fn a_skewed_handle_is_ahead_and_drifts() {
    let mut tymist = Tymist::new();
    let plain = tymist.tymth();
    let fast = plain.skewed(SECOND, 1_000); // one part in a million
    let slow = plain.skewed(Duration::ZERO, -500_000_000); // half speed
    assert_eq!((fast.tyme(), slow.tyme()), (Tyme::from_secs(1), Tyme::ZERO));
    tymist.tick_by(Duration::from_secs(1_000));
    assert_eq!(fast.tyme(), at(1_001_001_000_000));
    assert_eq!(slow.tyme(), Tyme::from_secs(500));
    assert_eq!(plain.tyme(), Tyme::from_secs(1_000), "the plain handle is not skewed");

    let again = fast.skewed(2 * SECOND, 0);
    assert_eq!(again.tyme(), Tyme::from_secs(1_002), "a new skew replaces the old one");
    assert_eq!(fast.due(Tyme::NEVER), Tyme::NEVER);
    assert_eq!(plain.due(Tyme::from_secs(5)), Tyme::from_secs(5));
}

#[test]
fn drift_is_cut_where_a_clock_would_stand_still_or_go_back() {
    let hour = Tyme::from_secs(3_600);
    for too_much in [-1_000_000_000, -2_000_000_000, i32::MIN] {
        let skew = (Duration::ZERO, too_much);
        assert_eq!(read_at(skew, hour), at(3_600), "at a thousand-millionth of the speed");
    }
    assert_eq!(read_at((Duration::ZERO, i32::MAX), hour), at(7_199_999_996_400));
}

/// What a handle with that skew reads at `tyme` of the clock below it.
fn read_at(skew: (Duration, i32), tyme: Tyme) -> Tyme {
    Tymist::starting_at(tyme).tymth().skewed(skew.0, skew.1).tyme()
}

fn tymes() -> impl Strategy<Value = Tyme> {
    prop_oneof![
        0..10_000_u64,
        0..200_000_000_000_000_000_u64, // six years
        any::<u64>(),
    ]
    .prop_map(at)
}

fn skews() -> impl Strategy<Value = (Duration, i32)> {
    let ahead = prop_oneof![
        Just(Duration::ZERO),
        (0..10_000_u64).prop_map(Duration::from_nanos),
        any::<u64>().prop_map(Duration::from_nanos),
    ];
    let drift = prop_oneof![
        Just(0),
        -200_000..200_000,
        any::<i32>(),
        Just(i32::MIN),
        Just(i32::MAX),
        -1_000_000_002..-999_999_997,
    ];
    (ahead, drift)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn due_is_the_first_nanosecond_at_which_a_skewed_handle_reads_that_tyme(
        skew in skews(), tyme in tymes(),
    ) {
        prop_assume!(tyme != Tyme::NEVER);
        let handle: Tymth = Tymist::new().tymth().skewed(skew.0, skew.1);
        let due = handle.due(tyme);
        if due == Tyme::NEVER {
            // A host so slow that it does not get there within the clock's 584 years.
            prop_assert!(read_at(skew, Tyme::NEVER.minus(NANO)) < tyme);
        } else {
            prop_assert!(read_at(skew, due) >= tyme, "reads {} at due", read_at(skew, due));
        }
        if due > Tyme::ZERO {
            let before = read_at(skew, due.minus(NANO));
            prop_assert!(before < tyme, "reads {before} one nanosecond before due");
        }
    }

    #[test]
    fn a_skewed_handle_never_goes_back(skew in skews(), one in tymes(), other in tymes()) {
        let (early, late) = (one.min(other), one.max(other));
        prop_assert!(read_at(skew, early) <= read_at(skew, late));
    }

    #[test]
    fn catch_up_is_extend_until_the_deadline_is_ahead(
        start in 0..1_000_u64, duration in 1..50_u64, now in 0..2_000_u64,
    ) {
        let mut quick = Tymer::new(at(start), Duration::from_nanos(duration));
        let mut slow = quick;
        let mut beats = 0;
        while slow.expired(at(now)) {
            slow.extend();
            beats += 1;
        }
        prop_assert_eq!(quick.catch_up(at(now)), beats);
        prop_assert_eq!(quick, slow);
    }

    #[test]
    fn a_tymers_readings_agree(
        start in tymes(), duration in any::<u64>(), now in tymes(),
    ) {
        let tymer = Tymer::new(start, Duration::from_nanos(duration));
        let left = i128::from(tymer.stop().as_nanos()) - i128::from(now.as_nanos());
        prop_assert_eq!(tymer.expired(now), left <= 0);
        prop_assert_eq!(tymer.remaining(now).as_nanos().cast_signed(), left.max(0));
        prop_assert_eq!(tymer.overdue(now).as_nanos().cast_signed(), (-left).max(0));
        let clamped = left.clamp(i64::MIN.into(), i64::MAX.into());
        prop_assert_eq!(i128::from(tymer.remaining_nanos(now)), clamped);
    }
}

/// Earlier by `duration`: tests need it, the engine does not.
trait Minus {
    fn minus(self, duration: Duration) -> Self;
}

impl Minus for Tyme {
    fn minus(self, duration: Duration) -> Tyme {
        at(self.as_nanos() - u64::try_from(duration.as_nanos()).unwrap())
    }
}
