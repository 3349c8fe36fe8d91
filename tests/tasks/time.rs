//! Sleeping, time-outs and beats on a clock in the test's hand: to the nanosecond.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

use tymist::Wake;
use tymist::tyme::{Tyme, Tymist};

use super::bed::{Log, Rig, millis};

#[test]
fn a_sleep_ends_in_the_first_tick_that_has_reached_its_deadline() {
    let mut rig = Rig::new();
    let (handle, log) = (rig.tasks.handle(), Log::default());
    for time in [30, 10, 20] {
        let (handle, log) = (handle.clone(), log.clone());
        drop(handle.clone().spawn(async move {
            handle.sleep(millis(time)).await;
            log.say(format!("{time} at {}", handle.tyme()));
        }));
    }
    rig.tasks.service();
    let due = |time| Tyme::ZERO + millis(time);
    assert_eq!(rig.tasks.wake(), Wake::At(due(10)));
    rig.at(Tyme::from_nanos(due(10).as_nanos() - 1));
    assert!(log.take().is_empty());
    rig.at(due(10));
    assert_eq!(log.take(), ["10 at 0.010000000"]);
    assert_eq!(rig.tasks.wake(), Wake::At(due(20)));
    // Both due: in the order of their deadlines.
    rig.at(due(100));
    assert_eq!(log.take(), ["20 at 0.100000000", "30 at 0.100000000"]);
    assert_eq!(rig.tasks.wake(), Wake::OnIo);
}

#[test]
fn a_sleep_that_is_dropped_leaves_no_deadline_behind() {
    let mut rig = Rig::new();
    let handle = rig.tasks.handle();
    let slept = handle.clone();
    let task = handle.spawn(async move { slept.sleep(millis(10)).await });
    rig.tasks.service();
    assert!(matches!(rig.tasks.wake(), Wake::At(_)));
    task.abort();
    assert_eq!(rig.tasks.wake(), Wake::OnIo);
}

#[test]
fn what_is_ready_in_the_tick_of_its_deadline_is_in_time() {
    let mut rig = Rig::new();
    let (handle, log) = (rig.tasks.handle(), Log::default());
    for (name, takes) in [("early", 9), ("just", 10), ("late", 11)] {
        let (handle, log) = (handle.clone(), log.clone());
        drop(handle.clone().spawn(async move {
            // Made later, so that it fires later where both are due.
            let limited = handle.timeout(millis(10), handle.sleep(millis(takes)));
            let ended = limited.await;
            log.say(format!("{name}: {}", if ended.is_ok() { "done" } else { "too late" }));
        }));
    }
    rig.tasks.service();
    for time in 1..=11 {
        rig.at(Tyme::ZERO + millis(time));
    }
    assert_eq!(log.take(), ["early: done", "just: done", "late: too late"]);
    assert_eq!(rig.tasks.wake(), Wake::OnIo, "nothing is left in the wheel");
}

#[test]
fn a_beat_stays_in_step_and_tells_what_it_missed() {
    let mut rig = Rig::new();
    let (handle, log) = (rig.tasks.handle(), Log::default());
    let (beats, said) = (handle.clone(), log.clone());
    drop(handle.spawn(async move {
        let mut beat = beats.interval(millis(10));
        loop {
            let count = beat.tick().await;
            said.say(format!("{count} at {}", beats.tyme()));
        }
    }));
    rig.tasks.service();
    rig.at(Tyme::from_nanos(9_999_999));
    assert!(log.take().is_empty());
    for time in [10, 25, 30, 61] {
        rig.at(Tyme::ZERO + millis(time));
    }
    let wanted = ["1 at 0.010000000", "1 at 0.025000000", "1 at 0.030000000", "3 at 0.061000000"];
    assert_eq!(log.take(), wanted);
    assert_eq!(rig.tasks.wake(), Wake::At(Tyme::ZERO + millis(70)));
}

#[test]
fn on_another_clock_what_was_left_of_a_sleep_lies_ahead_again() {
    let mut rig = Rig::new();
    let (handle, log) = (rig.tasks.handle(), Log::default());
    let (slept, said) = (handle.clone(), log.clone());
    drop(handle.spawn(async move {
        slept.sleep(millis(100)).await;
        said.say("awake");
    }));
    rig.tasks.service();
    rig.at(Tyme::ZERO + millis(60));
    for start in [Tyme::from_secs(1000), Tyme::from_secs(5)] {
        rig.tymist = Tymist::starting_at(start);
        rig.tasks.wind(rig.tymist.tymth());
        assert_eq!(rig.tasks.wake(), Wake::At(start + millis(40)));
    }
    rig.at(Tyme::from_secs(5) + millis(39));
    assert!(log.take().is_empty());
    rig.at(Tyme::from_secs(5) + millis(40));
    assert_eq!(log.take(), ["awake"]);
}

/// Clocks that begin before and after what the one before them showed.
const OTHERS: [u64; 3] = [0, 100, 1000];

#[test]
fn regression_a_sleep_that_was_not_polled_goes_by_another_clock_too() {
    for start in OTHERS.map(Tyme::from_secs) {
        let mut rig = Rig::starting_at(Tyme::from_secs(100));
        let (handle, log) = (rig.tasks.handle(), Log::default());
        let sleep = handle.sleep(millis(1000));
        let deadline = sleep.deadline();
        rig.at(Tyme::from_secs(100) + millis(600));
        rig.tymist = Tymist::starting_at(start);
        rig.tasks.wind(rig.tymist.tymth());
        assert_eq!(sleep.deadline(), deadline, "by the clock that it was made with");
        let said = log.clone();
        drop(handle.spawn(async move {
            sleep.await;
            said.say("awake");
        }));
        rig.at(start + millis(399));
        assert!(log.take().is_empty());
        assert_eq!(rig.tasks.wake(), Wake::At(start + millis(400)));
        rig.at(start + millis(400));
        assert_eq!(log.take(), ["awake"]);
    }
}

