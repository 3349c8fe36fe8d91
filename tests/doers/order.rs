//! Who has turns when, and who comes and goes meanwhile.

use tymist::doing::{Doer, Doist, End, Finish, Recur};
use tymist::tyme::{Tyme, Tymist};

use crate::{Actor, Log};

/// Behaviours 59 and 60.
#[test]
fn turns_are_in_order_and_ends_in_reverse() {
    let log = Log::default();
    let mut doist = Doist::new();
    let a = doist.add(Actor::done_at("a", &log, 2));
    let b = doist.add(Actor::done_at("b", &log, 0));
    let c = doist.add(Actor::endless("c", &log));
    doist.limit = Some(Tymist::TOCK * 4);
    assert_eq!(doist.finish(), None);
    assert_eq!(doist.run(&mut Tymist::new()).unwrap(), Finish::Limit);
    assert_eq!(log.take(), "+a +b +c a0 b0 -b c0 a1 c1 a2 -a c2 c3 -c");
    assert_eq!(doist.finish(), Some(Finish::Limit));
    assert!(matches!(doist.end(a), Some(End::Done)));
    assert!(matches!(doist.end(b), Some(End::Done)));
    assert!(matches!(doist.end(c), Some(End::Forced)));
    // Looked at, and run again, from the start.
    assert_eq!(doist.get::<Actor>(c).unwrap().turns, 4);
    assert!(doist.get::<Doist>(c).is_none(), "another type");
    doist.get_mut::<Actor>(b).unwrap().turns = 9;
    doist.remove(c).unwrap();
    assert_eq!(doist.run(&mut Tymist::new()).unwrap(), Finish::Done);
    assert_eq!(log.take(), "+a +b a0 b0 -b a1 a2 -a");
}

#[test]
fn several_that_are_left_are_left_last_to_first() {
    let log = Log::default();
    let mut doist = Doist::new();
    for name in ["a", "b", "c"] {
        doist.add(Actor::endless(name, &log));
    }
    doist.limit = Some(Tymist::TOCK);
    assert_eq!(doist.run(&mut Tymist::new()).unwrap(), Finish::Limit);
    assert_eq!(log.take(), "+a +b +c a0 b0 c0 -c -b -a");
}

#[test]
fn one_that_is_dropped_under_way_leaves_all() {
    let log = Log::default();
    let mut doist = Doist::new();
    doist.add(Actor::endless("a", &log));
    doist.add(Actor::endless("b", &log));
    let tymist = Tymist::new();
    doist.enter(&tymist.tymth()).unwrap();
    assert_eq!(doist.recur(tymist.tyme()).unwrap(), Recur::Again);
    assert_eq!(log.take(), "+a +b a0 b0");
    drop(doist);
    assert_eq!(log.take(), "-b -a");
    // One that is not has nothing to leave.
    let mut doist = Doist::new();
    doist.add(Actor::endless("a", &log));
    drop(doist);
    assert_eq!(log.take(), "");
}

#[test]
fn doers_are_added_and_taken_out_from_inside() {
    let log = Log::default();
    let mut doist = Doist::new();
    let (handle, names) = (doist.handle(), log.clone());
    let mut first = None;
    doist.add(Actor::new("a", &log, move |turn| {
        match turn {
            0 => {
                first = handle.add(Actor::endless("x", &names));
                handle.add(Actor::done_at("y", &names, 0)).unwrap();
            }
            2 => handle.remove(first.unwrap()),
            3 => handle.stop(),
            _ => {}
        }
        Ok(Recur::Again)
    }));
    doist.add(Actor::endless("b", &log));
    assert_eq!(doist.run(&mut Tymist::new()).unwrap(), Finish::Stopped);
    // They are entered after the turn, and have theirs from the next cycle on; one that is taken out has none any more; after a stop nobody has.
    assert_eq!(log.take(), "+a +b a0 +x +y b0 a1 b1 x0 y0 -y a2 -x b2 a3 -b -a");
    assert_eq!(doist.handle().add(Actor::endless("z", &log)).map(|_| ()), Some(()));
    let orphan = doist.handle();
    drop(doist);
    assert_eq!(orphan.add(Actor::endless("z", &log)), None);
    orphan.stop();
    assert_eq!(log.take(), "");
}

