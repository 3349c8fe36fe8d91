//! What filters see, and that nothing passes them by.

use std::collections::BTreeMap;
use std::io::Read;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tymist::{Config, Event, Id, RxFull, Server, Service, Session};

use crate::until;
use crate::util::{Rig, connect, end, pattern, receive, receive_while, send};

const KEY: u8 = 0x5a;

fn cipher(data: &[u8]) -> Vec<u8> {
    data.iter().map(|byte| byte ^ KEY).collect()
}

/// Echoes, with a cipher on the wire; keeps what each side of the filters saw.
#[derive(Default)]
struct Secret {
    wire_in: BTreeMap<Id, Vec<u8>>,
    plain_out: BTreeMap<Id, Vec<u8>>,
    plain_in: Vec<u8>,
    /// What of the plaintext is echoed at most per call; the rest is left where it is.
    most: Option<usize>,
    /// Sends from inside the tick, which must not get by the filter.
    eager: bool,
    ended: bool,
}

impl Service for Secret {
    fn received(&mut self, session: &mut Session<'_>) {
        let mut data = session.take_first(self.most.unwrap_or(usize::MAX));
        self.plain_in.extend(&data);
        session.tx_bytes(&mut data).unwrap();
        let back = self.plain_in.len() - data.len();
        self.plain_in.truncate(back);
        session.unread(data);
    }

    fn drained(&mut self, session: &mut Session<'_>) {
        self.received(session);
    }

    fn ended(&mut self, session: &mut Session<'_>) {
        self.ended = true;
        self.received(session);
    }

    fn incoming(&mut self, id: Id, data: &mut BytesMut) {
        assert!(!data.is_empty());
        self.wire_in.entry(id).or_default().extend(&*data);
        data.iter_mut().for_each(|byte| *byte ^= KEY);
    }

    fn outgoing(&mut self, id: Id, data: &mut Bytes) {
        assert!(!data.is_empty());
        self.plain_out.entry(id).or_default().extend(&*data);
        *data = cipher(data).into();
    }

    fn tick(&mut self, server: &mut Server) {
        if self.eager {
            for id in server.ixes() {
                server.tx(id, b"!").unwrap();
            }
            server.service_sends();
            self.eager = server.is_empty();
        }
    }
}

#[test]
fn every_byte_passes_both_filters_once_and_in_order() {
    let mut rig = Rig::with(|config| {
        config.limits.rx_bytes = 10_000;
        config.limits.tx_bytes = 7_000;
        config.limits.remoter_tick_bytes = 3_000;
    });
    let mut client = connect(rig.addr);
    let sent = pattern(300_000);
    let mut secret = Secret { most: Some(2_500), ..Secret::default() };
    let mut writer = client.try_clone().unwrap();
    let wire = cipher(&sent);
    let writing = std::thread::spawn(move || {
        send(&mut writer, &wire);
        end(&writer);
    });
    let got = receive_while(&mut client, sent.len(), || {
        rig.server.wait(Some(Duration::from_millis(5)));
        rig.server.serve(&mut secret);
        // What was left unread is looked at again although nothing new has come.
        let ids = rig.server.ixes();
        for id in ids {
            let remoter = rig.server.remoter_mut(id).unwrap();
            if remoter.can_receive() && remoter.can_send() {
                let mut data = remoter.take();
                secret.plain_in.extend(&data);
                remoter.tx_bytes(&mut data).unwrap();
                let kept = secret.plain_in.len() - data.len();
                secret.plain_in.truncate(kept);
                remoter.unread(data);
            }
        }
    });
    writing.join().unwrap();
    assert!(got == cipher(&sent), "not what was sent");
    assert!(secret.plain_in == sent);
    assert!(secret.wire_in.values().eq([&cipher(&sent)]));
    assert!(secret.plain_out.values().eq([&sent]));
    until(&mut rig.server, &mut secret, |server, _| server.is_empty());
    client.set_nonblocking(false).unwrap();
    assert_eq!(client.read(&mut [0; 8]).unwrap(), 0);
}

