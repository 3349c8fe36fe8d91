//! Streams and sleeps in the hands of others: another executor of the same thread, and wakers that do more than wake.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io::Write;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use tymist::GramConfig;
use tymist::net::Bind;
use tymist::tasks::{Sleep, TaskStream};
use tymist::tyme::Tyme;

use super::bed::{Rig, millis};

/// A stream of a rig's, and who is at its other end.
pub(super) fn connected(rig: &mut Rig) -> (TaskStream, std::net::TcpStream) {
    let mut listener = rig.tasks.handle().listen(([127, 0, 0, 1], 0)).unwrap();
    #[expect(clippy::disallowed_methods, reason = "the far end is a plain socket")]
    let far = std::net::TcpStream::connect(listener.local_addr().inet().unwrap()).unwrap();
    let near = rig.tasks.run_until(async move { listener.accept().await.unwrap() });
    (near, far)
}

#[test]
fn regression_what_a_dropped_read_gives_back_while_the_owner_has_the_server_is_not_lost() {
    let mut rig = Rig::new();
    let (mut near, mut far) = connected(&mut rig);
    far.write_all(b"hel").unwrap();
    rig.tasks.run_until(async { near.readable().await.unwrap() });
    {
        let mut buf = [0; 5];
        let mut read = Box::pin(near.read_exact(&mut buf));
        let mut context = Context::from_waker(Waker::noop());
        assert!(read.as_mut().poll(&mut context).is_pending());
        let guard = rig.tasks.server_mut();
        drop(read);
        drop(guard);
    }
    // Before the next tick, too, nothing comes before it.
    let mut first = [0; 1];
    let polled = {
        let mut read = pin!(near.read(&mut first));
        read.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    };
    assert!(matches!(polled, Poll::Ready(Ok(1))), "{polled:?}");
    assert_eq!(first, *b"h");
    far.write_all(b"lo").unwrap();
    let rest = rig.tasks.run_until(async {
        let mut rest = [0; 4];
        near.read_exact(&mut rest).await.unwrap();
        rest
    });
    assert_eq!(&rest, b"ello");
}

/// A future that is polled wherever its waker is called, as some executors do.
struct Eager;

pub(super) type Reading = Pin<Box<dyn Future<Output = std::io::Result<bytes::Bytes>>>>;

thread_local! {
    static READING: RefCell<Option<Reading>> = const { RefCell::new(None) };
    static READ: RefCell<Option<std::io::Result<bytes::Bytes>>> = const { RefCell::new(None) };
}

impl Wake for Eager {
    fn wake(self: Arc<Self>) {
        let waker = Waker::from(self);
        READING.with_borrow_mut(|reading| {
            let Some(future) = reading else { return };
            if let Poll::Ready(read) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                *reading = None;
                READ.set(Some(read));
            }
        });
    }
}

#[test]
fn regression_who_polls_in_the_call_of_its_waker_finds_the_server_free() {
    let mut rig = Rig::new();
    let (mut near, mut far) = connected(&mut rig);
    READING.set(Some(Box::pin(async move { near.read_bytes().await })));
    Arc::new(Eager).wake();
    assert!(READ.with_borrow(Option::is_none));
    far.write_all(b"hello").unwrap();
    for _ in 0..1000 {
        rig.tasks.wait(Some(millis(10)));
        rig.tasks.service();
        if let Some(read) = READ.take() {
            assert_eq!(read.unwrap(), "hello");
            return;
        }
    }
    panic!("it was never woken");
}

