//! Middleware that knows better who the peer is: counted and found by the address that it tells, and by no other.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Duration;

use crate::util::script::{Accept, Peer, Read, Script};
use tymist::net::{Addr, Stage, Stream};
use tymist::{Config, Event, Id, Refusal, Timeouts, Wake};

/// What the far end's handshake tells: the same port of another host.
struct Told {
    below: Box<dyn Stream>,
    name: Addr,
    known: bool,
}

fn true_name(peer: &Addr) -> Addr {
    Addr::from(([198, 51, 100, 7], peer.port().unwrap()))
}

/// `known`: at once, and not only by the handshake.
fn told(below: Box<dyn Stream>, known: bool) -> Box<dyn Stream> {
    let name = true_name(below.peer_addr());
    Box::new(Told { below, name, known })
}

impl Stream for Told {
    fn below(&self) -> Option<&dyn Stream> {
        Some(&*self.below)
    }
    fn below_mut(&mut self) -> Option<&mut dyn Stream> {
        Some(&mut *self.below)
    }
    fn advance(&mut self) -> io::Result<Stage> {
        self.known = true;
        self.below.advance()
    }
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.below.read(buf)
    }
    fn write(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.below.write(bufs)
    }
    fn peer_addr(&self) -> &Addr {
        if self.known { &self.name } else { self.below.peer_addr() }
    }
}

/// A script whose peers are named by their handshakes.
fn naming(change: impl FnOnce(&mut Config)) -> Script {
    let mut script = Script::with(change);
    let layer = Arc::new(|below| told(below, false));
    script.server.listen_with(([192, 0, 2, 9], 1), layer).unwrap();
    script
}

/// A peer whose handshake answers these, and the events of its coming.
fn comes(
    script: &mut Script,
    port: u16,
    handshake: impl IntoIterator<Item = io::Result<Stage>>,
) -> (Peer, Vec<Event>) {
    let peer = Peer::new(port, []);
    peer.far().handshake.extend(handshake);
    script.accepts([Accept::Peer(peer.clone())]);
    let mut events = script.ticks(2);
    events.retain(|event| !matches!(event, Event::Received(_)));
    (peer, events)
}

#[track_caller]
fn ends(script: &mut Script, peer: &Peer, id: Id) {
    peer.then([Read::End]);
    assert!(
        matches!(script.ticks(2)[..], [Event::Eof(told), Event::Closed(closed, _)] if told == id && closed == id)
    );
}

/// The address of before was counted for ever, and at last everybody from there was refused.
#[test]
fn regression_who_is_named_by_its_handshake_is_counted_and_found_by_that_name() {
    let mut script = naming(|config| config.limits.handshakes_per_ip = 2);
    let (_stays, _) = comes(&mut script, 1, [Ok(Stage::Live)]);
    for port in 2..7 {
        let (peer, events) = comes(&mut script, port, [Ok(Stage::Handshaking), Ok(Stage::Live)]);
        let id = script.server.at(&true_name(&peer.addr())).unwrap();
        assert_eq!(events, [Event::Accepted(id)]);
        assert_eq!(script.server.at(&peer.addr()), None, "found by the other one, too");
        ends(&mut script, &peer, id);
    }
    script.server.close();
    script.tick();
}

/// As where a PROXY header tells it.
#[test]
fn regression_the_limits_by_address_hold_for_who_is_named_by_its_handshake() {
    let mut script = naming(|config| config.limits.remoters_per_ip = 1);
    let (first, events) = comes(&mut script, 1, [Ok(Stage::Live)]);
    assert!(matches!(events[..], [Event::Accepted(_)]), "{events:?}");
    let naming = script.server.acceptors().find(|acceptor| acceptor.id() != script.acceptor);
    let (acceptor, why) = (naming.unwrap().id(), Refusal::PerIp);
    let (second, events) = comes(&mut script, 2, [Ok(Stage::Live)]);
    let peer = true_name(&second.addr());
    assert_eq!(events, [Event::Refused { acceptor, peer, why }]);
    assert!(second.far().dropped);
    let id = script.server.at(&true_name(&first.addr())).unwrap();
    ends(&mut script, &first, id);
    let (_third, events) = comes(&mut script, 3, [Ok(Stage::Live)]);
    assert!(matches!(events[..], [Event::Accepted(_)]), "{events:?}");
}

