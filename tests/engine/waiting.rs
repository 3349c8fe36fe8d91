//! When the server wants to be called, that it says so at once, and that it sleeps when there is nothing to do.

#![cfg(feature = "os")]
#![allow(clippy::unwrap_used, reason = "a test says so by failing")]
#![allow(clippy::disallowed_methods, reason = "real sleeps are what is tested, so they are timed")]

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::layers::{Watched, narrow};
use crate::util::{ROUNDS, Rig, connect, end, send};
use bytes::Bytes;
use tymist::net::SocketOptions;
use tymist::tyme::{Tyme, Tymist};
use tymist::wire::WireLog;
use tymist::{AcceptorId, Config, Event, Id, OverLimit, Remoter, Server, Timeouts, Wake};

const LONG: Duration = Duration::from_secs(20);

/// Ticks until nothing is left to do; the events are dropped.
#[track_caller]
fn settle(server: &mut Server) {
    let mut calm = 0;
    for _ in 0..ROUNDS {
        server.wait(Some(Duration::from_millis(2)));
        server.service();
        server.clear_events();
        calm = if server.wake() == Wake::Now { 0 } else { calm + 1 };
        if calm == 3 {
            return;
        }
    }
    panic!("it does not rest");
}

/// A server whose harvests and accepts are counted.
struct Counted {
    server: Server,
    tymist: Tymist,
    watched: Watched,
    acceptor: AcceptorId,
    addr: SocketAddr,
}

impl Counted {
    fn with(change: impl FnOnce(&mut Config)) -> Counted {
        let mut config = Config::new();
        change(&mut config);
        let (watched, tymist) = (Watched::default(), Tymist::new());
        let mut server = Server::with_net(config, watched.net());
        server.wind(tymist.tymth());
        let acceptor = server.listen(([127, 0, 0, 1], 0)).unwrap();
        let addr = server.local_addr(acceptor).unwrap().inet().unwrap();
        Counted { server, tymist, watched, acceptor, addr }
    }

    #[track_caller]
    fn client(&mut self) -> (TcpStream, Id) {
        let client = connect(self.addr);
        let peer = client.local_addr().unwrap().into();
        for _ in 0..ROUNDS {
            if let Some(id) = self.server.at(&peer) {
                settle(&mut self.server);
                return (client, id);
            }
            self.server.wait(Some(Duration::from_millis(5)));
            self.server.service();
        }
        panic!("it was not accepted");
    }

    /// In this state `wait` sleeps and a tick asks the network once: nothing spins.
    #[track_caller]
    fn rests(&mut self) {
        settle(&mut self.server);
        let before = (*self.server.counters(), self.watched.harvests(), self.watched.accepts());
        for _ in 0..20 {
            assert_ne!(self.server.wake(), Wake::Now);
            self.server.wait(Some(Duration::from_millis(1)));
            assert!(!self.server.service().more);
            assert_eq!(self.server.poll_event(), None);
        }
        let after = *self.server.counters();
        assert_eq!(self.watched.harvests() - before.1, 20, "a wait and its tick are one harvest");
        assert_eq!(self.watched.accepts(), before.2);
        assert_eq!((after.reads, after.writes), (before.0.reads, before.0.writes));
    }
}

/// What `act` does to a connection at rest makes the server want a tick, or not; one tick is enough.
#[track_caller]
fn after(name: &str, pending: bool, act: impl FnOnce(&mut Remoter)) {
    let mut counted = Counted::with(|config| config.limits.rx_bytes = 4);
    let (mut client, id) = counted.client();
    send(&mut client, b"more than four");
    settle(&mut counted.server);
    assert_eq!(counted.server.remoter(id).unwrap().rx(), b"more", "paused at the cap");
    assert_eq!(counted.server.wake(), Wake::OnIo, "{name}");
    act(counted.server.remoter_mut(id).unwrap());
    let wake = counted.server.wake();
    assert_eq!(wake == Wake::Now, pending, "after {name}: {wake:?}");
    settle(&mut counted.server);
}

