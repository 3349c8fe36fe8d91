//! Streams: bytes in order, back pressure, halves, and futures that may be dropped at any time.

use std::io::ErrorKind;
use std::time::Duration;

use bytes::Bytes;

use super::bed::{PORT, Pair, millis};

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

#[test]
fn bytes_come_in_order_however_they_are_written_and_read() {
    let mut pair = Pair::new();
    let sent = pattern(700_000);
    let wanted = sent.clone();
    pair.far(move |handle| async move {
        let mut stream = handle.listen(([0, 0, 0, 0], PORT)).unwrap().accept().await.unwrap();
        let (mut got, mut buf) = (Vec::new(), [0; 777]);
        loop {
            match stream.read(&mut buf).await.unwrap() {
                0 => break,
                count => got.extend_from_slice(&buf[..count]),
            }
            if got.len() % 3 == 0 {
                got.extend(stream.read_bytes().await.unwrap());
            }
        }
        assert!(got == wanted, "{} bytes of {}", got.len(), wanted.len());
        assert!(stream.read_bytes().await.unwrap().is_empty(), "an end stays one");
    });
    pair.near(move |handle, target| async move {
        let mut stream = handle.connect(target).await.unwrap();
        let (first, rest) = sent.split_at(300_000);
        for piece in first.chunks(1000) {
            stream.write_all(piece).await.unwrap();
        }
        let mut rest = Bytes::copy_from_slice(rest);
        stream.write_bytes(&mut rest).await.unwrap();
        stream.shutdown().await.unwrap();
        assert_eq!(stream.write(b"more").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        stream.close().await.unwrap();
    });
    pair.run_out();
}

#[test]
fn writing_waits_for_room_and_reading_holds_the_peer_back() {
    let mut pair = Pair::new();
    pair.config.limits.tx_bytes = 5000;
    pair.config.limits.rx_bytes = 7000;
    pair.config.timeouts.write_stall = None;
    let total = 1_000_000;
    pair.far(move |handle| async move {
        let mut stream = handle.listen(([0, 0, 0, 0], PORT)).unwrap().accept().await.unwrap();
        handle.sleep(Duration::from_secs(60)).await;
        let unread = stream.with_remoter(|remoter| remoter.rx().len()).unwrap();
        assert!(unread <= 7000, "{unread} bytes unread");
        let mut got = 0;
        loop {
            match stream.read_bytes().await.unwrap().len() {
                0 => break,
                count => got += count,
            }
        }
        assert_eq!(got, total);
    });
    pair.near(move |handle, target| async move {
        let mut stream = handle.connect(target).await.unwrap();
        let data = pattern(total);
        let mut written = 0;
        // Nobody reads for a minute: what can be written until then is what fits on the way.
        let blocked = async {
            loop {
                written += stream.write(&data[written..]).await.unwrap();
            }
        };
        let _ = handle.timeout(Duration::from_secs(30), blocked).await;
        assert!((70_000..200_000).contains(&written), "{written} bytes");
        assert_eq!(stream.with_remoter(|remoter| remoter.tx_len()).unwrap(), 5000);
        stream.write_all(&data[written..]).await.unwrap();
        stream.drained().await.unwrap();
        assert_eq!(stream.with_remoter(|remoter| remoter.tx_len()).unwrap(), 0);
    });
    pair.run_out();
}

/// Room that comes in the very tick in which the queue was filled.
#[test]
fn a_queue_that_is_filled_and_emptied_in_one_tick_wakes_who_waits_for_room() {
    let mut pair = Pair::new();
    pair.config.limits.tx_bytes = 10;
    pair.far(|handle| async move {
        let mut stream = handle.listen(([0, 0, 0, 0], PORT)).unwrap().accept().await.unwrap();
        let mut got = [0; 1000];
        stream.read_exact(&mut got).await.unwrap();
        assert!(got == pattern(1000)[..]);
    });
    pair.near(|handle, target| async move {
        let mut stream = handle.connect(target).await.unwrap();
        stream.write_all(&pattern(1000)).await.unwrap();
        stream.drained().await.unwrap();
    });
    pair.run_out();
}

#[test]
fn halves_end_one_after_the_other() {
    let mut pair = Pair::new();
    pair.far(|handle| async move {
        let stream = handle.listen(([0, 0, 0, 0], PORT)).unwrap().accept().await.unwrap();
        let (mut reader, mut writer) = stream.split();
        let mut question = Vec::new();
        while let Ok(part) = reader.read_bytes().await
            && !part.is_empty()
        {
            question.extend(part);
        }
        assert_eq!(question, b"question");
        // Long after the peer's end, and longer than `linger`.
        handle.sleep(Duration::from_secs(20)).await;
        writer.write_all(b"answer").await.unwrap();
        drop(writer);
        handle.sleep(Duration::from_secs(1)).await;
    });
    pair.near(|handle, target| async move {
        let (mut reader, mut writer) = handle.connect(target).await.unwrap().split();
        writer.write_all(b"question").await.unwrap();
        writer.shutdown().await.unwrap();
        assert_eq!(reader.with_remoter(|remoter| remoter.tx_len()).unwrap(), 0, "all is out");
        let mut answer = [0; 6];
        reader.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"answer");
        // Well before the other half there is dropped as well.
        let end = handle.timeout(millis(500), reader.read(&mut answer)).await;
        assert_eq!(end.expect("its writing half is gone").unwrap(), 0);
        drop(writer);
        drop(reader);
    });
    pair.run_out();
}

