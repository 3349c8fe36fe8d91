//! What may be bound, what is never touched, and what is left behind: nothing.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

use tymist::net::{Addr, Bind, Listen};
use tymist::{GramConfig, Peer};

use super::{Dir, Rig, addr, refused};

/// The longest path, without its end: 107 on Linux, 103 on the BSDs.
const LONGEST: usize =
    if cfg!(any(target_os = "linux", target_os = "android")) { 107 } else { 103 };

/// Behaviour 69, the length. One that just fits works; one byte more is an error that says how long it is.
#[test]
fn a_path_that_is_too_long_is_an_error_that_says_so() {
    let dir = Dir::new();
    let room = LONGEST - dir.0.path().as_os_str().len() - 1;
    let fits = dir.path(&"x".repeat(room));
    assert_eq!(fits.as_os_str().len(), LONGEST);
    let rig = Rig::new(&fits);
    UnixStream::connect(&fits).unwrap();
    drop(rig);

    let long = dir.path(&"x".repeat(room + 1));
    let (kind, text) = refused(long.as_path());
    assert_eq!(kind, ErrorKind::InvalidFilename);
    assert!(
        text.contains(&format!("{} bytes", LONGEST + 1)) && text.contains(&LONGEST.to_string()),
        "{text}"
    );
    let mut peer = Peer::new(GramConfig::new());
    assert_eq!(peer.open(long.as_path()).unwrap_err().kind(), ErrorKind::InvalidFilename);
    assert_eq!(dir.names(), [""; 0], "and nothing was made");
}

#[test]
fn what_is_no_path_at_all_is_an_error() {
    assert_eq!(refused(Listen::new(std::path::Path::new(""))).0, ErrorKind::InvalidFilename);
    assert_eq!(refused(Listen::new(std::path::Path::new("a\0b"))).0, ErrorKind::InvalidFilename);
    assert_eq!(refused(Addr::Unnamed).0, ErrorKind::Unsupported);
    let dir = Dir::new();
    assert_eq!(refused(dir.path("no/such/directory").as_path()).0, ErrorKind::NotFound);
}

/// Behaviour 69, the permissions: exact whatever the umask is, which is not touched.
#[test]
fn permissions_are_what_was_asked_for_and_the_umask_stays() {
    let dir = Dir::new();
    let made = |name: &str| {
        std::fs::write(dir.path(name), "").unwrap();
        std::fs::metadata(dir.path(name)).unwrap().mode() & 0o777
    };
    let before = made("before");
    for mode in [0o600, 0o660, 0o666, 0o777, 0o000] {
        let path = dir.path("s");
        let mut listen = Listen::new(path.as_path());
        listen.file.mode = Some(mode);
        let rig = Rig::on(listen);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode);
        drop(rig);
        let mut bind = Bind::new(path.as_path());
        bind.file.mode = Some(mode);
        let mut peer = Peer::new(GramConfig::new());
        peer.open(bind).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode);
    }
    assert_eq!(made("after"), before);
}

/// Behaviour 69, the end of the file.
#[test]
fn the_file_goes_with_the_socket() {
    let dir = Dir::new();
    let (stream, gram) = (dir.path("stream"), dir.path("gram"));
    let mut rig = Rig::new(&stream);
    let mut peer = Peer::new(GramConfig::new());
    peer.open(gram.as_path()).unwrap();
    assert_eq!(dir.names(), ["gram", "stream"]);
    rig.server.close();
    peer.close();
    assert_eq!(dir.names(), [""; 0]);
    // And comes again with it.
    rig.server.reopen().unwrap();
    peer.reopen().unwrap();
    assert_eq!(dir.names(), ["gram", "stream"]);
    assert!(rig.server.unlisten(rig.acceptor));
    drop(peer);
    assert_eq!(dir.names(), [""; 0]);
}

