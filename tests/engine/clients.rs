//! Outgoing connections on the real loopback: hio's behaviours 43 to 49 by their numbers, its defect 27, and peers that are not there.
#![cfg(feature = "os")]
#![allow(clippy::unwrap_used, reason = "a test says so by failing")]
#![allow(clippy::disallowed_methods, reason = "the far ends are plain sockets")]

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use crate::util::{ROUNDS, Rig, pattern, reset};
use bytes::Bytes;
use tymist::net::{Addr, BufferSizes, Stage, Stream, Token};
use tymist::tyme::{Tyme, Tymist};
use tymist::{Backoff, Client, Clients, CloseReason, Config, Connect, Deadline, Event, Id, Server};

const ROUND: Duration = Duration::from_millis(5);

/// Clients whose clock only the test advances.
struct Desk {
    clients: Clients,
    tymist: Tymist,
    log: Vec<Event>,
}

impl Desk {
    fn new() -> Desk {
        Desk::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Config)) -> Desk {
        let mut config = Config::new();
        change(&mut config);
        let tymist = Tymist::new();
        let mut clients = Clients::new(config);
        clients.wind(tymist.tymth());
        Desk { clients, tymist, log: Vec::new() }
    }

    fn tick(&mut self) -> Vec<Event> {
        self.clients.wait(Some(ROUND));
        self.clients.service();
        let events: Vec<Event> = std::iter::from_fn(|| self.clients.poll_event()).collect();
        self.log.extend(events.iter().cloned());
        events
    }

    #[track_caller]
    fn until(&mut self, mut done: impl FnMut(&Event) -> bool) -> Event {
        for _ in 0..ROUNDS {
            let events = self.tick();
            if let Some(event) = events.into_iter().find(|event| done(event)) {
                return event;
            }
        }
        panic!("the awaited event did not come; these came: {:?}", self.log);
    }

    #[track_caller]
    fn until_connected(&mut self, id: Id) {
        self.until(|event| *event == Event::Connected(id));
    }

    #[track_caller]
    fn until_unread(&mut self, id: Id, count: usize) {
        for _ in 0..ROUNDS {
            if self.clients.remoter(id).unwrap().rx().len() >= count {
                return;
            }
            self.tick();
        }
        panic!("the bytes did not come; these events came: {:?}", self.log);
    }
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

#[track_caller]
fn accept(listener: &TcpListener) -> TcpStream {
    let stream = listener.accept().unwrap().0;
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

/// A port of this machine where nobody listens: bound, so that nobody else gets it, but not listening.
fn closed_port() -> (socket2::Socket, SocketAddr) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    let addr = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, addr)
}

/// Ticks a client until `done` says so.
#[track_caller]
fn until(client: &mut Client, mut done: impl FnMut(&mut Client) -> bool) -> Vec<Event> {
    let mut log = Vec::new();
    for _ in 0..ROUNDS {
        if done(client) {
            return log;
        }
        client.wait(Some(ROUND));
        client.service();
        log.extend(std::iter::from_fn(|| client.poll_event()));
    }
    panic!("the client did not get there; these events came: {log:?}");
}

// Behaviours.

#[test]
fn behaviour_43_connects_in_steps_and_not_being_connected_is_no_error() {
    let (_bound, addr) = closed_port();
    let mut client = Client::new(Config::new(), addr);
    assert!(!client.service_connect(), "not even opened, and still no error");
    client.reopen().unwrap();
    let mut steps = 0;
    while client.opened() && steps < ROUNDS {
        assert!(!client.service_connect());
        client.wait(Some(ROUND));
        client.clear_events();
        steps += 1;
    }
    assert!(!client.opened());
    let (listener, addr) = listener();
    client.connect_settings_mut().to = addr.into();
    client.reopen().unwrap();
    until(&mut client, Client::service_connect);
    drop(listener);
}

/// A layer whose handshake is done as soon as the peer has said its first byte.
struct Greeted(Box<dyn Stream>);

