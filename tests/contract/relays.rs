//! A forwarder on the far side, between a caller and a target on the near one.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Shutdown};

use tymist::net::{Listen, Listener};
use tymist::{Config, Connect, Event, Relay, Server, Wake};

use super::bed::{Bed, End, pattern};
use super::servers::served;

/// Ticks in which it may go on by itself before the network has its turn.
const TICKS: usize = 64;

struct Forward {
    server: Server,
    relay: Relay,
    /// Where it listens, and whom it dials.
    at: tymist::net::Addr,
    to: Connect,
    target: Box<dyn Listener>,
}

impl Forward {
    fn new(bed: &mut Bed, change: impl FnOnce(&mut Config)) -> Forward {
        let mut target = bed.near.listen(&Listen::new(([0, 0, 0, 0], 0))).unwrap();
        target.register(bed.token()).unwrap();
        let ip = bed.world.as_ref().map_or(IpAddr::from(Ipv4Addr::LOCALHOST), |world| {
            let near = world.hosts().nth(1).unwrap();
            world.host(near).addrs()[0]
        });
        let mut to = Connect::new((ip, target.local_addr().port().unwrap()));
        if let Some(tls) = bed.client_tls() {
            to = to.with_tls(&tls, "server.test").unwrap();
        }
        let far = served(bed, change);
        Forward { server: far.server, relay: Relay::new(), at: far.target, to, target }
    }

    fn tick(&mut self) {
        for _ in 0..TICKS {
            self.server.service();
            while let Some(event) = self.server.poll_event() {
                if let Event::Accepted(id) = event
                    && self.relay.dial(&mut self.server, id, self.to.clone()).is_err()
                    && let Some(remoter) = self.server.remoter_mut(id)
                {
                    remoter.abort();
                }
                self.relay.handle(&mut self.server, &event);
            }
            self.server.service_sends();
            if self.server.wake() != Wake::Now {
                return;
            }
        }
    }

    /// A caller, and the target's end of its pair.
    #[track_caller]
    fn pair(&mut self, bed: &mut Bed) -> (End, End) {
        let mut near = bed.dial(&self.at).unwrap();
        let mut far = bed.until("the target's end", |bed| {
            self.tick();
            if near.stream.connected().unwrap() {
                near.pump().unwrap();
            }
            bed.accept(&mut self.target).ok()
        });
        bed.until("both are live", |_| {
            self.tick();
            let both = (near.pump().unwrap(), far.pump().unwrap());
            (both == (true, true) && self.server.len() == 2).then_some(())
        });
        (near, far)
    }

    #[track_caller]
    fn carry(&mut self, bed: &mut Bed, from: &mut End, to: &mut End, data: &[u8]) {
        let (bite, mut sent, mut got) = (bed.bite(), 0, Vec::new());
        bed.until("the bytes at the other end", |_| {
            while sent < data.len()
                && let Ok(count) = from.write(&data[sent..(sent + bite).min(data.len())])
            {
                sent += count;
            }
            from.pump().unwrap();
            self.tick();
            assert!(!to.drain(bite, &mut got).unwrap(), "an end after {} bytes", got.len());
            to.pump().unwrap();
            (got.len() >= data.len()).then_some(())
        });
        assert!(got == data, "the bytes changed on the way");
    }

    /// What comes out there, and how it ends.
    #[track_caller]
    fn rest(&mut self, bed: &mut Bed, end: &mut End) -> (Vec<u8>, Option<ErrorKind>) {
        let (bite, mut all) = (bed.bite(), Vec::new());
        let ended = bed.until("the end", |_| {
            self.tick();
            // Before its handshake is over it may break there.
            match end
                .pump()
                .and_then(|live| if live { end.drain(bite, &mut all) } else { Ok(false) })
            {
                Ok(false) => None,
                Ok(true) => Some(None),
                Err(error) => Some(Some(error.kind())),
            }
        });
        (all, ended)
    }

    #[track_caller]
    fn nothing_left(&mut self, bed: &mut Bed) {
        bed.until("the pair's end", |_| {
            self.tick();
            (self.server.is_empty() && self.server.dialling() + self.server.cxes() == 0)
                .then_some(())
        });
        self.tick();
        let server = &self.server;
        assert_eq!((self.relay.len(), server.buffered(), server.timers()), (0, 0, 0));
    }
}

fn some(bed: &Bed) -> Vec<u8> {
    pattern(if bed.arm.tiny { 2000 } else { 50_000 })
}

