//! The ready-made doers, on real sockets.
#![allow(clippy::disallowed_methods, reason = "the far ends are blocking sockets")]

use std::cell::RefCell;
use std::io::{Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use tymist::doing::{
    ClientDoer, ClientsDoer, Doer, Doist, Echo, End, Finish, OnError, Recur, ServerDoer,
    WireLogDoer,
};
use tymist::tyme::{Tyme, Tymist};
use tymist::wire::WireLog;
use tymist::{Client, Clients, Config, Connect, Event, Server, Wake};

use crate::util::{ROUNDS, connect, listens};
use crate::{Actor, Log};

const LONG: Duration = Duration::from_secs(60);

fn listening(config: Config) -> (Server, std::net::SocketAddr) {
    let mut server = Server::new(config);
    let acceptor = server.listen(([127, 0, 0, 1], 0)).unwrap();
    let addr = server.local_addr(acceptor).unwrap().inet().unwrap();
    (server, addr)
}

/// How a Doist may end.
#[derive(Copy, Clone, Debug, PartialEq)]
enum Way {
    Limit,
    Exit,
    Removed,
    Error,
    Panic,
    Dropped,
}

#[test]
fn behaviour_56_a_server_doer_winds_and_opens_services_and_closes_on_every_way_out() {
    for way in [Way::Limit, Way::Exit, Way::Removed, Way::Error, Way::Panic, Way::Dropped] {
        // Two kinds: with a handler, and shared, with its events taken by another.
        for shared in [false, true] {
            let (mut server, addr) = listening(Config::new());
            server.close();
            assert!(!listens(addr) && !server.is_wound());
            let cell = Rc::new(RefCell::new(Server::new(Config::new())));
            let mut doist = Doist::new();
            doist.on_error = OnError::EndAll;
            let id = if shared {
                *cell.borrow_mut() = server;
                doist.add(Rc::clone(&cell))
            } else {
                doist.add(ServerDoer::new(server, Echo::new()))
            };
            doist.add(Actor::new("x", &Log::default(), move |turn| match (way, turn) {
                (Way::Error, 1) => Err("no more".into()),
                (Way::Panic, 1) => panic!("a mistake"),
                _ => Ok(Recur::Again),
            }));
            let mut tymist = Tymist::new();
            doist.enter(&tymist.tymth()).unwrap();
            assert!(listens(addr), "opened where it was");
            let ticks = |doist: &Doist| match doist.get::<ServerDoer<Echo>>(id) {
                Some(doer) => (doer.server.is_wound(), doer.server.counters().ticks),
                None => (cell.borrow().is_wound(), cell.borrow().counters().ticks),
            };
            assert_eq!(ticks(&doist), (true, 0));
            let _ = doist.recur(tymist.tick());
            assert_eq!(ticks(&doist), (true, 1), "a turn is a tick");
            let mut kept = None;
            match way {
                Way::Limit => {
                    doist.limit = Some(Tymist::TOCK);
                    assert_eq!(doist.recur(tymist.tyme()).unwrap(), Recur::Done);
                }
                Way::Exit => doist.exit().unwrap(),
                Way::Removed => kept = doist.remove(id),
                Way::Error => assert!(doist.recur(tymist.tick()).is_err()),
                Way::Panic => {
                    let turn = AssertUnwindSafe(|| doist.recur(tymist.tick()));
                    assert!(catch_unwind(turn).is_err());
                }
                Way::Dropped => drop(std::mem::take(&mut doist)),
            }
            assert!(!listens(addr), "{way:?}, shared: {shared}");
            drop(kept);
        }
    }
}

/// And what comes back was taken and queued in one tick, so nothing is left unread.
#[test]
fn behaviour_57_an_echo_returns_what_it_got_in_the_same_tick() {
    let (server, addr) = listening(Config::new());
    let mut doist = Doist::new();
    let id = doist.add(ServerDoer::new(server, Echo::new()));
    let mut tymist = Tymist::new();
    doist.enter(&tymist.tymth()).unwrap();
    let mut client = connect(addr);
    client.write_all(b"hello").unwrap();
    for _ in 0..ROUNDS {
        doist.get_mut::<ServerDoer<Echo>>(id).unwrap().server.wait(Some(Duration::from_millis(5)));
        assert_eq!(doist.recur(tymist.tick()).unwrap(), Recur::Again);
        let doer: &ServerDoer<Echo> = doist.get(id).unwrap();
        let counters = doer.server.counters();
        assert_eq!(counters.bytes_in, counters.bytes_out, "in the same tick");
        assert!(doer.server.remoters().all(|remoter| remoter.rx().is_empty()));
        if counters.bytes_in == 5 {
            break;
        }
    }
    let mut back = [0; 5];
    client.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"hello");
    assert_eq!(doist.get::<ServerDoer<Echo>>(id).unwrap().service.bytes, 5);
}

