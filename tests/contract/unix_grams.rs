//! Unix datagrams.

use std::io::ErrorKind;

use tymist::net::{Addr, Bind, Datagram, Listen};
use tymist::sim::Errno;

use super::bed::{Bed, Told, as_told, pattern, told};

type Socket = Box<dyn Datagram>;

/// One side's socket at a path of this name.
fn near(bed: &mut Bed, name: &str) -> Socket {
    let path = bed.path(name);
    bed.near.bind(&Bind::new(path)).unwrap()
}

fn far(bed: &mut Bed, name: &str) -> Socket {
    let path = bed.path(name);
    bed.far.bind(&Bind::new(path)).unwrap()
}

fn connected(bed: &mut Bed, name: &str, peer: &str) -> Socket {
    let mut spec = Bind::new(bed.path(name));
    spec.peer = Some(bed.path(peer));
    bed.near.bind(&spec).unwrap()
}

#[track_caller]
fn send_error(socket: &mut Socket, to: &Addr) -> Told {
    told(&socket.send(b"hello", to).unwrap_err())
}

#[track_caller]
fn expect(socket: &mut Socket, data: &[u8]) {
    let mut buf = [0; 64];
    let gram = socket.receive(&mut buf).unwrap();
    assert_eq!(&buf[..gram.len], data);
}

/// How many datagrams the receiver holds.
#[track_caller]
fn fill(socket: &mut Socket, to: &Addr) -> usize {
    for number in 0..1000 {
        match socket.send(&[number as u8], to) {
            Ok(()) => {}
            Err(error) => {
                assert_eq!(told(&error), as_told(Errno::Eagain));
                return number;
            }
        }
    }
    panic!("no end to it");
}

pub(crate) fn come_whole_and_from_a_path(bed: Bed) {
    let mut bed = bed.on_unix();
    let (mut near, mut far) = (near(&mut bed, "near"), far(&mut bed, "far"));
    let mut buf = vec![0; 100_000];
    bed.arm.is(&far.receive(&mut buf).unwrap_err(), Errno::Eagain);
    for len in [5, 0, 1400, 70_000] {
        let data = pattern(len);
        near.send(&data, far.local_addr()).unwrap();
        let gram = far.receive(&mut buf).unwrap();
        assert_eq!((gram.truncated, &buf[..gram.len]), (false, &data[..]));
        assert_eq!(&gram.from, near.local_addr());
        far.send(&data, &gram.from).unwrap();
        let back = near.receive(&mut buf).unwrap();
        assert_eq!((back.len, &back.from), (len, far.local_addr()));
    }
    let mut nobody = bed.near.bind(&Bind::new(Addr::Unnamed)).unwrap();
    nobody.send(b"guess who", far.local_addr()).unwrap();
    assert_eq!(far.receive(&mut buf).unwrap().from, Addr::Unnamed);
    assert_eq!(send_error(&mut far, &Addr::Unnamed), (ErrorKind::Unsupported, None));
    assert_eq!(
        send_error(&mut far, &Addr::from(([127, 0, 0, 1], 0))),
        (ErrorKind::Unsupported, None)
    );
    let sizes = far.buffer_sizes().unwrap();
    assert!(sizes.recv > 0 && sizes.send > 0, "{sizes:?}");
}

pub(crate) fn are_cut_to_the_buffer(bed: Bed) {
    let mut bed = bed.on_unix();
    let (mut near, mut far) = (near(&mut bed, "near"), far(&mut bed, "far"));
    for len in [100, 10, 9] {
        near.send(&pattern(len), far.local_addr()).unwrap();
        let mut buf = [0; 10];
        let gram = far.receive(&mut buf).unwrap();
        assert_eq!((gram.len, gram.truncated), (len.min(10), len > 10), "{len}");
    }
}

pub(crate) fn say_who_is_not_there(bed: Bed) {
    let mut bed = bed.on_unix();
    let mut near = near(&mut bed, "near");
    let (missing, dead) = (bed.path("missing"), bed.path("dead"));
    assert_eq!(send_error(&mut near, &missing), as_told(Errno::Enoent));
    let mut listener = bed.far.listen(&Listen::new(dead.clone())).unwrap();
    let error = near.send(b"hello", &dead).unwrap_err();
    bed.arm.is(&error, Errno::Eprototype);
    listener.leave_file();
    drop(listener);
    assert_eq!(send_error(&mut near, &dead), as_told(Errno::Econnrefused));
    for (peer, errno) in [(missing, Errno::Enoent), (dead, Errno::Econnrefused)] {
        let own = bed.path("own");
        let mut spec = Bind::new(own.clone());
        spec.peer = Some(peer);
        bed.arm.is(&bed.near.bind(&spec).err().unwrap(), errno);
        assert_eq!(send_error(&mut near, &own), as_told(Errno::Enoent), "it left its name");
    }
    let mut spec = Bind::new(bed.path("own"));
    spec.peer = Some(bed.path("own"));
    let error = bed.near.bind(&spec).err().unwrap();
    // It connects before it has its name.
    bed.arm.is(&error, Errno::Enoent);
    let own = near.local_addr().clone();
    assert_eq!(bed.far.bind(&Bind::new(own)).err().unwrap().kind(), ErrorKind::AddrInUse);
}

