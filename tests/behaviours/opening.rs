//! 11 to 16: opening and closing a server.

use std::io::Read;
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use tymist::net::{Addr, BufferSizes, Listen};
use tymist::{Config, Event, ListenError, Server, Wake};

use crate::util::{Rig, connect, end, listens, send};

#[test]
fn behaviour_11_making_a_server_opens_nothing() {
    let server = Server::new(Config::new());
    assert!(!server.opened());
    assert!(server.poll_fd().is_none(), "not even a poller");
    assert_eq!(server.acceptors().count(), 0);
    assert_eq!(server.wake(), Wake::OnIo);

    let given: Addr = "192.0.2.1:7".parse().unwrap(); // house: fixed-port, never opened
    assert_eq!(Listen::new(given.clone()).addr, given, "as given");
    for everywhere in [":0", "0.0.0.0:0", "*:0"] {
        let addr: Addr = everywhere.parse().unwrap();
        assert_eq!(addr.to_string(), "0.0.0.0:0");
        assert_eq!(addr.reachable().to_string(), "127.0.0.1:0");
    }
}

#[test]
fn behaviour_12_reopen_closes_nothing_that_is_open_and_opens_what_is_not() {
    let mut rig = Rig::alone(12, Config::new());
    let (_client, id) = rig.client();
    rig.server.reopen().unwrap();
    assert!(rig.server.remoter(id).unwrap().may_receive(), "idempotent: what is open stays");

    rig.server.close();
    assert!(!rig.server.opened());
    rig.server.reopen().unwrap();
    rig.server.reopen().unwrap();
    assert!(rig.server.opened());
    let addr = rig.server.local_addr(rig.acceptor).unwrap().inet();
    assert_eq!(addr, Some(rig.addr), "the port that was picked is kept");
    let (mut client, id) = rig.client();
    send(&mut client, b"again");
    rig.until_unread(id, 5);
}

#[test]
fn behaviour_12_the_local_address_is_the_bound_one() {
    let mut server = Server::new(Config::new());
    let listen: Listen = ":0".parse().unwrap();
    let acceptor = server.listen(listen).unwrap();
    let addr = server.local_addr(acceptor).unwrap().inet().unwrap();
    assert!(addr.ip().is_unspecified());
    assert_ne!(addr.port(), 0);
    assert_eq!(server.acceptor(acceptor).unwrap().local_addr().inet(), Some(addr));
}

#[test]
fn behaviour_13_the_defaults_are_the_documented_ones() {
    let listen: Listen = "127.0.0.1:0".parse().unwrap();
    assert_eq!(listen.backlog, 1024);
    assert!(listen.reuse_addr && !listen.reuse_port && listen.socket.no_delay);
    let config = Config::new();
    assert_eq!(config.limits.scratch, 128 << 10);
    assert_eq!(config.timeouts.idle, None);
    assert!(config.refreshable && !config.half_open);

    // A remoter's default timeout is: never.
    let mut rig = Rig::new(config);
    let (mut client, id) = rig.client();
    assert_eq!(rig.tick_after(Duration::from_secs(10 * 365 * 86_400)), []);
    send(&mut client, b"still here");
    rig.until_unread(id, 10);
}

#[test]
fn behaviour_14_leaving_the_scope_closes_everything_however_it_is_left() {
    fn served() -> (Rig, TcpStream) {
        let mut rig = Rig::alone(14, Config::new());
        let (client, _) = rig.client();
        (rig, client)
    }
    fn is_closed(mut client: TcpStream, addr: std::net::SocketAddr) {
        assert_eq!(client.read(&mut [0]).unwrap(), 0, "the end");
        assert!(!listens(addr));
    }

    let (rig, client) = served();
    let addr = rig.addr;
    drop(rig);
    is_closed(client, addr);

    let (rig, client) = served();
    let addr = rig.addr;
    let fails = move || -> Result<(), ListenError> {
        let mut rig = rig;
        rig.server.listen(rig.addr)?;
        Ok(())
    };
    assert!(fails().is_err());
    is_closed(client, addr);

    let (rig, client) = served();
    let addr = rig.addr;
    let panics = AssertUnwindSafe(move || {
        let _rig = rig;
        std::panic::resume_unwind(Box::new("on purpose"));
    });
    assert!(catch_unwind(panics).is_err());
    is_closed(client, addr);
}

#[test]
fn behaviour_15_a_port_can_be_bound_again_right_after_closing() {
    let mut rig = Rig::alone(15, Config::new());
    let (mut client, id) = rig.client();
    // Our end goes first, so that it is our side that stays in TIME_WAIT.
    rig.server.remoter_mut(id).unwrap().close();
    rig.server.service_sends();
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
    end(&client);
    rig.until(|event| matches!(event, Event::Closed(..)));
    rig.server.close();

    let mut second = Server::new(Config::new());
    let acceptor = second.listen(rig.addr).unwrap();
    assert_eq!(second.local_addr(acceptor).unwrap().inet(), Some(rig.addr));
}

#[test]
fn behaviour_15_an_accept_with_nobody_there_does_not_block() {
    let mut rig = Rig::new(Config::new());
    assert_eq!(rig.server.service_accepts(), 0);
    let _client = connect(rig.addr);
    // Takes one and asks once more, in vain.
    rig.until_server(|server| server.service_accepts() == 1);
    assert_eq!(rig.server.service_accepts(), 0);
    assert!(rig.server.opened());
}

#[test]
fn behaviour_16_buffers_are_raised_to_what_was_asked_and_can_be_looked_at() {
    let mut rig = Rig::new(Config::new());
    let mut listen = Listen::new(([127, 0, 0, 1], 0));
    listen.socket.recv_buffer = Some(300_000);
    listen.socket.send_buffer = Some(200_000);
    let acceptor = rig.server.listen(listen).unwrap();
    let sizes = rig.server.acceptor(acceptor).unwrap().buffer_sizes().unwrap();
    // The system may have a lower cap of its own; that of Linux is 212,992 unless somebody changed it.
    assert!(sizes.recv >= 200_000 && sizes.send >= 200_000, "{sizes:?}");

    rig.addr = rig.server.local_addr(acceptor).unwrap().inet().unwrap();
    let (_client, id) = rig.client();
    let sizes = rig.server.remoter(id).unwrap().buffer_sizes().unwrap();
    assert!(sizes.recv >= 200_000 && sizes.send >= 200_000, "{sizes:?}");

    // Never lowered: asking for a byte changes nothing.
    let mut listen = Listen::new(([127, 0, 0, 1], 0));
    let plain = rig.server.listen(listen.clone()).unwrap();
    listen.socket.recv_buffer = Some(1);
    let tiny = rig.server.listen(listen).unwrap();
    let sizes_of = |id| rig.server.acceptor(id).unwrap().buffer_sizes().unwrap();
    assert_eq!(sizes_of(plain), sizes_of(tiny));

    rig.server.close();
    let closed = rig.server.acceptor(acceptor).unwrap();
    assert_eq!(closed.buffer_sizes().unwrap(), BufferSizes::default());
    assert!(rig.server.remoter(id).unwrap().buffer_sizes().is_err(), "closed");
}
