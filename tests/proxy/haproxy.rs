//! Behind a real HAProxy, where one is installed: both versions, plain and TLS, with all the fields it can send.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tymist::net::proxy::{ProxyHeader, ProxyVersion};
use tymist::net::tls::{ServerTls, ServerTlsConfig};
use tymist::{Connect, Event, Id, Relay};

use crate::accepting::trusting;
use crate::tls_support::pki::{self, Authority};
use crate::util::{ROUNDS, Rig, connect, receive_while, send};

/// A HAProxy with one frontend and one backend; ends with the test.
struct Balancer {
    child: Child,
    _dir: tempfile::TempDir,
    addr: SocketAddr,
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether there is one; says so if there is not. With `TYMIST_HAPROXY` set there must be.
#[expect(clippy::print_stderr, reason = "a word for what is passed over")]
fn at_hand() -> bool {
    let found = Command::new("haproxy").arg("-v").stdout(Stdio::null()).status().is_ok();
    if !found {
        assert!(std::env::var_os("TYMIST_HAPROXY").is_none(), "no haproxy here");
        eprintln!("passed over: no haproxy here");
    }
    found
}

impl Balancer {
    /// One that forwards to `to`, with these options of its `server` line. A port that is free is found by taking it and giving it back, so it is tried again
    /// where somebody else was faster.
    #[track_caller]
    fn new(to: SocketAddr, options: &str) -> Balancer {
        for _ in 0..20 {
            let dir = tempfile::tempdir().unwrap();
            let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let addr = free.local_addr().unwrap();
            drop(free);
            let config = dir.path().join("haproxy.cfg");
            let text = format!(
                "global\n  maxconn 100\ndefaults\n  mode tcp\n  timeout connect 10s\n  timeout client 60s\n  timeout server 60s\n\
                 frontend f\n  bind {addr}\n  default_backend b\nbackend b\n  server s {to} {options}\n"
            );
            fs::write(&config, text).unwrap();
            let mut command = Command::new("haproxy");
            command.arg("-db").arg("-f").arg(&config);
            let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            let mut balancer = Balancer { child, _dir: dir, addr };
            if balancer.listens() {
                return balancer;
            }
        }
        panic!("no haproxy came to listen");
    }

