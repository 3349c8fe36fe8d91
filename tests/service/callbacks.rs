//! Which callback comes when.

use tymist::{
    CloseReason, Config, Endpoint, EndpointId, Event, GramConfig, Id, Server, Service, Session,
    Wake, call_back,
};

use crate::until;
use crate::util::{Rig, connect, end, pattern, receive, receive_while, reset, send};

/// Writes down what it is told.
#[derive(Default)]
struct Diary {
    told: Vec<String>,
    ids: Vec<Id>,
    ticks: usize,
    /// What to echo at most, of what came in.
    most: Option<usize>,
}

impl Service for Diary {
    fn opened(&mut self, session: &mut Session<'_>) {
        assert!(session.rx().is_empty(), "bytes before they were told of");
        self.ids.push(session.id());
        self.told.push("opened".into());
    }

    fn received(&mut self, session: &mut Session<'_>) {
        let text = String::from_utf8_lossy(session.rx()).into_owned();
        self.told.push(format!("received {text}"));
        let data = session.take_first(self.most.unwrap_or(usize::MAX));
        assert_eq!(session.tx(&data), Ok(data.len()));
    }

    fn drained(&mut self, _: &mut Session<'_>) {
        self.told.push("drained".into());
    }

    fn ended(&mut self, session: &mut Session<'_>) {
        self.told.push("ended".into());
        session.take();
    }

    fn closed(&mut self, session: &mut Session<'_>, reason: CloseReason) {
        self.told.push(format!("closed {reason:?} {}", String::from_utf8_lossy(session.rx())));
    }

    fn tick(&mut self, _: &mut Server) {
        self.ticks += 1;
    }
}

#[test]
fn the_life_of_a_connection_is_told_in_order() {
    let mut rig = Rig::new(Config::new());
    let mut diary = Diary::default();
    let mut client = connect(rig.addr);
    send(&mut client, b"hello");
    until(&mut rig.server, &mut diary, |_, diary| diary.told.len() == 2);
    rig.server.service_sends();
    assert_eq!(receive(&mut client, 5), b"hello");
    end(&client);
    until(&mut rig.server, &mut diary, |_, diary| diary.told.len() == 4);
    assert_eq!(diary.told, ["opened", "received hello", "ended", "closed Eof "]);
    assert!(diary.ticks > 0);
    assert!(rig.server.is_empty());
}

#[test]
fn what_is_left_is_there_the_next_time_and_at_the_end() {
    let mut rig = Rig::new(Config::new());
    let mut diary = Diary { most: Some(2), ..Diary::default() };
    let mut client = connect(rig.addr);
    send(&mut client, b"abcd");
    until(&mut rig.server, &mut diary, |_, diary| diary.told.len() == 2);
    send(&mut client, b"ef");
    until(&mut rig.server, &mut diary, |_, diary| diary.told.len() == 3);
    assert_eq!(diary.told, ["opened", "received abcd", "received cdef"]);
    reset(client);
    until(&mut rig.server, &mut diary, |_, diary| diary.told.len() == 4);
    assert_eq!(diary.told.last().unwrap(), "closed Reset ef");
}

#[test]
fn drained_comes_when_there_is_room_again() {
    let mut rig = Rig::with(|config| config.limits.tx_bytes = 1 << 20);
    let mut client = connect(rig.addr);
    let mut diary = Diary::default();
    until(&mut rig.server, &mut diary, |_, diary| diary.told.len() == 1);
    // More than the kernel takes; a byte more than there is room for, so that somebody waits.
    let data = pattern((1 << 20) + 1);
    let remoter = rig.server.remoter_mut(diary.ids[0]).unwrap();
    assert_eq!(remoter.tx(&data), Ok(1 << 20));
    let got = receive_while(&mut client, 1 << 20, || {
        rig.server.wait(Some(std::time::Duration::from_millis(5)));
        rig.server.serve(&mut diary);
    });
    assert_eq!(got, data[..1 << 20]);
    until(&mut rig.server, &mut diary, |_, diary| diary.told.len() == 2);
    assert_eq!(diary.told, ["opened", "drained"]);
}

#[test]
fn a_dialled_connection_is_opened_and_closed_as_well() {
    let mut rig = Rig::new(Config::new());
    let mut diary = Diary::default();
    let id = rig.server.connect(rig.addr).unwrap();
    rig.server.tx(id, b"hello").unwrap();
    until(&mut rig.server, &mut diary, |_, diary| diary.told.len() >= 4);
    // Both ends are here: what one says the other echoes, and so on. Only the beginning is certain.
    assert_eq!(diary.told[..2], ["opened", "opened"]);
    assert!(diary.ids.contains(&id));
    rig.server.remoter_mut(id).unwrap().abort();
    until(&mut rig.server, &mut diary, |server, _| {
        server.is_empty() && server.poll_event().is_none()
    });
    assert!(diary.told.iter().any(|told| told.starts_with("closed Aborted")), "{:?}", diary.told);
}

/// Takes what it wants and passes on the rest.
struct Picky(Vec<Event>, Diary);

impl Service for Picky {
    fn opened(&mut self, session: &mut Session<'_>) {
        self.1.opened(session);
    }

    fn event(&mut self, server: &mut Server, event: Event) {
        call_back(self, server, &event);
        self.0.push(event);
    }