#[test]
fn another_server_at_the_same_path_keeps_its_file() {
    let dir = Dir::new();
    let path = dir.path("s");
    let first = Rig::new(&path);
    // Somebody cleans up too eagerly, and the next one comes.
    std::fs::remove_file(&path).unwrap();
    let second = UnixListener::bind(&path).unwrap();
    drop(first);
    assert_eq!(dir.names(), ["s"]);
    UnixStream::connect(&path).unwrap();
    second.accept().unwrap();
    // Nor is what is no socket any more.
    std::fs::remove_file(&path).unwrap();
    let third = Rig::new(&path);
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "precious").unwrap();
    drop(third);
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
}

#[test]
fn a_live_server_is_never_robbed() {
    let dir = Dir::new();
    let path = dir.path("s");
    let mut listen = Listen::new(path.as_path());
    listen.file.replace_stale = true;
    let live = UnixListener::bind(&path).unwrap();
    let (kind, text) = refused(listen.clone());
    assert_eq!(kind, ErrorKind::AddrInUse);
    assert!(text.contains("live"), "{text}");
    // It did not even notice.
    live.set_nonblocking(true).unwrap();
    assert_eq!(live.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    UnixStream::connect(&path).unwrap();
    live.accept().unwrap();
    drop(live);
    std::fs::remove_file(&path).unwrap();

    let ours = Rig::new(&path);
    assert_eq!(refused(listen.clone()).0, ErrorKind::AddrInUse);
    drop(ours);
    // A datagram socket is no server for streams, but it lives.
    let live = UnixDatagram::bind(&path).unwrap();
    assert_eq!(refused(listen.clone()).0, ErrorKind::AddrInUse);
    let mut bind = Bind::new(path.as_path());
    bind.file.replace_stale = true;
    let mut peer = Peer::new(GramConfig::new());
    assert_eq!(peer.open(bind.clone()).unwrap_err().kind(), ErrorKind::AddrInUse);
    drop(live);
    std::fs::remove_file(&path).unwrap();
    // So does one that is bound and does not listen yet.
    let early = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    early.bind(&socket2::SockAddr::unix(&path).unwrap()).unwrap();
    assert_eq!(refused(listen).0, ErrorKind::AddrInUse);
    assert_eq!(peer.open(bind).unwrap_err().kind(), ErrorKind::AddrInUse);
}

#[test]
fn a_dead_servers_file_is_replaced_only_on_request() {
    let dir = Dir::new();
    let path = dir.path("s");
    drop(UnixListener::bind(&path).unwrap());
    let (kind, text) = refused(path.as_path());
    assert_eq!(kind, ErrorKind::AlreadyExists);
    assert!(text.contains("replace_stale"), "{text}");
    assert_eq!(dir.names(), ["s"]);

    let mut listen = Listen::new(path.as_path());
    listen.file.replace_stale = true;
    let mut rig = Rig::on(listen.clone());
    let mut client = UnixStream::connect(&path).unwrap();
    let id = rig.accepted();
    client.write_all(b"alive").unwrap();
    assert_eq!(rig.unread(id, 5), b"alive");
    drop(rig);
    assert_eq!(dir.names(), [""; 0]);
    // Where nothing is, that is as well.
    drop(Rig::on(listen));

    drop(UnixDatagram::bind(&path).unwrap());
    let mut bind = Bind::new(path.as_path());
    let mut peer = Peer::new(GramConfig::new());
    assert_eq!(peer.open(bind.clone()).unwrap_err().kind(), ErrorKind::AlreadyExists);
    bind.file.replace_stale = true;
    peer.open(bind).unwrap();
}

#[test]
fn what_is_no_socket_is_left_alone() {
    let dir = Dir::new();
    let mut listen = Listen::new(dir.0.path());
    listen.file.replace_stale = true;
    assert_eq!(refused(listen.clone()).0, ErrorKind::IsADirectory);
    let file = dir.path("file");
    std::fs::write(&file, "precious").unwrap();
    listen.addr = addr(&file);
    assert_eq!(refused(listen.clone()).0, ErrorKind::AlreadyExists);
    let mut content = String::new();
    std::fs::File::open(&file).unwrap().read_to_string(&mut content).unwrap();
    assert_eq!(content, "precious");
    // A link to a dead socket is a link.
    let (dead, link) = (dir.path("dead"), dir.path("link"));
    drop(UnixListener::bind(&dead).unwrap());
    std::os::unix::fs::symlink(&dead, &link).unwrap();
    listen.addr = addr(&link);
    assert_eq!(refused(listen).0, ErrorKind::AlreadyExists);
    assert_eq!(dir.names(), ["dead", "file", "link"]);
}

/// A socket of another's whose path fills its address, without the terminating zero: Linux lets it be.
#[cfg(target_os = "linux")]
fn brim(dir: &Dir, name: &str, kind: rustix::net::SocketType) -> (std::os::fd::OwnedFd, Addr) {
    use rustix::net::{AddressFamily, SocketAddrUnix, bind, socket};
    let room = LONGEST + 1 - dir.0.path().as_os_str().len() - 1 - name.len();
    let path = dir.path(&(name.to_owned() + &"x".repeat(room)));
    assert_eq!(path.as_os_str().len(), LONGEST + 1);
    let socket = socket(AddressFamily::UNIX, kind, None).unwrap();
    bind(&socket, &SocketAddrUnix::new(&*path).unwrap()).unwrap();
    (socket, addr(&path))
}

#[cfg(target_os = "linux")]
#[test]
fn regression_a_peer_whose_path_fills_its_address_is_served() {
    use rustix::net::{SocketAddrUnix, SocketType, connect};
    let dir = Dir::new();
    let mut rig = Rig::new(&dir.path("s"));
    let (far, at) = brim(&dir, "far", SocketType::STREAM);
    connect(&far, &SocketAddrUnix::new(&*dir.path("s")).unwrap()).unwrap();
    let id = rig.accepted();
    assert_eq!(*rig.server.remoter(id).unwrap().peer_addr(), at);
    let mut far = UnixStream::from(far);
    rig.server.tx(id, b"hello").unwrap();
    rig.server.service_sends();
    let mut got = [0; 5];
    far.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"hello");
}

