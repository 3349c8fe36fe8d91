//! Room in Unix sockets: when there is none, who is told of it, and what a socket says when it is first asked.

use std::io::ErrorKind;
use std::net::Shutdown;

use crate::sim_util::*;
use tymist::net::{Addr, Bind, Datagram, Dial, Listen, Net, Stream};
use tymist::sim::trace::What;
use tymist::sim::{Act, HostSpec, Op, WorldSpec};

const CAP: usize = 1000;

/// A server whose streams take in a thousand bytes, and a connection within it.
fn connection() -> (Pair, Box<dyn Stream>, Box<dyn Stream>) {
    let mut server = HostSpec::new("server");
    server.send_buffer = CAP;
    let mut pair = Pair::with(WorldSpec::new(1), server, HostSpec::new("client"));
    let mut listener = pair.server_net.listen(&Listen::new(path("/run/a"))).unwrap();
    let dialled = pair.server_net.connect(&Dial::new(path("/run/a"))).unwrap();
    let accepted = listener.accept().unwrap();
    (pair, dialled, accepted)
}

fn post(net: &mut Box<dyn Net>, name: Addr, peer: Option<Addr>) -> Box<dyn Datagram> {
    let mut bind = Bind::new(name);
    bind.peer = peer;
    net.bind(&bind).unwrap()
}

/// Linux tells of room when three quarters of the buffer are free, once, and only who has met the end of it.
#[test]
fn a_stream_tells_of_room_at_a_quarter_and_once() {
    for (len, tells) in [(CAP - 1, false), (CAP, false), (CAP + 1, true)] {
        let (mut pair, mut dialled, mut accepted) = connection();
        dialled.register(token(1)).unwrap();
        assert_eq!(reports(&mut pair.server_net), [(1, false, true, false)]);
        assert_eq!(write(&mut dialled, &vec![7; len]).unwrap(), len.min(CAP));
        let unread = len.min(CAP);
        // Down to a byte more than a quarter.
        assert_eq!(accepted.read(&mut vec![0; unread - 251]).unwrap(), unread - 251);
        assert_eq!(reports(&mut pair.server_net), [], "{len}: too soon");
        assert_eq!(accepted.read(&mut [0; 1]).unwrap(), 1);
        let told = reports(&mut pair.server_net);
        assert_eq!(told, if tells { vec![(1, false, true, false)] } else { vec![] }, "{len}");
        assert_eq!(drain(&mut accepted).unwrap().0.len(), 250);
        assert_eq!(reports(&mut pair.server_net), [], "{len}: once");
    }
}

#[test]
fn a_socket_says_what_it_is_when_it_is_registered() {
    // Full to the byte, or not.
    for (len, writable) in [(CAP, false), (CAP - 1, true)] {
        let (mut pair, mut dialled, mut accepted) = connection();
        write_all(&mut dialled, &vec![7; len]);
        dialled.register(token(1)).unwrap();
        let expected = if writable { vec![(1, false, true, false)] } else { vec![] };
        assert_eq!(reports(&mut pair.server_net), expected);
        accepted.register(token(2)).unwrap();
        assert_eq!(reports(&mut pair.server_net), [(2, true, true, false)]);
    }
    // Ended, by the peer or by itself.
    let (mut pair, dialled, mut accepted) = connection();
    drop(dialled);
    accepted.register(token(3)).unwrap();
    assert_eq!(reports(&mut pair.server_net), [(3, true, true, true)]);
    let (mut pair, _dialled, mut accepted) = connection();
    accepted.shutdown(Shutdown::Read).unwrap();
    accepted.register(token(4)).unwrap();
    assert_eq!(reports(&mut pair.server_net), [(4, true, true, true)]);

    // And TCP likewise: an end that has come, a listener that was lost.
    let mut pair = Pair::new();
    let (mut listener, mut dialled, mut accepted) = pair.connection();
    dialled.shutdown(Shutdown::Write).unwrap();
    pair.run(millis(5));
    accepted.register(token(5)).unwrap();
    assert_eq!(reports(&mut pair.server_net), [(5, true, true, true)]);
    pair.world.act(&Act::LoseListener(pair.server, 80));
    listener.register(token(6)).unwrap();
    assert_eq!(reports(&mut pair.server_net), [(6, true, false, true)]);
}