/// hio's own shape: the server in one doer, what is done with it in another.
#[test]
fn a_server_is_shared_by_two_doers() {
    struct EchoServerDoer(Rc<RefCell<Server>>);
    impl Doer for EchoServerDoer {
        fn recur(&mut self, _: Tyme) -> Result<Recur, tymist::doing::DoError> {
            let mut server = self.0.borrow_mut();
            while let Some(event) = server.poll_event() {
                if let Event::Received(id) = event
                    && let Some(remoter) = server.remoter_mut(id)
                {
                    let mut data = remoter.take();
                    remoter.tx_bytes(&mut data)?;
                }
            }
            Ok(Recur::Again)
        }
        fn wake(&self) -> Wake {
            Wake::OnIo
        }
    }
    let (server, addr) = listening(Config::new());
    let server = Rc::new(RefCell::new(server));
    let mut doist = Doist::new();
    doist.add(Rc::clone(&server));
    doist.add(EchoServerDoer(Rc::clone(&server)));
    let mut config = Config::new();
    config.timeouts.idle = Some(LONG);
    let stop = doist.handle();
    doist.add(ClientDoer::new(Client::new(config, addr), move |client: &mut Client, event| {
        match event {
            Event::Connected(_) => assert_eq!(client.tx(b"hello"), Ok(5)),
            Event::Received(_) if client.rx() == b"hello" => stop.stop(),
            _ => {}
        }
    }));
    doist.limit = Some(LONG);
    assert_eq!(doist.run(&mut Tymist::realtime()).unwrap(), Finish::Stopped);
    let ticks = server.borrow().counters().ticks;
    assert!(ticks <= 50, "{ticks} ticks for one message");
    assert!(!server.borrow().opened());
}

#[test]
fn a_server_doer_is_done_when_its_server_has_drained() {
    let (server, addr) = listening(Config::new());
    let mut doist = Doist::new();
    let drain = |server: &mut Server, event: Event| match event {
        Event::Accepted(_) => server.drain(Some(LONG)),
        Event::Received(id) => server.remoter_mut(id).unwrap().close(),
        _ => {}
    };
    let id = doist.add(ServerDoer::new(server, drain));
    let connect = Connect::new(addr);
    let mut clients = Clients::new(Config::new());
    let one = clients.connect(connect.clone()).unwrap();
    clients.tx(one, b"bye").unwrap();
    let heard = Log::default();
    let said = heard.clone();
    let tell = move |_: &mut Clients, event: Event| {
        said.say(match event {
            Event::Connected(_) => "connected",
            Event::Eof(_) => "eof",
            Event::Closed(..) => "closed",
            _ => "other",
        });
    };
    let other = doist.add(ClientsDoer::new(clients, tell));
    doist.limit = Some(LONG);
    // The clients are done when the last of them has closed.
    assert_eq!(doist.run(&mut Tymist::realtime()).unwrap(), Finish::Done);
    assert!(matches!(doist.end(id), Some(End::Done)));
    assert!(matches!(doist.end(other), Some(End::Done)));
    assert_eq!(heard.take(), "connected eof closed");
}

