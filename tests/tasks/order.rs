//! Whose turn it is: first woken first served, once per tick for who wakes itself, within a budget; and how tasks end.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::{Poll, Waker};

use tymist::Wake;
use tymist::tasks::{JoinError, Panics, TaskConfig};

use super::bed::{Log, Rig};

/// Waits until somebody calls the waker that it has left in `place`.
fn parked(place: &Rc<Cell<Option<Waker>>>) -> impl Future<Output = ()> + use<> {
    let place = Rc::clone(place);
    let mut parked = false;
    poll_fn(move |context| {
        if std::mem::replace(&mut parked, true) {
            return Poll::Ready(());
        }
        place.set(Some(context.waker().clone()));
        Poll::Pending
    })
}

#[test]
fn tasks_run_in_the_order_of_their_waking() {
    let mut rig = Rig::new();
    let (handle, log) = (rig.tasks.handle(), Log::default());
    let places: Vec<Rc<Cell<Option<Waker>>>> = (0..4).map(|_| Rc::default()).collect();
    for (number, place) in places.iter().enumerate() {
        let (log, wait) = (log.clone(), parked(place));
        drop(handle.spawn(async move {
            log.say(format!("{number} begins"));
            wait.await;
            log.say(format!("{number} goes on"));
        }));
    }
    rig.tasks.service();
    assert_eq!(log.take(), ["0 begins", "1 begins", "2 begins", "3 begins"]);
    rig.tasks.service();
    assert!(log.take().is_empty(), "nobody was woken");
    for number in [2, 0, 3, 1] {
        let waker = places[number].take().unwrap();
        waker.wake_by_ref();
        waker.wake(); // Twice is once.
    }
    assert_eq!(rig.tasks.wake(), Wake::Now);
    rig.tasks.service();
    assert_eq!(log.take(), ["2 goes on", "0 goes on", "3 goes on", "1 goes on"]);
    assert!(rig.tasks.is_empty());
    assert_eq!((rig.tasks.counters().spawned, rig.tasks.counters().finished), (4, 4));
}

#[test]
fn who_wakes_itself_is_next_in_the_next_tick_and_who_is_woken_by_another_in_this() {
    let mut rig = Rig::new();
    let (handle, log) = (rig.tasks.handle(), Log::default());
    let place = Rc::default();
    let (wait, said) = (parked(&place), log.clone());
    drop(handle.spawn(async move {
        wait.await;
        said.say("woken");
    }));
    let (selfish, said) = (handle.clone(), log.clone());
    drop(handle.spawn(async move {
        place.take().unwrap().wake();
        for round in 0..3 {
            said.say(format!("round {round}"));
            selfish.yield_now().await;
        }
        drop(selfish.spawn(async move { said.say("begun") }));
    }));
    rig.tasks.service();
    assert_eq!(log.take(), ["round 0", "woken"]);
    assert_eq!(rig.tasks.wake(), Wake::Now);
    rig.tasks.service();
    assert_eq!(log.take(), ["round 1"]);
    rig.tasks.service();
    assert_eq!(log.take(), ["round 2"]);
    rig.tasks.service();
    assert_eq!(log.take(), ["begun"], "what is begun in a tick runs in it");
    assert!(rig.tasks.is_empty());
    assert_eq!(rig.tasks.wake(), Wake::OnIo);
}

#[test]
fn a_tick_has_no_more_polls_than_its_budget() {
    let mut config = TaskConfig::new();
    config.polls_per_tick = 10;
    let mut rig = Rig::with(config);
    let (handle, ran) = (rig.tasks.handle(), Rc::new(Cell::new(0)));
    // Each begins the next: without a budget the first tick would never end.
    fn chain(handle: &tymist::tasks::Handle, ran: &Rc<Cell<u32>>) {
        let (again, ran) = (handle.clone(), Rc::clone(ran));
        drop(handle.spawn(async move {
            ran.set(ran.get() + 1);
            chain(&again, &ran);
        }));
    }
    chain(&handle, &ran);
    for tick in 1..=5 {
        assert!(rig.tasks.service().more);
        assert_eq!(ran.get(), 10 * tick);
        assert_eq!(rig.tasks.wake(), Wake::Now);
    }
    assert_eq!(rig.tasks.counters().budget, 5);
    assert_eq!(rig.tasks.counters().polls, 50);
}

