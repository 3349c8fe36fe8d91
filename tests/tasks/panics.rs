//! Panics on top of panics: what a task leaves behind panics as well, and the rest goes on.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tymist::tasks::{JoinHandle, Panics, TaskConfig};

use super::bed::{Log, Rig};

/// Panics when it is dropped, after it has said so.
struct Bomb(Log, &'static str);

impl Drop for Bomb {
    fn drop(&mut self) {
        self.0.say(self.1);
        panic!("{}", self.1);
    }
}

fn words(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap()
}

#[test]
fn regression_a_panic_while_a_panic_is_cleaned_up_stays_in_its_task() {
    let mut rig = Rig::new();
    let (handle, log) = (rig.tasks.handle(), Log::default());
    let bomb = Bomb(log.clone(), "second");
    drop(handle.spawn(poll_fn(move |_| -> Poll<()> {
        let _kept = &bomb;
        panic!("first");
    })));
    let (went_on, again) = (Rc::new(Cell::new(0)), handle.clone());
    let seen = Rc::clone(&went_on);
    drop(handle.spawn(async move {
        seen.set(1);
        again.yield_now().await;
        seen.set(2);
    }));
    rig.tasks.service();
    assert_eq!(log.take(), ["second"]);
    assert_eq!(went_on.get(), 1, "the others have their turn in the same tick");
    rig.tasks.service();
    assert_eq!((went_on.get(), rig.tasks.len()), (2, 0));
    assert_eq!(rig.tasks.counters().panicked, 1);
    let kept: Vec<String> =
        std::iter::from_fn(|| rig.tasks.take_panic()).map(|it| words(&*it)).collect();
    assert_eq!(kept, ["first", "second"]);
}

#[test]
fn regression_an_aborted_task_that_panics_when_dropped_is_over_all_the_same() {
    let mut rig = Rig::new();
    let (handle, log) = (rig.tasks.handle(), Log::default());
    let bomb = Bomb(log.clone(), "dropped");
    let task = handle.spawn(async move {
        let _kept = bomb;
        std::future::pending::<()>().await;
    });
    rig.tasks.service();
    task.abort();
    assert_eq!((log.take(), rig.tasks.len()), (vec!["dropped".to_owned()], 0));
    assert!(task.is_finished());
    let failed = rig.tasks.run_until(task).unwrap_err();
    assert_eq!(failed.to_string(), "the task panicked: dropped");
}

#[test]
fn regression_closing_drops_all_tasks_though_one_panics() {
    for panics in [Panics::Keep, Panics::Resume] {
        let mut config = TaskConfig::new();
        config.panics = panics;
        let mut rig = Rig::with(config);
        let (handle, log) = (rig.tasks.handle(), Log::default());
        let dropped = Rc::new(());
        for _ in 0..2 {
            let (bomb, kept) = (Bomb(log.clone(), "dropped"), Rc::clone(&dropped));
            drop(handle.spawn(async move {
                let _both = (bomb, kept);
                std::future::pending::<()>().await;
            }));
        }
        rig.tasks.service();
        let tasks = &mut rig.tasks;
        let closed = catch_unwind(AssertUnwindSafe(|| tasks.close()));
        assert_eq!(closed.is_err(), panics == Panics::Resume);
        assert_eq!((log.take().len(), Rc::strong_count(&dropped)), (2, 1));
        assert!(rig.tasks.is_empty());
    }
}

#[test]
fn regression_a_panic_of_the_root_leaves_the_queue_whole() {
    let mut rig = Rig::new();
    let (handle, went_on) = (rig.tasks.handle(), Rc::new(Cell::new(false)));
    let (again, seen) = (handle.clone(), Rc::clone(&went_on));
    drop(handle.spawn(async move {
        again.yield_now().await;
        seen.set(true);
    }));
    let tasks = &mut rig.tasks;
    let root = async { panic!("the root") };
    let caught = catch_unwind(AssertUnwindSafe(|| {
        tasks.run_until::<std::pin::Pin<Box<dyn Future<Output = ()>>>>(Box::pin(root));
    }));
    assert_eq!(words(&*caught.unwrap_err()), "the root");
    rig.tasks.service();
    assert!(went_on.get(), "who woke itself is next");
}

/// Is panicked with, and panics when it is dropped, unless there is a panic already.
struct Payload;

impl Drop for Payload {
    fn drop(&mut self) {
        assert!(std::thread::panicking(), "the payload");
    }
}

#[test]
fn regression_a_panic_whose_payload_panics_when_dropped_stays_in_its_task() {
    let mut rig = Rig::new();
    let (handle, went_on) = (rig.tasks.handle(), Rc::new(Cell::new(false)));
    // The first 16 are kept.
    for _ in 0..20 {
        drop(handle.spawn(async { std::panic::panic_any(Payload) }));
    }
    let seen = Rc::clone(&went_on);
    drop(handle.spawn(async move { seen.set(true) }));
    rig.tasks.service();
    assert!(went_on.get(), "the others have their turn in the same tick");
    assert_eq!((rig.tasks.counters().panicked, rig.tasks.len()), (20, 0));
    // Nobody has asked for those that were kept.
    drop(rig);
}

#[test]
fn regression_of_several_panics_in_a_tick_the_first_goes_on_whatever_the_others_are() {
    let mut config = TaskConfig::new();
    config.panics = Panics::Resume;
    let mut rig = Rig::with(config);
    let (handle, went_on) = (rig.tasks.handle(), Rc::new(Cell::new(false)));
    drop(handle.spawn(async { panic!("first") }));
    drop(handle.spawn(async { std::panic::panic_any(Payload) }));
    let seen = Rc::clone(&went_on);
    drop(handle.spawn(async move { seen.set(true) }));
    let tasks = &mut rig.tasks;
    let caught = catch_unwind(AssertUnwindSafe(|| tasks.service()));
    assert_eq!(words(&*caught.unwrap_err()), "first");
    assert!(went_on.get(), "the others have their turn in the same tick");
}

/// Aborts the task that it belongs to.
struct AbortOnDrop(Rc<RefCell<Option<JoinHandle<()>>>>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        if let Some(task) = &*self.0.borrow() {
            task.abort();
        }
    }
}

