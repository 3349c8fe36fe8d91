//! The loops. Each gives the driver turns until its doer is done, and counts beside that.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::mpsc;
use std::task::Poll;
use std::time::Duration;

use calloop::timer::{TimeoutAction, Timer};
use calloop::{Dispatcher, EventLoop};
use rustix::event::{PollFd, PollFlags, Timespec};
use tymist::doing::{DoError, Doist, Recur};
use tymist::run::calloop::Source;
use tymist::run::{Driver, Watcher};
use tymist::tasks::Tasks;
use tymist::tyme::{Tyme, Tymist};
use tymist::{Config, Server};

/// What came of it: the driver again, and what the doer failed with.
pub(crate) type Ran = (Driver<Doist>, Result<(), DoError>);

const BEAT: Duration = Duration::from_millis(1);
pub(crate) const BEATS: u32 = 50;

thread_local! {
    /// How far the loop of this thread has counted: the other thing that it does.
    pub(crate) static COUNT: Cell<u32> = const { Cell::new(0) };
}

/// Counts one on; whether that was the last.
fn count() -> bool {
    COUNT.with(|count| {
        count.set(BEATS.min(count.get() + 1));
        count.get() == BEATS
    })
}

/// `drive` to its end, and `beats` beside it.
async fn both<T>(drive: impl Future<Output = T>, beats: impl Future<Output = ()>) -> T {
    let (mut drive, mut beats) = (pin!(drive), pin!(beats));
    let mut beating = true;
    poll_fn(|cx| {
        beating = beating && beats.as_mut().poll(cx).is_pending();
        match drive.as_mut().poll(cx) {
            Poll::Ready(result) => Poll::Ready(result),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

pub(crate) fn tokio(mut driver: Driver<Doist>) -> Ran {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let beats = async {
        while !count() {
            tokio::time::sleep(BEAT).await;
        }
    };
    let result = runtime.block_on(both(tymist::run::tokio::drive(&mut driver), beats));
    (driver, result)
}

pub(crate) fn smol(mut driver: Driver<Doist>) -> Ran {
    let beats = async {
        while !count() {
            async_io::Timer::after(BEAT).await;
        }
    };
    let result = async_io::block_on(both(tymist::run::smol::drive(&mut driver), beats));
    (driver, result)
}

pub(crate) fn calloop(driver: Driver<Doist>) -> Ran {
    type State = Option<Result<(), DoError>>;
    let mut events: EventLoop<'_, State> = EventLoop::try_new().unwrap();
    let after = |turn, _: &mut Driver<Doist>, state: &mut State| match turn {
        Ok(Recur::Again) => {}
        Ok(Recur::Done) => *state = Some(Ok(())),
        Err(error) => *state = Some(Err(error)),
    };
    let source = Dispatcher::new(Source::of(driver), after);
    events.handle().register_dispatcher(source.clone()).unwrap();
    let beat = |_, (): &mut (), _: &mut State| {
        if count() { TimeoutAction::Drop } else { TimeoutAction::ToDuration(BEAT) }
    };
    events.handle().insert_source(Timer::from_duration(BEAT), beat).unwrap();
    let mut state = None;
    while state.is_none() {
        events.dispatch(None, &mut state).unwrap();
    }
    drop(events);
    (source.into_source_inner().into_driver(), state.unwrap())
}

pub(crate) fn poll(mut driver: Driver<Doist>) -> Ran {
    loop {
        let rest = driver.rest();
        let mut watched: Vec<PollFd<'_>> =
            rest.descriptors.iter().map(|one| PollFd::new(one, PollFlags::IN)).collect();
        let timeout = rest.timeout.map(|timeout| Timespec::try_from(timeout).unwrap());
        rustix::event::poll(&mut watched, timeout.as_ref()).unwrap();
        count();
        match driver.turn() {
            Ok(Recur::Again) => {}
            Ok(Recur::Done) => return (driver, Ok(())),
            Err(error) => return (driver, Err(error)),
        }
    }
}

/// As in a window's loop: it can wait for its own events and a time, and has a proxy by which other threads wake it.
pub(crate) fn watcher(mut driver: Driver<Doist>) -> Ran {
    let (proxy, events) = mpsc::channel();
    let mut watcher = Watcher::new(move || _ = proxy.send(())).unwrap();
    loop {
        let rest = driver.rest();
        watcher.arm(&rest);
        match rest.timeout {
            Some(Duration::ZERO) => {}
            Some(time) => _ = events.recv_timeout(time),
            None => events.recv().unwrap(),
        }
        count();
        match driver.turn() {
            Ok(Recur::Again) => {}
            Ok(Recur::Done) => return (driver, Ok(())),
            Err(error) => return (driver, Err(error)),
        }
    }
}

#[test]
fn regression_a_watcher_whose_wake_has_panicked_says_so() {
    let mut server = Server::new(Config::new());
    let acceptor = server.listen(([127, 0, 0, 1], 0)).unwrap();
    let addr = server.local_addr(acceptor).unwrap().inet().unwrap();
    let mut driver = Driver::new(server);
    while driver.rest().is_now() {
        let _ = driver.turn().unwrap();
    }
    let mut watcher = Watcher::new(|| panic!("a mistake")).unwrap();
    watcher.arm(&driver.rest());
    let _client = std::net::TcpStream::connect(addr).unwrap();
    let arms = std::panic::AssertUnwindSafe(|| {
        for _ in 0..10_000_000 {
            watcher.arm(&driver.rest());
            std::thread::yield_now();
        }
    });
    assert!(std::panic::catch_unwind(arms).is_err(), "the loop would sleep for ever");
}

#[test]
fn regression_a_source_whose_doer_was_left_by_somebody_else_is_removed() {
    let after = |turn, _: &mut Driver<Doist>, ends: &mut u32| {
        *ends += u32::from(!matches!(turn, Ok(Recur::Again)));
    };
    let mut doist = Doist::new();
    doist.always = true;
    let source = Dispatcher::new(Source::new(doist), after);
    let mut events: EventLoop<'_, u32> = EventLoop::try_new().unwrap();
    events.handle().register_dispatcher(source.clone()).unwrap();
    let mut ends = 0;
    for _ in 0..3 {
        events.dispatch(Some(BEAT), &mut ends).unwrap();
    }
    assert_eq!(ends, 0);
    source.as_source_mut().driver_mut().exit().unwrap();
    for _ in 0..3 {
        events.dispatch(Some(BEAT), &mut ends).unwrap();
    }
    assert_eq!(ends, 1, "told once, and removed");
}

/// Lets time pass, as long as it may be; it is not how much that counts, but that there was some.
fn some_time() -> Duration {
    let mut real = Tymist::realtime();
    loop {
        let passed = real.tick() - Tyme::ZERO;
        if passed > Duration::from_millis(1) {
            return passed;
        }
    }
}

/// A loop that did something else for long begins what it begins now: by the tyme of the last turn it could be over at once.
#[test]
fn regression_what_is_begun_between_turns_has_its_time_from_then_on() {
    let within = Duration::from_secs(2);
    let mut server = Server::new(Config::new());
    server.listen(([127, 0, 0, 1], 0)).unwrap();
    let mut driver = Driver::new(server);
    assert_eq!(driver.turn().unwrap(), Recur::Again);
    let last = driver.tyme();
    let passed = some_time();
    driver.drain(Some(within));
    let deadline = driver.draining().unwrap().deadline;
    assert!(deadline >= last + passed + within, "{deadline} from {last}, after {passed:?}");
}

/// Who has a handle of tasks in such a loop, as another task of its executor does, counts from now on, too, and not from the last turn.
#[test]
fn regression_what_a_handle_begins_between_turns_has_its_time_from_then_on() {
    let within = Duration::from_secs(2);
    let tasks = Tasks::new(Config::new());
    let handle = tasks.handle();
    let mut driver = Driver::new(tasks);
    assert_eq!(driver.turn().unwrap(), Recur::Again);
    let last = driver.tyme();
    #[cfg(feature = "hyper")]
    use hyper::rt::Timer;
    #[cfg(feature = "hyper")]
    let (timer, begun) = {
        let timer = handle.hyper_timer();
        let begun = timer.now();
        (timer, begun)
    };
    let passed = some_time();
    let deadline = handle.sleep(within).deadline();
    assert!(deadline >= last + passed + within, "{deadline} from {last}, after {passed:?}");
    #[cfg(feature = "hyper")]
    assert!(timer.now() - begun >= passed, "{:?} after {passed:?}", timer.now() - begun);
    assert_eq!(driver.tyme(), last, "who only asks advances no clock");
}