#[test]
fn after_a_call_on_a_remoter_wake_says_what_is_pending() {
    after("a look", false, |_| ());
    after("consume(0)", false, |remoter| drop(remoter.consume(0).to_string()));
    after("consume", true, |remoter| assert_eq!(remoter.consume(1), 1));
    after("take", true, |remoter| assert_eq!(remoter.take().len(), 4));
    after("take_first", true, |remoter| assert_eq!(remoter.take_first(2).len(), 2));
    after("unread", false, |remoter| remoter.unread(Bytes::from_static(b"x")));
    after("take and unread", false, |remoter| {
        let all = remoter.take();
        remoter.unread(all);
    });
    after("set_rx_limit up", true, |remoter| remoter.set_rx_limit(5));
    after("set_rx_limit down", false, |remoter| remoter.set_rx_limit(2));
    after("tx", true, |remoter| assert_eq!(remoter.tx(b"x"), Ok(1)));
    after("tx of nothing", false, |remoter| assert_eq!(remoter.tx(b""), Ok(0)));
    after("tx_bytes", true, |remoter| {
        assert_eq!(remoter.tx_bytes(&mut Bytes::from_static(b"x")), Ok(1));
    });
    after("set_tx_limit", false, |remoter| remoter.set_tx_limit(5));
    after("close", true, Remoter::close);
    after("abort", true, Remoter::abort);
    after("shutdown_send", true, Remoter::shutdown_send);
    after("shutdown_receive", true, Remoter::shutdown_receive);
    after("set_half_open", false, |remoter| remoter.set_half_open(true));
    after("set_refreshable", false, |remoter| remoter.set_refreshable(false));
    after("set_timeouts", true, |remoter| remoter.set_timeouts(Timeouts::new()));
    after("set_data", false, |remoter| remoter.set_data(5));
    after("wrap", true, |remoter| {
        remoter.take();
        remoter.wrap(|stream| narrow(stream, 5));
    });
    after("set_wire_log", false, |remoter| remoter.set_wire_log(Some(WireLog::memory(100))));
}

#[test]
fn after_a_call_on_the_server_wake_says_what_is_pending() {
    let mut counted = Counted::with(|_| ());
    let (client, id) = counted.client();
    let server = &mut counted.server;
    let pending = |server: &mut Server, name: &str, pending: bool| {
        let wake = server.wake();
        assert_eq!(wake == Wake::Now, pending, "after {name}: {wake:?}");
        settle(server);
    };
    server.tx(id, b"x").unwrap();
    pending(server, "tx", true);
    server.broadcast(&Bytes::from_static(b"x"), |_| true);
    pending(server, "broadcast", true);
    server.broadcast(&Bytes::from_static(b"x"), |_| false);
    pending(server, "broadcast to nobody", false);
    let other = server.listen(([127, 0, 0, 1], 0)).unwrap();
    pending(server, "listen", false);
    server.unlisten(other);
    pending(server, "unlisten", false);
    let made = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let far = TcpStream::connect(made.local_addr().unwrap()).unwrap();
    let near = made.accept().unwrap().0;
    server.adopt_stream(near, &SocketOptions::new()).unwrap();
    pending(server, "adopt_stream", true);
    server.adopt_listener(made, &SocketOptions::new()).unwrap();
    pending(server, "adopt_listener", false);
    server.set_wire_log(None);
    pending(server, "set_wire_log", false);
    server.reopen().unwrap();
    pending(server, "reopen", false);
    server.wind(counted.tymist.tymth());
    pending(server, "wind", false);
    server.drain(None);
    pending(server, "drain", true);
    // One of two goes: that is to be told.
    drop(far);
    for _ in 0..ROUNDS {
        if server.len() == 1 {
            break;
        }
        server.wait(Some(Duration::from_millis(5)));
        server.service_receives();
        server.clear_events();
    }
    assert_eq!(server.draining().unwrap().left, 1);
    pending(server, "a connection that ended outside service()", true);
    server.close_remoters();
    pending(server, "close_remoters", true);
    drop(client);
    settle(server);
    assert!(server.draining().is_none());
    server.close();
    pending(server, "close of nothing", false);
    assert!(server.reopen().is_err(), "the adopted listener cannot be opened again");
    assert!(server.acceptor(counted.acceptor).unwrap().opened());
    server.drain(None);
    pending(server, "drain of nothing, which is over at once", true);
    let _ = server.reopen();
    let _client = connect(counted.addr);
    for _ in 0..ROUNDS {
        if server.len() == 1 {
            break;
        }
        server.wait(Some(Duration::from_millis(5)));
        server.service();
        server.clear_events();
    }
    settle(server);
    server.close();
    pending(server, "close of a connection", true);
}