#[test]
fn a_handle_gives_the_result_and_dropping_it_detaches() {
    let mut rig = Rig::new();
    let handle = rig.tasks.handle();
    let detached = Rc::new(Cell::new(false));
    let seen = Rc::clone(&detached);
    let inner = handle.clone();
    let answer = rig.tasks.run_until(async move {
        let again = inner.clone();
        drop(inner.spawn(async move {
            again.yield_now().await;
            seen.set(true);
        }));
        let slow = inner.clone();
        let task = inner.spawn(async move {
            slow.yield_now().await;
            slow.yield_now().await;
            42
        });
        assert!(!task.is_finished());
        task.await
    });
    assert_eq!(answer.unwrap(), 42);
    assert!(detached.get(), "it went on by itself");
}

/// Says when it is dropped.
struct Dropped(Log, &'static str);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.say(self.1);
    }
}

#[test]
fn aborting_drops_the_future_at_once_or_as_soon_as_it_waits() {
    let mut rig = Rig::new();
    let (handle, log) = (rig.tasks.handle(), Log::default());
    let held = Dropped(log.clone(), "dropped");
    let task = handle.spawn(async move {
        let _held = held;
        std::future::pending::<()>().await;
    });
    rig.tasks.service();
    task.abort();
    assert_eq!(log.take(), ["dropped"]);
    assert!(task.is_finished() && rig.tasks.is_empty());
    assert!(matches!(rig.tasks.run_until(task), Err(JoinError::Aborted)));

    // One that aborts itself runs on until it waits.
    let own = Rc::new(Cell::new(None));
    let (mine, said, held) = (Rc::clone(&own), log.clone(), Dropped(log.clone(), "dropped"));
    let task = handle.spawn(async move {
        let _held = held;
        let task: Option<tymist::tasks::JoinHandle<()>> = mine.take();
        task.unwrap().abort();
        said.say("still here");
        std::future::pending::<()>().await;
    });
    own.set(Some(task));
    rig.tasks.service();
    assert_eq!(log.take(), ["still here", "dropped"]);
    assert!(rig.tasks.is_empty());
    assert_eq!(rig.tasks.counters().aborted, 2);
}

#[test]
fn a_panic_goes_to_who_waits_and_else_to_the_owner() {
    let mut rig = Rig::new();
    let handle = rig.tasks.handle();
    let waited_for = handle.spawn(async { panic!("first") });
    drop(handle.spawn(async { panic!("second") }));
    let goes_on = Rc::new(Cell::new(false));
    let seen = Rc::clone(&goes_on);
    drop(handle.spawn(async move { seen.set(true) }));
    let failed = rig.tasks.run_until(waited_for);
    assert_eq!(failed.unwrap_err().to_string(), "the task panicked: first");
    assert!(goes_on.get(), "all others go on");
    let kept = rig.tasks.take_panic().unwrap();
    assert_eq!(kept.downcast_ref::<&str>(), Some(&"second"));
    assert!(rig.tasks.take_panic().is_none());
    assert_eq!(rig.tasks.counters().panicked, 2);
}

#[test]
fn a_panic_can_be_made_to_go_on_and_the_rest_is_whole() {
    let mut config = TaskConfig::new();
    config.panics = Panics::Resume;
    let mut rig = Rig::with(config);
    let (handle, log) = (rig.tasks.handle(), Log::default());
    drop(handle.spawn(async { panic!("seen") }));
    let (said, again) = (log.clone(), handle.clone());
    drop(handle.spawn(async move {
        said.say("same tick");
        again.yield_now().await;
        said.say("next tick");
    }));
    let tasks = std::panic::AssertUnwindSafe(&mut rig.tasks);
    let caught = std::panic::catch_unwind(move || {
        let tasks = tasks;
        tasks.0.service()
    });
    assert_eq!(caught.unwrap_err().downcast_ref::<&str>(), Some(&"seen"));
    assert_eq!(log.take(), ["same tick"]);
    rig.tasks.service();
    assert_eq!(log.take(), ["next tick"]);
}

