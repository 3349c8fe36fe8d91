//! Talking to running engines.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use tymist::run::{Inbox, MailError, Manager, Seat};
use tymist::{Config, Server, Service};

use crate::LONG;

/// Answers each number with its double; waits for a word before each round where it is told to.
struct Doubler {
    engine: usize,
    inbox: Inbox<u32>,
    answers: Sender<(usize, u32)>,
    gate: Option<Receiver<()>>,
}

impl Service for Doubler {
    fn tick(&mut self, _: &mut Server) {
        if let Some(gate) = &self.gate {
            let _ = gate.recv();
        }
        while let Some(number) = self.inbox.take() {
            let _ = self.answers.send((self.engine, 2 * number));
        }
    }
}

/// A manager without a socket: mail alone wakes it.
fn doublers(engines: usize, capacity: usize) -> (Manager<u32>, Receiver<(usize, u32)>) {
    let (answers, told) = channel();
    let mut manager = Manager::with_mail(capacity, Config::new(), move |_, seat: Seat<u32>| {
        Ok(Doubler { engine: seat.engine, inbox: seat.inbox, answers: answers.clone(), gate: None })
    });
    manager.threads(engines);
    (manager, told)
}

#[test]
fn each_engine_has_its_own_box_and_is_woken_by_it() {
    let (mut manager, told) = doublers(2, 8);
    let boxes = [manager.mailbox(0).unwrap(), manager.mailbox(1).unwrap()];
    assert!(manager.mailbox(2).is_none());
    assert_eq!(boxes[0].send(1), Err(MailError::Gone(1)), "not started");
    manager.start().unwrap();
    // One at a time: each finds its engine asleep.
    for number in 0..100 {
        let engine = number % 2;
        boxes[engine].send(number as u32).unwrap();
        assert_eq!(told.recv_timeout(LONG), Ok((engine, 2 * number as u32)));
    }
    manager.stop(None).unwrap();
    assert_eq!(boxes[1].send(7), Err(MailError::Gone(7)), "ended");
    // The same box after the next start.
    manager.start().unwrap();
    boxes[1].send(7).unwrap();
    assert_eq!(told.recv_timeout(LONG), Ok((1, 14)));
}

#[test]
fn a_full_box_gives_the_message_back_and_nothing_in_it_is_lost() {
    let (answers, told) = channel();
    let (go_on, gate) = channel();
    let gate = std::sync::Mutex::new(Some(gate));
    let mut manager = Manager::with_mail(3, Config::new(), move |_, seat: Seat<u32>| {
        let gate = gate.lock().unwrap().take();
        Ok(Doubler { engine: seat.engine, inbox: seat.inbox, answers: answers.clone(), gate })
    });
    manager.start().unwrap();
    let mailbox = manager.mailbox(0).unwrap();
    // It waits at the gate, before it has looked.
    for number in 0..3 {
        mailbox.send(number).unwrap();
    }
    assert_eq!(mailbox.send(3), Err(MailError::Full(3)));
    assert_eq!(MailError::Full(3).into_inner(), 3);
    drop(go_on);
    for number in 0..3 {
        assert_eq!(told.recv_timeout(LONG), Ok((0, 2 * number)));
    }
    mailbox.send(3).unwrap();
    assert_eq!(told.recv_timeout(LONG), Ok((0, 6)));
}

#[test]
fn many_may_write_at_once() {
    let (mut manager, told) = doublers(1, 4);
    manager.start().unwrap();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let mailbox = manager.mailbox(0).unwrap();
            scope.spawn(move || {
                for number in 0..250 {
                    let mut message = writer * 250 + number;
                    while let Err(MailError::Full(back)) = mailbox.send(message) {
                        message = back;
                        std::thread::yield_now();
                    }
                }
            });
        }
        let mut all: Vec<u32> = (0..1000).map(|_| told.recv_timeout(LONG).unwrap().1).collect();
        all.sort_unstable();
        assert!(all.into_iter().eq((0..1000).map(|number| 2 * number)));
    });
}

#[test]
fn a_dropped_inbox_and_a_panic_are_gone() {
    let mut manager = Manager::with_mail(1, Config::new(), |_, seat: Seat<u32>| {
        drop(seat.inbox);
        Ok(|_: &mut Server, _| ())
    });
    manager.start().unwrap();
    assert_eq!(manager.mailbox(0).unwrap().send(1), Err(MailError::Gone(1)));

    struct Fragile(Inbox<u32>);
    impl Service for Fragile {
        fn tick(&mut self, _: &mut Server) {
            assert!(self.0.take().is_none(), "touched");
        }
    }
    let mut manager =
        Manager::with_mail(1, Config::new(), |_, seat: Seat<u32>| Ok(Fragile(seat.inbox)));
    manager.start().unwrap();
    let mailbox = manager.mailbox(0).unwrap();
    mailbox.send(1).unwrap();
    manager.wait(Some(LONG)).unwrap_err();
    assert_eq!(mailbox.send(2), Err(MailError::Gone(2)));
    assert!(manager.wait(Some(Duration::ZERO)).unwrap());
}

#[test]
fn a_tick_drains_no_more_than_the_box_holds_and_the_rest_wakes_it() {
    let mut server = Server::new(Config::new());
    let (mailbox, inbox) = tymist::run::mailbox(2, server.waker().unwrap());
    mailbox.send(1).unwrap();
    mailbox.send(2).unwrap();
    let mut drained = Vec::new();
    for message in inbox.drain() {
        drained.push(message);
        // Somebody who never stops.
        mailbox.send(message + 2).unwrap();
    }
    assert_eq!(drained, [1, 2]);
    server.wait(None); // Woken for what is left.
    assert_eq!(inbox.drain().collect::<Vec<i32>>(), [3, 4]);
}

/// Room for all of them was made at once: a panic, or memory for messages that never come.
#[test]
fn regression_a_box_takes_memory_only_for_what_is_in_it() {
    let mut server = Server::new(Config::new());
    let (mailbox, inbox) = tymist::run::mailbox(usize::MAX, server.waker().unwrap());
    for message in 0..3 {
        mailbox.send(message).unwrap();
    }
    assert_eq!(inbox.take(), Some(0));
    assert_eq!(inbox.drain().collect::<Vec<i32>>(), [1, 2]);
    drop(inbox);
    assert_eq!(mailbox.send(3), Err(MailError::Gone(3)));
    let (mailbox, inbox) = tymist::run::mailbox(0, server.waker().unwrap());
    mailbox.send(1).unwrap();
    assert_eq!(mailbox.send(2), Err(MailError::Full(2)));
    drop(inbox);
    assert_eq!(mailbox.send(2), Err(MailError::Gone(2)), "and not full");
}