#[test]
fn what_somebody_asks_to_send_at_once_is_seen_before_it_leaves() {
    let mut rig = Rig::new(Config::new());
    let mut secret = Secret { eager: true, ..Secret::default() };
    let mut client = connect(rig.addr);
    until(&mut rig.server, &mut secret, |_, secret| !secret.eager);
    let id = rig.server.ixes()[0];
    // And from outside, before a wait and by itself.
    rig.server.tx(id, b"?").unwrap();
    rig.server.service_sends_of(id).unwrap();
    rig.server.service_sends();
    rig.server.wait(Some(Duration::from_millis(1)));
    rig.server.serve(&mut secret);
    rig.server.service_sends();
    assert_eq!(receive(&mut client, 2), cipher(b"!?"));
    assert_eq!(secret.plain_out[&id], b"!?");
}

#[test]
fn regression_a_step_that_receives_sends_nothing_that_the_filters_have_not_seen() {
    let mut rig = Rig::new(Config::new());
    let mut secret = Secret::default();
    let mut client = connect(rig.addr);
    until(&mut rig.server, &mut secret, |server, _| !server.is_empty());
    let id = rig.server.ixes()[0];
    send(&mut client, b"x");
    rig.server.tx(id, b"?").unwrap();
    let mut rounds = 0..crate::util::ROUNDS;
    // The turn that receives it is one to send as well.
    while rig.server.service_receives() == 0 {
        rounds.next().expect("nothing came");
        rig.server.wait(Some(Duration::from_millis(5)));
    }
    rig.server.serve(&mut secret);
    assert_eq!(receive(&mut client, 1), cipher(b"?"));
    assert!(secret.plain_out[&id].starts_with(b"?"));
}

#[test]
fn a_service_that_begins_late_has_what_was_queued_before() {
    let mut rig = Rig::new(Config::new());
    let (mut client, id) = rig.client();
    rig.server.tx(id, b"early").unwrap();
    let mut secret = Secret::default();
    rig.server.serve(&mut secret);
    assert_eq!(receive(&mut client, 5), cipher(b"early"));
}

/// Ticks without a service until so many bytes of the one client are there.
fn until_unread(rig: &mut Rig, count: usize) -> Id {
    for _ in 0..crate::util::ROUNDS {
        let ids = rig.server.ixes();
        if let Some(id) =
            ids.first().filter(|id| rig.server.remoter(**id).unwrap().rx().len() == count)
        {
            return *id;
        }
        rig.server.wait(Some(Duration::from_millis(5)));
        rig.server.service();
    }
    panic!("{count} bytes never came");
}

#[test]
fn what_came_before_the_service_is_shown_to_it_after_it_was_opened() {
    /// Nothing is there when it is opened.
    #[derive(Default)]
    struct Strict(Secret);
    impl Service for Strict {
        fn opened(&mut self, session: &mut Session<'_>) {
            assert!(session.rx().is_empty());
        }

        fn received(&mut self, session: &mut Session<'_>) {
            self.0.received(session);
        }

        fn incoming(&mut self, id: Id, data: &mut BytesMut) {
            self.0.incoming(id, data);
        }
    }
    let mut rig = Rig::new(Config::new());
    let mut client = connect(rig.addr);
    send(&mut client, &cipher(b"hello"));
    until_unread(&mut rig, 5);
    let mut strict = Strict::default();
    rig.server.serve(&mut strict);
    assert_eq!(strict.0.plain_in, b"hello");
}

#[test]
fn what_is_put_back_in_front_is_not_shown_as_if_it_had_come_in() {
    let mut rig = Rig::new(Config::new());
    let mut client = connect(rig.addr);
    send(&mut client, &cipher(b"0123456789"));
    let id = until_unread(&mut rig, 10);
    let remoter = rig.server.remoter_mut(id).unwrap();
    assert_eq!(remoter.consume(4), 4);
    assert_eq!(remoter.take_first(4).len(), 4);
    remoter.unread(Bytes::from_static(b"plain "));
    let mut secret = Secret::default();
    rig.server.serve(&mut secret);
    assert_eq!(secret.wire_in[&id], cipher(b"89"));
    assert_eq!(secret.plain_in, b"plain 89");
}