#[test]
fn after_single_steps_wake_says_what_they_left() {
    let mut counted = Counted::with(|_| ());
    let mut client = connect(counted.addr);
    let server = &mut counted.server;
    server.wait(Some(LONG));
    assert_eq!(server.wake(), Wake::Now, "somebody is at the door");
    assert_eq!(server.service_accepts(), 1);
    assert_eq!((server.axes(), server.wake()), (1, Wake::Now));
    assert_eq!(server.service_axes(), 1);
    assert_eq!(server.wake(), Wake::Now, "an event");
    let Some(Event::Accepted(id)) = server.poll_event() else { panic!() };
    settle(server);
    send(&mut client, b"12");
    server.wait(Some(LONG));
    assert_eq!(server.wake(), Wake::Now, "readiness that was harvested and not looked at");
    assert_eq!(server.service_receive_once(id), Ok(2));
    assert_eq!(server.poll_event(), Some(Event::Received(id)));
    end(&client);
    server.wait(Some(LONG));
    assert_eq!(server.service_receives_of(id), Ok(0));
    assert_eq!(server.poll_event(), Some(Event::Eof(id)));
    settle(server);
    server.remoter_mut(id).unwrap().take();
    assert_eq!(server.wake(), Wake::Now, "all was said");
    server.service_sends();
    assert!(matches!(server.poll_event(), Some(Event::Closed(..))));
    settle(server);
}

/// Events that were not taken, and what a hand-driven clock has reached, keep `wait` from sleeping.
#[test]
fn wait_does_not_sleep_while_something_is_pending() {
    let mut counted = Counted::with(|config| config.timeouts.idle = Some(LONG));
    let (mut client, id) = counted.client();
    send(&mut client, b"x");
    counted.server.wait(Some(LONG));
    counted.server.service();
    let harvests = counted.watched.harvests();
    for _ in 0..5 {
        counted.server.wait(None);
    }
    assert_eq!(counted.watched.harvests(), harvests, "an event waits");
    counted.server.clear_events();
    assert_eq!(counted.server.remoter_mut(id).unwrap().take(), &b"x"[..]);
    settle(&mut counted.server);
    assert_eq!(counted.server.wake(), Wake::At(Tyme::ZERO + LONG));
    counted.tymist.tick_by(LONG);
    let harvests = counted.watched.harvests();
    counted.server.wait(None);
    assert_eq!(counted.watched.harvests(), harvests, "a deadline has come");
    counted.server.service();
    assert!(counted.server.is_empty());
}

#[test]
fn wait_ends_with_the_deadline_the_limit_and_the_network() {
    let mut server = Server::new(Config::new());
    let acceptor = server.listen(([127, 0, 0, 1], 0)).unwrap();
    let addr = server.local_addr(acceptor).unwrap().inet().unwrap();
    let start = Instant::now();
    server.wait(Some(Duration::from_millis(30)));
    assert!(start.elapsed() >= Duration::from_millis(30), "the limit");
    server.config_mut().timeouts.idle = Some(Duration::from_millis(40));
    let _client = connect(addr);
    server.wait(None);
    server.service();
    assert!(start.elapsed() < LONG && server.len() == 1, "the network");
    server.clear_events();
    for _ in 0..ROUNDS {
        server.wait(None);
        server.service();
        if server.is_empty() {
            break;
        }
    }
    assert!(server.is_empty() && start.elapsed() < LONG, "the deadline");
    assert!(start.elapsed() >= Duration::from_millis(40));
}