/// A letter box that has sent as much as it may is not writable, from the very byte on.
#[test]
fn a_sender_of_letters_says_whether_there_is_room() {
    for (less, writable) in [(0, false), (1, true)] {
        let mut pair = Pair::new();
        let net = &mut pair.server_net;
        let mut sender = post(net, Addr::Unnamed, None);
        let _boxes = ["/run/0", "/run/1"].map(|name| post(net, path(name), None));
        let cap = sender.buffer_sizes().unwrap().send;
        sender.send(&vec![7; cap / 2 - 768], &path("/run/0")).unwrap();
        sender.send(&vec![7; cap / 2 - 768 - less], &path("/run/1")).unwrap();
        sender.register(token(1)).unwrap();
        assert_eq!(reports(net).len(), usize::from(writable), "{less}");
    }
}

/// Of senders who found a letter box full, those in connected mode are told when it is not, or is no more. As on Linux nothing tells the others.
#[test]
fn a_full_letter_box_tells_its_connected_senders_of_room() {
    for close in [false, true] {
        let mut pair = Pair::new();
        let net = &mut pair.server_net;
        let mut letters = post(net, path("/run/box"), None);
        let mut senders =
            [post(net, Addr::Unnamed, Some(path("/run/box"))), post(net, Addr::Unnamed, None)];
        for (at, sender) in senders.iter_mut().enumerate() {
            sender.register(token(at)).unwrap();
        }
        reports(net);
        let full = |sender: &mut Box<dyn Datagram>| {
            while sender.send(b"letter", &path("/run/box")).is_ok() {}
            sender.send(b"letter", &path("/run/box")).unwrap_err().kind() == ErrorKind::WouldBlock
        };
        assert!(senders.iter_mut().all(full));
        assert_eq!(reports(net), []);
        if close {
            drop(letters);
        } else {
            assert_eq!(letters.receive(&mut [0; 8]).unwrap().len, 6);
        }
        assert_eq!(reports(net), [(0, false, true, false)], "closed: {close}");
    }
}

/// Who is connected gets letters of its peer, and of nobody else.
#[test]
fn a_connected_letter_box_gets_what_its_peer_sends() {
    let mut pair = Pair::new();
    let net = &mut pair.server_net;
    let mut friend = post(net, path("/run/friend"), None);
    let mut own = post(net, path("/run/own"), Some(path("/run/friend")));
    let mut stranger = post(net, path("/run/stranger"), None);
    friend.send(b"dear", &path("/run/own")).unwrap();
    let refused = stranger.send(b"who?", &path("/run/own")).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
    let mut buf = [0; 8];
    let gram = own.receive(&mut buf).unwrap();
    assert_eq!((&buf[..gram.len], gram.from), (&b"dear"[..], path("/run/friend")));
    assert_eq!(own.receive(&mut buf).unwrap_err().kind(), ErrorKind::WouldBlock);
    // A friend's letters are not counted as those that others have to leave room for.
    for _ in 0..20 {
        friend.send(b"dear", &path("/run/own")).unwrap();
    }
    // With the peer go its letters, once that is known; then anybody may write.
    assert!(own.refuses_strangers());
    drop(friend);
    let gone = own.send(b"dear", &path("/run/friend")).unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::ConnectionRefused);
    assert!(!own.refuses_strangers());
    assert_eq!(own.receive(&mut buf).unwrap_err().kind(), ErrorKind::WouldBlock);
    stranger.send(b"who?", &path("/run/own")).unwrap();
    assert_eq!(own.receive(&mut buf).unwrap().len, 4);
}

/// Streams have numbers each, and what goes through them is written down, as are letters.
#[test]
fn what_goes_on_within_a_host_is_written_down() {
    let mut pair = Pair::traced();
    let net = &mut pair.server_net;
    let mut listener = net.listen(&Listen::new(path("/run/a"))).unwrap();
    let mut calls = [(); 2].map(|()| net.connect(&Dial::new(path("/run/a"))).unwrap());
    let _accepted = [listener.accept().unwrap(), listener.accept().unwrap()];
    write_all(&mut calls[0], b"one");
    write_all(&mut calls[1], b"two");
    let _box = post(net, path("/run/box"), None);
    let mut sender = post(net, Addr::Unnamed, None);
    sender.send(b"letter", &path("/run/box")).unwrap();
    let trace = pair.world.trace();
    let numbers = |is: Op| {
        let number = |what: &What| match what {
            What::Call { op, on, .. } if *op == is => Some(*on),
            _ => None,
        };
        trace.records().filter_map(|record| number(&record.what)).collect::<Vec<_>>()
    };
    assert_eq!((numbers(Op::Connect), numbers(Op::Write)), (vec![0, 1], vec![0, 1]));
    let local =
        |what: &What| if let What::Local { data, .. } = what { Some(data.clone()) } else { None };
    let written: Vec<_> = trace.records().filter_map(|record| local(&record.what)).collect();
    assert_eq!(written, ["one", "two", "letter"]);
}