#[test]
fn one_may_take_out_itself_and_those_before_and_after_it() {
    let log = Log::default();
    let mut doist = Doist::new();
    let a = doist.add(Actor::endless("a", &log));
    let handle = doist.handle();
    let (ids, asked) = (std::rc::Rc::new(std::cell::RefCell::new(Vec::new())), log.clone());
    let all = std::rc::Rc::clone(&ids);
    let b = doist.add(Actor::new("b", &log, move |_| {
        all.borrow().iter().for_each(|id| handle.remove(*id));
        asked.say("asked");
        Ok(Recur::Again)
    }));
    let c = doist.add(Actor::endless("c", &log));
    let d = doist.add(Actor::done_at("d", &log, 1));
    ids.borrow_mut().extend([c, b, a, c]);
    assert_eq!(doist.run(&mut Tymist::new()).unwrap(), Finish::Done);
    assert_eq!(log.take(), "+a +b +c +d a0 b0 asked -c -b -a d0 d1 -d");
    for id in [a, b, c] {
        assert!(matches!(doist.end(id), Some(End::Forced)), "{id}");
    }
    assert!(matches!(doist.end(d), Some(End::Done)));
}

#[test]
fn doers_are_added_and_taken_out_between_cycles() {
    let log = Log::default();
    let mut doist = Doist::new();
    let a = doist.add(Actor::endless("a", &log));
    let tymist = Tymist::new();
    doist.enter(&tymist.tymth()).unwrap();
    let b = doist.add(Actor::endless("b", &log));
    assert_eq!(doist.ids().collect::<Vec<_>>(), [a, b]);
    assert_eq!(doist.recur(Tyme::ZERO).unwrap(), Recur::Again);
    assert!(doist.is_running(a) && doist.is_running(b));
    assert!(doist.remove(a).is_some());
    assert!(doist.remove(a).is_none(), "it is gone");
    assert_eq!(doist.recur(Tyme::ZERO).unwrap(), Recur::Again);
    doist.exit().unwrap();
    assert_eq!(log.take(), "+a +b a0 b0 -a b1 -b");
    assert!(!doist.is_running(b) && doist.is_empty());
    doist.exit().unwrap();
    assert_eq!(log.take(), "", "a second exit is none");
}

#[test]
fn groups_nest_in_order() {
    let log = Log::default();
    let mut inner = Doist::new();
    inner.add(Actor::endless("x", &log));
    inner.add(Actor::done_at("y", &log, 1));
    let mut doist = Doist::new();
    doist.add(Actor::endless("a", &log));
    let inner = doist.add(inner);
    doist.add(Actor::endless("b", &log));
    doist.limit = Some(Tymist::TOCK * 2);
    assert_eq!(doist.run(&mut Tymist::new()).unwrap(), Finish::Limit);
    assert_eq!(log.take(), "+a +x +y +b a0 x0 y0 b0 a1 x1 y1 -y b1 -b -x -a");
    assert_eq!(doist.get::<Doist>(inner).unwrap().finish(), Some(Finish::Stopped));
}

#[test]
fn a_group_ends_when_all_have_or_goes_on_if_it_is_told_so() {
    let log = Log::default();
    let mut tymist = Tymist::new();
    let mut doist = Doist::new();
    assert_eq!(doist.run(&mut tymist).unwrap(), Finish::Done, "nothing to do");
    assert_eq!(tymist.tyme(), Tyme::ZERO);
    doist.add(Actor::done_at("a", &log, 0));
    doist.always = true;
    doist.limit = Some(Tymist::TOCK * 5);
    assert_eq!(doist.run(&mut tymist).unwrap(), Finish::Limit);
    assert_eq!(log.take(), "+a a0 -a");
}

#[test]
fn only_so_many_are_kept_after_their_end() {
    let log = Log::default();
    let mut doist = Doist::new();
    doist.keep = 2;
    let ids: Vec<_> = (0..5).map(|_| doist.add(Actor::done_at("a", &log, 0))).collect();
    assert_eq!(doist.run(&mut Tymist::new()).unwrap(), Finish::Done);
    let kept: Vec<_> = ids.iter().map(|id| doist.get::<Actor>(*id).is_some()).collect();
    assert_eq!(kept, [false, false, false, true, true]);
    doist.keep = 0;
    doist.enter(&Tymist::new().tymth()).unwrap();
    assert!(doist.remove(ids[4]).is_some(), "what is taken out is given back");
    assert!(doist.get::<Actor>(ids[3]).is_some());
    doist.exit().unwrap();
    assert!(doist.get::<Actor>(ids[3]).is_none());
}