impl Stream for Greeted {
    fn register(&mut self, token: Token) -> io::Result<()> {
        self.0.register(token)
    }
    fn advance(&mut self) -> io::Result<Stage> {
        let mut first = [0];
        match self.0.read(&mut first)? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ if first == *b"+" => Ok(Stage::Live),
            _ => Err(ErrorKind::InvalidData.into()),
        }
    }
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
    fn write(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.write(bufs)
    }
    fn shutdown(&mut self, how: Shutdown) -> io::Result<()> {
        self.0.shutdown(how)
    }
    fn set_abortive(&mut self) -> io::Result<()> {
        self.0.set_abortive()
    }
    fn local_addr(&self) -> &Addr {
        self.0.local_addr()
    }
    fn peer_addr(&self) -> &Addr {
        self.0.peer_addr()
    }
    fn buffer_sizes(&self) -> io::Result<BufferSizes> {
        self.0.buffer_sizes()
    }
}

fn greeted(addr: SocketAddr) -> Connect {
    let mut connect = Connect::new(addr);
    connect.layer = Some(Arc::new(|stream| Box::new(Greeted(stream))));
    connect
}

#[test]
fn behaviour_44_accepted_is_the_transport_and_connected_the_handshake() {
    let (listener, addr) = listener();
    let mut client = Client::new(Config::new(), greeted(addr));
    client.reopen().unwrap();
    client.tx(b"after the handshake").unwrap();
    until(&mut client, |client| client.accepted());
    let mut peer = accept(&listener);
    assert!(!client.connected());
    for _ in 0..3 {
        client.service();
    }
    peer.set_nonblocking(true).unwrap();
    let early = peer.read(&mut [0]).map_err(|error| error.kind());
    assert_eq!(early, Err(ErrorKind::WouldBlock), "what is queued does not go before");
    peer.set_nonblocking(false).unwrap();
    peer.write_all(b"+").unwrap();
    let events = until(&mut client, |client| client.connected());
    assert!(matches!(events[..], [Event::Connected(_)]), "{events:?}");
    client.service_sends();
    let mut got = [0; 19];
    peer.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"after the handshake");
    // Plain TCP: both at once.
    let mut plain = Client::new(Config::new(), addr);
    plain.reopen().unwrap();
    until(&mut plain, |client| {
        assert_eq!(client.accepted(), client.connected());
        client.connected()
    });
}

#[test]
fn behaviour_45_addresses_are_known_once_connected_and_not_before() {
    let (listener, addr) = listener();
    let mut client = Client::new(Config::new(), addr);
    assert_eq!((client.local_addr(), client.peer_addr()), (None, None));
    client.reopen().unwrap();
    assert_eq!((client.local_addr(), client.peer_addr()), (None, None));
    until(&mut client, |client| client.connected());
    let peer = accept(&listener);
    assert_eq!(client.peer_addr(), Some(&addr.into()));
    assert_eq!(client.local_addr(), Some(&peer.peer_addr().unwrap().into()));
    client.close();
    assert_eq!((client.local_addr(), client.peer_addr()), (None, None));
}

#[test]
fn behaviour_46_what_is_queued_before_the_connection_is_sent_after_it() {
    let (listener, addr) = listener();
    let mut client = Client::new(Config::new(), addr);
    client.reopen().unwrap();
    assert_eq!(client.tx(b"first "), Ok(6));
    assert_eq!(client.tx_bytes(&mut Bytes::from_static(b"second")), Ok(6));
    assert_eq!(client.remoter().unwrap().tx_len(), 12);
    until(&mut client, |client| client.counters().bytes_out == 12);
    let mut got = [0; 12];
    accept(&listener).read_exact(&mut got).unwrap();
    assert_eq!(&got, b"first second");
}

#[test]
fn behaviour_47_refused_is_tried_again_on_later_ticks_until_somebody_listens() {
    let (bound, addr) = closed_port();
    let mut desk = Desk::new();
    let mut connect = Connect::new(addr);
    connect.reconnect = Some(Backoff::every(Duration::from_secs(1)));
    let id = desk.clients.connect(connect).unwrap();
    for second in 1..=3 {
        let failed = desk.until(|event| matches!(event, Event::ConnectFailed { .. }));
        let Event::ConnectFailed { id: of, addr: to, error, .. } = failed else { unreachable!() };
        assert_eq!((of, to, error.kind()), (id, addr.into(), ErrorKind::ConnectionRefused));
        desk.tymist.set(Tyme::from_secs(second)).unwrap();
    }
    assert_eq!(desk.clients.counters().dialled, 3);
    bound.listen(1).unwrap();
    desk.until_connected(id);
}