#[test]
fn a_waker_ends_the_wait_from_another_thread() {
    let mut server = Server::new(Config::new());
    server.listen(([127, 0, 0, 1], 0)).unwrap();
    let waker = server.waker().unwrap();
    let again = server.waker().unwrap();
    let start = Instant::now();
    let thread = std::thread::spawn(move || {
        waker.wake().unwrap();
        waker
    });
    server.wait(Some(LONG));
    let waker = thread.join().unwrap();
    for waker in [waker.clone(), again] {
        waker.wake().unwrap();
        server.wait(Some(LONG));
    }
    assert!(start.elapsed() < LONG / 2, "{:?}", start.elapsed());
    assert!(!server.service().more);
    let nobody = server.wake();
    assert_eq!(nobody, Wake::OnIo, "a call is no work");
}

/// A tick harvests, and with it took the call that came before it; the wait after it then slept.
#[test]
fn a_waker_that_calls_during_a_tick_is_not_lost() {
    let mut server = Server::new(Config::new());
    server.listen(([127, 0, 0, 1], 0)).unwrap();
    let waker = server.waker().unwrap();
    let start = Instant::now();
    waker.wake().unwrap();
    server.service();
    server.service();
    server.wait(Some(LONG));
    assert!(start.elapsed() < LONG / 2, "it slept over the call");
    let start = Instant::now();
    server.wait(Some(Duration::from_millis(20)));
    assert!(start.elapsed() >= Duration::from_millis(20), "once is enough");
}

#[test]
fn a_tick_in_which_nothing_happens_asks_the_network_once_whatever_is_open() {
    for connections in [0, 1, 60] {
        let mut counted = Counted::with(|config| {
            config.timeouts.idle = Some(LONG);
            config.timeouts.lifetime = Some(2 * LONG);
        });
        let clients: Vec<_> = (0..connections).map(|_| counted.client()).collect();
        assert_eq!(counted.server.timers(), clients.len());
        let before = (counted.watched.harvests(), *counted.server.counters());
        for _ in 0..10 {
            assert_eq!(counted.server.service(), tymist::Serviced::default());
        }
        assert_eq!(counted.watched.harvests() - before.0, 10);
        let mut expected = before.1;
        expected.ticks += 10;
        assert_eq!(counted.server.counters(), &expected, "no read, no write, no accept");
    }
}

#[test]
fn nothing_spins_at_the_cap_of_unread_bytes() {
    let mut counted = Counted::with(|config| config.limits.rx_bytes = 4);
    let (mut client, _) = counted.client();
    send(&mut client, b"more than four");
    counted.rests();
    end(&client);
    counted.rests();
}

#[test]
fn nothing_spins_while_the_peer_does_not_read() {
    let mut counted = Counted::with(|config| config.limits.tx_bytes = 32 << 20);
    let (_client, id) = counted.client();
    counted.server.tx(id, &vec![0; 32 << 20]).unwrap();
    counted.rests();
    assert!(counted.server.remoter(id).unwrap().tx_len() > 0);
    counted.server.remoter_mut(id).unwrap().close();
    counted.rests();
    assert!(counted.server.remoter(id).unwrap().is_closing());
}

#[test]
fn nothing_spins_at_the_cap_of_all_buffers() {
    let mut counted = Counted::with(|config| config.limits.buffered = 10);
    let (mut client, _) = counted.client();
    let (mut second, second_id) = counted.client();
    send(&mut client, b"more than ten bytes");
    settle(&mut counted.server);
    send(&mut second, b"hello");
    assert_eq!(counted.server.tx(second_id, b"xyz"), Ok(1));
    settle(&mut counted.server);
    counted.rests();
    assert_eq!(counted.server.buffered(), 9);
}

