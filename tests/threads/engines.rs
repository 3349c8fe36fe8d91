//! One engine and several.

use std::collections::BTreeSet;
use std::net::TcpListener;

use tymist::net::Listen;
use tymist::run::{Failure, Inherited, Manager};
use tymist::{Config, Counters, Server};

use crate::util::{connect, listens};
use crate::{addr, echo, echoes, exchange, is_served, until};

#[test]
fn it_serves_from_the_start_to_the_stop() {
    let mut manager = echoes(1);
    assert!(!manager.is_running());
    assert_eq!(manager.addrs()[0].port(), Some(0), "not known yet");
    manager.start().unwrap();
    assert!(manager.is_running());
    let at = addr(&manager);
    is_served(at);
    manager.stop(None).unwrap();
    assert!(!manager.is_running() && !listens(at));
    assert!(manager.wait(None).unwrap(), "over is over");
    assert!(manager.failures().is_empty());
    assert_eq!((manager.counters().accepted, manager.counters().bytes_in), (1, 5));
    manager.stop(None).unwrap();
}

#[test]
fn it_can_be_started_again_at_the_same_address() {
    let mut manager = echoes(2);
    manager.start().unwrap();
    let at = addr(&manager);
    assert!(matches!(manager.start(), Err(Failure::Running)));
    for round in 1..4 {
        is_served(at);
        manager.stop(None).unwrap();
        assert_eq!(manager.counters().accepted, 1, "round {round}");
        manager.start().unwrap();
        assert_eq!(addr(&manager), at, "round {round}");
    }
    is_served(at);
}

#[test]
fn several_engines_share_a_port_and_their_counters_add_up() {
    let mut manager = echoes(3);
    manager.start().unwrap();
    assert_eq!(manager.running(), 3);
    let at = addr(&manager);
    // All at once, so that each is somewhere. Of three engines none stays without by chance but once in 10^10.
    let mut clients: Vec<_> = (0..60).map(|_| connect(at)).collect();
    clients.iter_mut().for_each(|client| exchange(client, b"hello"));
    // Readable while they run.
    until("all are counted", || manager.counters().bytes_out == 300 && manager.len() == 60);
    let each: Vec<Counters> = (0..3).map(|engine| manager.counters_of(engine).unwrap()).collect();
    assert!(each.iter().all(|it| it.accepted > 0), "{each:?}");
    assert_eq!(each.iter().map(|it| it.accepted).sum::<u64>(), 60);
    assert_eq!(manager.counters_of(3), None);
    drop(clients);
    until("all are gone", || manager.is_empty());
    manager.stop(None).unwrap();
    assert_eq!(manager.counters().closed.eof, 60);
}

#[test]
fn a_shared_port_is_not_shared_with_strangers() {
    let mut first = echoes(2);
    first.start().unwrap();
    let mut second = Manager::new(Config::new(), echo);
    second.threads(2).listen(addr(&first));
    let Err(Failure::Listen { engine: 0, source }) = second.start() else {
        panic!("two programs on one port, and nobody was told");
    };
    assert_eq!(source.kind(), std::io::ErrorKind::AddrInUse);
    assert!(!second.is_running());
    // Unless that is what was asked for.
    let mut third = Manager::new(Config::new(), echo);
    let mut listen = Listen::new(addr(&first));
    listen.reuse_port = true;
    third.threads(2).listen(listen);
    third.start().unwrap();
}

#[test]
fn it_listens_at_several_places() {
    let mut manager = echoes(2);
    manager.listen(([127, 0, 0, 1], 0)).listen("[::1]:0".parse::<Listen>().unwrap());
    manager.start().unwrap();
    let addrs = manager.addrs();
    assert_eq!(addrs.iter().collect::<BTreeSet<_>>().len(), 3);
    addrs.iter().for_each(|addr| is_served(addr.inet().unwrap()));
}