#[test]
fn behaviour_48_reopen_after_close_restores_a_fresh_unconnected_client() {
    let (listener, addr) = listener();
    let mut client = Client::new(Config::new(), addr);
    client.reopen().unwrap();
    until(&mut client, |client| client.connected());
    let mut peer = accept(&listener);
    peer.write_all(b"old").unwrap();
    until(&mut client, |client| client.rx() == b"old");
    client.tx(b"old").unwrap();
    client.remoter_mut().unwrap().shutdown_send();
    client.close();
    client.clear_events();
    client.reopen().unwrap();
    assert!(client.opened() && !client.accepted() && !client.connected());
    assert_eq!((client.rx(), client.remoter().unwrap().tx_len()), (&b""[..], 0));
    assert!(client.remoter().unwrap().may_send());
    until(&mut client, |client| client.connected());
    client.tx(b"new").unwrap();
    client.service_sends();
    let mut got = [0; 3];
    accept(&listener).read_exact(&mut got).unwrap();
    assert_eq!(&got, b"new");
    // Also while it is open, and twice.
    client.reopen().unwrap();
    assert!(!client.connected());
    client.reopen().unwrap();
    until(&mut client, |client| client.connected());
    drop(accept(&listener));
}

#[test]
fn behaviour_49_buffers_go_in_and_out_as_they_are_and_from_one_client_to_another() {
    let (listener, addr) = listener();
    let mut desk = Desk::new();
    let first = desk.clients.connect(addr).unwrap();
    desk.until_connected(first);
    let mut peer = accept(&listener);
    // Out: what is taken is the buffer that was filled, shared and not copied.
    peer.write_all(&pattern(3000)).unwrap();
    desk.until_unread(first, 3000);
    let at = desk.clients.remoter(first).unwrap().rx().as_ptr();
    let taken = desk.clients.remoter_mut(first).unwrap().take();
    assert_eq!((taken.as_ptr(), &taken[..]), (at, &pattern(3000)[..]));
    // In without a copy, and what the first did not send over to another.
    let mut data = Bytes::from(pattern(10_000));
    let remoter = desk.clients.remoter_mut(first).unwrap();
    remoter.unread(Bytes::from_static(b"parse me"));
    assert_eq!((remoter.tx_bytes(&mut data), data.len()), (Ok(10_000), 0));
    let mut detached = desk.clients.detach(first).unwrap();
    assert_eq!((&detached.unread[..], detached.unsent.len()), (&b"parse me"[..], 10_000));
    let second = desk.clients.connect(addr).unwrap();
    let remoter = desk.clients.remoter_mut(second).unwrap();
    assert_eq!(remoter.tx_bytes(&mut detached.unsent), Ok(10_000));
    desk.until_connected(second);
    let mut peer = accept(&listener);
    desk.clients.service_sends();
    let mut got = vec![0; 10_000];
    peer.read_exact(&mut got).unwrap();
    assert_eq!(got, pattern(10_000));
}

// hio's defect 27.

fn comes_again(addr: SocketAddr) -> Connect {
    let mut connect = Connect::new(addr);
    connect.reconnect = Some(Backoff::every(Duration::from_secs(1)));
    connect
}

#[test]
fn hio_27_a_reconnectable_client_comes_again_after_it_was_cut_off() {
    let (listener, addr) = listener();
    let mut desk = Desk::new();
    let id = desk.clients.connect(comes_again(addr)).unwrap();
    for round in 0..3 {
        desk.until_connected(id);
        let mut peer = accept(&listener);
        peer.write_all(&[round]).unwrap();
        desk.until_unread(id, 1);
        assert_eq!(&desk.clients.remoter_mut(id).unwrap().take()[..], &[round]);
        let by_reset = round == 1;
        if by_reset {
            reset(peer);
        } else {
            drop(peer);
        }
        let told = desk.until(|event| matches!(event, Event::Disconnected { .. }));
        let Event::Disconnected { reason, retry_at, .. } = told else { unreachable!() };
        let wanted = if by_reset { CloseReason::Reset } else { CloseReason::Eof };
        assert_eq!(reason, wanted);
        let remoter = desk.clients.remoter(id).unwrap();
        assert!(!remoter.is_connected() && !remoter.is_up(), "it knows that it is not connected");
        desk.tymist.set(retry_at).unwrap();
    }
    desk.until_connected(id);
    assert_eq!(desk.clients.counters().opened, 4);
}

