//! Stream sockets through the server and through the seam.

use std::io::{ErrorKind, IoSlice, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use tymist::net::os::OsNet;
use tymist::net::{Addr, Dial, Listen, Net, Token};
use tymist::{CloseReason, Config, Event};

use super::{Dir, Rig, addr};

#[test]
fn a_server_on_a_path_serves_like_any_other() {
    let dir = Dir::new();
    let path = dir.path("s");
    let mut rig = Rig::new(&path);
    assert_eq!(rig.server.local_addr(rig.acceptor), Some(&addr(&path)));
    let mut client = UnixStream::connect(&path).unwrap();
    let id = rig.accepted();
    let remoter = rig.server.remoter(id).unwrap();
    assert_eq!((remoter.local_addr(), remoter.peer_addr()), (&addr(&path), &Addr::Unnamed));
    client.write_all(b"ping").unwrap();
    assert_eq!(rig.unread(id, 4), b"ping");
    let remoter = rig.server.remoter_mut(id).unwrap();
    let mut data = remoter.take();
    remoter.tx_bytes(&mut data).unwrap();
    rig.server.service_sends();
    let mut got = [0; 4];
    client.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"ping");
    drop(client);
    let why = rig.until(|event| match event {
        Event::Closed(closed, why) if *closed == id => Some(*why),
        _ => None,
    });
    assert_eq!(why, CloseReason::Eof);
}

/// A message of many times the socket's buffer, both ways at once, through partial writes.
#[test]
fn large_messages_cross_whole() {
    let dir = Dir::new();
    let path = dir.path("s");
    let mut rig = Rig::new(&path);
    let client = UnixStream::connect(&path).unwrap();
    let id = rig.accepted();
    let message: Vec<u8> = (0..3_000_000_u32).map(|at| (at % 251) as u8).collect();
    let (mut reader, mut writer) = (client.try_clone().unwrap(), client);
    let sent = message.clone();
    let sending = std::thread::spawn(move || {
        writer.write_all(&sent).unwrap();
        writer.shutdown(std::net::Shutdown::Write).unwrap();
    });
    let reading = std::thread::spawn(move || {
        let mut got = Vec::new();
        reader.read_to_end(&mut got).unwrap();
        got
    });
    for _ in 0..super::ROUNDS {
        if rig.server.is_empty() {
            break;
        }
        rig.server.wait(Some(super::ROUND));
        rig.server.service();
        while let Some(event) = rig.server.poll_event() {
            if let Event::Received(_) | Event::Drained(_) = event {
                let remoter = rig.server.remoter_mut(id).unwrap();
                let mut data = remoter.take();
                let _ = remoter.tx_bytes(&mut data);
                remoter.unread(data);
            }
        }
    }
    sending.join().unwrap();
    assert!(reading.join().unwrap() == message);
}

#[test]
fn clients_without_a_name_are_told_apart_by_id() {
    let dir = Dir::new();
    let path = dir.path("s");
    let mut rig = Rig::new(&path);
    let mut clients: Vec<_> = (0..10).map(|_| UnixStream::connect(&path).unwrap()).collect();
    let ids: Vec<_> = (0..10).map(|_| rig.accepted()).collect();
    assert_eq!(rig.server.len(), 10, "none replaced another");
    assert_eq!(rig.server.at(&Addr::Unnamed), None);
    for (number, client) in clients.iter_mut().enumerate() {
        client.write_all(&[number as u8]).unwrap();
    }
    for (number, id) in ids.into_iter().enumerate() {
        assert_eq!(rig.unread(id, 1), [number as u8], "accepted in order");
    }
}

/// A server at `s`, and how it is dialled under the name `client`.
fn named(dir: &Dir) -> (Rig, OsNet, Dial) {
    let path = dir.path("s");
    let mut dial = Dial::new(path.as_path());
    dial.local = Some(addr(&dir.path("client")));
    (Rig::new(&path), OsNet::new(), dial)
}

#[test]
fn a_dialled_stream_with_a_name_of_its_own_is_found_by_it() {
    let dir = Dir::new();
    let (mut rig, mut net, dial) = named(&dir);
    let own = dir.path("client");
    let mut stream = net.connect(&dial).unwrap();
    assert!(stream.connected().unwrap());
    assert_eq!((stream.local_addr(), stream.peer_addr()), (&addr(&own), &addr(&dir.path("s"))));
    let id = rig.accepted();
    assert_eq!(rig.server.remoter(id).unwrap().peer_addr(), &addr(&own));
    assert_eq!(rig.server.at(&addr(&own)), Some(id));
    stream.write(&[IoSlice::new(b"hel"), IoSlice::new(b"lo")]).unwrap();
    assert_eq!(rig.unread(id, 5), b"hello");
    assert_eq!(dir.names(), ["client", "s"]);
    drop(stream);
    assert_eq!(dir.names(), ["s"]);
}