#[test]
fn services_are_made_on_their_threads_and_know_their_seats() {
    let (seats, told) = std::sync::mpsc::channel();
    let mut manager = Manager::new(Config::new(), move |server, seat| {
        // Nothing here could leave the thread.
        let here = std::rc::Rc::new(seat.engine);
        let thread = std::thread::current();
        let listening = server.acceptors().count();
        seats.send((thread.id(), *here, seat.engines, listening)).unwrap();
        Ok(move |_: &mut Server, _| assert!(*here < 2))
    });
    manager.threads(2).listen(([127, 0, 0, 1], 0));
    manager.start().unwrap();
    let told: Vec<_> = told.try_iter().collect();
    let [(one, 0, 2, 1), (two, 1, 2, 1)] = told[..] else { panic!("{told:?}") };
    assert!(one != two && one != std::thread::current().id());
}

#[test]
fn inherited_sockets_are_shared_out_and_nobody_in_their_queues_is_lost() {
    for (sockets, engines) in [(1, 1), (1, 3), (3, 1), (2, 2)] {
        let mut inherited = Inherited::new();
        let (mut addrs, mut early) = (Vec::new(), Vec::new());
        let mut manager = Manager::new(Config::new(), echo);
        manager.threads(engines);
        for _ in 0..sockets {
            let socket = TcpListener::bind("127.0.0.1:0").unwrap();
            addrs.push(socket.local_addr().unwrap());
            manager.listen(addrs[addrs.len() - 1]);
            early.push(connect(addrs[addrs.len() - 1]));
            inherited.push(socket).unwrap();
        }
        inherited.push(TcpListener::bind("127.0.0.1:0").unwrap()).unwrap();
        manager.inherit(&mut inherited);
        assert_eq!(inherited.len(), 1, "what it does not listen on is left");
        manager.start().unwrap();
        early.iter_mut().for_each(|client| exchange(client, b"early"));
        addrs.iter().for_each(|addr| is_served(*addr));
        drop(early);
        manager.stop(None).unwrap();
        assert!(addrs.iter().all(|addr| !listens(*addr)), "{sockets} for {engines}");
    }
}

#[test]
fn all_inherited_sockets_are_served_whatever_their_addresses() {
    for engines in [1, 2] {
        let mut inherited = Inherited::new();
        let sockets: [_; 3] = core::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").unwrap());
        let addrs = sockets.each_ref().map(|socket| socket.local_addr().unwrap());
        let mut early = addrs.map(connect);
        sockets.into_iter().for_each(|socket| inherited.push(socket).unwrap());
        let mut manager = Manager::new(Config::new(), echo);
        manager.threads(engines).listen(addrs[1]);
        manager.inherit_all(&mut inherited).inherit_all(&mut Inherited::new());
        assert!(inherited.is_empty());
        manager.start().unwrap();
        early.iter_mut().for_each(|client| exchange(client, b"early"));
        let mut served: Vec<_> = manager.addrs().into_iter().filter_map(|it| it.inet()).collect();
        served.sort_unstable();
        let mut given = addrs.to_vec();
        given.sort_unstable();
        assert_eq!(served, given, "those and no others");
        drop(early);
        manager.stop(None).unwrap();
    }
}