#[test]
fn a_read_that_is_dropped_half_way_loses_nothing() {
    let mut pair = Pair::new();
    pair.far(|handle| async move {
        let mut stream = handle.listen(([0, 0, 0, 0], PORT)).unwrap().accept().await.unwrap();
        let mut dropped = 0;
        let mut buf = [0; 10];
        // The bytes come one by one, a second apart: only the last try has the time.
        loop {
            match handle.timeout(millis(2500), stream.read_exact(&mut buf)).await {
                Ok(read) => break read.unwrap(),
                Err(_) => dropped += 1,
            }
            let unread = stream.with_remoter(|remoter| remoter.rx().to_vec()).unwrap();
            assert!(unread == pattern(10)[..unread.len()], "put back: {unread:?}");
            let one = handle.timeout(millis(1), stream.read(&mut buf[..0])).await;
            assert_eq!(one.unwrap().unwrap(), 0, "an empty read reads nothing");
        }
        assert!(buf == pattern(10)[..]);
        assert!(dropped >= 3, "dropped {dropped} times");
        for wanted in [10_u8, 11] {
            let mut one = [0];
            while handle.timeout(millis(300), stream.read(&mut one)).await.is_err() {}
            assert_eq!(one, [wanted]);
        }
    });
    pair.near(|handle, target| async move {
        let mut stream = handle.connect(target).await.unwrap();
        for byte in pattern(12) {
            handle.sleep(Duration::from_secs(1)).await;
            stream.write_all(&[byte]).await.unwrap();
        }
    });
    pair.run_out();
}