#[test]
fn beyond_the_limit_of_tasks_a_future_is_refused_or_given_back() {
    let mut config = TaskConfig::new();
    config.tasks = 2;
    let mut rig = Rig::with(config);
    let (handle, log) = (rig.tasks.handle(), Log::default());
    let first = handle.spawn(std::future::pending::<()>());
    let _second = handle.spawn(std::future::pending::<()>());
    let held = Dropped(log.clone(), "dropped");
    let third = handle.spawn(async move {
        let _held = held;
    });
    assert_eq!(log.take(), ["dropped"]);
    let back = handle.try_spawn(async { 7 }).unwrap_err();
    first.abort();
    let fourth = handle.try_spawn(back).ok().expect("there is room again");
    assert_eq!(rig.tasks.run_until(fourth).unwrap(), 7);
    assert!(matches!(rig.tasks.run_until(third), Err(JoinError::Refused)));
    assert_eq!(rig.tasks.counters().refused, 2);
}

#[test]
fn dropping_the_whole_drops_all_tasks_and_what_is_left_says_so() {
    let rig = Rig::new();
    let (handle, log) = (rig.tasks.handle(), Log::default());
    let listener = handle.listen(([127, 0, 0, 1], 0)).unwrap();
    let (held, again) = (Dropped(log.clone(), "dropped"), handle.clone());
    let task = handle.spawn(async move {
        let _held = held;
        // Who is dropped may begin nothing any more.
        struct Begins(tymist::tasks::Handle, Log);
        impl Drop for Begins {
            fn drop(&mut self) {
                let refused = self.0.try_spawn(async {}).is_err();
                self.1.say(if refused { "refused" } else { "begun" });
            }
        }
        let _begins = Begins(again, log.clone());
        std::future::pending::<()>().await;
    });
    let mut tasks = rig.tasks;
    tasks.service();
    drop(tasks);
    assert!(task.is_finished());
    assert_eq!(
        handle.listen(([127, 0, 0, 1], 0)).unwrap_err().kind(),
        std::io::ErrorKind::NotConnected
    );
    drop(listener);
}

/// A waker that was called on another thread ends the owner's sleep, whatever poller it sleeps in.
#[test]
#[cfg(unix)]
fn a_waker_from_another_thread_is_seen_by_the_descriptor() {
    use std::os::fd::AsRawFd;
    let mut rig = Rig::new();
    let place: Rc<Cell<Option<Waker>>> = Rc::default();
    let wait = parked(&place);
    let task = rig.tasks.handle().spawn(wait);
    rig.tasks.service();
    let waker = place.take().unwrap();
    let fd = rig.tasks.poll_fd().unwrap().as_raw_fd();
    let mut poll = mio::Poll::new().unwrap();
    let mut events = mio::Events::with_capacity(4);
    poll.registry()
        .register(&mut mio::unix::SourceFd(&fd), mio::Token(0), mio::Interest::READABLE)
        .unwrap();
    poll.poll(&mut events, Some(std::time::Duration::ZERO)).unwrap();
    assert!(events.is_empty(), "there is nothing yet");
    assert_eq!(rig.tasks.wake(), Wake::OnIo);
    #[expect(clippy::disallowed_methods, reason = "another thread is what it is about")]
    std::thread::spawn(move || waker.wake()).join().unwrap();
    poll.poll(&mut events, Some(std::time::Duration::from_secs(10))).unwrap();
    assert!(!events.is_empty(), "the owner was not told");
    rig.tasks.service();
    assert!(task.is_finished());
}