#[test]
fn hio_27_a_refusal_can_be_read() {
    let (_bound, addr) = closed_port();
    let mut desk = Desk::new();
    let id = desk.clients.connect(addr).unwrap();
    let closed = desk.until(|event| matches!(event, Event::Closed(..)));
    let [Event::ConnectFailed { addr: to, error, .. }, _] = &desk.log[..] else {
        panic!("{:?}", desk.log)
    };
    assert_eq!((to, error.kind()), (&addr.into(), ErrorKind::ConnectionRefused));
    assert!(error.errno().is_some());
    assert_eq!(closed, Event::Closed(id, CloseReason::Connect(*error)));
    assert_eq!(closed.id(), Some(id));
    let reason = desk.clients.remoter(id).unwrap().close_reason();
    let text = reason.unwrap().to_string();
    assert!(text.to_lowercase().starts_with("not connected: connection refused"), "{text}");
}

#[test]
fn hio_27_a_handshake_that_fails_ends_one_connection_and_not_the_tick() {
    let (listener, addr) = listener();
    let mut desk = Desk::new();
    let mut connect = greeted(addr);
    let once = desk.clients.connect(connect.clone()).unwrap();
    let mut peer = accept_after(&mut desk, &listener, 1);
    peer.write_all(b"-").unwrap();
    let closed = desk.until(|event| matches!(event, Event::Closed(..)));
    assert_eq!(closed, Event::Closed(once, CloseReason::Io(ErrorKind::InvalidData.into())));
    // The same, coming again: cut off, then a time-out, then well.
    connect.reconnect = Some(Backoff::every(Duration::from_secs(1)));
    let id = desk.clients.connect(connect).unwrap();
    drop(accept_after(&mut desk, &listener, 2));
    let ended = |event: &Event| matches!(event, Event::Disconnected { .. });
    let Event::Disconnected { reason, retry_at, .. } = desk.until(ended) else { unreachable!() };
    assert_eq!(reason, CloseReason::Io(ErrorKind::UnexpectedEof.into()));
    desk.tymist.set(retry_at).unwrap();
    let silent = accept_after(&mut desk, &listener, 3);
    desk.tymist.tick_by(Duration::from_secs(10));
    let Event::Disconnected { reason, retry_at, .. } = desk.until(ended) else { unreachable!() };
    assert_eq!(reason, CloseReason::Expired(Deadline::Handshake));
    drop(silent);
    desk.tymist.set(retry_at).unwrap();
    let mut peer = accept_after(&mut desk, &listener, 4);
    peer.write_all(b"+hello").unwrap();
    desk.until_connected(id);
    desk.until_unread(id, 5);
    assert_eq!(desk.clients.len(), 1);
}

/// Ticks until so many connections are up in all, and accepts the last.
#[track_caller]
fn accept_after(desk: &mut Desk, listener: &TcpListener, count: u64) -> TcpStream {
    for _ in 0..ROUNDS {
        let counters = desk.clients.counters();
        let up = counters.dialled - counters.dial_failures == count;
        if up && desk.clients.dialling() == 0 {
            return accept(listener);
        }
        desk.tick();
    }
    panic!("it did not come up; these events came: {:?}", desk.log);
}

#[test]
fn hio_27_names_are_looked_up_off_the_tick() {
    let (listener, addr) = listener();
    let mut desk = Desk::new();
    // No IP address to us, but one to the operating system's resolver, without asking anybody.
    let id = desk.clients.connect(Connect::to_name("127.1", addr.port())).unwrap();
    assert_eq!(desk.clients.counters().lookups, 0, "making one asks nobody");
    desk.until_connected(id);
    assert_eq!(desk.clients.counters().lookups, 1);
    assert_eq!(desk.clients.remoter(id).unwrap().peer_addr(), &addr.into());
    drop(accept(&listener));
}

#[test]
fn a_name_that_cannot_be_is_told_by_the_operating_system() {
    let mut desk = Desk::new();
    let ids: Vec<Id> =
        (0..20).map(|_| desk.clients.connect(Connect::to_name("no\0name", 80)).unwrap()).collect();
    for id in ids {
        let told = |event: &Event| matches!(event, Event::Unresolved { id: of, .. } if *of == id);
        if !desk.log.iter().any(told) {
            desk.until(told);
        }
    }
    let closed = desk.log.iter().filter(|event| {
        matches!(
            event,
            Event::Closed(_, reason @ CloseReason::Connect(why)) if why.kind() == ErrorKind::NotFound
                && reason.to_string() == "not connected: the name has no address"
        )
    });
    assert_eq!(closed.count(), 20);
}

