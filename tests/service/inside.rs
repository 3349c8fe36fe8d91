//! A callback has the server in hand, and asks it to call back.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use bytes::BytesMut;
use tymist::{Config, Event, Id, Server, Service, Serviced, Session};

use crate::until;
use crate::util::{ROUNDS, Rig, connect, receive, send};

/// Calls `serve` wherever it has the server in hand.
#[derive(Default)]
struct Nested {
    inside: bool,
    events: usize,
    ticks: usize,
    tried: usize,
}

/// It does nothing; where assertions are on, it says so.
fn try_to_serve<S: Service>(server: &mut Server, service: &mut S) {
    let ticks = server.counters().ticks;
    let tried = catch_unwind(AssertUnwindSafe(|| server.serve(service)));
    assert_eq!(tried.is_err(), cfg!(debug_assertions));
    assert_eq!(tried.unwrap_or_default(), Serviced::default());
    assert_eq!(server.counters().ticks, ticks, "it ticked all the same");
}

impl Nested {
    fn try_it(&mut self, server: &mut Server) {
        assert!(!self.inside, "a callback inside a callback");
        self.inside = true;
        self.tried += 1;
        try_to_serve(server, self);
        self.inside = false;
    }
}

impl Service for Nested {
    fn received(&mut self, session: &mut Session<'_>) {
        let mut data = session.take();
        session.tx_bytes(&mut data).unwrap();
        session.later(|server| {
            try_to_serve(server, &mut |_: &mut Server, _: Event| panic!("called from inside"));
        });
    }

    fn event(&mut self, server: &mut Server, event: Event) {
        self.events += 1;
        self.try_it(server);
        tymist::call_back(self, server, &event);
    }

    fn tick(&mut self, server: &mut Server) {
        self.ticks += 1;
        self.try_it(server);
    }
}

#[test]
fn a_callback_that_serves_gets_nothing_and_spoils_nothing() {
    let mut rig = Rig::new(Config::new());
    let mut nested = Nested::default();
    let mut client = connect(rig.addr);
    for (message, so_far) in [(b"hello", 5), (b"again", 10)] {
        send(&mut client, message);
        until(&mut rig.server, &mut nested, |server, _| server.counters().bytes_in == so_far);
        rig.server.service_sends();
        assert_eq!(receive(&mut client, 5), message);
    }
    assert_eq!(nested.events, 3, "it came in, and spoke twice");
    assert_eq!(nested.tried, nested.events + nested.ticks);
}

#[test]
fn a_callback_that_panics_leaves_a_server_that_serves() {
    let mut rig = Rig::new(Config::new());
    let mut client = connect(rig.addr);
    send(&mut client, b"hello");
    let mut panics = |_: &mut Server, _: Event| panic!("a mistake");
    let until_it_does = AssertUnwindSafe(|| until(&mut rig.server, &mut panics, |_, _| false));
    let payload = catch_unwind(until_it_does).unwrap_err();
    assert_eq!(payload.downcast_ref(), Some(&"a mistake"));
    let mut nested = Nested::default();
    until(&mut rig.server, &mut nested, |server, nested| {
        nested.events > 0 && server.counters().bytes_in == 5
    });
    rig.server.service_sends();
    assert_eq!(receive(&mut client, 5), b"hello");
}

/// Looks at what came in for others, as soon as anything came in for one.
#[derive(Default)]
struct Curious {
    ids: Vec<Id>,
    filtered: Vec<u8>,
    seen: Vec<u8>,
}

impl Service for Curious {
    fn opened(&mut self, session: &mut Session<'_>) {
        self.ids.push(session.id());
    }

    fn received(&mut self, session: &mut Session<'_>) {
        self.seen.extend_from_slice(&session.take());
        let own = session.id();
        for id in self.ids.iter().copied().filter(|id| *id != own) {
            session.later(move |server| {
                let remoter = server.remoter_mut(id).unwrap();
                let first = remoter.take_first(1);
                remoter.unread(first);
                let all = remoter.take();
                remoter.unread(all);
            });
        }
    }

    fn incoming(&mut self, _: Id, data: &mut BytesMut) {
        self.filtered.extend_from_slice(data);
    }
}

#[test]
fn regression_what_was_taken_and_put_back_before_its_event_is_shown_whole() {
    let mut rig = Rig::new(Config::new());
    let mut curious = Curious::default();
    let (mut a, mut b) = (connect(rig.addr), connect(rig.addr));
    until(&mut rig.server, &mut curious, |_, curious| curious.ids.len() == 2);
    send(&mut a, b"abc");
    send(&mut b, b"def");
    // Both are there, and neither was told.
    for _ in 0..ROUNDS {
        if rig.server.counters().bytes_in == 6 {
            break;
        }
        rig.server.wait(Some(Duration::from_millis(5)));
        rig.server.service();
    }
    until(&mut rig.server, &mut curious, |_, curious| curious.seen.len() == 6);
    curious.filtered.sort_unstable();
    assert_eq!(curious.filtered, b"abcdef");
}
