//! Whom a stream wakes: the task that polls it, or whose waker that task gave it.

use std::cell::{Cell, RefCell};
use std::future::{Future as _, poll_fn};
use std::io::Write;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use super::bed::Rig;
use super::foreign::{Reading, connected};

/// A task's waker in another one, which counts, as the members of a set of futures have.
struct Counting {
    calls: AtomicUsize,
    inner: Waker,
}

impl Wake for Counting {
    fn wake(self: Arc<Self>) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.inner.wake_by_ref();
    }
}

#[test]
fn what_a_task_polls_with_another_waker_calls_that_one() {
    let mut rig = Rig::new();
    let (mut near, mut far) = connected(&mut rig);
    let handle = rig.tasks.handle();
    let task = handle.spawn(async move {
        let mut reading = Box::pin(near.read_bytes());
        let mut waker: Option<Arc<Counting>> = None;
        // First as the task itself, so that there is a waker to be replaced.
        let (mut polls, mut called) = (0, 0);
        let read = poll_fn(|context| {
            polls += 1;
            if polls == 1 {
                context.waker().wake_by_ref();
                return reading.as_mut().poll(context);
            }
            let inner = context.waker().clone();
            let counting = Arc::new(Counting { calls: AtomicUsize::new(0), inner });
            called +=
                waker.replace(counting.clone()).map_or(0, |old| old.calls.load(Ordering::Relaxed));
            reading.as_mut().poll(&mut Context::from_waker(&Waker::from(counting)))
        });
        let read = read.await.unwrap();
        (read, called)
    });
    rig.tasks.service();
    rig.tasks.service();
    far.write_all(b"hello").unwrap();
    let (read, called) = rig.tasks.run_until(task).unwrap();
    assert_eq!((&read[..], called), (&b"hello"[..], 1));
}

#[test]
fn a_read_that_goes_from_one_task_to_another_wakes_the_last_one_that_polled_it() {
    let mut rig = Rig::new();
    let (mut near, mut far) = connected(&mut rig);
    let handle = rig.tasks.handle();
    let reading: Reading = Box::pin(async move { near.read_bytes().await });
    let place = Rc::new(RefCell::new(Some(reading)));
    let (first, polls) = (Rc::clone(&place), Rc::new(Cell::new(0)));
    let count = Rc::clone(&polls);
    // Polls it once, and is never done by itself.
    drop(handle.spawn(poll_fn(move |context| {
        count.set(count.get() + 1);
        let mut place = first.borrow_mut();
        let polled = place.as_mut().map(|reading| reading.as_mut().poll(context).is_pending());
        assert_eq!(polled, Some(true));
        Poll::<()>::Pending
    })));
    rig.tasks.service();
    let second = handle.spawn(async move {
        let reading = place.borrow_mut().take().unwrap();
        reading.await.unwrap()
    });
    rig.tasks.service();
    far.write_all(b"hello").unwrap();
    assert_eq!(rig.tasks.run_until(second).unwrap(), "hello");
    assert_eq!(polls.get(), 1, "who gave it away is not woken for it");
}

#[test]
fn who_waits_for_the_news_of_one_tick_is_woken_in_their_order_whosever_waker_it_is() {
    let mut rig = Rig::new();
    let (handle, order) = (rig.tasks.handle(), Rc::new(RefCell::new(Vec::new())));
    let (mut fars, mut joins) = (Vec::new(), Vec::new());
    for number in 0..6 {
        let (mut near, far) = connected(&mut rig);
        fars.push(far);
        let order = Rc::clone(&order);
        joins.push(handle.spawn(async move {
            let mut reading = Box::pin(near.read_bytes());
            let read = poll_fn(|context| {
                if number % 2 == 0 {
                    return reading.as_mut().poll(context);
                }
                let inner = context.waker().clone();
                let waker = Waker::from(Arc::new(Counting { calls: 0.into(), inner }));
                reading.as_mut().poll(&mut Context::from_waker(&waker))
            });
            assert_eq!(read.await.unwrap(), "news");
            order.borrow_mut().push(number);
        }));
    }
    rig.tasks.service();
    rig.tasks.service();
    for far in &mut fars {
        far.write_all(b"news").unwrap();
    }
    for join in joins {
        rig.tasks.run_until(join).unwrap();
    }
    assert_eq!(*order.borrow(), [0, 1, 2, 3, 4, 5]);
}
