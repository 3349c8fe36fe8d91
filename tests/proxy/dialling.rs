//! Dialling as a proxy does, over the operating system's network and in a simulated world.

use std::io::Read;
use std::net::TcpListener;
use std::time::Duration;

use tymist::net::proxy::{ProxyHeader, ProxyProtocol, ProxyVersion};
use tymist::sim::World;
use tymist::{Backoff, Clients, Config, Connect, Event, Server};

use crate::accepting::{accepted, addr, trusting};
use crate::util::ROUNDS;

fn header(version: ProxyVersion) -> ProxyHeader {
    ProxyHeader::new(version, &addr("192.0.2.1:4711"), &addr("192.0.2.2:443"))
}

#[test]
fn the_header_goes_first_on_each_connection_and_then_what_was_queued() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut connect = Connect::new(listener.local_addr().unwrap());
    connect.proxy_header = Some(header(ProxyVersion::V1));
    connect.reconnect = Some(Backoff::every(Duration::ZERO));
    let mut clients = Clients::new(Config::new());
    let id = clients.connect(connect).unwrap();
    listener.set_nonblocking(true).unwrap();
    for said in ["first", "second"] {
        clients.tx(id, said.as_bytes()).unwrap();
        let (mut stream, mut got, mut connected) = (None, Vec::new(), false);
        let wanted = format!("PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\r\n{said}");
        for _ in 0..ROUNDS {
            clients.wait(Some(Duration::from_millis(2)));
            clients.service();
            while let Some(event) = clients.poll_event() {
                connected |= event == Event::Connected(id);
            }
            if stream.is_none() {
                stream = listener.accept().ok().map(|(stream, _)| stream);
            }
            if let Some(stream) = &mut stream {
                stream.set_nonblocking(true).unwrap();
                let mut buf = [0; 100];
                let count = stream.read(&mut buf).unwrap_or(0);
                got.extend_from_slice(&buf[..count]);
            }
            if got.len() >= wanted.len() {
                break;
            }
        }
        assert_eq!(String::from_utf8_lossy(&got), wanted);
        assert!(connected);
        // It ends, and comes again.
        crate::util::reset(stream.unwrap());
        for _ in 0..ROUNDS {
            clients.wait(Some(Duration::from_millis(2)));
            clients.service();
            let told = std::iter::from_fn(|| clients.poll_event());
            if told.into_iter().any(|event| matches!(event, Event::Disconnected { .. })) {
                break;
            }
        }
    }
}

#[test]
fn what_a_server_sends_it_reads_fields_too() {
    let mut rig = trusting(|_| {});
    let mut connect = Connect::new(rig.addr);
    connect.proxy_header = Some(header(ProxyVersion::V2).with_tlv(0xe0, b"a field").unwrap());
    rig.server.connect(connect).unwrap();
    let id = accepted(&mut rig);
    let proxied = rig.server.remoter(id).unwrap().proxied().unwrap();
    assert_eq!(proxied.source(), Some(&addr("192.0.2.1:4711")));
    assert_eq!(proxied.tlv(0xe0), Some(&b"a field"[..]));
}

/// One that is larger than the buffers on its way goes out in pieces.
#[test]
fn a_header_of_any_length_goes_out_whole() {
    let mut world = World::new(5);
    let mut add = |name: &str| {
        let mut spec = tymist::sim::HostSpec::new(name);
        (spec.send_buffer, spec.recv_buffer) = (2304, 1152);
        world.add_host(spec)
    };
    let (far, near) = (add("far"), add("near"));
    let host = world.host(far);
    let mut server = Server::with_net(Config::new(), host.net());
    server.wind(host.tymth());
    let acceptor = server.listen((host.addrs()[0], 0)).unwrap();
    let mut proxy: ProxyProtocol = "0.0.0.0/0, ::/0".parse().unwrap();
    proxy.header_max = 16 + 65_535;
    server.set_proxy_protocol(acceptor, Some(proxy));
    let host_near = world.host(near);
    let mut clients = Clients::with_net(Config::new(), host_near.net());
    clients.wind(host_near.tymth());
    let value = crate::util::pattern(60_000);
    let mut connect = Connect::new(server.local_addr(acceptor).unwrap());
    connect.proxy_header = Some(header(ProxyVersion::V2).with_tlv(0xe0, &value).unwrap());
    let id = clients.connect(connect).unwrap();
    clients.tx(id, b"behind").unwrap();
    for _ in 0..20_000 {
        world.run_for(Duration::from_millis(1));
        clients.service();
        clients.clear_events();
        server.service();
        server.clear_events();
        if let Some(remoter) = server.remoters().find(|remoter| remoter.rx() == b"behind") {
            assert!(remoter.proxied().unwrap().tlv(0xe0) == Some(&value[..]));
            return;
        }
    }
    panic!("it did not come through");
}

/// In a world whose links are slow, narrow and lossy the header comes in pieces, or twice under way.
#[test]
fn in_a_simulated_world_it_is_the_same_protocol() {
    for seed in 0..8 {
        let mut world = World::new(seed);
        let far = world.add_host("far");
        let near = world.add_host("near");
        let mut link = tymist::sim::Link::new(Duration::from_millis(5));
        link.loss = 0.2;
        world.set_link(far, near, &link);
        let host = world.host(far);
        let mut server = Server::with_net(Config::new(), host.net());
        server.wind(host.tymth());
        let acceptor = server.listen((host.addrs()[0], 0)).unwrap();
        let proxy: ProxyProtocol = "0.0.0.0/0, ::/0".parse().unwrap();
        server.set_proxy_protocol(acceptor, Some(proxy));
        let to = server.local_addr(acceptor).unwrap().clone();
        let host = world.host(near);
        let mut clients = Clients::with_net(Config::new(), host.net());
        clients.wind(host.tymth());
        let mut connect = Connect::new(&to);
        connect.proxy_header = Some(header(ProxyVersion::V2));
        let id = clients.connect(connect).unwrap();
        clients.tx(id, b"through the storm").unwrap();
        let mut heard = None;
        for _ in 0..20_000 {
            world.run_for(Duration::from_millis(1));
            clients.service();
            clients.clear_events();
            server.service();
            while let Some(event) = server.poll_event() {
                if let Event::Received(id) = event {
                    heard = Some(id);
                }
            }
            if heard.is_some_and(|id| server.remoter(id).unwrap().rx().len() == 17) {
                break;
            }
        }
        let remoter = server.remoter(heard.expect("nothing came")).unwrap();
        assert_eq!(remoter.rx(), b"through the storm", "seed {seed}");
        assert_eq!(remoter.peer_addr(), &addr("192.0.2.1:4711"));
    }
}