#[test]
fn an_answer_from_another_thread_ends_the_wait() {
    let (_listener, addr) = listener();
    let mut clients = Clients::new(Config::new());
    let (give, take) = std::sync::mpsc::channel::<tymist::net::Lookup>();
    clients.set_resolve(move |lookup| give.send(lookup).unwrap());
    let helper = std::thread::spawn(move || {
        let lookup = take.recv().unwrap();
        lookup.answer(Ok(vec![addr.into()]));
    });
    let id = clients.connect(Connect::to_name("somewhere", 80)).unwrap();
    // Only the answer, and then the network, ends these waits before their time.
    let limit = Duration::from_secs(5);
    let mut connected = false;
    for _ in 0..ROUNDS {
        clients.wait(Some(limit));
        clients.service();
        connected |=
            std::iter::from_fn(|| clients.poll_event()).any(|it| it == Event::Connected(id));
        // Not wound, they go by real time.
        if connected || clients.tyme() > Tyme::ZERO + limit {
            break;
        }
    }
    assert!(connected, "slept through the answer");
    helper.join().unwrap();
}

// Peers that are not there, or not what they seem.

#[test]
fn the_first_address_that_answers_is_taken() {
    let (_bound, closed) = closed_port();
    let (listener, addr) = listener();
    let mut desk = Desk::new();
    let id = desk.clients.connect(vec![Addr::from(closed), Addr::from(addr)]).unwrap();
    desk.until_connected(id);
    assert!(matches!(&desk.log[0], Event::ConnectFailed { addr, .. } if *addr == closed.into()));
    assert_eq!(desk.clients.remoter(id).unwrap().peer_addr(), &addr.into());
    drop(accept(&listener));
}