#[test]
fn nothing_spins_while_somebody_waits_for_a_place() {
    let mut counted = Counted::with(|config| {
        config.limits.remoters = 1;
        config.limits.accept_deque = 1;
        config.over_limit = OverLimit::Wait;
    });
    let _client = counted.client();
    let _waiting = [connect(counted.addr), connect(counted.addr), connect(counted.addr)];
    while counted.server.axes() == 0 {
        settle(&mut counted.server);
    }
    counted.rests();
}

#[test]
fn nothing_spins_while_a_connection_lingers() {
    let mut counted = Counted::with(|_| ());
    let (mut client, id) = counted.client();
    counted.server.remoter_mut(id).unwrap().close();
    settle(&mut counted.server);
    send(&mut client, b"thrown away");
    counted.rests();
    assert_eq!(counted.server.len(), 1);
    let (client, id) = counted.client();
    counted.server.remoter_mut(id).unwrap().set_half_open(true);
    end(&client);
    counted.rests();
    assert_eq!(counted.server.len(), 2);
}

#[cfg(target_os = "linux")]
#[test]
fn nothing_spins_while_descriptors_have_run_out() {
    let mut counted = Counted::with(|_| ());
    counted.watched.errors.lock().unwrap().extend([24; 1000]);
    let _client = connect(counted.addr);
    while counted.server.counters().accept_pauses == 0 {
        settle(&mut counted.server);
    }
    counted.rests();
    assert_eq!(counted.watched.accepts(), 1);
}

#[cfg(unix)]
#[test]
fn a_server_nests_in_another_loop() {
    use std::os::fd::AsRawFd;

    use mio::unix::SourceFd;

    let mut server = Server::new(Config::new());
    assert!(server.poll_fd().is_none(), "nothing is open");
    let acceptor = server.listen(([127, 0, 0, 1], 0)).unwrap();
    let addr = server.local_addr(acceptor).unwrap().inet().unwrap();
    let fd = server.poll_fd().unwrap().as_raw_fd();
    let mut outer = mio::Poll::new().unwrap();
    let token = mio::Token(7);
    outer.registry().register(&mut SourceFd(&fd), token, mio::Interest::READABLE).unwrap();
    let mut events = mio::Events::with_capacity(8);
    let mut echoed = 0;

    let mut client = connect(addr);
    send(&mut client, b"ping");
    for _ in 0..ROUNDS {
        // Sleeps in the outer loop only, and only when the server says that it may.
        let wait = match server.wake() {
            Wake::Now => Duration::ZERO,
            _ => LONG,
        };
        outer.poll(&mut events, Some(wait)).unwrap();
        assert!(wait.is_zero() || !events.is_empty(), "the descriptor told nothing");
        server.service();
        while let Some(event) = server.poll_event() {
            if let Event::Received(id) = event {
                let remoter = server.remoter_mut(id).unwrap();
                let mut data = remoter.take();
                echoed += remoter.tx_bytes(&mut data).unwrap();
            }
        }
        if echoed == 4 {
            break;
        }
    }
    server.service();
    assert_eq!(crate::util::receive(&mut client, 4), b"ping");
    outer.poll(&mut events, Some(Duration::ZERO)).unwrap();
    settle(&mut server);
    outer.poll(&mut events, Some(Duration::ZERO)).unwrap();
    outer.poll(&mut events, Some(Duration::from_millis(20))).unwrap();
    assert!(events.is_empty(), "nothing is left to report");
}

#[test]
fn waiting_with_nothing_open_and_after_closing_is_safe() {
    let mut server = Server::new(Config::new());
    assert_eq!(server.wake(), Wake::OnIo);
    server.wait(Some(Duration::from_millis(1)));
    server.service();
    let mut rig = Rig::new(Config::new());
    rig.server.close();
    rig.server.wait(Some(Duration::from_millis(1)));
    assert_eq!(rig.tick(), []);
    assert_eq!(rig.server.wake(), Wake::OnIo);
}