#[test]
fn regression_a_handshake_that_names_its_peer_and_fails_leaves_nothing_behind() {
    let mut script = naming(|config| config.limits.handshakes_per_ip = 1);
    let (_stays, _) = comes(&mut script, 1, [Ok(Stage::Live)]);
    for port in 2..5 {
        let failure = || Err(io::ErrorKind::ConnectionReset.into());
        let (peer, events) = comes(&mut script, port, [Ok(Stage::Handshaking), failure()]);
        let name = true_name(&peer.addr());
        assert!(
            matches!(&events[..], [Event::HandshakeFailed { peer, .. }] if *peer == name),
            "{events:?}"
        );
    }
    script.server.close();
    script.tick();
}

/// In debug builds it was a panic.
#[test]
fn regression_who_is_named_by_its_user_is_counted_and_found_by_that_name() {
    let mut script = Script::with(|config| config.limits.remoters_per_ip = 1);
    let peer = Peer::new(1, []);
    let id = script.admits(&peer);
    let name = true_name(&peer.addr());
    script.server.remoter_mut(id).unwrap().wrap(|below| told(below, true));
    script.tick();
    assert_eq!((script.server.at(&name), script.server.at(&peer.addr())), (Some(id), None));
    // Its place among those of its old address is free.
    let second = Peer::new(2, []);
    let next = script.admits(&second);
    // No tick between the name and the end.
    let remoter = script.server.remoter_mut(next).unwrap();
    remoter.wrap(|below| told(below, true));
    remoter.abort();
    script.ticks(2);
    let third = Peer::new(3, []);
    let last = script.admits(&third);
    // Named, and named back.
    let remoter = script.server.remoter_mut(last).unwrap();
    remoter.wrap(|below| told(below, true));
    let old = third.addr();
    remoter.wrap(|below| Box::new(Told { below, name: old, known: true }));
    script.tick();
    assert_eq!(script.server.at(&third.addr()), Some(last));
    for (peer, id) in [(&peer, id), (&third, last)] {
        ends(&mut script, peer, id);
        assert_eq!(script.server.at(&name), None);
    }
    assert_eq!(script.server.len(), 0);
}

#[test]
fn a_name_and_timeouts_of_its_own_are_heeded_in_the_same_tick() {
    for name_first in [true, false] {
        let mut script = Script::with(|_| {});
        let peer = Peer::new(1, []);
        let id = script.admits(&peer);
        script.tick();
        let mut timeouts = Timeouts::new();
        timeouts.idle = Some(Duration::from_secs(1));
        let due = script.server.tyme() + Duration::from_secs(1);
        let remoter = script.server.remoter_mut(id).unwrap();
        if name_first {
            remoter.wrap(|below| told(below, true));
        }
        remoter.set_timeouts(timeouts);
        if !name_first {
            remoter.wrap(|below| told(below, true));
        }
        assert_eq!(script.server.wake(), Wake::Now);
        script.tick();
        assert_eq!(script.server.at(&true_name(&peer.addr())), Some(id));
        assert_eq!(script.server.wake(), Wake::At(due));
        ends(&mut script, &peer, id);
    }
}

/// What a name says is no end of a transport: one that really comes from there is another connection.
#[test]
fn who_comes_from_where_another_is_said_to_be_does_not_replace_it() {
    let mut script = naming(|_| {});
    let (first, _) = comes(&mut script, 1, [Ok(Stage::Live)]);
    let name = true_name(&first.addr());
    let second = Peer::new(1, []);
    second.far().name = name.clone();
    second.far().handshake.push_back(Ok(Stage::Live));
    script.accepts([Accept::Peer(second.clone())]);
    let events = script.ticks(2);
    assert!(matches!(events[..], [Event::Accepted(_)]), "{events:?}");
    assert_eq!(script.server.len(), 2);
}