/// The same on a simulated host, where a doer ticks the server.
#[cfg(feature = "sim")]
#[test]
fn a_service_has_its_filters_in_a_simulated_world() {
    use tymist::doing::ServerDoer;
    use tymist::net::Dial;
    use tymist::sim::World;

    let mut world = World::new(3);
    let alice = world.add_host("alice");
    let bob = world.add("bob", |host| {
        let secret = Secret { eager: true, ..Secret::default() };
        let mut doer = ServerDoer::on_host(host, Config::new(), secret);
        doer.server.listen(([0, 0, 0, 0], 7)).unwrap(); // house: fixed-port, a simulated host's
        doer
    });
    let target = tymist::net::Addr::from((world.resolve("bob")[0], 7));
    let mut stream = world.host(alice).net().connect(&Dial::new(target)).unwrap();
    world.run_for(Duration::from_secs(1));
    stream.write(&[std::io::IoSlice::new(&cipher(b"hello"))]).unwrap();
    world.run_for(Duration::from_secs(1));
    let mut buf = [0; 16];
    assert_eq!(stream.read(&mut buf).unwrap(), 6);
    assert_eq!(buf[..6], cipher(b"!hello"));
    let doer: &ServerDoer<Secret> = world.program(bob).unwrap();
    assert_eq!(doer.service.plain_in, b"hello");
}

/// Makes ten bytes of each.
#[derive(Default)]
struct Verbose {
    most: usize,
}

impl Service for Verbose {
    fn received(&mut self, session: &mut Session<'_>) {
        self.most = self.most.max(session.rx().len());
        if session.rx().len() >= 500 && session.tx_room() == 10 {
            session.take();
            assert_eq!(session.tx(b"1234567890 and more"), Ok(10));
            assert_eq!(session.tx_room(), 0);
        }
    }

    fn drained(&mut self, session: &mut Session<'_>) {
        self.received(session);
    }

    fn incoming(&mut self, _: Id, data: &mut BytesMut) {
        *data = data.iter().flat_map(|byte| [*byte; 10]).collect();
    }

    fn outgoing(&mut self, _: Id, data: &mut Bytes) {
        *data = data.iter().flat_map(|byte| [*byte; 10]).collect();
    }
}

#[test]
fn what_filters_add_counts_and_is_bounded_by_what_they_add() {
    let mut rig = Rig::with(|config| {
        config.limits.rx_bytes = 50;
        config.limits.tx_bytes = 10;
    });
    let mut client = connect(rig.addr);
    send(&mut client, &[7; 100]);
    let mut verbose = Verbose::default();
    until(&mut rig.server, &mut verbose, |server, _| server.counters().bytes_out == 200);
    // 50 bytes became 500, at which reading paused: there never were 1,000.
    assert_eq!(verbose.most, 500);
    let wanted: Vec<u8> = b"1234567890".iter().flat_map(|byte| [*byte; 10]).collect();
    assert_eq!(receive(&mut client, 200), [&wanted[..], &wanted[..]].concat());
    until(&mut rig.server, &mut verbose, |server, _| server.buffered() == 0);
}

/// What filters add was not taken for a way to the cap.
#[test]
fn regression_rx_full_close_ends_who_came_to_the_cap_by_what_filters_add() {
    let mut rig = Rig::with(|config| {
        config.limits.rx_bytes = 50;
        config.rx_full = RxFull::Close;
    });
    let mut client = connect(rig.addr);
    send(&mut client, &[7; 10]);
    let mut verbose = Verbose::default();
    until(&mut rig.server, &mut verbose, |_, verbose| verbose.most == 100);
    rig.server.serve(&mut verbose);
    assert_eq!(rig.server.len(), 1, "there is no more");
    send(&mut client, &[7; 1]);
    until(&mut rig.server, &mut verbose, |server, _| server.counters().closed.rx_full == 1);
}

