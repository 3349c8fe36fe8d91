//! Doers with a tock.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tymist::Wake;
use tymist::doing::{DoError, Doer, Doist, Finish, Recur};
use tymist::tyme::{Tyme, Tymist, Tymth};

const MILLI: Duration = Duration::from_millis(1);

/// Writes down when it has its turns.
struct Beat {
    tock: Duration,
    turns: Rc<RefCell<Vec<u64>>>,
}

impl Doer for Beat {
    fn recur(&mut self, now: Tyme) -> Result<Recur, DoError> {
        self.turns.borrow_mut().push(now.as_nanos() / 1_000_000);
        Ok(Recur::Again)
    }

    fn tock(&self) -> Duration {
        self.tock
    }

    fn wake(&self) -> Wake {
        unreachable!("it has a tock")
    }
}

/// When turns come, in milliseconds, with a clock that ticks by `tock` from `start` on until `limit` later.
fn turns(start: u64, tock: u64, beat: u64, limit: u64) -> Vec<u64> {
    let turns = Rc::new(RefCell::new(Vec::new()));
    let mut doist = Doist::new();
    doist.add(Beat { tock: MILLI * u32::try_from(beat).unwrap(), turns: Rc::clone(&turns) });
    doist.limit = Some(Duration::from_millis(limit));
    let mut tymist = Tymist::starting_at(Tyme::from_nanos(start * 1_000_000))
        .with_tock(Duration::from_millis(tock));
    assert_eq!(doist.run(&mut tymist).unwrap(), Finish::Limit);
    turns.take()
}

/// Behaviour 59: the next turn is due a tock after the last was *due*, not after it came.
#[test]
fn beats_are_cumulative() {
    // 30 ms late for 250, and so on; never a millisecond more.
    assert_eq!(turns(0, 100, 250, 1100), [0, 300, 500, 800, 1000]);
    assert_eq!(turns(7, 100, 250, 1100), [7, 307, 507, 807, 1007], "from its entry on");
    assert_eq!(turns(0, 1, 333, 1000), [0, 333, 666, 999]);
    // A beat shorter than the clock's: each cycle, and no more.
    assert_eq!(turns(0, 100, 30, 400), [0, 100, 200, 300]);
}

#[test]
fn beats_that_were_missed_are_left_out() {
    let seen = Rc::default();
    let mut doist = Doist::new();
    doist.add(Beat { tock: MILLI * 10, turns: Rc::clone(&seen) });
    let mut tymist = Tymist::new();
    doist.enter(&tymist.tymth()).unwrap();
    for at in [0, 9, 10, 5_003, 5_009, 5_010, 5_011] {
        let now = tymist.set(Tyme::ZERO + MILLI * at).unwrap();
        assert_eq!(doist.recur(now).unwrap(), Recur::Again);
    }
    assert_eq!(*seen.borrow(), [0, 10, 5_003, 5_010]);
    let next = Wake::At(Tyme::ZERO + MILLI * 5_020);
    assert_eq!(doist.wake(), next);
    doist.limit = Some(MILLI * 5_015);
    assert_eq!(doist.wake(), Wake::At(Tyme::ZERO + MILLI * 5_015), "the limit is earlier");
}

/// A tock that changes as it goes.
struct Changing(Rc<RefCell<Vec<u64>>>);

impl Doer for Changing {
    fn enter(&mut self, _: &Tymth) -> Result<(), DoError> {
        Ok(())
    }

    fn recur(&mut self, now: Tyme) -> Result<Recur, DoError> {
        self.0.borrow_mut().push(now.as_nanos() / 1_000_000);
        Ok(Recur::Again)
    }

    fn tock(&self) -> Duration {
        match self.0.borrow().len() {
            0..=2 => Duration::ZERO,
            3..=4 => MILLI * 4,
            5 => MILLI * 7,
            _ => Duration::ZERO,
        }
    }

    fn wake(&self) -> Wake {
        Wake::OnIo
    }
}

