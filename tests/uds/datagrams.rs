//! Datagram sockets.

use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use tymist::net::{Addr, Bind};
use tymist::tyme::Tymist;
use tymist::{Config, Event, GramConfig, GramError, GramEvent, Peer, Server, Wake};

use super::{Dir, ROUND, ROUNDS, addr};

fn open(bind: impl Into<Bind>) -> Peer {
    let mut peer = Peer::new(GramConfig::new());
    peer.open(bind).unwrap();
    peer
}

fn plain(path: &Path) -> UnixDatagram {
    let socket = UnixDatagram::bind(path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket
}

/// Ticks until `done` makes something of the peer.
#[track_caller]
fn until<T>(peer: &mut Peer, mut done: impl FnMut(&mut Peer) -> Option<T>) -> T {
    for _ in 0..ROUNDS {
        if let Some(found) = done(peer) {
            return found;
        }
        peer.wait(Some(ROUND));
        peer.service();
    }
    panic!("it did not get there: {:?}", peer.counters());
}

/// Behaviour 70.
#[test]
fn the_source_of_a_datagram_is_the_senders_path() {
    let dir = Dir::new();
    let (here, there) = (dir.path("here"), dir.path("there"));
    let mut peer = open(here.as_path());
    assert_eq!(peer.local_addr(), &addr(&here));
    let other = plain(&there);
    other.send_to(b"ping", &here).unwrap();
    let gram = until(&mut peer, Peer::take_one);
    assert_eq!((&gram.data[..], &gram.from), (&b"ping"[..], &addr(&there)));
    peer.tx_bytes(gram.data, gram.from).unwrap();
    peer.service();
    let mut buf = [0; 10];
    let (len, from) = other.recv_from(&mut buf).unwrap();
    assert_eq!((&buf[..len], from.as_pathname()), (&b"ping"[..], Some(here.as_path())));
    // To itself, empty, and to nobody.
    peer.tx(b"", here.as_path()).unwrap();
    let gram = until(&mut peer, Peer::take_one);
    assert_eq!((gram.data.len(), gram.from), (0, addr(&here)));
    assert!(peer.take().is_none());
}

trait TakeOne {
    fn take_one(&mut self) -> Option<tymist::RxGram>;
}

impl TakeOne for Peer {
    fn take_one(&mut self) -> Option<tymist::RxGram> {
        self.take()
    }
}

#[test]
fn an_unnamed_socket_sends_and_cannot_be_answered() {
    let dir = Dir::new();
    let path = dir.path("s");
    let mut peer = open(path.as_path());
    let mut nobody = open(Addr::Unnamed);
    nobody.tx(b"guess who", path.as_path()).unwrap();
    nobody.service();
    let gram = until(&mut peer, Peer::take_one);
    assert_eq!((&gram.data[..], &gram.from), (&b"guess who"[..], &Addr::Unnamed));
    assert_eq!(peer.tx(b"you?", gram.from), Err(GramError::NoAddress));
    assert_eq!(dir.names(), ["s"]);
}

#[test]
#[cfg(target_os = "linux")]
fn the_source_may_be_an_abstract_name() {
    let name = Addr::abstract_name(format!("tymist-gram-{}", std::process::id()));
    let mut peer = open(name.clone());
    peer.tx(b"to myself", &name).unwrap();
    let gram = until(&mut peer, Peer::take_one);
    assert_eq!((&gram.data[..], gram.from), (&b"to myself"[..], name));
}

/// hio raises out of the send where the path is missing (defect 28, X1).
#[test]
fn a_missing_or_dead_receiver_is_an_event_and_the_next_datagram_goes() {
    let dir = Dir::new();
    let (missing, dead, path) = (dir.path("missing"), dir.path("dead"), dir.path("s"));
    drop(plain(&dead));
    let receiver = plain(&path);
    let mut peer = open(Addr::Unnamed);
    for to in [&missing, &dead, &dir.0.path().to_owned(), &path] {
        peer.tx(b"hello", to.as_path()).unwrap();
    }
    peer.tx(b"hello", ([127, 0, 0, 1], 0)).unwrap();
    peer.service();
    let told: Vec<_> = std::iter::from_fn(|| peer.poll_event())
        .map(|event| match event {
            GramEvent::Unsent { to, error, .. } => (to, error.kind()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        told[..3],
        [
            (addr(&missing), ErrorKind::NotFound),
            (addr(&dead), ErrorKind::ConnectionRefused),
            (addr(dir.0.path()), ErrorKind::ConnectionRefused),
        ]
    );
    assert_eq!(told.len(), 4, "and what is no Unix address");
    assert_eq!(receiver.recv(&mut [0; 10]).unwrap(), 5);
    assert_eq!((peer.counters().unsent, peer.counters().grams_out), (4, 1));
}

#[test]
fn a_cut_datagram_is_flagged_and_one_that_just_fits_is_not() {
    let dir = Dir::new();
    let path = dir.path("s");
    let mut config = GramConfig::new();
    config.max_gram = 100_000;
    let mut peer = Peer::new(config);
    peer.open(path.as_path()).unwrap();
    let sender = plain(&dir.path("sender"));
    for len in [99_999, 100_000, 100_001, 150_000] {
        sender.send_to(&vec![1; len], &path).unwrap();
        let gram = until(&mut peer, Peer::take_one);
        assert_eq!((gram.data.len(), gram.truncated), (len.min(100_000), len > 100_000));
    }
}

/// A Unix socket's queue is its receiver's, and no edge tells when it has room. Who does not read must not hold up the rest.
#[test]
fn a_receiver_that_does_not_read_holds_up_no_other() {
    let dir = Dir::new();
    let (stuck_path, path) = (dir.path("stuck"), dir.path("s"));
    let (stuck, receiver) = (plain(&stuck_path), plain(&path));
    let tymist = Tymist::new();
    let mut config = GramConfig::new();
    config.tx_grams = 2000;
    let mut peer = Peer::new(config);
    peer.wind(tymist.tymth());
    peer.open(Addr::Unnamed).unwrap();
    for number in 0..1000_u32 {
        peer.tx(&number.to_be_bytes(), stuck_path.as_path()).unwrap();
        if number % 250 == 0 {
            peer.tx(b"through", path.as_path()).unwrap();
        }
    }
    for _ in 0..20 {
        peer.service();
    }
    let mut buf = [0; 10];
    for _ in 0..4 {
        assert_eq!(receiver.recv(&mut buf).unwrap(), 7);
    }
    let left = peer.tx_grams();
    assert!(left > 500, "the queue of the other is full, or this shows nothing: {left}");
    assert_eq!(peer.poll_event(), None);
    // It neither spins nor sleeps over it.
    assert_eq!(peer.wake(), Wake::At(peer.tyme() + Duration::from_millis(1)));
    // Order is kept once it reads again.
    for number in 0..1000_u32 {
        let mut tries = 0;
        stuck.set_nonblocking(true).unwrap();
        while stuck.recv(&mut buf).is_err() {
            peer.service();
            tries += 1;
            assert!(tries < 1000);
        }
        assert_eq!(buf[..4], number.to_be_bytes());
    }
    assert_eq!(peer.tx_grams(), 0);
    peer.service();
    assert_eq!(peer.poll_event(), Some(GramEvent::Drained));
}

#[test]
fn what_is_never_read_is_dropped_in_the_end() {
    let dir = Dir::new();
    let path = dir.path("stuck");
    let _stuck = plain(&path);
    let mut tymist = Tymist::new();
    let mut peer = Peer::new(GramConfig::new());
    peer.wind(tymist.tymth());
    peer.open(Addr::Unnamed).unwrap();
    for _ in 0..600 {
        peer.tx(b"x", path.as_path()).unwrap();
    }
    peer.service();
    peer.service();
    let left = peer.tx_grams();
    assert!(left > 0);
    tymist.tick_by(Duration::from_nanos(999_999_999));
    peer.service();
    assert_eq!(peer.tx_grams(), left);
    tymist.tick_by(Duration::from_nanos(1));
    peer.service();
    assert_eq!((peer.tx_grams(), peer.counters().unsent), (0, left as u64));
}

/// One that is connected to a plain socket, and that.
fn connected(here: &Path, there: &Path) -> (Peer, UnixDatagram) {
    let friend = plain(there);
    let mut bind = Bind::new(here);
    bind.peer = Some(addr(there));
    (open(bind), friend)
}

#[test]
fn connected_mode_knows_its_peer() {
    let dir = Dir::new();
    let (here, there) = (dir.path("here"), dir.path("there"));
    let (mut peer, friend) = connected(&here, &there);
    peer.tx_peer(b"hello").unwrap();
    peer.service();
    assert_eq!(friend.recv(&mut [0; 10]).unwrap(), 5);
    let stranger = plain(&dir.path("stranger"));
    assert!(stranger.send_to(b"let me in", &here).is_err());
    friend.send_to(b"hi", &here).unwrap();
    assert_eq!(until(&mut peer, Peer::take_one).data, "hi");
    // The friend goes.
    drop(friend);
    peer.tx_peer(b"still there?").unwrap();
    peer.service();
    let event = peer.poll_event();
    assert!(
        matches!(
            event,
            Some(GramEvent::Unsent { error, .. }) if error.kind() == ErrorKind::ConnectionRefused
        ),
        "{event:?}"
    );
    // Nobody there from the start is an error of the opening.
    let mut bind = Bind::new(Addr::Unnamed);
    bind.peer = Some(addr(&there));
    assert!(Peer::new(GramConfig::new()).open(bind).is_err());
}

/// Its datagrams were dropped as those of a stranger.
#[test]
fn a_peer_whose_path_has_another_spelling_is_no_stranger() {
    let dir = Dir::new();
    let there = dir.path("there");
    let friend = plain(&there);
    std::os::unix::fs::symlink(&there, dir.path("link")).unwrap();
    for (name, spelling) in [("a", "link"), ("b", "./there")] {
        let mut bind = Bind::new(dir.path(name).as_path());
        bind.peer = Some(addr(&dir.path(spelling)));
        let mut peer = open(bind);
        friend.send_to(b"hi", dir.path(name)).unwrap();
        let gram = until(&mut peer, Peer::take_one);
        assert_eq!((&gram.data[..], &gram.from), (&b"hi"[..], peer.peer_addr().unwrap()));
        peer.tx(b"hello", gram.from).unwrap();
        peer.service();
        assert_eq!(friend.recv(&mut [0; 10]).unwrap(), 5);
        assert_eq!(peer.counters().strangers, 0);
    }
}

/// They stood first in the line and spent all tries of each tick.
#[test]
fn receivers_that_take_nothing_do_not_use_up_the_ticks_of_the_others() {
    let dir = Dir::new();
    let mut config = GramConfig::new();
    config.tick_grams = 4;
    config.stall = None;
    let mut peer = Peer::new(config);
    peer.open(Addr::Unnamed).unwrap();
    let filler = UnixDatagram::unbound().unwrap();
    filler.set_nonblocking(true).unwrap();
    let full: Vec<_> = (0..6).map(|number| plain(&dir.path(&format!("full{number}")))).collect();
    for (number, _) in full.iter().enumerate() {
        let path = dir.path(&format!("full{number}"));
        while filler.send_to(b"full", &path).is_ok() {}
        peer.tx(b"first", path.as_path()).unwrap();
    }
    let awake = plain(&dir.path("awake"));
    awake.set_nonblocking(true).unwrap();
    peer.tx(b"hello", dir.path("awake").as_path()).unwrap();
    peer.tx(b"second", dir.path("full0").as_path()).unwrap();
    for _ in 0..3 {
        peer.service();
    }
    assert_eq!(awake.recv(&mut [0; 10]).unwrap(), 5);
    assert_eq!(peer.tx_grams(), 7);
    assert!(matches!(peer.wake(), Wake::At(_)), "it does not spin over them: {:?}", peer.wake());
    // What is for one receiver keeps its order.
    full[0].set_nonblocking(true).unwrap();
    let mut got = Vec::new();
    for _ in 0..ROUNDS {
        let mut buf = [0; 10];
        while let Ok(len) = full[0].recv(&mut buf) {
            got.push(String::from_utf8_lossy(&buf[..len]).into_owned());
        }
        if got.last().is_some_and(|last| last == "second") {
            break;
        }
        peer.service();
    }
    got.retain(|text| text != "full");
    assert_eq!(got, ["first", "second"]);
}

#[test]
fn an_endpoint_of_a_server_may_be_one() {
    let dir = Dir::new();
    let path = dir.path("s");
    let mut server = Server::new(Config::new());
    let id = server.bind(path.as_path(), GramConfig::new()).unwrap();
    plain(&dir.path("sender")).send_to(b"hello", &path).unwrap();
    for _ in 0..ROUNDS {
        server.wait(Some(ROUND));
        server.service();
        if server.poll_event() == Some(Event::Gram(id, GramEvent::Received)) {
            break;
        }
    }
    assert_eq!(server.endpoint_mut(id).unwrap().take().unwrap().data, "hello");
}

#[test]
fn options_of_ip_are_an_error() {
    let mut peer = open(Addr::Unnamed);
    let option = tymist::net::GramOption::Broadcast(true);
    assert_eq!(peer.set_option(option).unwrap_err().kind(), ErrorKind::Unsupported);
}

/// The system lets go of a peer that is found gone, and lets everybody in: they came under the peer's name.
#[test]
fn regression_nobody_speaks_for_a_peer_that_is_gone() {
    let dir = Dir::new();
    let (here, there) = (dir.path("here"), dir.path("there"));
    let (mut peer, friend) = connected(&here, &there);
    drop(friend);
    peer.tx_peer(b"still there?").unwrap();
    peer.service();
    let stranger = plain(&dir.path("stranger"));
    // Linux does let it in.
    let _ = stranger.send_to(b"it is me", &here);
    std::fs::remove_file(&there).unwrap();
    let friend = plain(&there);
    friend.send_to(b"it is", &here).unwrap();
    let gram = until(&mut peer, Peer::take_one);
    assert_eq!((&gram.data[..], &gram.from), (&b"it is"[..], &addr(&there)));
}
