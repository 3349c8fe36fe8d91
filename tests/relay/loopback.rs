//! A forwarder between plain sockets of this machine. What holds on each network, with TLS or without, is in the contract (`tests/contract/relays.rs`).

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use tymist::net::tls::{ClientTls, ClientTlsConfig, ServerTls, ServerTlsConfig, TlsTime};
use tymist::{
    Backoff, CloseReason, Config, Connect, Deadline, DialRefused, Event, Gone, Id, Refusal, Relay,
    RxFull, TxFull,
};

use crate::tls_support::{EPOCH, pki};
use crate::util::{ROUNDS, Rig, connect, end, pattern, reset, send};

/// A forwarder, and the target it forwards to.
pub(crate) struct Forward {
    pub(crate) rig: Rig,
    relay: Relay,
    pub(crate) target: TcpListener,
    pub(crate) to: Connect,
}

impl Forward {
    pub(crate) fn new(change: impl FnOnce(&mut Config)) -> Self {
        let target = TcpListener::bind("127.0.0.1:0").unwrap();
        target.set_nonblocking(true).unwrap();
        let to = Connect::new(target.local_addr().unwrap());
        Forward { rig: Rig::with(change), relay: Relay::new(), target, to }
    }

    /// One tick; each connection that comes in is joined to one to the target.
    pub(crate) fn tick(&mut self) {
        for event in self.rig.tick() {
            if let Event::Accepted(id) = event {
                let dialled = self.relay.dial(&mut self.rig.server, id, self.to.clone());
                assert!(dialled.is_ok() || dialled == Err(DialRefused::Gone));
            }
            self.relay.handle(&mut self.rig.server, &event);
        }
    }

    #[track_caller]
    pub(crate) fn until<T>(&mut self, mut done: impl FnMut(&mut Self) -> Option<T>) -> T {
        for _ in 0..ROUNDS {
            if let Some(value) = done(self) {
                return value;
            }
            self.tick();
        }
        panic!("did not get there; events: {:?}", self.rig.log);
    }

    /// The target's end of the next pair.
    #[track_caller]
    fn target_end(&mut self) -> TcpStream {
        let stream = self.until(|it| it.target.accept().ok()).0;
        stream.set_nonblocking(true).unwrap();
        stream
    }

    /// A client and the target's end of its pair, both nonblocking.
    #[track_caller]
    fn pair(&mut self) -> (TcpStream, TcpStream) {
        let client = connect(self.rig.addr);
        let far = self.target_end();
        client.set_nonblocking(true).unwrap();
        (client, far)
    }

    /// What comes out at `end` up to its end.
    #[track_caller]
    fn rest(&mut self, end: &mut TcpStream) -> std::io::Result<Vec<u8>> {
        let (mut all, mut buf) = (Vec::new(), vec![0; 64 << 10]);
        self.until(|_| {
            loop {
                match end.read(&mut buf) {
                    Ok(0) => return Some(Ok(())),
                    Ok(count) => all.extend_from_slice(&buf[..count]),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                    Err(error) => return Some(Err(error)),
                }
            }
        })?;
        Ok(all)
    }