/// Over TCP that cannot be while the first one lives, so there it is let go. Here it lost its connection to whoever had a file of the same name, one in
/// another directory where the names are relative.
#[test]
fn regression_who_has_the_name_of_another_does_not_replace_it() {
    let dir = Dir::new();
    let (mut rig, mut net, dial) = named(&dir);
    let own = dir.path("client");
    let mut first = net.connect(&dial).unwrap();
    let one = rig.accepted();
    std::fs::remove_file(&own).unwrap();
    let mut second = net.connect(&dial).unwrap();
    let other = rig.accepted();
    assert_eq!(rig.server.remoter(other).unwrap().peer_addr(), &addr(&own));
    for (stream, id, word) in [(&mut first, one, b"first "), (&mut second, other, b"second")] {
        assert!(stream.connected().unwrap());
        stream.write(&[IoSlice::new(word)]).unwrap();
        assert_eq!(rig.unread(id, word.len()), word);
        rig.server.remoter_mut(id).unwrap().take();
    }
    assert_eq!(rig.server.at(&addr(&own)), Some(one));
    drop(first);
    rig.until(|event| matches!(event, Event::Closed(id, _) if *id == one).then_some(()));
    assert_eq!(rig.server.at(&addr(&own)), Some(other));
}

#[test]
fn dialling_in_vain_is_an_error_at_once() {
    let dir = Dir::new();
    let path = dir.path("s");
    let mut net = OsNet::new();
    let mut dial = |addr: Addr| net.connect(&Dial::new(addr)).err().map(|error| error.kind());
    assert_eq!(dial(addr(&path)), Some(ErrorKind::NotFound));
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert_eq!(dial(addr(&path)), Some(ErrorKind::ConnectionRefused));
    assert_eq!(dial(addr(dir.0.path())), Some(ErrorKind::ConnectionRefused), "a directory");
    assert_eq!(dial(addr(&dir.path(&"x".repeat(200)))), Some(ErrorKind::InvalidFilename));
    assert_eq!(dial(Addr::Unnamed), Some(ErrorKind::Unsupported));
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_backlog_is_an_error_not_a_wait_for_ever() {
    let dir = Dir::new();
    let path = dir.path("s");
    let mut listen = Listen::new(path.as_path());
    listen.backlog = 2;
    let _rig = Rig::on(listen);
    let mut net = OsNet::new();
    let mut streams = Vec::new();
    let error = loop {
        match net.connect(&Dial::new(path.as_path())) {
            Ok(stream) => streams.push(stream),
            Err(error) => break error,
        }
        assert!(streams.len() < 100);
    };
    assert_eq!(error.kind(), ErrorKind::ResourceBusy);
    assert_eq!(streams.len(), 3);
}

#[test]
#[cfg(target_os = "linux")]
fn abstract_names_need_no_file() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr;
    let name = format!("tymist-test-{}", std::process::id());
    let mut rig = Rig::on(Listen::new(Addr::abstract_name(&name)));
    let to = SocketAddr::from_abstract_name(&name).unwrap();
    let mut client = UnixStream::connect_addr(&to).unwrap();
    let id = rig.accepted();
    client.write_all(b"no file").unwrap();
    assert_eq!(rig.unread(id, 7), b"no file");
    assert_eq!(super::refused(Addr::abstract_name(&name)).0, ErrorKind::AddrInUse);
    assert!(OsNet::new().connect(&Dial::new(Addr::abstract_name(&name))).is_ok());
    drop(rig);
    assert!(UnixStream::connect_addr(&to).is_err());

    let longest = "x".repeat(107);
    drop(Rig::on(Listen::new(Addr::abstract_name(&longest))));
    for bad in ["", &"x".repeat(108)] {
        assert_eq!(super::refused(Addr::abstract_name(bad)).0, ErrorKind::InvalidFilename);
    }
}

#[test]
fn who_is_at_the_other_end_can_be_asked() {
    let dir = Dir::new();
    let path = dir.path("s");
    let mut rig = Rig::new(&path);
    // Through a wire log too.
    rig.server.set_wire_log(Some(tymist::wire::WireLog::memory(1000)));
    let client = UnixStream::connect(&path).unwrap();
    let id = rig.accepted();
    let us = std::fs::metadata(&path).unwrap();
    let them = rig.server.remoter_mut(id).unwrap().peer_credentials().unwrap();
    assert_eq!((them.uid, them.gid), (us.uid(), us.gid()));
    if cfg!(target_os = "linux") {
        assert_eq!(them.pid, Some(std::process::id() as i32));
    }
    drop(client);

    let mut server = tymist::Server::new(Config::new());
    let acceptor = server.listen(([127, 0, 0, 1], 0)).unwrap();
    let tcp = server.local_addr(acceptor).unwrap().inet().unwrap();
    let client = std::net::TcpStream::connect(tcp).unwrap();
    let mut rig = Rig { server, acceptor };
    let id = rig.accepted();
    let error = rig.server.remoter_mut(id).unwrap().peer_credentials().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    drop(client);
}