#[test]
fn a_server_listens_on_all_sockets_it_inherits_or_says_which_it_cannot() {
    let bound = || TcpListener::bind("127.0.0.1:0").unwrap();
    let mut inherited = Inherited::new();
    let mut server = Server::new(Config::new());
    assert!(inherited.listen_all(&mut server).unwrap().is_empty());
    let sockets = [bound(), bound()];
    let addrs = sockets.each_ref().map(|socket| socket.local_addr().unwrap());
    sockets.into_iter().for_each(|socket| inherited.push(socket).unwrap());
    let ids = inherited.listen_all(&mut server).unwrap();
    let listening = ids.iter().map(|id| server.local_addr(*id).unwrap().inet().unwrap());
    assert_eq!(listening.collect::<Vec<_>>(), addrs);

    // One that does not listen is none of those.
    let (first, deaf, last) = (bound(), std::net::UdpSocket::bind("127.0.0.1:0").unwrap(), bound());
    let [kept, left] = [&first, &last].map(|socket| socket.local_addr().unwrap());
    let wrong = deaf.local_addr().unwrap();
    #[cfg(unix)]
    let deaf = TcpListener::from(std::os::fd::OwnedFd::from(deaf));
    #[cfg(windows)]
    let deaf = TcpListener::from(std::os::windows::io::OwnedSocket::from(deaf));
    [first, deaf, last].into_iter().for_each(|socket| inherited.push(socket).unwrap());
    let error = inherited.listen_all(&mut server).unwrap_err();
    assert_eq!(error.addr().inet(), Some(wrong));
    let rest: Vec<_> = inherited.addrs().filter_map(tymist::net::Addr::inet).collect();
    assert_eq!(rest, [wrong, left]);
    assert_eq!(server.acceptors().count(), 3);
    assert!(server.acceptors().any(|acceptor| acceptor.local_addr().inet() == Some(kept)));
}

#[cfg(all(unix, feature = "uds"))]
#[test]
fn engines_share_one_unix_socket() {
    use std::io::{Read, Write};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let mut manager = Manager::new(Config::new(), echo);
    manager.threads(2).listen(path.as_path());
    manager.start().unwrap();
    for _ in 0..20 {
        let mut client = std::os::unix::net::UnixStream::connect(&path).unwrap();
        client.write_all(b"hello").unwrap();
        let mut reply = [0; 5];
        client.read_exact(&mut reply).unwrap();
        assert_eq!(&reply, b"hello");
    }
    manager.stop(None).unwrap();
    assert_eq!(manager.counters().accepted, 20);
    assert!(!path.exists());
}

#[cfg(feature = "dev-cert")]
#[test]
fn engines_speak_tls() {
    use tymist::net::tls::{ClientTls, ClientTlsConfig, DevCert, ServerTls, TlsTime};
    use tymist::{Clients, Connect, Event};

    let cert = DevCert::new(["localhost"], &TlsTime::system()).unwrap();
    let tls = ServerTls::new(cert.server_config()).unwrap();
    let mut manager = echoes(2);
    manager.listen_tls(([127, 0, 0, 1], 0), &tls);
    let given = TcpListener::bind("127.0.0.1:0").unwrap();
    let given_at = given.local_addr().unwrap();
    let mut inherited = Inherited::new();
    inherited.push(given).unwrap();
    manager.inherit_all_tls(&mut inherited, &tls);
    assert!(inherited.is_empty());
    manager.start().unwrap();
    let sealed = [manager.addrs()[1].inet().unwrap(), given_at];
    is_served(addr(&manager));

    let roots = cert.cert_pem().as_bytes().to_vec();
    let client = ClientTls::new(&ClientTlsConfig::with_roots(roots)).unwrap();
    let mut clients = Clients::new(Config::new());
    for at in 0..8 {
        let mut connect = Connect::new(sealed[at % 2]);
        let client = client.clone();
        connect.layer = Some(std::sync::Arc::new(move |stream: Box<dyn tymist::net::Stream>| {
            Box::new(client.connect(stream, "localhost").unwrap())
        }));
        let id = clients.connect(connect).unwrap();
        clients.tx(id, b"hello").unwrap();
    }
    let mut replies = 0;
    for _ in 0..crate::util::ROUNDS {
        clients.wait(Some(std::time::Duration::from_millis(5)));
        clients.service();
        while let Some(event) = clients.poll_event() {
            match event {
                Event::Received(id) => {
                    replies += clients.remoter_mut(id).unwrap().take().len();
                }
                Event::Closed(id, reason) => panic!("{id}: {reason}"),
                _ => {}
            }
        }
        if replies == 40 {
            return;
        }
    }
    panic!("{replies} of 40 bytes came back");
}
