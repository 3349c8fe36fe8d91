//! Errors and panics.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tymist::doing::{Doer, Doist, End, Failed, Finish, OnError, Recur};
use tymist::tyme::Tymist;

use crate::{Actor, Log};

/// What a panic said, after all; a panic there must be.
#[track_caller]
fn panic_of(act: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(act)).expect_err("no panic came out");
    panic.downcast_ref::<&str>().map_or_else(|| "no words".into(), ToString::to_string)
}

/// Defect 7: an exception in any doer tore down all.
#[test]
fn an_error_ends_its_doer_and_the_others_go_on() {
    let log = Log::default();
    let mut doist = Doist::new();
    let told = log.clone();
    doist.set_report(move |id, end| told.say(format!("({id}: {end:?})")));
    doist.add(Actor::done_at("a", &log, 2));
    let b = doist.add(Actor::new("b", &log, |turn| match turn {
        0 => Ok(Recur::Again),
        _ => Err("no more".into()),
    }));
    doist.add(Actor::done_at("c", &log, 2));
    let failed = doist.run(&mut Tymist::new()).unwrap_err();
    assert_eq!(
        log.take(),
        "+a +b +c a0 b0 c0 a1 b1 -b (doer 2: Failed(\"no more\")) c1 a2 -a (doer 1: Done) c2 -c (doer 3: Done)"
    );
    assert_eq!(failed.to_string(), "doer 2: no more");
    assert_eq!(doist.finish(), Some(Finish::Done), "the others came to their end");
    assert_eq!(doist.end(b).and_then(End::error).unwrap().to_string(), "no more");
    let Failed { first, count, .. } = doist.failed().unwrap();
    assert_eq!((*first, *count), (b, 1));
}

#[test]
fn an_error_ends_all_if_it_is_told_so() {
    let log = Log::default();
    let mut doist = Doist::new();
    doist.on_error = OnError::EndAll;
    doist.add(Actor::endless("a", &log));
    doist.add(Actor::new("b", &log, |_| Err("no more".into())));
    let c = doist.add(Actor::endless("c", &log));
    assert_eq!(doist.run(&mut Tymist::new()).unwrap_err().to_string(), "doer 2: no more");
    assert_eq!(log.take(), "+a +b +c a0 b0 -b -c -a");
    assert_eq!(doist.finish(), Some(Finish::Stopped));
    assert!(matches!(doist.end(c), Some(End::Forced)));
}

#[test]
fn errors_of_entering_and_leaving_count_too() {
    let log = Log::default();
    let mut doist = Doist::new();
    let mut a = Actor::endless("a", &log);
    a.on_enter = Box::new(|| Err("not in".into()));
    a.on_exit = Box::new(|| Err("nor out".into()));
    let mut b = Actor::done_at("b", &log, 0);
    b.on_exit = Box::new(|| Err("not out".into()));
    let mut c = Actor::endless("c", &log);
    c.on_exit = Box::new(|| Err("not out".into()));
    let (a, b, c) = (doist.add(a), doist.add(b), doist.add(c));
    doist.limit = Some(Tymist::TOCK);
    let failed = doist.run(&mut Tymist::new()).unwrap_err();
    assert_eq!(log.take(), "+a -a +b +c b0 -b c0 -c");
    assert_eq!(failed.to_string(), "doer 1: not in (and 2 more failed)");
    for (id, why) in [(a, "not in"), (b, "not out"), (c, "not out")] {
        assert_eq!(doist.end(id).and_then(End::error).unwrap().to_string(), why);
    }
}

#[test]
fn a_failed_group_says_so_to_the_group_it_is_in() {
    let log = Log::default();
    let mut inner = Doist::new();
    inner.add(Actor::new("x", &log, |_| Err("no more".into())));
    inner.add(Actor::done_at("y", &log, 1));
    let mut doist = Doist::new();
    let inner = doist.add(inner);
    doist.add(Actor::done_at("a", &log, 2));
    let failed = doist.run(&mut Tymist::new()).unwrap_err();
    // It goes on with those that it has, and tells in the end.
    assert_eq!(log.take(), "+x +y +a x0 -x y0 a0 y1 -y a1 a2 -a");
    assert_eq!(failed.to_string(), "doer 1: doer 1: no more");
    assert!(doist.get::<Doist>(inner).unwrap().failed().is_some());
}