#[test]
fn regression_a_beat_goes_on_by_another_clock_as_if_there_were_one() {
    for (start, is_armed) in OTHERS.map(Tyme::from_secs).into_iter().zip([true, false, true]) {
        let mut rig = Rig::starting_at(Tyme::from_secs(100));
        let (handle, log) = (rig.tasks.handle(), Log::default());
        let mut beat = handle.interval(millis(1000));
        let (said, waits) = (log.clone(), handle.clone());
        drop(handle.spawn(async move {
            if !is_armed {
                waits.sleep(millis(800)).await;
            }
            loop {
                said.say(beat.tick().await.to_string());
            }
        }));
        rig.tasks.service();
        rig.at(Tyme::from_secs(100) + millis(600));
        rig.tymist = Tymist::starting_at(start);
        rig.tasks.wind(rig.tymist.tymth());
        for (after, beats) in [(399, 0), (400, 1), (1399, 0), (1400, 1), (4500, 1)] {
            rig.at(start + millis(after));
            let wanted = if after == 4500 { "3".to_owned() } else { "1".to_owned() };
            assert_eq!(log.take(), vec![wanted; beats], "after {after} ms from {start}");
        }
    }
}

#[test]
fn regression_what_was_over_by_the_old_clock_is_over_by_the_new_one() {
    for start in OTHERS.map(Tyme::from_secs) {
        let mut rig = Rig::starting_at(Tyme::from_secs(100));
        let (handle, log) = (rig.tasks.handle(), Log::default());
        let (sleep, mut beat) = (handle.sleep(millis(1000)), handle.interval(millis(1000)));
        rig.at(Tyme::from_secs(103));
        rig.tymist = Tymist::starting_at(start);
        rig.tasks.wind(rig.tymist.tymth());
        let (said, clock) = (log.clone(), handle.clone());
        drop(handle.spawn(async move {
            sleep.await;
            let beats = beat.tick().await;
            said.say(format!("{beats} at {}", clock.tyme()));
            beat.tick().await;
            said.say(format!("again at {}", clock.tyme()));
        }));
        rig.tasks.service();
        rig.at(start + millis(1000));
        let later = start + millis(1000);
        assert_eq!(log.take(), [format!("3 at {start}"), format!("again at {later}")]);
    }
}

/// A wait is as long as what is left of a deadline, not as what was left of it at the last tick.
#[test]
fn regression_what_has_passed_since_the_tick_is_not_slept_again() {
    let mut rig = Rig::new();
    let handle = rig.tasks.handle();
    let sleeper = handle.clone();
    let task = handle.spawn(async move { sleeper.sleep(millis(60_000)).await });
    rig.tasks.service();
    rig.tymist.tick_by(millis(60_000)); // the owner was at something else
    let mut real = Tymist::realtime();
    rig.tasks.wait(None);
    assert!(real.tick() < Tyme::ZERO + millis(30_000), "slept what was over");
    rig.tasks.service();
    assert!(task.is_finished());
}

/// What is made between ticks begins when it is made: the last tick may be long over.
#[test]
fn regression_a_time_that_is_given_between_ticks_begins_there() {
    let mut rig = Rig::new();
    let handle = rig.tasks.handle();
    rig.tasks.service();
    let made = rig.tymist.tick_by(millis(10_000)); // the owner was at something else
    let (sleep, mut beat) = (handle.sleep(millis(1000)), handle.interval(millis(1000)));
    assert_eq!(sleep.deadline(), made + millis(1000));
    let task = handle.spawn(handle.timeout(millis(1000), sleep));
    let beats = handle.spawn(async move { beat.tick().await });
    for (at, is_over) in [(0, false), (999, false), (1000, true)] {
        rig.at(made + millis(at));
        assert_eq!([task.is_finished(), beats.is_finished()], [is_over; 2], "after {at} ms");
    }
    // So does what is given to a root before it runs.
    rig.tymist.tick_by(millis(10_000));
    let limited = handle.timeout(millis(1000), handle.yield_now());
    assert_eq!(rig.tasks.run_until(limited), Ok(()));
}

/// What goes on from where a sleep ended is a beat that does not drift.
#[test]
fn regression_a_sleep_that_is_over_knows_when_it_was_due() {
    let mut rig = Rig::new();
    let mut sleep = pin!(rig.tasks.handle().sleep(millis(10)));
    let mut context = Context::from_waker(Waker::noop());
    assert!(sleep.as_mut().poll(&mut context).is_pending());
    for beat in 1..4 {
        rig.at(Tyme::ZERO + millis(10 * beat + 3));
        assert!(sleep.as_mut().poll(&mut context).is_ready());
        assert!(sleep.as_mut().poll(&mut context).is_ready(), "and stays ready");
        let due = sleep.deadline();
        assert_eq!(due, Tyme::ZERO + millis(10 * beat));
        sleep.reset(due + millis(10));
        assert!(sleep.as_mut().poll(&mut context).is_pending(), "beat {beat}");
    }
}