#[test]
fn a_tock_may_change() {
    let turns = Rc::default();
    let mut doist = Doist::new();
    doist.add(Changing(Rc::clone(&turns)));
    doist.limit = Some(MILLI * 20);
    assert_eq!(doist.run(&mut Tymist::new().with_tock(MILLI)).unwrap(), Finish::Limit);
    assert_eq!(*turns.borrow(), [0, 1, 2, 6, 10, 17, 18, 19]);
}

#[test]
fn what_a_group_wants_is_the_earliest_that_any_of_its_doers_wants() {
    struct Wants(Wake);
    impl Doer for Wants {
        fn recur(&mut self, _: Tyme) -> Result<Recur, DoError> {
            Ok(Recur::Again)
        }
        fn wake(&self) -> Wake {
            self.0
        }
    }
    let tymist = Tymist::new();
    let at = |secs| Wake::At(Tyme::from_secs(secs));
    let mut doist = Doist::new();
    assert_eq!(doist.wake(), Wake::OnIo, "not entered");
    let one = doist.add(Wants(Wake::OnIo));
    let mut inner = Doist::new();
    inner.add(Wants(at(9)));
    doist.add(inner);
    doist.enter(&tymist.tymth()).unwrap();
    assert_eq!(doist.wake(), Wake::Now, "nobody had a turn yet");
    assert_eq!(doist.recur(Tyme::ZERO).unwrap(), Recur::Again);
    assert_eq!(doist.wake(), at(9));
    doist.get_mut::<Wants>(one).unwrap().0 = at(5);
    assert_eq!(doist.wake(), at(5));
    let handle = doist.handle();
    let added = handle.add(Wants(Wake::OnIo)).unwrap();
    assert_eq!(doist.wake(), Wake::Now, "somebody waits to come in");
    assert_eq!(doist.recur(Tyme::ZERO).unwrap(), Recur::Again);
    assert_eq!(doist.wake(), at(5));
    assert!(doist.is_running(added));
    handle.stop();
    assert_eq!(doist.wake(), Wake::Now);
    assert_eq!(doist.recur(Tyme::ZERO).unwrap(), Recur::Done);
    assert_eq!(doist.wake(), Wake::OnIo, "it is over");
}

/// Time that passes before a Doist is run is none of its: what it lives by begins at its entry.
#[test]
fn regression_run_begins_at_the_time_that_it_is() {
    let real = Arc::new(AtomicU64::new(0));
    let read = Arc::clone(&real);
    let source = move || Tyme::from_nanos(read.fetch_add(10_000_000, Ordering::Relaxed));
    let mut tymist = Tymist::following(source);
    real.fetch_add(10_000_000_000, Ordering::Relaxed); // a long time of opening files, say
    let begun = Rc::new(Cell::new(Tyme::ZERO));
    let mut doist = Doist::new();
    doist.limit = Some(Duration::from_secs(1));
    doist.add(Restless { entered: Rc::clone(&begun), turns: 0 });
    for _ in 0..2 {
        assert_eq!(doist.run(&mut tymist).unwrap(), Finish::Limit);
        let lasted = tymist.tyme() - begun.get();
        assert!(lasted < Duration::from_millis(1100), "{lasted:?}");
        real.fetch_add(10_000_000_000, Ordering::Relaxed);
    }
}

/// Wants its turn at once, always.
struct Restless {
    entered: Rc<Cell<Tyme>>,
    turns: usize,
}

impl Doer for Restless {
    fn enter(&mut self, tymth: &Tymth) -> Result<(), DoError> {
        self.entered.set(tymth.tyme());
        Ok(())
    }

    fn recur(&mut self, _: Tyme) -> Result<Recur, DoError> {
        self.turns += 1;
        Ok(Recur::Again)
    }

    fn exit(&mut self) -> Result<(), DoError> {
        let turns = std::mem::take(&mut self.turns);
        if turns < 90 { Err(format!("{turns} turns of 100").into()) } else { Ok(()) }
    }

    fn wake(&self) -> Wake {
        Wake::Now
    }
}