#[test]
fn a_panic_in_a_turn_leaves_all_last_to_first_and_goes_on() {
    let log = Log::default();
    let mut doist = Doist::new();
    let a = doist.add(Actor::endless("a", &log));
    let b = doist.add(Actor::new("b", &log, |turn| match turn {
        1 => panic!("a mistake"),
        _ => Ok(Recur::Again),
    }));
    doist.add(Actor::endless("c", &log));
    let panic = panic_of(|| drop(doist.run(&mut Tymist::new())));
    assert_eq!(panic, "a mistake");
    assert_eq!(log.take(), "+a +b +c a0 b0 c0 a1 b1 -c -b -a");
    assert!(matches!(doist.end(b), Some(End::Panicked)));
    assert!(matches!(doist.end(a), Some(End::Forced)));
    drop(doist);
    assert_eq!(log.take(), "", "once");
}

#[test]
fn a_panic_on_the_way_in_leaves_those_that_are_in() {
    let log = Log::default();
    let mut doist = Doist::new();
    doist.add(Actor::endless("a", &log));
    let mut b = Actor::endless("b", &log);
    b.on_enter = Box::new(|| panic!("a mistake"));
    doist.add(b);
    doist.add(Actor::endless("c", &log));
    assert_eq!(panic_of(|| drop(doist.run(&mut Tymist::new()))), "a mistake");
    assert_eq!(log.take(), "+a +b -b -a", "the last was never entered");
}

#[test]
fn a_panic_on_the_way_out_leaves_the_others_all_the_same() {
    let log = Log::default();
    let mut doist = Doist::new();
    let panics = |name, what: &'static str| {
        let mut actor = Actor::endless(name, &log);
        actor.on_exit = Box::new(move || panic!("{what}"));
        actor
    };
    doist.add(Actor::endless("a", &log));
    doist.add(panics("b", "second"));
    doist.add(Actor::endless("c", &log));
    doist.add(panics("d", "first"));
    doist.limit = Some(Tymist::TOCK);
    let panic = catch_unwind(AssertUnwindSafe(|| drop(doist.run(&mut Tymist::new()))));
    let said = panic.unwrap_err().downcast_ref::<String>().cloned();
    assert_eq!(said.as_deref(), Some("first"));
    assert_eq!(log.take(), "+a +b +c +d a0 b0 c0 d0 -d -c -b -a");
}

#[test]
fn a_panic_in_an_inner_group_leaves_all_of_both() {
    let log = Log::default();
    let mut inner = Doist::new();
    inner.add(Actor::endless("x", &log));
    inner.add(Actor::new("y", &log, |_| panic!("a mistake")));
    let mut doist = Doist::new();
    doist.add(Actor::endless("a", &log));
    doist.add(inner);
    doist.add(Actor::endless("b", &log));
    assert_eq!(panic_of(|| drop(doist.run(&mut Tymist::new()))), "a mistake");
    // The inner group first, since its panic has to get out of it.
    assert_eq!(log.take(), "+a +x +y +b a0 x0 y0 -y -x -b -a");
}

#[test]
fn a_panic_in_one_that_is_added_or_taken_out_leaves_all() {
    for added in [true, false] {
        let log = Log::default();
        let mut doist = Doist::new();
        let mut b = Actor::endless("b", &log);
        b.on_exit = Box::new(move || if added { Ok(()) } else { panic!("a mistake") });
        let (handle, names) = (doist.handle(), log.clone());
        let mut taken = None;
        let mut b = Some(b);
        doist.add(Actor::new("a", &log, move |turn| {
            let mut c = Actor::endless("c", &names);
            c.on_enter = Box::new(|| panic!("a mistake"));
            match turn {
                0 => taken = handle.add(b.take().unwrap()),
                1 if added => _ = handle.add(c),
                1 => handle.remove(taken.unwrap()),
                _ => {}
            }
            Ok(Recur::Again)
        }));
        assert_eq!(panic_of(|| drop(doist.run(&mut Tymist::new()))), "a mistake");
        let rest = if added { "+c -c -b -a" } else { "-b -a" };
        assert_eq!(log.take(), format!("+a a0 +b a1 {rest}"));
    }
}