/// A waker that keeps a sleep alive.
struct Keeps(#[allow(dead_code, reason = "is dropped")] Mutex<Option<Pin<Box<Sleep>>>>);

impl Wake for Keeps {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn regression_a_waker_that_is_replaced_may_drop_a_sleep() {
    let rig = Rig::new();
    let handle = rig.tasks.handle();
    let mut inner = Box::pin(handle.sleep(millis(20)));
    assert!(inner.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let waker = Waker::from(Arc::new(Keeps(Mutex::new(Some(inner)))));
    let mut sleep = pin!(handle.sleep(millis(10)));
    assert!(sleep.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    drop(waker); // The other one is in the timers.
    assert!(sleep.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

/// A root that says how often it is polled: at once ready, its waker left behind.
fn root(left: &Rc<RefCell<Option<Waker>>>) -> impl Future<Output = ()> {
    let (left, mut polls) = (Rc::clone(left), 0);
    poll_fn(move |context| {
        polls += 1;
        assert_eq!(polls, 1, "polled after it was ready");
        *left.borrow_mut() = Some(context.waker().clone());
        Poll::Ready(())
    })
}

#[test]
fn regression_a_root_that_is_done_is_polled_no_more_when_its_waker_is_called() {
    let mut rig = Rig::new();
    let (handle, left) = (rig.tasks.handle(), Rc::default());
    let (first, wakes) = (root(&left), Rc::clone(&left));
    rig.tasks.run_until(async move {
        drop(handle.spawn(async move { wakes.take().unwrap().wake() }));
        first.await;
    });
    assert!(left.borrow().is_none(), "it was called in the same tick");
    // That of an earlier one, before the next and while it runs.
    for wakes_before in [true, false] {
        rig.tasks.run_until(root(&left));
        let old = left.take().unwrap();
        if wakes_before {
            old.wake_by_ref();
        }
        let next = root(&left);
        rig.tasks.run_until(async move {
            old.wake();
            next.await;
        });
    }
}

#[test]
fn regression_a_root_may_be_done_in_the_tick_in_which_what_it_waited_for_is() {
    let Rig { mut tasks, mut tymist } = Rig::new();
    let (handle, slept) = (tasks.handle(), tasks.handle());
    let mut join = handle.spawn(async move { slept.sleep(millis(12)).await });
    let yields = handle.clone();
    drop(handle.spawn(async move {
        yields.yield_now().await;
        tymist.set(Tyme::ZERO + millis(50)).unwrap();
        yields.yield_now().await;
    }));
    assert!(tasks.run_until(handle.timeout(millis(10), &mut join)).is_err());
    assert!(join.is_finished(), "in the same tick");
    tasks.run_until(join).unwrap();
}

/// Whether the descriptor of the tasks says that there is something to do.
#[cfg(unix)]
fn is_announced(rig: &mut Rig) -> bool {
    use std::os::fd::AsRawFd;
    let fd = rig.tasks.poll_fd().unwrap().as_raw_fd();
    let mut poll = mio::Poll::new().unwrap();
    let mut source = mio::unix::SourceFd(&fd);
    poll.registry().register(&mut source, mio::Token(0), mio::Interest::READABLE).unwrap();
    let mut events = mio::Events::with_capacity(4);
    poll.poll(&mut events, Some(std::time::Duration::ZERO)).unwrap();
    !events.is_empty()
}

#[test]
#[cfg(unix)]
fn regression_a_shutdown_that_waits_is_announced_outside_of_a_tick() {
    let mut rig = Rig::new();
    let (mut near, mut far) = connected(&mut rig);
    rig.until(|tasks| tasks.wake() == tymist::Wake::OnIo);
    rig.tasks.service();
    let mut context = Context::from_waker(Waker::noop());
    assert!(pin!(near.read(&mut [0; 1])).poll(&mut context).is_pending());
    assert!(!is_announced(&mut rig), "who only waits costs no tick");
    let mut shutdown = Box::pin(near.shutdown());
    assert!(shutdown.as_mut().poll(&mut context).is_pending());
    assert!(is_announced(&mut rig));
    rig.tasks.service();
    rig.tasks.service();
    assert!(shutdown.as_mut().poll(&mut context).is_ready());
    assert_eq!(std::io::Read::read(&mut far, &mut [0; 1]).unwrap(), 0);
}

/// A waker that says who else has it.
struct Counted(Arc<Silent>);

struct Silent;

impl Wake for Silent {
    fn wake(self: Arc<Self>) {}
}

impl Counted {
    /// Polls something that is not ready and drops it.
    #[track_caller]
    fn poll<T>(&self, future: impl Future<Output = T>) {
        let waker = Waker::from(Arc::clone(&self.0));
        assert!(pin!(future).poll(&mut Context::from_waker(&waker)).is_pending());
    }

    fn kept(&self) -> usize {
        Arc::strong_count(&self.0) - 1
    }
}

#[test]
fn regression_a_future_that_was_dropped_leaves_no_waker_behind() {
    let mut rig = Rig::new();
    let (mut near, far) = connected(&mut rig);
    let (handle, counted) = (rig.tasks.handle(), Counted(Arc::new(Silent)));
    counted.poll(near.read(&mut [0; 1]));
    assert_eq!(counted.kept(), 0, "of a read");
    counted.poll(near.read_exact(&mut [0; 1]));
    assert_eq!(counted.kept(), 0, "of one that wants so much");
    counted.poll(near.readable());
    assert_eq!(counted.kept(), 0, "of one that looks");
    let waits = handle.clone();
    counted.poll(handle.spawn(async move { waits.sleep(millis(1)).await }));
    assert_eq!(counted.kept(), 0, "of one that waits for a task");
    let mut listener = handle.listen(([127, 0, 0, 1], 0)).unwrap();
    counted.poll(listener.accept());
    assert_eq!(counted.kept(), 0, "of an accept");
    let mut socket = handle.bind(Bind::new(([127, 0, 0, 1], 0)), GramConfig::new()).unwrap();
    counted.poll(socket.recv_from());
    assert_eq!(counted.kept(), 0, "of a datagram that has not come");
    counted.poll(handle.connect(listener.local_addr().clone()));
    assert_eq!(counted.kept(), 0, "of a dial");
    while let Poll::Ready(written) =
        pin!(near.write(&[7; 65536])).poll(&mut Context::from_waker(Waker::noop()))
    {
        written.unwrap();
    }
    counted.poll(near.write(&[7]));
    counted.poll(near.drained());
    assert_eq!(counted.kept(), 0, "of a write");
    counted.poll(near.shutdown());
    assert_eq!(counted.kept(), 0, "of a shutdown");
    drop(far);
}

#[test]
fn regression_a_read_that_is_dropped_while_the_owner_has_the_server_waits_no_more() {
    let mut rig = Rig::new();
    let (mut near, far) = connected(&mut rig);
    let counted = Counted(Arc::new(Silent));
    let waker = Waker::from(Arc::clone(&counted.0));
    let mut buf = [0; 1];
    let mut read = Box::pin(near.read(&mut buf));
    assert!(read.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    drop(waker);
    let guard = rig.tasks.server_mut();
    drop(read);
    drop(guard);
    rig.tasks.service();
    assert_eq!(counted.kept(), 0);
    drop(far);
}

#[test]
fn regression_a_task_is_not_woken_for_a_read_that_it_has_dropped() {
    let mut rig = Rig::new();
    let (mut near, mut far) = connected(&mut rig);
    let handle = rig.tasks.handle();
    let task = handle.clone().spawn(async move {
        let _ = handle.timeout(millis(10), near.read(&mut [0; 1])).await;
        std::future::pending::<()>().await;
        drop(near);
    });
    rig.tasks.service();
    rig.at(Tyme::ZERO + millis(10));
    let before = rig.tasks.counters().polls;
    far.write_all(b"x").unwrap();
    rig.until(|tasks| tasks.server().counters().bytes_in == 1);
    rig.tasks.service();
    assert_eq!(rig.tasks.counters().polls, before);
    drop(task);
}