    /// Waits until it listens, or has given up. Its first connection is one of ours that is closed again.
    fn listens(&mut self) -> bool {
        for _ in 0..2000 {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            if crate::util::listens(self.addr) {
                return true;
            }
            wait_a_little();
        }
        false
    }
}

/// A pause that nothing wakes: an engine without anything to do.
fn wait_a_little() {
    tymist::Server::new(tymist::Config::new()).wait(Some(Duration::from_millis(5)));
}

/// A client of the balancer, and its connection here.
#[track_caller]
fn through(rig: &mut Rig, balancer: &Balancer) -> (std::net::TcpStream, Id) {
    let mut client = connect(balancer.addr);
    send(&mut client, b"hello");
    let ours = client.local_addr().unwrap();
    let mut found = None;
    rig.until_server(|server| {
        found = server.at(&ours.into());
        found.is_some_and(|id| server.remoter(id).unwrap().rx() == b"hello")
    });
    (client, found.unwrap())
}

#[test]
fn both_versions_tell_who_the_client_is() {
    if !at_hand() {
        return;
    }
    let cases = [
        ("send-proxy", ProxyVersion::V1),
        ("send-proxy-v2", ProxyVersion::V2),
        ("send-proxy-v2 proxy-v2-options crc32c,unique-id", ProxyVersion::V2),
    ];
    for (options, version) in cases {
        let mut rig = trusting(|_| {});
        let balancer = Balancer::new(rig.addr, options);
        let (mut client, id) = through(&mut rig, &balancer);
        let remoter = rig.server.remoter(id).unwrap();
        assert_eq!(remoter.peer_addr().inet(), client.local_addr().ok());
        let proxied = remoter.proxied().unwrap();
        assert_eq!(
            (proxied.version(), proxied.destination().unwrap().inet()),
            (version, Some(balancer.addr))
        );
        assert_ne!(proxied.proxy_addr(), remoter.peer_addr());
        assert_eq!(
            proxied.tlv(0x03).is_some(),
            options.contains("crc32c"),
            "a checksum that was minded"
        );
        rig.server.tx(id, b"and back").unwrap();
        let back = receive_while(&mut client, 8, || {
            rig.tick();
        });
        assert_eq!(back, b"and back");
        crate::util::end(&client);
        rig.until(|event| *event == Event::Eof(id));
    }
}

#[test]
fn a_large_transfer_through_it_stays_whole() {
    if !at_hand() {
        return;
    }
    let mut rig = trusting(|_| {});
    let balancer = Balancer::new(rig.addr, "send-proxy-v2");
    let (mut client, id) = through(&mut rig, &balancer);
    rig.server.remoter_mut(id).unwrap().take();
    let data = crate::util::pattern(4 << 20);
    let (mut sent, mut got) = (0, Vec::new());
    client.set_nonblocking(true).unwrap();
    for _ in 0..ROUNDS * 10 {
        if sent < data.len() {
            sent += client.write(&data[sent..]).unwrap_or(0);
        }
        rig.tick();
        got.extend(rig.server.remoter_mut(id).unwrap().take());
        if got.len() == data.len() {
            break;
        }
    }
    assert!(got == data, "{} of {} bytes, or others", got.len(), data.len());
}

#[test]
fn its_own_checks_are_its_own() {
    if !at_hand() {
        return;
    }
    let mut rig = trusting(|_| {});
    let _balancer = Balancer::new(rig.addr, "send-proxy-v2 check check-send-proxy inter 50ms");
    // A check is LOCAL, and comes from the balancer.
    for _ in 0..ROUNDS {
        for event in rig.tick() {
            let Event::Accepted(id) = event else { continue };
            let remoter = rig.server.remoter(id).unwrap();
            if remoter.proxied().unwrap().source().is_none() {
                assert_eq!(remoter.peer_addr(), remoter.proxied().unwrap().proxy_addr());
                return;
            }
        }
    }
    panic!("no check came: {:?}", rig.log);
}

#[test]
fn in_front_of_tls_it_tells_both() {
    if !at_hand() {
        return;
    }
    in_front_of_tls("send-proxy", ProxyVersion::V1);
    in_front_of_tls("send-proxy-v2", ProxyVersion::V2);
}

#[track_caller]
fn in_front_of_tls(header: &str, version: ProxyVersion) {
    let mut rig = Rig::with(|_| {});
    let authority = Authority::new("test authority");
    let ask = pki::Ask { not_after: 4_000_000_000, ..pki::server() };
    let tls = ServerTls::new(ServerTlsConfig::new(authority.issue(&ask).identity())).unwrap();
    let acceptor = rig.server.listen_tls(([127, 0, 0, 1], 0), &tls).unwrap();
    rig.acceptor = acceptor;
    rig.addr = rig.server.local_addr(acceptor).unwrap().inet().unwrap();
    rig.server.set_proxy_protocol(acceptor, Some("127.0.0.1".parse().unwrap()));
    // It speaks TLS to us, and puts the header in front of that.
    let options = format!("{header} ssl verify none sni str(server.test)");
    let balancer = Balancer::new(rig.addr, &options);
    let mut client = connect(balancer.addr);
    send(&mut client, b"hello");
    // Its own look whether somebody is there may come in the same tick.
    let ours = client.local_addr().unwrap().into();
    rig.until_server(|server| server.at(&ours).is_some());
    let id = rig.server.at(&ours).unwrap();
    rig.until_unread(id, 5);
    let remoter = rig.server.remoter(id).unwrap();
    assert_eq!(remoter.rx(), b"hello");
    assert_eq!(remoter.tls().unwrap().server_name(), Some("server.test"));
    let proxied = remoter.proxied().unwrap();
    assert_eq!(proxied.version(), version);
    assert_eq!(proxied.destination().unwrap().inet(), Some(balancer.addr));
}

/// HAProxy in front of a forwarder, which tells the server behind it of the client.
#[test]
fn a_forwarder_behind_it_passes_on_who_the_client_is() {
    if !at_hand() {
        return;
    }
    let mut behind = trusting(|_| {});
    let mut forward = trusting(|_| {});
    let balancer = Balancer::new(forward.addr, "send-proxy-v2");
    let mut client = connect(balancer.addr);
    send(&mut client, b"hello");
    let (ours, mut relay, mut back) = (client.local_addr().unwrap(), Relay::new(), Vec::new());
    client.set_nonblocking(true).unwrap();
    for _ in 0..ROUNDS {
        for event in forward.tick() {
            if let Event::Accepted(id) = event {
                let remoter = forward.server.remoter(id).unwrap();
                let mut to = Connect::new(behind.addr);
                to.proxy_header = Some(ProxyHeader::new(
                    ProxyVersion::V1,
                    remoter.peer_addr(),
                    remoter.local_addr(),
                ));
                let there = forward.server.connect(to).unwrap();
                relay.join(&mut forward.server, id, there).unwrap();
            }
            relay.handle(&mut forward.server, &event);
        }
        for event in behind.tick() {
            let Event::Received(id) = event else { continue };
            let remoter = behind.server.remoter_mut(id).unwrap();
            if remoter.peer_addr().inet() == Some(ours) {
                assert_eq!(remoter.proxied().unwrap().version(), ProxyVersion::V1);
                let mut data = remoter.take();
                remoter.tx_bytes(&mut data).unwrap();
            }
        }
        let mut part = [0; 16];
        if let Ok(count) = std::io::Read::read(&mut client, &mut part) {
            back.extend_from_slice(&part[..count]);
        }
        if back == b"hello" {
            return;
        }
    }
    panic!("the client got {back:?}; {:?}", forward.log);
}