    #[track_caller]
    fn expect(&mut self, end: &mut TcpStream, wanted: &[u8]) {
        let (mut all, mut buf) = (Vec::new(), vec![0; 64 << 10]);
        self.until(|_| {
            match end.read(&mut buf) {
                Ok(0) => panic!("an end after {} of {} bytes", all.len(), wanted.len()),
                Ok(count) => all.extend_from_slice(&buf[..count]),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            (all.len() >= wanted.len()).then_some(())
        });
        assert!(all == wanted, "other bytes came");
    }

    /// That nothing is left of all that was.
    #[track_caller]
    pub(crate) fn nothing_left(&mut self) {
        self.until(|it| (it.rig.server.is_empty() && it.rig.server.dialling() == 0).then_some(()));
        self.tick();
        let server = &self.rig.server;
        assert_eq!((self.relay.len(), server.buffered(), server.timers()), (0, 0, 0));
    }
}

#[test]
fn bytes_go_over_both_ways_and_each_half_ends_by_itself() {
    let mut it = Forward::new(|_| {});
    let (mut client, mut far) = it.pair();
    client.write_all(b"a question").unwrap();
    end(&client);
    assert_eq!(it.rest(&mut far).unwrap(), b"a question", "with its end");
    assert_eq!(it.relay.len(), 1, "the way back is open");
    far.write_all(b"a long answer, ").unwrap();
    it.expect(&mut client, b"a long answer, ");
    far.write_all(b"and its end").unwrap();
    end(&far);
    assert_eq!(it.rest(&mut client).unwrap(), b"and its end");
    it.nothing_left();
    let counters = *it.relay.counters();
    assert_eq!((counters.joined, counters.finished, counters.broken), (1, 1, 0));
    assert_eq!(counters.bytes, 36);
    let clean = |event: &Event| matches!(event, Event::Closed(_, CloseReason::Eof));
    assert_eq!(it.rig.log.iter().filter(|event| clean(event)).count(), 2, "{:?}", it.rig.log);
}

#[test]
fn what_is_said_before_the_target_is_there_comes_through_with_its_end() {
    let mut it = Forward::new(|_| {});
    let mut client = connect(it.rig.addr);
    send(&mut client, b"early and late");
    end(&client);
    let mut far = it.target_end();
    assert_eq!(it.rest(&mut far).unwrap(), b"early and late");
}

#[test]
fn what_has_come_in_before_they_are_joined_goes_over_at_once() {
    for swapped in [false, true] {
        let mut it = Forward::new(|_| {});
        let mut client = connect(it.rig.addr);
        send(&mut client, b"long before");
        end(&client);
        it.rig.until(|event| matches!(event, Event::Eof(_)));
        let id = it.rig.server.ixes()[0];
        let there = it.rig.server.connect(it.to.clone()).unwrap();
        let (one, other) = if swapped { (there, id) } else { (id, there) };
        it.relay.join(&mut it.rig.server, one, other).unwrap();
        let mut far = it.target_end();
        assert_eq!(it.rest(&mut far).unwrap(), b"long before");
        far.write_all(b"long after").unwrap();
        end(&far);
        client.set_nonblocking(true).unwrap();
        assert_eq!(it.rest(&mut client).unwrap(), b"long after");
        it.nothing_left();
    }
}

#[test]
fn a_target_that_refuses_resets_who_wanted_it() {
    let mut it = Forward::new(|_| {});
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    it.to = Connect::new(gone);
    let mut client = connect(it.rig.addr);
    client.set_nonblocking(true).unwrap();
    assert_eq!(it.rest(&mut client).unwrap_err().kind(), ErrorKind::ConnectionReset);
    it.nothing_left();
    // Also where it would be tried again.
    it.to.reconnect = Some(Backoff::every(Duration::from_secs(1)));
    let mut client = connect(it.rig.addr);
    client.set_nonblocking(true).unwrap();
    assert_eq!(it.rest(&mut client).unwrap_err().kind(), ErrorKind::ConnectionReset);
    it.nothing_left();
}

#[test]
fn a_deadline_at_one_end_breaks_the_pair() {
    let mut it = Forward::new(|_| {});
    let (mut client, mut far) = it.pair();
    it.until(|it| (it.rig.server.len() == 2).then_some(()));
    client.write_all(b"x").unwrap();
    it.expect(&mut far, b"x");
    let id = it.rig.server.at(&client.local_addr().unwrap().into()).unwrap();
    let mut timeouts = it.rig.server.config().timeouts.clone();
    timeouts.idle = Some(Duration::from_secs(9));
    it.rig.server.remoter_mut(id).unwrap().set_timeouts(timeouts);
    it.tick();
    it.rig.tymist.tick_by(Duration::from_secs(9));
    assert_eq!(it.rest(&mut far).unwrap_err().kind(), ErrorKind::ConnectionReset);
    // And whom the deadline was for takes nothing for whole, either.
    assert_eq!(it.rest(&mut client).unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert!(it.rig.log.iter().any(|event| matches!(event, Event::Expired(_, Deadline::Idle))));
    it.nothing_left();
}

/// With nothing queued it used to be a plain end, in the middle of a stream: found by the swarm.
#[test]
fn who_is_cut_off_in_the_middle_by_a_drain_or_a_close_is_reset() {
    for drain in [true, false] {
        let mut it = Forward::new(|_| {});
        let (mut client, mut far) = it.pair();
        it.until(|it| (it.rig.server.len() == 2).then_some(()));
        client.write_all(b"half").unwrap();
        it.expect(&mut far, b"half");
        // Only one of the ends has come through.
        far.shutdown(Shutdown::Write).unwrap();
        assert_eq!(it.rest(&mut client).unwrap(), b"");
        if drain {
            it.rig.server.drain(Some(Duration::from_secs(9)));
            it.tick();
            it.rig.tymist.tick_by(Duration::from_secs(9));
            it.tick();
        } else {
            it.rig.server.close();
        }
        assert_eq!(it.rest(&mut far).unwrap_err().kind(), ErrorKind::ConnectionReset, "{drain}");
        it.nothing_left();
    }
}

#[test]
fn large_streams_each_way_at_once_stay_whole_within_the_caps() {
    let mut it = Forward::new(|config| {
        (config.limits.rx_bytes, config.limits.tx_bytes) = (32 << 10, 48 << 10);
    });
    let (mut client, mut far) = it.pair();
    let (one, other) = (pattern(3 << 20), pattern((3 << 20) + 77));
    let (mut sent, mut got) = ([0, 0], [Vec::new(), Vec::new()]);
    let mut buf = vec![0; 16 << 10];
    let mut most = 0;
    it.until(|it| {
        for (at, (stream, data)) in
            [(&mut client, &one), (&mut far, &other)].into_iter().enumerate()
        {
            if sent[at] < data.len() {
                sent[at] += stream.write(&data[sent[at]..]).unwrap_or(0);
            }
            let count = stream.read(&mut buf).unwrap_or(0);
            got[1 - at].extend_from_slice(&buf[..count]);
        }
        most = most.max(it.rig.server.buffered());
        (got[0].len() == one.len() && got[1].len() == other.len()).then_some(())
    });
    assert!(got[0] == one && got[1] == other, "other bytes came");
    assert!(most <= 2 * (80 << 10), "{most} bytes waited");
}

#[test]
fn who_takes_nothing_holds_the_sender_back_within_the_caps_until_it_does() {
    holds_back(|_| {});
}

/// A pair broke as soon as one read was longer than the room of the other end, or one end stood still.
#[test]
fn regression_back_pressure_goes_through_also_where_full_queues_close() {
    holds_back(|config| config.tx_full = TxFull::Close);
    holds_back(|config| config.rx_full = RxFull::Close);
}

fn holds_back(change: impl FnOnce(&mut Config)) {
    let mut it = Forward::new(|config| {
        (config.limits.rx_bytes, config.limits.tx_bytes) = (32 << 10, 32 << 10);
        change(config);
    });
    let (mut client, mut far) = it.pair();
    let data = pattern(64 << 20);
    // Until nothing moves any more: all buffers of the kernel are full.
    let (mut sent, mut still) = (0, 0);
    it.until(|it| {
        assert!(it.rig.server.buffered() <= 64 << 10, "{}", it.rig.server.buffered());
        let before = sent;
        sent += client.write(&data[sent..]).unwrap_or(0);
        still = if sent == before { still + 1 } else { 0 };
        (still > 50).then_some(())
    });
    assert!(sent < data.len(), "nobody was held back");
    assert!(it.rig.server.buffered() > 32 << 10, "{}", it.rig.server.buffered());
    let ticks = it.rig.server.counters().reads;
    for _ in 0..20 {
        it.tick();
    }
    assert_eq!(it.rig.server.counters().reads, ticks, "it is not read from meanwhile");
    // The other way is free.
    far.write_all(b"still there?").unwrap();
    it.expect(&mut client, b"still there?");
    end(&client);
    assert!(it.rest(&mut far).unwrap() == data[..sent], "other bytes came");
}

#[test]
fn only_two_that_are_open_and_free_can_be_joined() {
    let mut it = Forward::new(|_| {});
    let (_client, _far) = it.pair();
    let [one, other] = it.until(|it| <[Id; 2]>::try_from(it.rig.server.ixes()).ok());
    let (server, relay) = (&mut it.rig.server, &mut it.relay);
    assert_eq!(relay.partner(one), Some(other));
    assert_eq!(relay.join(server, one, other), Err(Gone), "joined already");
    let mut second = Relay::new();
    assert_eq!(second.join(server, one, one), Err(Gone));
    assert!(!second.handle(server, &Event::Eof(one)), "not one of its own");
    server.remoter_mut(other).unwrap().close();
    assert_eq!(second.join(server, one, other), Err(Gone), "closing");
    assert_eq!((second.len(), second.counters().joined), (0, 0));
}

/// It was joined to one that nobody had any use for, which stayed for ever.
#[test]
fn a_connection_that_is_dead_when_it_is_told_of_has_nobody_dialled_for_it() {
    let mut it = Forward::new(|_| {});
    reset(connect(it.rig.addr));
    let closed = |it: &Forward| it.rig.server.counters().closed.reset == 1;
    for _ in 0..ROUNDS {
        if !closed(&it) {
            it.rig.server.wait(Some(Duration::from_millis(5)));
            it.rig.server.service();
        }
    }
    it.tick();
    let told = [&it.rig.log[0], &it.rig.log[1]];
    assert!(matches!(told, [Event::Accepted(_), Event::Closed(_, CloseReason::Reset)]), "{told:?}");
    it.nothing_left();
    assert_eq!(it.rig.server.counters().dialled, 0);
    assert_eq!(it.relay.counters().joined, 0);
}

#[test]
fn dialling_for_one_that_is_joined_or_without_a_place_leaves_nothing() {
    let mut it = Forward::new(|config| config.limits.remoters = 3);
    let (_client, _far) = it.pair();
    let [one, _] = it.until(|it| <[Id; 2]>::try_from(it.rig.server.ixes()).ok());
    let (server, relay) = (&mut it.rig.server, &mut it.relay);
    assert_eq!(relay.dial(server, one, it.to.clone()), Err(DialRefused::Gone), "joined already");
    assert_eq!((server.dialling(), server.len()), (0, 2));
    let (_second, id) = it.rig.client();
    let (server, relay) = (&mut it.rig.server, &mut it.relay);
    let full = Err(DialRefused::Refused(Refusal::Remoters));
    assert_eq!(relay.dial(server, id, it.to.clone()), full);
    assert_eq!((server.dialling(), server.len(), relay.len()), (0, 3, 1));
    assert!(!server.remoter(id).unwrap().is_closing(), "what becomes of it is the caller's");
}

/// As a server does that answers "too large" and goes: the answer and the reset come in one tick.
#[test]
fn an_answer_goes_out_before_the_reset_that_came_behind_it() {
    for size in [20, 30_000] {
        let mut it = Forward::new(|config| {
            (config.limits.rx_bytes, config.limits.tx_bytes) = (32 << 10, 32 << 10);
        });
        let (mut client, mut far) = it.pair();
        client.write_all(b"a request that nobody reads").unwrap();
        it.until(|_| (far.peek(&mut [0; 99]).unwrap_or(0) == 27).then_some(()));
        let answer = pattern(size);
        far.write_all(&answer).unwrap();
        drop(far); // With unread input: the system resets it.
        let mut got = Vec::new();
        let mut buf = vec![0; 64 << 10];
        let error = it.until(|_| match client.read(&mut buf) {
            Ok(0) => panic!("a clean end after {} bytes", got.len()),
            Ok(count) => {
                got.extend_from_slice(&buf[..count]);
                None
            }
            Err(error) => (error.kind() != ErrorKind::WouldBlock).then_some(error),
        });
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert!(got == answer, "{} of {size} bytes", got.len());
        it.nothing_left();
        assert_eq!((it.relay.counters().finished, it.relay.counters().broken), (0, 1));
        assert_eq!(it.relay.counters().bytes, 27 + size as u64);
    }
}

/// Who takes nothing keeps its connection no longer than the write stall.
#[test]
fn what_waits_before_a_reset_waits_no_longer_than_the_write_stall() {
    let mut it = Forward::new(|config| {
        (config.limits.rx_bytes, config.limits.tx_bytes) = (32 << 10, 32 << 10);
        config.timeouts.write_stall = Some(Duration::from_secs(30));
    });
    let (client, mut far) = it.pair();
    let data = pattern(64 << 10);
    let mut still = 0;
    it.until(|_| {
        still = if far.write(&data).is_ok() { 0 } else { still + 1 };
        (still > 50).then_some(())
    });
    let there = it.rig.server.remoters().find(|remoter| remoter.is_dialled()).unwrap().id();
    it.rig.server.remoter_mut(there).unwrap().abort();
    it.until(|it| it.relay.is_empty().then_some(()));
    for _ in 0..20 {
        it.tick();
    }
    assert_eq!(it.rig.server.len(), 1, "the client's, still");
    assert!(it.rig.server.buffered() > 0, "with what was queued");
    it.rig.tymist.tick_by(Duration::from_secs(30));
    it.nothing_left();
    drop(client);
}

/// It counted as finished once its first end had closed.
#[test]
fn regression_a_pair_whose_second_end_breaks_is_not_finished() {
    let mut it = Forward::new(|config| {
        (config.limits.rx_bytes, config.limits.tx_bytes) = (32 << 10, 32 << 10);
        config.timeouts.write_stall = Some(Duration::from_secs(30));
    });
    it.to.socket.unsent = None; // else the system would take the rest once it is the last
    let (mut client, far) = it.pair();
    end(&far);
    let there = it.rig.server.remoters().find(|remoter| remoter.is_dialled()).unwrap().id();
    let mut still = 0;
    it.until(|it| {
        let waits = it.rig.server.remoter(there).is_some_and(|it| it.tx_len() > 0);
        still = if waits { still + 1 } else { 0 };
        if still == 0 {
            client.write_all(&[7; 16 << 10]).unwrap();
        }
        (still > 50).then_some(())
    });
    end(&client);
    it.until(|it| (it.rig.server.len() == 1).then_some(()));
    assert_eq!((it.relay.len(), it.relay.counters().finished), (0, 0), "the rest is on its way");
    it.rig.tymist.tick_by(Duration::from_secs(30));
    it.nothing_left();
    assert_eq!((it.relay.counters().finished, it.relay.counters().broken), (0, 1));
}

#[test]
fn pairs_that_stand_still_leave_the_others_their_room() {
    const STILL: usize = 6;
    let mut it = Forward::new(|config| {
        (config.limits.rx_bytes, config.limits.tx_bytes) = (32 << 10, 32 << 10);
        config.limits.buffered = Relay::memory(STILL + 1, &config.limits);
    });
    let mut pairs: Vec<_> = (0..STILL).map(|_| it.pair()).collect();
    let data = pattern(64 << 10);
    let mut still = 0;
    it.until(|_| {
        let mut moved = false;
        for (client, far) in &mut pairs {
            moved |= client.write(&data).is_ok() | far.write(&data).is_ok();
        }
        still = if moved { 0 } else { still + 1 };
        (still > 50).then_some(())
    });
    assert!(
        it.rig.server.buffered() > STILL * (64 << 10),
        "both ways: {}",
        it.rig.server.buffered()
    );
    let (mut client, mut far) = it.pair();
    client.write_all(b"may I?").unwrap();
    it.expect(&mut far, b"may I?");
    far.write_all(&data).unwrap();
    it.expect(&mut client, &data);
}

/// TLS comes in, plain goes out, and TLS again: a stream cut short is passed on as what it is.
#[test]
fn a_tls_stream_cut_short_is_no_end_for_the_plain_side() {
    let mut it = Forward::new(|_| {});
    let time = TlsTime::simulated(it.rig.tymist.tymth(), Duration::from_secs(EPOCH));
    let authority = pki::Authority::new("test authority");
    let config = ServerTlsConfig::new(authority.issue(&pki::server()).identity());
    let tls = ServerTls::new(config.with_time(time.clone())).unwrap();
    let acceptor = it.rig.server.listen_tls(([127, 0, 0, 1], 0), &tls).unwrap();
    let addr = it.rig.server.local_addr(acceptor).unwrap().clone();
    let config = ClientTlsConfig::with_roots(authority.root()).with_time(time);
    let tls = ClientTls::new(&config).unwrap();
    // The client is a forwarder as well, from plain to TLS.
    let mut near = Forward::new(|_| {});
    near.rig.server.wind(it.rig.tymist.tymth());
    near.to = Connect::new(addr).with_tls(&tls, "server.test").unwrap();
    for cut in [false, true] {
        let mut client = connect(near.rig.addr);
        send(&mut client, b"secret");
        client.set_nonblocking(true).unwrap();
        let mut far = it.until(|it| {
            near.tick();
            it.target.accept().ok()
        });
        far.0.set_nonblocking(true).unwrap();
        let mut got = [0; 6];
        it.until(|_| {
            near.tick();
            far.0.read_exact(&mut got).ok()
        });
        assert_eq!(&got, b"secret");
        if cut {
            let dialled = near.rig.server.remoters().find(|remoter| remoter.is_dialled());
            let id = dialled.unwrap().id();
            drop(near.rig.server.detach(id));
        } else {
            end(&client);
        }
        let mut end_seen = None;
        it.until(|_| {
            near.tick();
            end_seen = match far.0.read(&mut [0; 9]) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => None,
                other => Some(other.map_err(|error| error.kind())),
            };
            end_seen.as_ref().map(|_| ())
        });
        let wanted = if cut { Err(ErrorKind::ConnectionReset) } else { Ok(0) };
        assert_eq!(end_seen, Some(wanted));
    }
    assert!(
        it.rig.log.iter().any(|event| matches!(event, Event::Closed(_, CloseReason::TlsTruncated)))
    );
}