pub(crate) fn wait_for_room_at_the_receiver(bed: Bed) {
    let mut bed = bed.on_unix();
    let (mut near, mut far) = (near(&mut bed, "near"), far(&mut bed, "far"));
    let held = fill(&mut near, far.local_addr());
    assert!(held > 1, "{held}");
    // Another receiver has room.
    let mut other = self::far(&mut bed, "other");
    if held < 100 {
        near.send(b"through", other.local_addr()).unwrap();
        expect(&mut other, b"through");
    }
    for number in 0..held {
        expect(&mut far, &[number as u8]);
    }
    near.send(b"again", far.local_addr()).unwrap();
    expect(&mut far, b"again");
    // What nobody reads any more holds nobody up.
    fill(&mut near, far.local_addr());
    drop(far);
    near.send(b"through", other.local_addr()).unwrap();
}

pub(crate) fn are_told_of_room_in_connected_mode(bed: Bed) {
    let mut bed = bed.on_unix();
    let mut far = far(&mut bed, "far");
    let mut near = connected(&mut bed, "near", "far");
    let token = bed.token();
    near.register(token).unwrap();
    let held = fill(&mut near, far.local_addr());
    bed.settle();
    bed.near_ready.clear();
    bed.settle();
    let told = |bed: &Bed| bed.near_ready.iter().any(|it| it.token == token && it.writable);
    assert!(!told(&bed), "no room yet");
    for number in 0..held {
        expect(&mut far, &[number as u8]);
    }
    bed.until("word of room", |bed| told(bed).then_some(()));
}

pub(crate) fn keep_strangers_out(bed: Bed) {
    let mut bed = bed.on_unix();
    let mut far = far(&mut bed, "far");
    let mut near = connected(&mut bed, "near", "far");
    let mut stranger = self::near(&mut bed, "stranger");
    let error = stranger.send(b"let me in", near.local_addr()).unwrap_err();
    bed.arm.is(&error, Errno::Eperm);
    assert!(near.refuses_strangers() && !stranger.refuses_strangers());
    far.send(b"hi", near.local_addr()).unwrap();
    expect(&mut near, b"hi");
    // Whatever address is given.
    near.send(b"hello", stranger.local_addr()).unwrap();
    expect(&mut far, b"hello");
    let mut spec = Bind::new(Addr::Unnamed);
    spec.peer = Some(near.local_addr().clone());
    bed.arm.is(&bed.far.bind(&spec).err().unwrap(), Errno::Eperm);
}

pub(crate) fn lose_their_peer(bed: Bed) {
    let mut bed = bed.on_unix();
    let mut far = far(&mut bed, "far");
    let mut near = connected(&mut bed, "near", "far");
    let to = far.local_addr().clone();
    far.send(b"last words", near.local_addr()).unwrap();
    drop(far);
    assert_eq!(send_error(&mut near, &to), as_told(Errno::Econnrefused));
    // With the connection goes what came over it.
    bed.arm.is(&near.receive(&mut [0; 64]).unwrap_err(), Errno::Eagain);
    assert_eq!(send_error(&mut near, &to), as_told(Errno::Enotconn));
    // From then on it hears everybody.
    let mut stranger = self::near(&mut bed, "stranger");
    stranger.send(b"hello", near.local_addr()).unwrap();
    expect(&mut near, b"hello");
}

pub(crate) fn cannot_be_longer_than_the_buffer(bed: Bed) {
    let mut bed = bed.on_unix();
    let (mut near, far) = (near(&mut bed, "near"), far(&mut bed, "far"));
    let send = near.buffer_sizes().unwrap().send;
    let error = near.send(&vec![0; send - 31], far.local_addr()).unwrap_err();
    bed.arm.is(&error, Errno::Emsgsize);
    near.send(&vec![0; send - 32], far.local_addr()).unwrap();
}