/// The same engine at both ends, with a name of its own for who dials.
#[test]
fn a_server_dials_a_path_and_is_told_where_nobody_is() {
    let dir = Dir::new();
    let (path, dead) = (dir.path("s"), dir.path("dead"));
    drop(std::os::unix::net::UnixListener::bind(&dead).unwrap());
    let mut rig = Rig::new(&path);
    for (to, wanted) in [
        (dead, ErrorKind::ConnectionRefused),
        (dir.path("missing"), ErrorKind::NotFound),
        (dir.path(&"x".repeat(200)), ErrorKind::InvalidFilename),
    ] {
        let id = rig.server.connect(Dial::new(to.as_path())).unwrap();
        let why = rig.until(|event| match event {
            Event::ConnectFailed { id: failed, error, .. } if *failed == id => Some(error.kind()),
            _ => None,
        });
        assert_eq!(why, wanted);
    }
    let out = rig.server.connect(Dial::new(path.as_path())).unwrap();
    rig.until(|event| matches!(event, Event::Connected(id) if *id == out).then_some(()));
    rig.server.tx(out, b"hello").unwrap();
    let inbound = rig.until(|event| match event {
        Event::Received(id) => Some(*id),
        _ => None,
    });
    assert_ne!(inbound, out);
    assert_eq!(rig.server.remoter(inbound).unwrap().rx(), b"hello");
    assert_eq!(rig.server.remoter(out).unwrap().peer_addr(), &addr(&path));
}

/// It ends its half, and later goes with something of ours unread: nothing that is read tells it.
#[test]
fn regression_a_reset_after_the_peers_end_was_never_noticed() {
    let dir = Dir::new();
    let mut rig = Rig::new(&dir.path("s"));
    rig.server.config_mut().half_open = true;
    let far = UnixStream::connect(dir.path("s")).unwrap();
    let id = rig.accepted();
    rig.server.tx(id, b"never read").unwrap();
    rig.server.service_sends();
    far.shutdown(std::net::Shutdown::Write).unwrap();
    rig.until(|event| matches!(event, Event::Eof(_)).then_some(()));
    drop(far);
    let why = rig.until(|event| match event {
        Event::Closed(closed, why) if *closed == id => Some(*why),
        _ => None,
    });
    assert_eq!(why, CloseReason::Reset);
}

/// It goes with nothing of ours unread: as with TCP, and as where it goes in one step, that is an end, and the next write tells the rest.
#[test]
fn a_peer_that_goes_after_its_end_is_no_loss_before_something_is_sent() {
    let dir = Dir::new();
    let mut rig = Rig::new(&dir.path("s"));
    rig.server.config_mut().half_open = true;
    for steps in [1, 2] {
        let far = UnixStream::connect(dir.path("s")).unwrap();
        let id = rig.accepted();
        if steps == 2 {
            far.shutdown(std::net::Shutdown::Write).unwrap();
            rig.until(|event| matches!(event, Event::Eof(_)).then_some(()));
        }
        drop(far);
        if steps == 1 {
            rig.until(|event| matches!(event, Event::Eof(_)).then_some(()));
        }
        for _ in 0..3 {
            rig.server.service();
        }
        assert_eq!(rig.server.poll_event(), None);
        rig.server.tx(id, b"for nobody").unwrap();
        let why = rig.until(|event| match event {
            Event::Closed(closed, why) if *closed == id => Some(*why),
            _ => None,
        });
        assert_eq!(why, CloseReason::Reset);
    }
}

/// What the far end takes makes room here. Was that reported, a server that answers would be woken twice for each question.
#[test]
fn what_the_far_end_takes_wakes_nobody() {
    let dir = Dir::new();
    let mut net = OsNet::new();
    let mut listener = net.listen(&Listen::new(&*dir.path("here"))).unwrap();
    listener.register(Token(1)).unwrap();
    let mut far = UnixStream::connect(dir.path("here")).unwrap();
    let mut near = listener.accept().unwrap();
    near.register(Token(2)).unwrap();
    let reports = |net: &mut OsNet| {
        let mut ready = Vec::new();
        net.harvest(Some(Duration::ZERO), &mut ready).unwrap();
        ready.retain(|report| report.token == Token(2));
        ready
    };
    assert_eq!(reports(&mut net), []);
    for _ in 0..3 {
        near.write(&[IoSlice::new(b"answer")]).unwrap();
        far.read_exact(&mut [0; 6]).unwrap();
        assert_eq!(reports(&mut net), []);
    }
    // Where there was no room it is told, once.
    while near.write(&[IoSlice::new(&[1; 65536])]).is_ok() {}
    assert!(!reports(&mut net).iter().any(|report| report.writable));
    far.set_nonblocking(true).unwrap();
    while far.read(&mut [0; 65536]).is_ok() {}
    assert!(reports(&mut net).iter().any(|report| report.writable));
    near.write(&[IoSlice::new(b"more")]).unwrap();
    reports(&mut net);
    far.read_exact(&mut [0; 4]).unwrap();
    assert_eq!(reports(&mut net), []);
}
