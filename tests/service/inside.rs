//! A callback has the server in hand, and asks it to call back.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tymist::{Config, Event, Server, Service, Serviced, Session};

use crate::until;
use crate::util::{Rig, connect, receive, send};

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