#[test]
fn a_client_doer_is_done_when_it_has_closed_and_hears_of_that() {
    let (server, addr) = listening(Config::new());
    drop(server);
    let mut doist = Doist::new();
    let heard = Log::default();
    let said = heard.clone();
    let tell = move |_: &mut Client, event: Event| {
        said.say(match event {
            Event::ConnectFailed { .. } => "refused",
            Event::Closed(..) => "closed",
            _ => "other",
        });
    };
    let id = doist.add(ClientDoer::new(Client::new(Config::new(), addr), tell));
    doist.limit = Some(LONG);
    assert_eq!(doist.run(&mut Tymist::realtime()).unwrap(), Finish::Done);
    assert!(matches!(doist.end(id), Some(End::Done)));
    assert_eq!(heard.take(), "refused closed");
    // One that is left under way hears of it as well.
    let (_server, addr) = listening(Config::new());
    let said = heard.clone();
    let tell = move |_: &mut Client, event: Event| {
        said.say(if matches!(event, Event::Closed(..)) { "closed" } else { "other" });
    };
    let mut doist = Doist::new();
    doist.add(ClientDoer::new(Client::new(Config::new(), Connect::new(addr)), tell));
    doist.enter(&Tymist::new().tymth()).unwrap();
    doist.exit().unwrap();
    assert_eq!(heard.take(), "closed");
}

#[test]
fn one_that_cannot_open_fails_and_the_others_go_on() {
    let (mut server, addr) = listening(Config::new());
    server.close();
    let _taken = std::net::TcpListener::bind(addr).unwrap();
    let mut doist = Doist::new();
    let id = doist.add(ServerDoer::new(server, Echo::new()));
    let log = Log::default();
    doist.add(Actor::done_at("a", &log, 2));
    let failed = doist.run(&mut Tymist::new()).unwrap_err().to_string();
    assert!(failed.contains(&addr.to_string()), "{failed}");
    assert!(matches!(doist.end(id), Some(End::Failed(_))));
    assert_eq!(log.take(), "+a a0 a1 a2 -a");
}

#[test]
fn a_log_is_written_out_on_its_beat_and_at_the_end_and_its_trouble_is_told() {
    let log = WireLog::temporary().unwrap();
    let path = log.path().unwrap();
    let len = || std::fs::metadata(&path).unwrap().len();
    let (mut server, addr) = listening(Config::new());
    server.set_wire_log(Some(log.clone()));
    let mut doist = Doist::new();
    let id = doist.add(ServerDoer::new(server, Echo::new()));
    doist.add(WireLogDoer::new(log));
    let mut tymist = Tymist::new();
    doist.enter(&tymist.tymth()).unwrap();
    let mut client = connect(addr);
    client.write_all(b"hello").unwrap();
    for _ in 0..ROUNDS {
        let doer: &mut ServerDoer<Echo> = doist.get_mut(id).unwrap();
        doer.server.wait(Some(Duration::from_millis(5)));
        if doer.service.bytes == 5 {
            break;
        }
        assert_eq!(doist.recur(tymist.tyme()).unwrap(), Recur::Again);
    }
    assert_eq!(len(), 0, "in the buffer");
    assert_eq!(doist.recur(tymist.tick_by(Duration::from_millis(999))).unwrap(), Recur::Again);
    assert_eq!(len(), 0, "not yet");
    assert_eq!(doist.recur(tymist.tick_by(Duration::from_millis(1))).unwrap(), Recur::Again);
    let one = len();
    assert!(one > 0, "a second later");
    let doer: &mut ServerDoer<Echo> = doist.get_mut(id).unwrap();
    let remoter = doer.server.ixes()[0];
    doer.server.tx(remoter, b"more").unwrap();
    assert_eq!(doist.recur(tymist.tyme()).unwrap(), Recur::Again);
    assert_eq!(len(), one);
    doist.exit().unwrap();
    assert!(len() > one, "at the end");

    // A log that has failed.
    let log = WireLog::each(|_| Err(std::io::ErrorKind::StorageFull.into()));
    let (mut server, addr) = listening(Config::new());
    server.set_wire_log(Some(log.clone()));
    let mut doist = Doist::new();
    let stop = doist.handle();
    let id = doist.add(ServerDoer::new(server, Echo::new()));
    let log = doist.add(WireLogDoer { log, tock: Duration::ZERO });
    doist.set_report(move |id, _| {
        if id == log {
            stop.stop();
        }
    });
    connect(addr).write_all(b"hello").unwrap();
    doist.limit = Some(LONG);
    assert!(doist.run(&mut Tymist::realtime()).is_err());
    assert_eq!(doist.finish(), Some(Finish::Stopped));
    assert!(matches!(doist.end(log), Some(End::Failed(_))));
    assert!(matches!(doist.end(id), Some(End::Forced)), "connections never notice");
}
