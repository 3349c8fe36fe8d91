//! A server's doer and its service, on real sockets.
#![allow(clippy::disallowed_methods, reason = "the far ends are blocking sockets")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use bytes::Bytes;
use tymist::doing::{Doer, Recur, ServerDoer};
use tymist::tyme::Tymist;
use tymist::{CloseReason, Config, Event, Id, Server, Service, Session};

use crate::Log;
use crate::real::listening;
use crate::util::{ROUNDS, connect, end};

/// Turns until it is done, or for so long as `more` says.
#[track_caller]
fn turns<S: Service>(doer: &mut ServerDoer<S>, mut more: impl FnMut(&ServerDoer<S>) -> bool) {
    let mut tymist = Tymist::new();
    for _ in 0..ROUNDS {
        if !more(doer) {
            return;
        }
        doer.server.wait(Some(Duration::from_millis(5)));
        if doer.recur(tymist.tick()).unwrap() == Recur::Done {
            return;
        }
    }
    panic!("it did not come to that");
}

/// Answers in capitals by its filter, says goodbye in its tick, and is done.
#[derive(Default)]
struct Polite {
    came: Option<Id>,
    bye: bool,
    told: Log,
}

impl Service for Polite {
    fn received(&mut self, session: &mut Session<'_>) {
        self.came = Some(session.id());
        let mut data = session.take();
        session.tx_bytes(&mut data).unwrap();
    }

    fn closed(&mut self, session: &mut Session<'_>, reason: CloseReason) {
        self.told.say(format!("{reason:?}:{}", session.rx().len()));
    }

    fn outgoing(&mut self, _: Id, data: &mut Bytes) {
        *data = data.to_ascii_uppercase().into();
    }

    fn tick(&mut self, server: &mut Server) {
        if let Some(id) = self.came.take() {
            server.tx(id, b", bye").unwrap();
            self.bye = true;
        }
    }

    fn is_done(&self) -> bool {
        self.bye
    }
}

fn read(client: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut data = vec![0; count];
    client.read_exact(&mut data).unwrap();
    data
}

#[test]
fn what_the_last_turn_has_queued_leaves_in_it_filtered_and_the_end_is_told() {
    let (server, addr) = listening(Config::new());
    let mut doer = ServerDoer::new(server, Polite::default());
    doer.enter(&Tymist::new().tymth()).unwrap();
    let mut client = connect(addr);
    client.write_all(b"hello").unwrap();
    turns(&mut doer, |_| true);
    assert!(doer.service.bye);
    assert_eq!(read(&mut client, 10), b"HELLO, BYE", "before it is left");
    let told = doer.service.told.clone();
    assert_eq!(told.take(), "");
    doer.exit().unwrap();
    assert_eq!(told.take(), "ServerClosed:0");
    assert!(!doer.server.opened());
}

#[test]
fn regression_what_was_queued_since_the_last_turn_leaves_filtered_before_the_end() {
    struct Loud;
    impl Service for Loud {
        fn outgoing(&mut self, _: Id, data: &mut Bytes) {
            assert_ne!(data, "?", "a mistake");
            *data = data.to_ascii_uppercase().into();
        }
    }
    for (queued, mistake) in [("bye", false), ("?", true)] {
        let (server, addr) = listening(Config::new());
        let mut doer = ServerDoer::new(server, Loud);
        doer.enter(&Tymist::new().tymth()).unwrap();
        let mut client = connect(addr);
        turns(&mut doer, |doer| doer.server.is_empty());
        let id = doer.server.ixes()[0];
        doer.server.tx(id, queued.as_bytes()).unwrap();
        let left = catch_unwind(AssertUnwindSafe(|| doer.exit().unwrap()));
        assert_eq!((left.is_err(), doer.server.opened()), (mistake, false));
        if !mistake {
            let mut got = Vec::new();
            client.read_to_end(&mut got).unwrap();
            assert_eq!(got, b"BYE");
        }
    }
}

#[test]
fn a_closure_serves_and_hears_of_the_end_after_a_mistake_of_its_own() {
    let (server, addr) = listening(Config::new());
    let log = Log::default();
    let said = log.clone();
    let mut doer = ServerDoer::new(server, move |_: &mut Server, event: Event| match event {
        Event::Accepted(_) => said.say("in"),
        Event::Eof(_) => panic!("a mistake"),
        Event::Closed(..) => said.say("closed"),
        _ => {}
    });
    doer.enter(&Tymist::new().tymth()).unwrap();
    let (_first, second) = (connect(addr), connect(addr));
    turns(&mut doer, |doer| doer.server.len() < 2);
    end(&second);
    let turn = AssertUnwindSafe(|| turns(&mut doer, |_| true));
    assert!(catch_unwind(turn).is_err());
    doer.exit().unwrap();
    assert_eq!(log.take(), "in in closed closed");
}
