//! Passing descriptors.

use std::fs::File;
use std::io::{IoSlice, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use tymist::net::os::OsNet;
use tymist::net::{Bind, Dial, Listen, Net, Stream};
use tymist::{Config, Event, GramConfig, GramError, GramEvent, Peer, Remoter, TxFull};

use super::{Dir, Rig};

/// A pipe with `text` in it: whoever has its end can read that.
fn pipe(text: &[u8]) -> OwnedFd {
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(text).unwrap();
    reader.into()
}

fn read(file: OwnedFd) -> Vec<u8> {
    let mut text = Vec::new();
    File::from(file).read_to_end(&mut text).unwrap();
    text
}

fn rig(dir: &Dir, files: usize) -> (Rig, Box<dyn Stream>, OsNet) {
    let path = dir.path("s");
    let mut listen = Listen::new(path.as_path());
    listen.socket.files = files;
    let rig = Rig::on(listen);
    let mut net = OsNet::new();
    let mut dial = Dial::new(path.as_path());
    dial.socket.files = files;
    let stream = net.connect(&dial).unwrap();
    (rig, stream, net)
}

#[track_caller]
fn send(stream: &mut dyn Stream, data: &[u8], files: Vec<OwnedFd>) {
    stream.files().unwrap().queue(files).unwrap();
    assert_eq!(stream.write(&[IoSlice::new(data)]).unwrap(), data.len());
}

#[test]
fn descriptors_come_with_the_bytes_and_go_back() {
    let dir = Dir::new();
    let (mut rig, mut stream, _net) = rig(&dir, 10);
    let id = rig.accepted();
    send(&mut *stream, b"one", vec![pipe(b"first"), pipe(b"second")]);
    assert_eq!(rig.unread(id, 3), b"one");
    let remoter = rig.server.remoter_mut(id).unwrap();
    let files = remoter.take_files();
    assert!(remoter.take_files().is_empty());
    assert_eq!(files.into_iter().map(read).collect::<Vec<_>>(), [&b"first"[..], b"second"]);

    let remoter = rig.server.remoter_mut(id).unwrap();
    remoter.tx_files(vec![pipe(b"third")]).unwrap();
    remoter.tx(b"two").unwrap();
    rig.server.service_sends();
    let mut buf = [0; 10];
    assert_eq!(stream.read(&mut buf).unwrap(), 3);
    let files = stream.files().unwrap().take();
    assert_eq!(files.into_iter().map(read).collect::<Vec<_>>(), [b"third"]);
    // They went once.
    rig.server.tx(id, b"more").unwrap();
    rig.server.service_sends();
    assert_eq!(stream.read(&mut buf).unwrap(), 4);
    assert!(stream.files().unwrap().take().is_empty());
}

/// There is no byte that they could go with: they were taken, and closed with the connection.
#[test]
fn regression_descriptors_that_cannot_go_any_more_are_given_back() {
    let overflow = |remoter: &mut Remoter| assert!(remoter.tx(&[0; 11]).is_err());
    let ends: [fn(&mut Remoter); 3] = [Remoter::close, Remoter::shutdown_send, overflow];
    for end in ends {
        let dir = Dir::new();
        let (mut rig, _stream, _net) = rig(&dir, 10);
        rig.server.config_mut().tx_full = TxFull::Close;
        let id = rig.accepted();
        let remoter = rig.server.remoter_mut(id).unwrap();
        remoter.set_tx_limit(10);
        end(remoter);
        let back = remoter.tx_files(vec![pipe(b"mine")]).unwrap_err();
        assert_eq!(back.into_iter().map(read).collect::<Vec<_>>(), [b"mine"]);
    }
}

#[test]
fn unasked_for_none_is_let_in_and_no_byte_waits_behind_them() {
    let dir = Dir::new();
    let (mut rig, mut stream, _net) = rig(&dir, 0);
    let id = rig.accepted();
    let pairs: Vec<_> = (0..5).map(|_| UnixStream::pair().unwrap()).collect();
    let mut kept = Vec::new();
    // Each ends a read short, though more is there.
    for (ours, theirs) in pairs {
        send(&mut *stream, b"xy", vec![theirs.into()]);
        kept.push(ours);
    }
    send(&mut *stream, b"end", vec![]);
    assert_eq!(rig.unread(id, 13), b"xyxyxyxyxyend");
    assert!(rig.server.remoter_mut(id).unwrap().take_files().is_empty());
    for mut ours in kept {
        assert_eq!(ours.read(&mut [0; 1]).unwrap(), 0, "the kernel has closed the other end");
    }
}

#[test]
fn more_than_allowed_are_closed_and_counted() {
    let dir = Dir::new();
    let (mut rig, mut stream, _net) = rig(&dir, 2);
    let id = rig.accepted();
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    send(&mut *stream, b"a", vec![pipe(b"1"), pipe(b"2"), theirs.into()]);
    send(&mut *stream, b"b", vec![pipe(b"3")]);
    assert_eq!(rig.unread(id, 2), b"ab");
    let remoter = rig.server.remoter_mut(id).unwrap();
    assert_eq!(remoter.files_dropped(), 2);
    assert_eq!(remoter.take_files().into_iter().map(read).collect::<Vec<_>>(), [b"1", b"2"]);
    assert_eq!(ours.read(&mut [0; 1]).unwrap(), 0);
    // There is room again.
    send(&mut *stream, b"c", vec![pipe(b"4")]);
    rig.unread(id, 3);
    assert_eq!(rig.server.remoter_mut(id).unwrap().take_files().len(), 1);
}

/// They go the way of the bytes that they came with: they were kept open for as long as the connection was, for somebody who wants nothing.
#[test]
fn regression_those_that_come_with_what_is_thrown_away_are_closed() {
    let ends: [fn(&mut Remoter); 2] = [Remoter::shutdown_receive, Remoter::close];
    for end in ends {
        let dir = Dir::new();
        let (mut rig, mut stream, _net) = rig(&dir, 5);
        let id = rig.accepted();
        send(&mut *stream, b"kept", vec![pipe(b"kept")]);
        assert_eq!(rig.unread(id, 4), b"kept");
        end(rig.server.remoter_mut(id).unwrap());
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        send(&mut *stream, b"lost", vec![theirs.into()]);
        let mut ended = false;
        for _ in 0..100 {
            rig.server.wait(Some(Duration::ZERO));
            rig.server.service();
            ended |= ours.read(&mut [0; 1]).is_ok_and(|count| count == 0);
        }
        assert!(ended, "it is open");
        let remoter = rig.server.remoter_mut(id).unwrap();
        assert_eq!(remoter.files_dropped(), 1);
        assert_eq!(remoter.take_files().into_iter().map(read).collect::<Vec<_>>(), [b"kept"]);
    }
}

#[test]
fn as_many_as_fit_and_not_one_more() {
    let dir = Dir::new();
    let (mut rig, mut stream, _net) = rig(&dir, 1000);
    let id = rig.accepted();
    let many = |count: usize| (0..count).map(|_| pipe(b"")).collect::<Vec<_>>();
    assert_eq!(stream.files().unwrap().queue(many(254)).unwrap_err().len(), 254);
    send(&mut *stream, b"x", many(253));
    rig.unread(id, 1);
    let remoter = rig.server.remoter_mut(id).unwrap();
    assert_eq!((remoter.take_files().len(), remoter.files_dropped()), (253, 0));
    remoter.tx_files(many(253)).unwrap();
    assert_eq!(remoter.tx_files(many(1)).unwrap_err().len(), 1);
}

#[test]
fn they_can_be_taken_from_a_closed_connection_like_its_bytes() {
    let dir = Dir::new();
    let (mut rig, mut stream, _net) = rig(&dir, 5);
    let id = rig.accepted();
    send(&mut *stream, b"will", vec![pipe(b"the estate")]);
    rig.unread(id, 4);
    rig.server.remoter_mut(id).unwrap().abort();
    rig.until(|event| matches!(event, Event::Closed(closed, _) if *closed == id).then_some(()));
    let remoter = rig.server.remoter_mut(id).unwrap();
    assert_eq!(remoter.take_files().into_iter().map(read).collect::<Vec<_>>(), [b"the estate"]);
    assert_eq!(remoter.tx_files(vec![pipe(b"")]).unwrap_err().len(), 1);
}

#[cfg(feature = "tls")]
#[test]
fn they_and_credentials_are_there_under_tls_too() {
    use crate::tls_support::{drive, pki};
    let dir = Dir::new();
    let path = dir.path("s");
    let mut net = OsNet::new();
    let mut listen = Listen::new(path.as_path());
    listen.socket.files = 10;
    let mut listener = net.listen(&listen).unwrap();
    let near = net.connect(&Dial::new(path.as_path())).unwrap();
    let far = listener.accept().unwrap();
    let (client, server) = pki::world().ends();
    let mut near = client.connect(near, "server.test").unwrap();
    let mut far = server.accept(far);
    let (at_client, at_server) = drive(&mut near, &mut far);
    at_client.unwrap().unwrap();
    at_server.unwrap().unwrap();
    assert_eq!(near.peer_credentials().unwrap(), far.peer_credentials().unwrap());
    send(&mut near, b"take this", vec![pipe(b"sealed?")]);
    let mut buf = [0; 100];
    assert_eq!(far.read(&mut buf).unwrap(), 9);
    let files = far.files().unwrap().take();
    assert_eq!(files.into_iter().map(read).collect::<Vec<_>>(), [b"sealed?"]);
}

#[test]
fn datagrams_carry_them_too() {
    let dir = Dir::new();
    let (path, deaf) = (dir.path("s"), dir.path("deaf"));
    let open = |bind: Bind| {
        let mut peer = Peer::new(GramConfig::new());
        peer.open(bind).unwrap();
        peer
    };
    let mut bind = Bind::new(path.as_path());
    bind.files = 2;
    let (mut peer, mut other) = (open(bind), open(Bind::new(deaf.as_path())));
    for to in [&path, &deaf] {
        let files = (0..3).map(|number| pipe(&[number])).collect();
        peer.tx_files("take these".into(), to.as_path(), files).unwrap();
    }
    let many = (0..254).map(|_| pipe(b"")).collect();
    assert_eq!(peer.tx_files("x".into(), path.as_path(), many), Err(GramError::TooManyFiles));
    assert_eq!(peer.service().grams_out, 2);
    peer.service();
    let gram = peer.take().unwrap();
    assert_eq!(gram.data, "take these");
    assert_eq!(gram.files.into_iter().map(read).collect::<Vec<_>>(), [[0], [1]]);
    other.service();
    assert_eq!(other.take().unwrap().files.len(), 0);

    // What is no Unix socket says so.
    let mut udp = Peer::new(GramConfig::new());
    udp.open(([127, 0, 0, 1], 0)).unwrap();
    let myself = udp.local_addr().clone();
    udp.tx_files("x".into(), myself, vec![pipe(b"")]).unwrap();
    udp.service();
    assert!(matches!(udp.poll_event(), Some(GramEvent::Unsent { .. })));
}

/// Whoever opened the socket may have asked for credentials with each message: they took the room of the last descriptors.
#[cfg(target_os = "linux")]
#[test]
fn regression_credentials_that_nobody_wants_take_no_room_of_descriptors() {
    use tymist::net::MAX_FILES;

    let dir = Dir::new();
    let path = dir.path("s");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    rustix::net::sockopt::set_socket_passcred(&listener, true).unwrap();
    let mut net = OsNet::new();
    let mut dial = Dial::new(path.as_path());
    dial.socket.files = MAX_FILES;
    // The one is in the queue already, the other comes later.
    let mut early = net.connect(&dial).unwrap();
    let mut listener = net.adopt_unix_listener(listener, &dial.socket, false).unwrap();
    let mut late = net.connect(&dial).unwrap();
    for stream in [&mut early, &mut late] {
        let file = pipe(b"");
        let files = (0..MAX_FILES).map(|_| file.try_clone().unwrap()).collect();
        send(&mut **stream, b"all", files);
        let mut accepted = listener.accept().unwrap();
        assert_eq!(accepted.read(&mut [0; 10]).unwrap(), 3);
        let came = accepted.files().unwrap();
        assert_eq!((came.inbox.len(), came.dropped), (MAX_FILES, 0));
    }
}

/// Each ends a read, however little it came with: a peer could have a tick make as many of them as its budget has bytes.
#[test]
fn regression_descriptors_make_no_tick_long() {
    let dir = Dir::new();
    let (mut rig, mut stream, _net) = rig(&dir, 1);
    let id = rig.accepted();
    const ALL: u64 = 200;
    for _ in 0..ALL {
        send(&mut *stream, b"x", vec![pipe(b"")]);
    }
    let limits = Config::new().limits;
    let mut came = 0;
    while came < ALL {
        rig.server.service();
        let before =
            core::mem::replace(&mut came, rig.server.remoter(id).unwrap().counters().reads);
        let most = limits.remoter_tick_bytes.div_ceil(1024) + 1;
        assert!(
            (1..=most as u64).contains(&(came - before)),
            "{} reads in one tick",
            came - before
        );
    }
}