/// Neither one that always wakes itself nor two that always wake one another keep the network waiting.
#[test]
fn who_never_rests_starves_nobody() {
    use futures_channel::mpsc;
    use futures_util::{SinkExt, StreamExt};
    let mut rig = Rig::new();
    let handle = rig.tasks.handle();
    let restless = handle.clone();
    drop(handle.spawn(async move {
        loop {
            restless.yield_now().await;
        }
    }));
    let (mut to_one, mut for_one) = mpsc::channel::<u64>(1);
    let (mut to_other, mut for_other) = mpsc::channel::<u64>(1);
    drop(handle.spawn(async move {
        let _ = to_other.send(0).await;
        while let Some(number) = for_one.next().await {
            let _ = to_other.send(number + 1).await;
        }
    }));
    drop(handle.spawn(async move {
        while let Some(number) = for_other.next().await {
            let _ = to_one.send(number).await;
        }
    }));
    let exchanged = rig.tasks.run_until(async move {
        let mut listener = handle.listen(([127, 0, 0, 1], 0)).unwrap();
        let addr = listener.local_addr().clone();
        drop(handle.spawn(async move {
            let mut stream = listener.accept().await.unwrap();
            while let Ok(mut data) = stream.read_bytes().await
                && !data.is_empty()
            {
                stream.write_bytes(&mut data).await.unwrap();
            }
        }));
        let mut stream = handle.connect(addr).await.unwrap();
        for round in 0..20_u8 {
            let mut back = [0];
            stream.write_all(&[round]).await.unwrap();
            stream.read_exact(&mut back).await.unwrap();
            assert_eq!(back, [round]);
        }
        20
    });
    assert_eq!(exchanged, 20);
    assert!(rig.tasks.counters().budget > 0, "the budget was never reached");
}

#[test]
fn ten_thousand_that_sleep_are_not_looked_at() {
    let mut rig = Rig::new();
    let handle = rig.tasks.handle();
    for number in 0..10_000 {
        let sleep = handle.sleep(std::time::Duration::from_secs(1000 + number));
        drop(handle.spawn(sleep));
    }
    while rig.tasks.service().more {}
    let polls = rig.tasks.counters().polls;
    assert_eq!(polls, 10_000);
    for second in 1..1000 {
        rig.at(tymist::tyme::Tyme::from_secs(second));
    }
    assert_eq!(rig.tasks.counters().polls, polls, "nobody was due");
    rig.at(tymist::tyme::Tyme::from_secs(1004));
    assert_eq!(rig.tasks.counters().polls, polls + 5);
    assert_eq!(rig.tasks.len(), 9_995);
}

/// Each waking by another thread may come just as the owner goes to sleep.
#[test]
fn no_waking_by_another_thread_is_lost() {
    use futures_channel::mpsc;
    use futures_util::StreamExt;
    let mut rig = Rig::new();
    let (mut to_tasks, mut received) = mpsc::channel::<u32>(0);
    #[expect(clippy::disallowed_methods, reason = "another thread is what it is about")]
    let sender = std::thread::spawn(move || {
        for number in 0..5000 {
            while to_tasks.try_send(number).is_err() {
                std::thread::yield_now();
            }
        }
    });
    let task = rig.tasks.handle().spawn(async move {
        for wanted in 0..5000 {
            assert_eq!(received.next().await, Some(wanted));
        }
    });
    rig.tasks.run_until(task).unwrap();
    sender.join().unwrap();
}

#[test]
fn as_a_doer_it_is_wound_given_turns_and_closed_and_can_be_entered_again() {
    use tymist::doing::Doer;
    let tymist = tymist::tyme::Tymist::new();
    let mut tasks = Rig::new().tasks;
    for round in 0..2 {
        let (handle, log) = (tasks.handle(), Log::default());
        Doer::enter(&mut tasks, &tymist.tymth()).unwrap();
        let listener = handle.listen(([127, 0, 0, 1], 0)).unwrap();
        let (held, waits) = (Dropped(log.clone(), "dropped"), handle.clone());
        drop(handle.spawn(async move {
            let (_held, mut listener) = (held, listener);
            drop(waits.timeout(std::time::Duration::from_secs(1), listener.accept()).await);
        }));
        let _ = Doer::recur(&mut tasks, tymist.tyme()).unwrap();
        assert!(matches!(Doer::wake(&tasks), Wake::At(_)), "round {round}");
        let mut descriptors = Vec::new();
        Doer::descriptors(&tasks, &mut descriptors);
        assert_eq!(descriptors.len(), 1);
        Doer::exit(&mut tasks).unwrap();
        assert_eq!(log.take(), ["dropped"], "round {round}");
        assert!(tasks.is_empty() && tasks.server().acceptors().count() == 0);
    }
}