#[test]
fn a_panic_between_cycles_that_drops_the_doist_leaves_all() {
    let log = Log::default();
    let keep = log.clone();
    let panic = panic_of(move || {
        let mut doist = Doist::new();
        doist.add(Actor::endless("a", &log));
        let mut b = Actor::endless("b", &log);
        b.on_exit = Box::new(|| panic!("one too many"));
        doist.add(b);
        let _ = doist.run_paced(&mut Tymist::new(), |_, _| panic!("a mistake of the pace"));
    });
    assert_eq!(panic, "a mistake of the pace");
    assert_eq!(keep.take(), "+a +b a0 b0 -b -a");
}

/// What a panic may carry.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        assert!(std::thread::panicking(), "one more");
    }
}

#[test]
fn regression_a_panic_that_panics_when_it_is_dropped_keeps_nobody_in() {
    let log = Log::default();
    let mut doist = Doist::new();
    doist.add(Actor::endless("a", &log));
    for name in ["b", "c"] {
        let mut actor = Actor::endless(name, &log);
        actor.on_exit = Box::new(|| std::panic::panic_any(Bomb));
        doist.add(actor);
    }
    doist.add(Actor::new("d", &log, |_| panic!("a mistake")));
    assert_eq!(panic_of(|| drop(doist.run(&mut Tymist::new()))), "a mistake");
    assert_eq!(log.take(), "+a +b +c +d a0 b0 c0 d0 -d -c -b -a");
}

#[test]
fn regression_one_that_panics_on_its_way_out_has_panicked() {
    for (way, act) in [
        ("done", Box::new(|_| Ok(Recur::Done)) as Box<dyn FnMut(u32) -> _>),
        ("forced", Box::new(|_| Ok(Recur::Again))),
        ("failed", Box::new(|_| Err("no more".into()))),
    ] {
        let log = Log::default();
        let mut actor = Actor::new("a", &log, act);
        actor.on_exit = Box::new(|| panic!("a mistake"));
        let mut doist = Doist::new();
        doist.limit = Some(Tymist::TOCK);
        let (told, id) = (log.clone(), doist.add(actor));
        doist.set_report(move |_, end| told.say(format!("({end:?})")));
        assert_eq!(panic_of(|| drop(doist.run(&mut Tymist::new()))), "a mistake");
        // Its own error was there before.
        let end = if way == "failed" { "Failed(\"no more\")" } else { "Panicked" };
        assert_eq!(log.take(), format!("+a a0 -a ({end})"), "{way}");
        assert_eq!(format!("{:?}", doist.end(id).unwrap()), end);
    }
}

#[test]
fn regression_a_panic_of_one_that_is_taken_out_leaves_keep_as_it_was() {
    let log = Log::default();
    let mut doist = Doist::new();
    doist.keep = 1;
    doist.add(Actor::endless("a", &log));
    let mut b = Actor::endless("b", &log);
    b.on_exit = Box::new(|| panic!("a mistake"));
    let b = doist.add(b);
    doist.enter(&Tymist::new().tymth()).unwrap();
    assert_eq!(panic_of(|| drop(doist.remove(b))), "a mistake");
    assert_eq!((doist.keep, doist.ended().count()), (1, 1));
    assert_eq!(log.take(), "+a +b -b -a");
}

#[test]
fn regression_who_adds_while_all_end_is_told_that_nobody_comes() {
    let log = Log::default();
    let mut doist = Doist::new();
    doist.limit = Some(Tymist::TOCK);
    let (handle, told) = (doist.handle(), log.clone());
    let mut a = Actor::endless("a", &log);
    a.on_exit = Box::new(move || {
        let late = handle.add(Actor::endless("late", &told));
        told.say(format!("{late:?}"));
        Ok(())
    });
    doist.add(a);
    doist.run(&mut Tymist::new()).unwrap();
    assert_eq!(log.take(), "+a a0 -a None");
    // Between runs it waits for the next one.
    assert!(doist.handle().add(Actor::done_at("b", &log, 0)).is_some());
    doist.limit = Some(3 * Tymist::TOCK);
    doist.run(&mut Tymist::new()).unwrap();
    assert_eq!(log.take(), "+a +b a0 b0 -b a1 a2 -a None");
}
