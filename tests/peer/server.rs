//! Endpoints of a server: the same poller, tick and events as its connections.

use std::io::{Read, Write};
use std::net::TcpStream;

use tymist::net::Addr;
use tymist::tyme::Tymist;
use tymist::{Config, EndpointId, Event, GramConfig, GramEvent, Server, Wake};

use super::{ROUND, ROUNDS, alone, loopback, plain, receive};

struct Both {
    server: Server,
    tymist: Tymist,
    udp: EndpointId,
    addr: Addr,
}

fn both(config: Config, grams: GramConfig) -> Both {
    both_at(Addr::from(([127, 0, 0, 1], 0)), config, grams)
}

fn both_at(addr: Addr, config: Config, grams: GramConfig) -> Both {
    let tymist = Tymist::new();
    let mut server = Server::new(config);
    server.wind(tymist.tymth());
    let udp = server.bind(addr, grams).unwrap();
    let addr = server.endpoint(udp).unwrap().local_addr().clone();
    Both { server, tymist, udp, addr }
}

impl Both {
    #[track_caller]
    fn until(&mut self, mut done: impl FnMut(&Event) -> bool) -> Event {
        for _ in 0..ROUNDS {
            while let Some(event) = self.server.poll_event() {
                if done(&event) {
                    return event;
                }
            }
            self.server.wait(Some(ROUND));
            self.server.service();
        }
        panic!("the awaited event did not come");
    }

    fn received(&mut self) {
        let wanted = Event::Gram(self.udp, GramEvent::Received);
        self.until(|event| *event == wanted);
    }
}

#[test]
fn connections_and_datagrams_share_a_tick() {
    let mut it = both(Config::new(), GramConfig::new());
    let acceptor = it.server.listen(([127, 0, 0, 1], 0)).unwrap();
    let tcp = it.server.local_addr(acceptor).unwrap().inet().unwrap();
    let mut client = TcpStream::connect(tcp).unwrap();
    client.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
    client.write_all(b"over tcp").unwrap();
    let (socket, addr) = plain();
    socket.send_to(b"over udp", it.addr.inet().unwrap()).unwrap();

    // A gateway: what comes on one side goes out on the other.
    let (mut from_tcp, mut from_udp) = (None, None);
    while from_tcp.is_none() || from_udp.is_none() {
        match it.until(|_| true) {
            Event::Received(id) => {
                let data = it.server.remoter_mut(id).unwrap().take();
                let udp = it.server.endpoint_mut(it.udp).unwrap();
                udp.tx_bytes(data, &addr).unwrap();
                from_tcp = Some(id);
            }
            Event::Gram(udp, GramEvent::Received) => {
                assert_eq!(udp, it.udp);
                from_udp = it.server.endpoint_mut(udp).unwrap().take();
            }
            _ => {}
        }
    }
    let id = from_tcp.unwrap();
    it.server.tx(id, &from_udp.unwrap().data).unwrap();
    it.server.service_sends();
    assert_eq!(receive(&socket), (b"over tcp".to_vec(), it.addr.clone()));
    let mut got = [0; 8];
    client.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"over udp");
}

#[test]
fn a_datagram_ends_a_wait() {
    let mut it = both(Config::new(), GramConfig::new());
    let to = it.addr.inet().unwrap();
    assert_eq!(it.server.wake(), Wake::OnIo);
    let thread = std::thread::spawn(move || plain().0.send_to(b"wake up", to).unwrap());
    it.received();
    thread.join().unwrap();
    assert_eq!(it.server.endpoint_mut(it.udp).unwrap().take().unwrap().data, "wake up");
}

#[test]
fn what_is_queued_makes_it_want_a_tick_and_the_summary_counts_it() {
    let mut it = both(Config::new(), GramConfig::new());
    let (socket, addr) = plain();
    it.server.endpoint_mut(it.udp).unwrap().tx(b"out", &addr).unwrap();
    assert_eq!(it.server.wake(), Wake::Now);
    let done = it.server.service();
    assert_eq!((done.grams_out, done.bytes_out), (1, 3));
    assert_eq!(receive(&socket).0, b"out");
    assert_eq!(it.server.wake(), Wake::OnIo);
}