/// It was counted as finished and as aborted.
#[test]
fn regression_a_task_that_aborts_itself_as_it_is_dropped_has_finished() {
    let mut rig = Rig::new();
    let place = Rc::new(RefCell::new(None));
    let guard = AbortOnDrop(Rc::clone(&place));
    let task = rig.tasks.handle().spawn(poll_fn(move |_| {
        let _ = &guard;
        Poll::Ready(())
    }));
    *place.borrow_mut() = Some(task);
    rig.tasks.service();
    let counters = rig.tasks.counters();
    assert_eq!((counters.spawned, counters.finished, counters.aborted), (1, 1, 0));
    assert!(place.borrow().as_ref().is_some_and(JoinHandle::is_finished));
}

struct Panicking;

impl Wake for Panicking {
    fn wake(self: Arc<Self>) {
        panic!("somebody else's waker");
    }
}

/// Those behind it in the same tick slept for ever.
#[test]
fn regression_a_waker_that_panics_costs_nobody_else_its_waking() {
    let Rig { mut tasks, mut tymist, .. } = Rig::new();
    let handle = tasks.handle();
    let second = Duration::from_secs(1);
    let mut foreign = Box::pin(handle.sleep(second));
    let waker = Waker::from(Arc::new(Panicking));
    assert!(foreign.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    let sleeper = handle.spawn({
        let handle = handle.clone();
        async move { handle.sleep(second).await }
    });
    tasks.service();
    tymist.tick_by(second);
    let caught = catch_unwind(AssertUnwindSafe(|| tasks.service())).unwrap_err();
    assert_eq!(words(&*caught), "somebody else's waker");
    tasks.service();
    assert!(sleeper.is_finished());
}