/// A listener whose backlog is full, so that to all others it is a port which never answers.
#[cfg(target_os = "linux")]
fn filtered_port(desk: &mut Desk) -> (socket2::Socket, SocketAddr) {
    let (socket, addr) = closed_port();
    socket.listen(0).unwrap();
    // The kernel's queue takes one or two more than it says.
    for _ in 0..8 {
        desk.clients.connect(addr).unwrap();
    }
    for _ in 0..20 {
        desk.tick();
    }
    assert!(desk.clients.dialling() > 0, "the backlog takes all of them");
    (socket, addr)
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_backlog_is_waited_for_until_the_timeout_and_the_other_address_taken() {
    let mut desk = Desk::new();
    let (socket, filtered) = filtered_port(&mut desk);
    let (listener, addr) = listener();
    let id = desk.clients.connect(vec![Addr::from(filtered), Addr::from(addr)]).unwrap();
    desk.tick();
    desk.tymist.tick_by(Duration::from_millis(250));
    desk.until_connected(id);
    assert_eq!(desk.clients.remoter(id).unwrap().peer_addr(), &addr.into());
    let stuck = desk.clients.dialling();
    desk.tymist.set(Tyme::from_secs(10)).unwrap();
    for _ in 0..3 {
        desk.tick();
    }
    let late = desk
        .log
        .iter()
        .filter(|event| matches!(event, Event::Closed(_, CloseReason::Expired(Deadline::Connect))));
    assert_eq!((late.count(), desk.clients.dialling()), (stuck, 0));
    drop((socket, listener));
}

#[test]
fn a_socket_that_meets_itself_is_refused() {
    let (bound, addr) = closed_port();
    drop(bound);
    let mut desk = Desk::new();
    let mut connect = Connect::new(addr);
    connect.local = Some(addr.into());
    let id = desk.clients.connect(connect).unwrap();
    let failed = desk.until(|event| matches!(event, Event::ConnectFailed { .. }));
    let error = ErrorKind::ConnectionRefused.into();
    assert_eq!(failed, Event::ConnectFailed { id, addr: addr.into(), error });
    // Nothing of it is left, not even in TIME_WAIT, where only those who ask for it may bind.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&addr.into()).unwrap();
}

/// The system takes the unspecified address for this machine's own: the end it gave to the connection was compared with the one that was asked for.
#[cfg(unix)]
#[test]
fn regression_a_socket_that_meets_itself_by_the_unspecified_address_is_refused() {
    let (bound, own) = closed_port();
    drop(bound);
    let any = Addr::from(([0, 0, 0, 0], own.port()));
    let mut desk = Desk::new();
    let mut connect = Connect::new(any.clone());
    connect.local = Some(own.into());
    let id = desk.clients.connect(connect).unwrap();
    let ended =
        desk.until(|event| matches!(event, Event::ConnectFailed { .. } | Event::Connected(_)));
    let error = ErrorKind::ConnectionRefused.into();
    assert_eq!(ended, Event::ConnectFailed { id, addr: any, error });
}

/// Who dials it is told who is there.
#[cfg(unix)]
#[test]
fn regression_the_peer_of_who_dialled_the_unspecified_address_is_the_one_that_is_there() {
    let (_listener, addr) = listener();
    let mut desk = Desk::new();
    let id = desk.clients.connect(([0, 0, 0, 0], addr.port())).unwrap();
    desk.until_connected(id);
    assert_eq!(desk.clients.remoter(id).unwrap().peer_addr(), &addr.into());
}

#[test]
fn our_own_address_and_port_can_be_chosen_again_and_again() {
    let (bound, own) = closed_port();
    drop(bound);
    let mut desk = Desk::new();
    for _ in 0..3 {
        let (listener, addr) = listener();
        let mut connect = Connect::new(addr);
        connect.local = Some(own.into());
        let id = desk.clients.connect(connect).unwrap();
        desk.until_connected(id);
        let peer = accept(&listener);
        assert_eq!(peer.peer_addr().unwrap(), own);
        // Ours ends first, so that it is our port that stays in TIME_WAIT.
        desk.clients.remoter_mut(id).unwrap().close();
        desk.tick();
        drop(peer);
        desk.until(|event| *event == Event::Closed(id, CloseReason::Local));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_loopback_has_more_addresses_to_come_from() {
    let (listener, addr) = listener();
    let mut desk = Desk::new();
    let mut connect = Connect::new(addr);
    connect.local = Some(([127, 0, 0, 77], 0).into());
    let id = desk.clients.connect(connect).unwrap();
    desk.until_connected(id);
    let ip = accept(&listener).peer_addr().unwrap().ip().to_string();
    assert_eq!(ip, "127.0.0.77");
    assert_eq!(desk.clients.remoter(id).unwrap().local_addr().ip().unwrap().to_string(), ip);
}

#[test]
fn an_address_that_cannot_be_ours_is_a_failure_told() {
    let (_listener, addr) = listener();
    let mut desk = Desk::new();
    let mut connect = Connect::new(addr);
    connect.local = Some(([192, 0, 2, 1], 0).into());
    desk.clients.connect(connect).unwrap();
    let failed = desk.until(|event| matches!(event, Event::ConnectFailed { .. }));
    assert!(
        matches!(
            failed,
            Event::ConnectFailed { error, .. } if error.kind() == ErrorKind::AddrNotAvailable
        ),
        "{failed:?}"
    );
}

#[test]
fn bytes_sent_before_a_reset_right_after_the_accept_do_not_stop_the_tick() {
    let (listener, addr) = listener();
    let mut desk = Desk::new();
    for _ in 0..50 {
        let id = desk.clients.connect(addr).unwrap();
        desk.clients.tx(id, b"hello").unwrap();
        // Up in the kernel before we look.
        desk.clients.wait(Some(Duration::ZERO));
        let peer = accept(&listener);
        reset(peer);
        desk.until(|event| matches!(event, Event::Closed(of, _) if *of == id));
    }
    desk.tick();
    assert_eq!((desk.clients.len(), desk.clients.timers()), (0, 0));
}

// Many, and both ends at once.

#[test]
fn thousands_of_clients_talk_through_one_tick_and_leave_nothing_behind() {
    const CLIENTS: usize = 1500;
    let mut rig = Rig::new(Config::new());
    let mut desk = Desk::new();
    let ids: Vec<Id> = (0..CLIENTS).map(|_| desk.clients.connect(rig.addr).unwrap()).collect();
    for (number, id) in ids.iter().enumerate() {
        desk.clients.tx(*id, &u32::try_from(number).unwrap().to_be_bytes()).unwrap();
    }
    let mut answered = 0;
    for _ in 0..ROUNDS {
        for event in rig.tick_now() {
            if let Event::Received(id) = event {
                let remoter = rig.server.remoter_mut(id).unwrap();
                let mut data = remoter.take();
                remoter.tx_bytes(&mut data).unwrap();
            }
        }
        desk.tick();
        answered =
            ids.iter().filter(|id| desk.clients.remoter(**id).unwrap().rx().len() == 4).count();
        if answered == CLIENTS {
            break;
        }
    }
    assert_eq!(answered, CLIENTS);
    for (number, id) in ids.iter().enumerate() {
        let number = u32::try_from(number).unwrap().to_be_bytes();
        assert_eq!(desk.clients.remoter(*id).unwrap().rx(), number, "each its own");
    }
    desk.clients.close();
    desk.tick();
    desk.tick();
    rig.until_server(|server| server.is_empty());
    rig.tick();
    assert_eq!((desk.clients.len(), desk.clients.timers(), desk.clients.buffered()), (0, 0, 0));
}

#[test]
fn a_server_dials_beside_what_comes_in_as_a_proxy_does() {
    let (listener, addr) = listener();
    let mut rig = Rig::with(|config| config.limits.remoters_per_ip = 1);
    let (mut client, inbound) = rig.client();
    let outbound = rig.server.connect(addr).unwrap();
    let dialled = rig.server.remoter(outbound).unwrap();
    assert!(dialled.is_dialled() && dialled.acceptor().is_none());
    rig.until(|event| *event == Event::Connected(outbound));
    let mut upstream = accept(&listener);
    let peer = Addr::from(upstream.local_addr().unwrap());
    assert_eq!(rig.server.at(&peer), None, "found by id only");
    assert_eq!((rig.server.len(), rig.server.dialling()), (2, 0));
    // There and back again.
    client.write_all(b"request").unwrap();
    rig.until_unread(inbound, 7);
    let mut data = rig.server.remoter_mut(inbound).unwrap().take();
    rig.server.remoter_mut(outbound).unwrap().tx_bytes(&mut data).unwrap();
    rig.server.service_sends();
    let mut got = [0; 7];
    upstream.read_exact(&mut got).unwrap();
    upstream.write_all(b"reply").unwrap();
    rig.until_unread(outbound, 5);
    let mut data = rig.server.remoter_mut(outbound).unwrap().take();
    rig.server.remoter_mut(inbound).unwrap().tx_bytes(&mut data).unwrap();
    rig.server.service_sends();
    let mut got = [0; 5];
    client.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"reply");
    // The end of one is not the end of the other.
    drop(upstream);
    assert_eq!(rig.until_closed(outbound), CloseReason::Eof);
    assert!(rig.server.remoter(inbound).unwrap().is_connected());
    // Nor does it count where connections from one address are counted, in either direction.
    let mut refused = crate::util::connect(rig.addr);
    rig.until(|event| matches!(event, Event::Refused { .. }));
    assert_eq!(refused.read(&mut [0]).unwrap_or(0), 0);
    assert!(!rig.log.contains(&Event::Accepted(outbound)));
    assert!(!rig.log.contains(&Event::Connected(inbound)));
}

#[test]
fn a_server_can_make_a_dialled_connection_anew() {
    let (listener, addr) = listener();
    let mut rig = Rig::new(Config::new());
    let id = rig.server.connect(addr).unwrap();
    rig.until(|event| *event == Event::Connected(id));
    rig.server.redial(id).unwrap();
    rig.until(|event| *event == Event::Connected(id));
    drop((accept(&listener), accept(&listener)));
    let (_client, inbound) = rig.client();
    assert!(rig.server.redial(inbound).is_err(), "that one was not dialled");
    let mut bare = Server::new(Config::new());
    assert!(bare.redial(id).is_err());
    bare.close();
}

#[test]
fn what_moves_on_a_dialled_connection_is_logged() {
    use tymist::wire::{Direction, WireLog};
    let (listener, addr) = listener();
    let mut desk = Desk::new();
    let log = WireLog::memory(1 << 16);
    desk.clients.set_wire_log(Some(log.clone()));
    let id = desk.clients.connect(addr).unwrap();
    desk.clients.tx(id, b"ping").unwrap();
    desk.until_connected(id);
    accept(&listener).write_all(b"pong").unwrap();
    desk.until_unread(id, 4);
    let records = log.records();
    let seen: Vec<_> = records.iter().map(|record| (record.direction, &record.data[..])).collect();
    assert_eq!(seen, [(Direction::Tx, &b"ping"[..]), (Direction::Rx, &b"pong"[..])]);
}