#[test]
fn a_tick_that_a_wait_has_begun_takes_a_burst_of_all_endpoints_together() {
    let mut config = Config::new();
    config.limits.burst_grams = 3;
    let mut it = both(config, GramConfig::new());
    let second = it.server.bind(loopback(), GramConfig::new()).unwrap();
    let (socket, _) = plain();
    let flood = |server: &Server| {
        for udp in [it.udp, second] {
            let to = server.endpoint(udp).unwrap().local_addr().inet().unwrap();
            (0..4).for_each(|_| assert_eq!(socket.send_to(b"x", to).unwrap(), 1));
        }
    };
    flood(&it.server);
    let mut taken = 0;
    for tick in 0..10 {
        it.server.wait(Some(ROUND));
        let done = it.server.service();
        it.server.clear_events();
        taken += done.grams_in;
        // The call that finds nothing counts as well.
        assert!((1..=3).contains(&done.grams_in), "{tick}: {done:?}");
        if taken == 8 {
            break;
        }
        assert_eq!(it.server.wake(), Wake::Now, "{tick}");
    }
    assert_eq!(taken, 8);
    assert_eq!(it.server.counters().budget.grams, 0, "a burst is no exhausted budget");

    it.server.service();
    flood(&it.server);
    assert_eq!(it.server.service().grams_in, 8, "without a wait: all at once");
}

#[test]
fn all_endpoints_together_have_a_budget_and_take_turns() {
    let mut config = Config::new();
    config.limits.grams_per_tick = 10;
    let mut grams = GramConfig::new();
    grams.tick_grams = 6;
    let mut it = both(config, grams.clone());
    let second = it.server.bind(loopback(), grams).unwrap();
    let (socket, _) = plain();
    for udp in [it.udp, second] {
        let to = it.server.endpoint(udp).unwrap().local_addr().inet().unwrap();
        for _ in 0..20 {
            socket.send_to(b"x", to).unwrap();
        }
    }
    let mut seen = Vec::new();
    for _ in 0..50 {
        it.server.wait(Some(ROUND));
        let done = it.server.service();
        it.server.clear_events();
        seen.push(done.grams_in);
        assert!(done.grams_in <= 10);
        if done.more {
            assert_eq!(it.server.wake(), Wake::Now);
        }
        if seen.iter().sum::<usize>() == 40 {
            break;
        }
    }
    assert_eq!(seen.iter().sum::<usize>(), 40, "{seen:?}");
    assert_eq!(&seen[..2], [10, 10], "six of one and four of the other, then the other way round");
    for (_, endpoint) in it.server.endpoints() {
        assert_eq!(endpoint.rx().len(), 20);
    }
    assert!(it.server.counters().budget.grams > 0);
}

#[test]
fn an_unbound_endpoint_is_gone_for_ever() {
    let mut it = both_at(alone(80), Config::new(), GramConfig::new());
    let old = it.udp;
    it.server.endpoint_mut(old).unwrap().tx(b"never sent", ([127, 0, 0, 1], 0)).unwrap();
    assert!(it.server.unbind(old));
    assert!(!it.server.unbind(old));
    let new = it.server.bind(tymist::net::Bind::new(it.addr.clone()), GramConfig::new()).unwrap();
    assert_ne!(old, new);
    assert!(it.server.endpoint(old).is_none() && it.server.endpoint_mut(old).is_none());
    assert_eq!(it.server.endpoints().map(|(id, _)| id).collect::<Vec<_>>(), [new]);
    it.server.service();
    assert_eq!(it.server.wake(), Wake::OnIo);
}

#[test]
fn closing_and_reopening_a_server_takes_its_endpoints_along() {
    let mut it = both_at(alone(81), Config::new(), GramConfig::new());
    let (socket, addr) = plain();
    it.server.endpoint_mut(it.udp).unwrap().tx(b"a last try", &addr).unwrap();
    it.server.close();
    assert_eq!(receive(&socket).0, b"a last try");
    assert!(!it.server.endpoint(it.udp).unwrap().opened());
    it.server.reopen().unwrap();
    let endpoint = it.server.endpoint(it.udp).unwrap();
    assert!(endpoint.opened());
    assert_eq!(endpoint.local_addr(), &it.addr);
    socket.send_to(b"again", it.addr.inet().unwrap()).unwrap();
    it.received();
    assert_eq!(it.server.endpoint_mut(it.udp).unwrap().take().unwrap().data, "again");
}

#[test]
fn a_taken_port_is_an_error_that_names_it() {
    let mut it = both(Config::new(), GramConfig::new());
    let taken = it.addr.clone();
    let error = it.server.bind(taken.clone(), GramConfig::new()).unwrap_err();
    assert_eq!((error.kind(), error.addr()), (std::io::ErrorKind::AddrInUse, &taken));
    assert_eq!(it.server.endpoints().count(), 1);
}

#[test]
fn an_event_that_was_taken_is_told_again_for_what_is_new() {
    let mut it = both(Config::new(), GramConfig::new());
    let (socket, _) = plain();
    for _ in 0..3 {
        socket.send_to(b"x", it.addr.inet().unwrap()).unwrap();
        it.received();
    }
    assert_eq!(it.server.endpoint(it.udp).unwrap().rx().len(), 3);
    it.tymist.tick();
    it.server.service();
    assert_eq!(it.server.poll_event(), None);
}