/// Swallows what comes in, and what goes out.
struct Silence(usize);

impl Service for Silence {
    fn received(&mut self, _: &mut Session<'_>) {
        self.0 += 1;
    }

    fn incoming(&mut self, _: Id, data: &mut BytesMut) {
        data.clear();
    }

    fn outgoing(&mut self, _: Id, data: &mut Bytes) {
        data.clear();
    }
}

#[test]
fn a_filter_may_swallow_everything() {
    let mut rig = Rig::new(Config::new());
    let mut client = connect(rig.addr);
    let mut silence = Silence(0);
    until(&mut rig.server, &mut silence, |server, _| server.len() == 1);
    let id = rig.server.ixes()[0];
    send(&mut client, b"hello");
    rig.server.tx(id, b"and so").unwrap();
    until(&mut rig.server, &mut silence, |server, _| server.counters().bytes_in == 5);
    rig.server.remoter_mut(id).unwrap().close();
    end(&client);
    until(&mut rig.server, &mut silence, |server, _| server.is_empty());
    assert_eq!((silence.0, rig.server.counters().bytes_out, rig.server.buffered()), (0, 0, 0));
    assert_eq!(client.read(&mut [0; 8]).unwrap(), 0);
}

/// Echoes at once, in the middle of the tick; says that it has no filters.
#[derive(Default)]
struct Plain {
    echoed: usize,
}

impl Service for Plain {
    fn received(&mut self, session: &mut Session<'_>) {
        let mut data = session.take();
        self.echoed += session.tx_bytes(&mut data).unwrap();
        session.later(|server| _ = server.service_sends());
    }

    fn incoming(&mut self, _: Id, _: &mut BytesMut) {
        panic!("it has no filters");
    }

    fn outgoing(&mut self, _: Id, _: &mut Bytes) {
        panic!("it has no filters");
    }

    fn filters(&self) -> bool {
        false
    }
}

#[test]
fn who_has_no_filters_has_nothing_held_back() {
    let mut rig = Rig::new(Config::new());
    let mut client = connect(rig.addr);
    send(&mut client, b"hello");
    let mut plain = Plain::default();
    until(&mut rig.server, &mut plain, |server, _| server.counters().bytes_out == 5);
    assert_eq!((receive(&mut client, 5), plain.echoed), (b"hello".to_vec(), 5));
    // Nor has a closure.
    let mut at_once = |server: &mut Server, event: Event| {
        if let Event::Received(id) = event {
            let mut data = server.remoter_mut(id).unwrap().take();
            server.remoter_mut(id).unwrap().tx_bytes(&mut data).unwrap();
            assert_eq!(server.service_sends(), 5);
        }
    };
    send(&mut client, b"again");
    until(&mut rig.server, &mut at_once, |server, _| server.counters().bytes_out == 10);
    assert_eq!(receive(&mut client, 5), b"again");
}

#[test]
fn what_waits_for_filters_leaves_when_a_service_without_them_takes_over() {
    let mut rig = Rig::new(Config::new());
    let mut secret = Secret::default();
    let mut client = connect(rig.addr);
    until(&mut rig.server, &mut secret, |server, _| !server.is_empty());
    let id = rig.server.ixes()[0];
    rig.server.tx(id, b"plain").unwrap();
    assert_eq!(rig.server.service_sends(), 0, "its filters have not seen it");
    rig.server.serve(&mut Plain::default());
    rig.server.service_sends();
    assert_eq!(receive(&mut client, 5), b"plain");
    // And what came in meanwhile is not shown to those who come later.
    send(&mut client, b"old");
    until(&mut rig.server, &mut Plain::default(), |server, _| server.counters().bytes_out == 8);
    send(&mut client, &cipher(b"new"));
    until(&mut rig.server, &mut secret, |_, secret| secret.plain_in == b"new");
    rig.server.service_sends();
    assert_eq!(receive(&mut client, 6), [b"old", &cipher(b"new")[..]].concat());
}