#[test]
fn a_full_read_that_meets_the_end_puts_back_what_there_was() {
    let mut pair = Pair::new();
    pair.far(|handle| async move {
        let mut stream = handle.listen(([0, 0, 0, 0], PORT)).unwrap().accept().await.unwrap();
        stream.write_all(b"short").await.unwrap();
    });
    pair.near(|handle, target| async move {
        let mut stream = handle.connect(target).await.unwrap();
        let failed = stream.read_exact(&mut [0; 6]).await;
        assert_eq!(failed.unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert_eq!(stream.readable().await.unwrap(), 5);
        assert_eq!(stream.read_bytes().await.unwrap(), "short");
        assert_eq!(stream.readable().await.unwrap(), 0);
    });
    pair.run_out();
}

#[test]
fn a_dial_that_is_dropped_is_given_up() {
    let mut pair = Pair::new();
    pair.world.plan(
        tymist::tyme::Tyme::ZERO,
        tymist::sim::Act::Partition(tymist::sim::Cut::Isolate(pair.world.find("far").unwrap())),
    );
    pair.far(|_| async {});
    pair.near(|handle, target| async move {
        let dial = handle.timeout(Duration::from_secs(2), handle.connect(target)).await;
        assert!(dial.is_err(), "nobody answers");
        handle.yield_now().await;
    });
    pair.run();
    assert_eq!(pair.tasks_at_near().server().dialling(), 0);
    pair.run_out();
}

#[test]
fn datagrams_wait_for_room_and_come_with_their_sender() {
    use tymist::GramConfig;
    use tymist::net::Addr;
    let mut pair = Pair::new();
    pair.far(|handle| async move {
        let mut config = GramConfig::new();
        config.rx_grams = 10_000;
        let mut socket = handle.bind(([0, 0, 0, 0], PORT), config).unwrap();
        for number in 0_u32..1000 {
            let gram = socket.recv_from().await.unwrap();
            assert_eq!(gram.data, &number.to_be_bytes()[..]);
            if number == 999 {
                socket.send_to(b"thanks", gram.from).await.unwrap();
            }
        }
        // Dropped in the same tick: what is queued still has its try.
    });
    pair.near(|handle, target| async move {
        let mut config = GramConfig::new();
        config.tx_grams = 3;
        let mut socket = handle.bind(([0, 0, 0, 0], 0), config).unwrap();
        for number in 0_u32..1000 {
            socket.send_to(&number.to_be_bytes(), &target).await.unwrap();
        }
        let answer = socket.recv_from().await.unwrap();
        assert_eq!((&answer.data[..], answer.from), (&b"thanks"[..], target));
        let never = socket.send_to(b"nobody", Addr::Unnamed).await;
        assert_eq!(never.unwrap_err().kind(), ErrorKind::InvalidInput);
        let none = handle.timeout(millis(100), socket.recv_from()).await;
        assert!(none.is_err(), "nothing more was sent");
    });
    pair.run_out();
}

/// Also what waited for the budget of the next tick, and more than one has.
#[test]
fn regression_dropping_a_socket_gave_no_try_to_what_waited_for_the_next_tick() {
    use tymist::GramConfig;
    let mut pair = Pair::new();
    pair.far(|handle| async move {
        let mut socket = handle.bind(([0, 0, 0, 0], PORT), GramConfig::new()).unwrap();
        for number in 0..7 {
            let gram = handle.timeout(millis(1000), socket.recv_from()).await.unwrap().unwrap();
            assert_eq!(gram.data, &[number][..]);
        }
    });
    pair.near(|handle, target| async move {
        let mut config = GramConfig::new();
        config.tick_grams = 2;
        let mut socket = handle.bind(([0, 0, 0, 0], 0), config).unwrap();
        for number in 0..7 {
            socket.send_to(&[number], &target).await.unwrap();
        }
        handle.yield_now().await;
    });
    pair.run_out();
}

#[test]
fn a_connected_socket_is_told_that_nobody_is_there() {
    use tymist::GramConfig;
    use tymist::net::Bind;
    let mut pair = Pair::new();
    pair.far(|_| async {});
    pair.near(|handle, target| async move {
        let mut bind = Bind::new(([0, 0, 0, 0], 0));
        bind.peer = Some(target.clone());
        let mut socket = handle.bind(bind, GramConfig::new()).unwrap();
        socket.send_to(b"anybody?", target).await.unwrap();
        let error = socket.recv_from().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        let quiet = handle.timeout(millis(100), socket.recv_from()).await;
        assert!(quiet.is_err(), "told once");
    });
    pair.run_out();
}

/// Room was told of only once nothing at all was queued: one receiver that takes nothing held up all sending to others, without a stall for ever.
#[cfg(all(target_os = "linux", feature = "uds"))]
#[test]
fn regression_who_waits_for_room_gets_it_beside_a_receiver_that_takes_nothing() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    use tymist::GramConfig;
    use tymist::net::{Addr, Bind};

    use super::bed::Rig;

    let name = |who: &str| format!("tymist-room-{}-{who}", std::process::id());
    let at = |who: &str| SocketAddr::from_abstract_name(name(who)).unwrap();
    let [slow, busy] = ["slow", "busy"].map(|who| UnixDatagram::bind_addr(&at(who)).unwrap());
    slow.set_nonblocking(true).unwrap();
    let filling = UnixDatagram::unbound().unwrap();
    filling.set_nonblocking(true).unwrap();
    while filling.send_to_addr(b"x", &at("slow")).is_ok() {}

    let mut rig = Rig::new();
    let mut config = GramConfig::new();
    (config.tx_grams, config.stall) = (2, None);
    let [to_slow, to_busy, own] =
        ["slow", "busy", "own"].map(|who| Addr::abstract_name(name(who).as_bytes()));
    let mut socket = rig.tasks.handle().bind(Bind::new(own), config).unwrap();
    let sent = rig.tasks.handle().spawn(async move {
        socket.send_to(b"x", to_slow).await.unwrap();
        for number in 0..5 {
            socket.send_to(&[number], &to_busy).await.unwrap();
        }
        socket
    });
    rig.until(|_| sent.is_finished());
    for number in 0..4 {
        let mut buf = [9];
        assert_eq!((busy.recv(&mut buf).unwrap(), buf), (1, [number]));
    }
    drop(slow);
}