/// It cannot be answered: no address of ours is so long.
#[cfg(target_os = "linux")]
#[test]
fn regression_a_datagram_from_a_path_that_fills_its_address_is_received() {
    let dir = Dir::new();
    let mut peer = Peer::new(GramConfig::new());
    peer.open(dir.path("s").as_path()).unwrap();
    let far = UnixDatagram::from(brim(&dir, "far", rustix::net::SocketType::DGRAM).0);
    far.send_to(b"hello", dir.path("s")).unwrap();
    let gram = (0..500).find_map(|_| {
        peer.wait(Some(std::time::Duration::from_millis(20)));
        peer.service();
        peer.take()
    });
    let gram = gram.unwrap();
    assert_eq!((&gram.data[..], gram.from), (&b"hello"[..], Addr::Unnamed));
}

/// What had been seen dead was removed although a live server's file was there by then, which nobody found any more: one in sixty times.
#[test]
fn regression_who_replaces_the_same_dead_server_does_not_rob_the_first() {
    use std::sync::Barrier;
    use tymist::net::{Net, os::OsNet};

    let dir = Dir::new();
    let path = dir.path("s");
    let mut listen = Listen::new(path.as_path());
    listen.file.replace_stale = true;
    for _ in 0..1000 {
        drop(UnixListener::bind(&path).unwrap());
        let together = Barrier::new(3);
        let listens = || {
            let mut net = OsNet::new();
            together.wait();
            net.listen(&listen).map_err(|error| error.kind())
        };
        let (mut won, mut lost) = (Vec::new(), Vec::new());
        std::thread::scope(|scope| {
            let all = [0; 3].map(|_| scope.spawn(listens));
            for one in all.map(|it| it.join().unwrap()) {
                match one {
                    Ok(listener) => won.push(listener),
                    Err(kind) => lost.push(kind),
                }
            }
        });
        assert_eq!((won.len(), &lost[..]), (1, &[ErrorKind::AddrInUse; 2][..]));
        let _client = UnixStream::connect(&path).unwrap();
        won[0].accept().unwrap();
    }
}