    fn wake(&self) -> Wake {
        Wake::Now
    }
}

#[test]
fn the_catch_all_sees_everything_and_may_pass_it_on() {
    let mut rig = Rig::with(|config| config.limits.remoters = 1);
    let mut picky = Picky(Vec::new(), Diary::default());
    let (_one, _two) = (connect(rig.addr), connect(rig.addr));
    until(&mut rig.server, &mut picky, |_, picky| picky.0.len() == 2);
    assert!(matches!(picky.0[..], [Event::Accepted(_), Event::Refused { .. }]), "{:?}", picky.0);
    assert_eq!(picky.1.told, ["opened"]);
}

/// Says to all others what one says.
struct Chat;

impl Service for Chat {
    fn received(&mut self, session: &mut Session<'_>) {
        let (from, data) = (session.id(), session.take());
        session.later(move |server| {
            let told = server.broadcast(&data, |remoter| remoter.id() != from);
            server.remoter_mut(from).unwrap().set_data(told.queued);
        });
    }
}

#[test]
fn later_has_the_whole_server() {
    let mut rig = Rig::new(Config::new());
    let (mut one, mut two) = (connect(rig.addr), connect(rig.addr));
    until(&mut rig.server, &mut Chat, |server, _| server.len() == 2);
    send(&mut one, b"hello");
    let id = rig.server.at(&one.local_addr().unwrap().into()).unwrap();
    until(&mut rig.server, &mut Chat, |server, _| {
        server.remoter(id).unwrap().data::<usize>().is_some()
    });
    assert_eq!(rig.server.remoter(id).unwrap().data::<usize>(), Some(&1));
    rig.server.service_sends();
    assert_eq!(receive(&mut two, 5), b"hello");
}

/// Answers each datagram with its length.
#[derive(Default)]
struct Lengths(usize);

impl Service for Lengths {
    fn grams(&mut self, endpoint: &mut Endpoint, _: EndpointId) {
        while let Some(gram) = endpoint.take() {
            self.0 += 1;
            endpoint.tx(gram.data.len().to_string().as_bytes(), gram.from).unwrap();
        }
    }
}

#[test]
fn datagrams_have_a_callback() {
    let mut server = Server::new(Config::new());
    let id = server.bind(([127, 0, 0, 1], 0), GramConfig::new()).unwrap();
    let addr = server.endpoint(id).unwrap().local_addr().inet().unwrap();
    let client = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
    client.send_to(b"four", addr).unwrap();
    let mut lengths = Lengths::default();
    until(&mut server, &mut lengths, |_, lengths| lengths.0 == 1);
    server.service_sends();
    let mut reply = [0; 8];
    let (len, from) = client.recv_from(&mut reply).unwrap();
    assert_eq!((&reply[..len], from), (&b"4"[..], addr));
}

#[test]
fn a_closure_is_a_service_and_so_is_a_boxed_one() {
    let mut rig = Rig::new(Config::new());
    let mut client = connect(rig.addr);
    send(&mut client, b"hello");
    let mut closure = |server: &mut Server, event: Event| {
        if let Event::Received(id) = event {
            let remoter = server.remoter_mut(id).unwrap();
            let mut data = remoter.take();
            remoter.tx_bytes(&mut data).unwrap();
        }
    };
    let boxed: &mut dyn Service = &mut closure;
    for _ in 0..crate::util::ROUNDS {
        rig.server.wait(Some(std::time::Duration::from_millis(5)));
        rig.server.serve(boxed);
        if rig.server.counters().bytes_in == 5 {
            break;
        }
    }
    rig.server.service_sends();
    assert_eq!(receive(&mut client, 5), b"hello");
}

#[test]
fn waiting_until_a_wake_waits_no_longer() {
    let mut rig = Rig::new(Config::new());
    // The clock stands: a tyme that has come, and now, are not waited for.
    rig.server.wait_until(Wake::Now);
    rig.server.wait_until(Wake::At(rig.server.tyme()));
}

/// Serves itself in the middle of everything.
#[derive(Default)]
struct Eager {
    inside: usize,
    events: usize,
}

impl Service for Eager {
    fn event(&mut self, server: &mut Server, event: Event) {
        self.inside += 1;
        assert_eq!(self.inside, 1, "inside itself");
        server.serve(self);
        self.events += 1;
        call_back(self, server, &event);
        self.inside -= 1;
    }

    fn tick(&mut self, server: &mut Server) {
        self.inside += 1;
        assert_eq!(self.inside, 1, "inside itself");
        server.serve(self);
        assert!(self.events < 2, "enough");
        self.inside -= 1;
    }
}

#[test]
fn regression_a_serve_inside_a_serve_does_nothing() {
    let mut rig = Rig::new(Config::new());
    let mut eager = Eager::default();
    let mut client = connect(rig.addr);
    until(&mut rig.server, &mut eager, |_, eager| eager.events == 1);
    // After a panic it goes on.
    send(&mut client, b"hello");
    let server = &mut rig.server;
    let panics =
        std::panic::AssertUnwindSafe(|| until(server, &mut eager, |_, eager| eager.events == 9));
    assert!(std::panic::catch_unwind(panics).is_err());
    let mut again = Diary::default();
    until(&mut rig.server, &mut again, |_, diary| diary.ticks == 1);
}
