//! Listeners behind a proxy: what of those that have come in counts to the bound.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};

use tymist::tasks::{TaskConfig, TaskListener};
use tymist::tyme::Tymist;
use tymist::{AcceptorId, Config, Event, Refusal, Server};

use super::bed::{Rig, millis};

/// A server with an acceptor that trusts its own machine, and where it listens.
fn trusting(config: Config) -> (Server, AcceptorId, SocketAddr) {
    let mut server = Server::new(config);
    let acceptor = server.listen(([127, 0, 0, 1], 0)).unwrap();
    server.set_proxy_protocol(acceptor, Some("127.0.0.0/8".parse().unwrap()));
    let addr = server.local_addr(acceptor).unwrap().inet().unwrap();
    (server, acceptor, addr)
}

/// Tasks with that acceptor as a listener, at which so many may wait.
fn listening(server: Server, acceptor: AcceptorId, unaccepted: usize) -> (Rig, TaskListener) {
    let mut config = TaskConfig::new();
    config.unaccepted = unaccepted;
    let mut rig = Rig::on(server, Tymist::new(), config);
    let listener = rig.tasks.adopt_listener(acceptor).unwrap();
    (rig, listener)
}

#[expect(clippy::disallowed_methods, reason = "the far end is a plain socket")]
fn connect(addr: SocketAddr) -> TcpStream {
    TcpStream::connect(addr).unwrap()
}

/// One whose header says that it is from there.
fn from(addr: SocketAddr, source: &str) -> TcpStream {
    let mut stream = connect(addr);
    stream.write_all(format!("PROXY TCP4 {source} 192.0.2.99 4711 443\r\n").as_bytes()).unwrap();
    stream
}

#[test]
fn regression_who_is_refused_for_whom_it_is_gives_its_room_back() {
    let mut config = Config::new();
    config.limits.remoters_per_ip = 1;
    let (server, acceptor, addr) = trusting(config);
    let (mut rig, mut listener) = listening(server, acceptor, 2);
    let first = from(addr, "192.0.2.1");
    let taken = rig.tasks.run_until(listener.accept()).unwrap();
    for _ in 0..3 {
        let _second = from(addr, "192.0.2.1");
        rig.until(|tasks| match tasks.poll_event() {
            Some(Event::Refused { why, .. }) => why == Refusal::PerIp,
            Some(other) => panic!("{other:?}"),
            None => false,
        });
    }
    let others: Vec<TcpStream> =
        (2..6).map(|last| from(addr, &format!("192.0.2.{last}"))).collect();
    rig.until(|tasks| tasks.server().len() == 3);
    rig.until(|tasks| tasks.server().axes() == 2);
    for _ in 0..4 {
        rig.tasks.run_until(listener.accept()).unwrap();
    }
    drop((first, taken, others));
}

#[test]
fn regression_who_came_in_before_the_listener_was_adopted_counts_to_its_bound() {
    let (mut server, acceptor, addr) = trusting(Config::new());
    let told = from(addr, "192.0.2.1");
    let silent: Vec<TcpStream> = (0..3).map(|_| connect(addr)).collect();
    for _ in 0..2000 {
        if (server.len(), server.cxes()) == (1, 3) {
            break;
        }
        server.wait(Some(millis(5)));
        server.service();
    }
    assert_eq!((server.len(), server.cxes()), (1, 3), "one is in, which nobody was told of");
    let (mut rig, mut listener) = listening(server, acceptor, 2);
    let others: Vec<TcpStream> =
        (2..6).map(|last| from(addr, &format!("192.0.2.{last}"))).collect();
    rig.until(|tasks| tasks.server().axes() == 4);
    // Those that fail give back no more than they took.
    drop(silent);
    rig.until(|tasks| tasks.server().cxes() == 0);
    rig.until(|tasks| tasks.server().len() == 2);
    rig.tasks.service();
    assert_eq!((rig.tasks.server().len(), rig.tasks.server().axes()), (2, 3));
    for _ in 0..5 {
        rig.tasks.run_until(listener.accept()).unwrap();
    }
    drop((told, others));
}