pub(crate) fn bytes_go_over_both_ways(mut bed: Bed) {
    let mut it = Forward::new(&mut bed, |_| ());
    let (mut near, mut far) = it.pair(&mut bed);
    let data = some(&bed);
    it.carry(&mut bed, &mut near, &mut far, &data);
    it.carry(&mut bed, &mut far, &mut near, &data);
    assert_eq!(it.relay.counters().bytes, 2 * data.len() as u64);
}

pub(crate) fn each_half_ends_by_itself(mut bed: Bed) {
    let mut it = Forward::new(&mut bed, |_| ());
    let data = some(&bed);
    for (pairs, caller_first) in [(1, true), (2, false)] {
        let (near, far) = it.pair(&mut bed);
        let (mut first, mut second) = if caller_first { (near, far) } else { (far, near) };
        first.write(b"last").unwrap();
        first.stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(it.rest(&mut bed, &mut second), (b"last".to_vec(), None));
        assert_eq!(it.relay.len(), 1, "the way back is open");
        it.carry(&mut bed, &mut second, &mut first, &data);
        second.stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(it.rest(&mut bed, &mut first), (Vec::new(), None));
        it.nothing_left(&mut bed);
        let counters = it.relay.counters();
        assert_eq!((counters.finished, counters.broken), (pairs, 0));
    }
}

pub(crate) fn a_reset_of_one_side_is_one_of_the_other(mut bed: Bed) {
    let mut it = Forward::new(&mut bed, |_| ());
    for (pairs, of_caller) in [(1, true), (2, false)] {
        let (near, far) = it.pair(&mut bed);
        let (mut goes, mut stays) = if of_caller { (near, far) } else { (far, near) };
        goes.stream.set_abortive().unwrap();
        drop(goes);
        let reset = Some(ErrorKind::ConnectionReset);
        assert_eq!(it.rest(&mut bed, &mut stays), (Vec::new(), reset));
        it.nothing_left(&mut bed);
        let counters = it.relay.counters();
        assert_eq!((counters.finished, counters.broken), (0, pairs));
    }
}

pub(crate) fn a_target_that_refuses_resets_the_caller(mut bed: Bed) {
    let mut it = Forward::new(&mut bed, |_| ());
    // Nobody listens there any more.
    let other = bed.near.listen(&Listen::new(([0, 0, 0, 0], 0))).unwrap();
    it.target = other;
    let mut near = bed.dial(&it.at).unwrap();
    let early = bed.until("connected, or reset already", |_| {
        it.tick();
        match near.stream.connected() {
            Ok(up) => up.then_some(None),
            Err(error) => Some(Some(error.kind())),
        }
    });
    // It is told once.
    let told = early.or_else(|| it.rest(&mut bed, &mut near).1);
    assert_eq!(told, Some(ErrorKind::ConnectionReset));
    it.nothing_left(&mut bed);
    assert_eq!((it.relay.counters().joined, it.relay.counters().broken), (1, 1));
}

pub(crate) fn a_side_that_stands_still_holds_the_other_back(mut bed: Bed) {
    let cap = if bed.arm.tiny { 1000 } else { 32 << 10 };
    let mut it = Forward::new(&mut bed, |config| {
        *config = Config::new();
        (config.limits.rx_bytes, config.limits.tx_bytes) = (cap, cap);
    });
    let (mut near, mut far) = it.pair(&mut bed);
    let data = pattern(1 << 16);
    let (mut sent, mut still) = (0, 0);
    bed.until("it is held back", |_| {
        let before = sent;
        while let Ok(count) = near.write(&data[sent % data.len()..]) {
            sent += count;
            assert!(sent < 256 << 20, "no end to it");
        }
        near.pump().unwrap();
        it.tick();
        assert!(it.server.buffered() <= 2 * cap, "{} bytes wait", it.server.buffered());
        still = if sent == before { still + 1 } else { 0 };
        (still > 20).then_some(())
    });
    assert!(it.server.buffered() > cap, "{} bytes wait", it.server.buffered());
    // The other way is free.
    it.carry(&mut bed, &mut far, &mut near, b"still there?");
    near.stream.shutdown(Shutdown::Write).unwrap();
    let mut got = 0;
    bed.until("all of it", |_| {
        near.pump().unwrap();
        it.tick();
        let mut more = Vec::new();
        let over = far.drain(16 * 1024, &mut more).unwrap();
        let same = more.iter().enumerate().all(|(at, it)| *it == data[(got + at) % data.len()]);
        assert!(same, "the bytes changed on the way");
        got += more.len();
        over.then_some(())
    });
    assert_eq!(got, sent);
}
