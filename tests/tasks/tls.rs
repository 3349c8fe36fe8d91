//! Tasks' streams under TLS: handshakes that nobody sees, ends that are told apart, and going over in the middle.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use tymist::net::tls::{ClientTls, ServerTls, Unread};
use tymist::net::{Addr, Stream};
use tymist::sim::Op;
use tymist::sim::fault::{Effect, Rule};
use tymist::tasks::{Handle, TaskStream};
use tymist::tyme::Tyme;
use tymist::{CloseReason, Connect, Event};

use super::bed::{PORT, Pair, millis};
use super::tls_support::pki;

fn dial(target: Addr, tls: &ClientTls) -> Connect {
    let tls = tls.clone();
    let mut connect = Connect::new(target);
    connect.layer = Some(Arc::new(move |stream: Box<dyn Stream>| {
        let stream = tls.connect(stream, "server.test").expect("a name that can be");
        Box::new(stream) as Box<dyn Stream>
    }));
    connect
}

#[test]
fn tls_ends_with_a_farewell_or_is_cut_short() {
    let (client, server) = pki::world().ends();
    let mut pair = Pair::new();
    pair.far(move |handle| async move {
        let mut listener = handle.listen_tls(([0, 0, 0, 0], PORT), &server).unwrap();
        let mut stream = listener.accept().await.unwrap();
        assert!(stream.with_remoter(|remoter| remoter.tls().is_some()).unwrap());
        stream.write_all(b"all of it").await.unwrap();
        stream.shutdown().await.unwrap();
        while !stream.read_bytes().await.unwrap().is_empty() {}
        drop(stream);
        // The same without a farewell: the transport's end under TLS.
        let mut stream = listener.accept().await.unwrap();
        stream.write_all(b"half of").await.unwrap();
        handle.sleep(Duration::from_secs(20)).await;
        stream.write_all(b" it").await.unwrap();
        let _ = stream.read(&mut [0; 1]).await;
    });
    pair.near(move |handle, target| async move {
        let mut stream = handle.connect(dial(target.clone(), &client)).await.unwrap();
        let mut got = Vec::new();
        loop {
            let part = stream.read_bytes().await.unwrap();
            if part.is_empty() {
                break;
            }
            got.extend(part);
        }
        assert_eq!(got, b"all of it");
        stream.close().await.unwrap();

        let mut stream = handle.connect(dial(target, &client)).await.unwrap();
        let mut got = [0; 7];
        stream.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"half of");
        let error = stream.read(&mut got).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "cut short is no end: {error}");
        let reason = error.get_ref().unwrap().downcast_ref::<CloseReason>();
        assert_eq!(reason, Some(&CloseReason::TlsTruncated));
    });
    // From then on all that the second connection reads is the transport's end.
    let cut = Rule::new("cut", Effect::Eof).on(&[Op::Read]).host("near").conn(1);
    pair.world.rule(cut.from(Tyme::from_secs(10)));
    pair.run();
    pair.world.all_fired().unwrap();
    pair.run_out();
}

/// The listener is gone, the handshake is not: whoever it is done for is reset, and the owner, who knows nothing of it, is told nothing.
#[test]
fn a_handshake_that_outlives_its_listener_ends_in_a_reset() {
    let (client, server) = pki::world().ends();
    let mut pair = Pair::new();
    pair.far(move |handle| async move {
        let listener = handle.listen_tls(([0, 0, 0, 0], PORT), &server).unwrap();
        handle.sleep(millis(4)).await;
        drop(listener);
    });
    pair.near(move |handle, target| async move {
        // By TLS 1.3 the client may believe itself connected before the server does.
        let error = match handle.connect(dial(target, &client)).await {
            Ok(mut stream) => stream.read(&mut [0]).await.unwrap_err(),
            Err(error) => error,
        };
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
    });
    pair.world.run_for(Duration::from_micros(3_500));
    assert_eq!(pair.tasks_at_far().server().cxes(), 1, "it shakes hands");
    pair.run();
    assert_eq!(pair.far_mut().poll_event(), None);
    pair.run_out();
}

/// A drain lets those finish who have come in. Who shakes hands still is accepted once that is done, and then the listener hears that nobody comes any more.
#[test]
fn regression_a_drain_accepts_who_shakes_hands() {
    let (client, server) = pki::world().ends();
    let mut pair = Pair::new();
    pair.far(move |handle| async move {
        let mut listener = handle.listen_tls(([0, 0, 0, 0], PORT), &server).unwrap();
        drop(handle.spawn(handle.sleep(millis(4)))); // a tick in between
        let mut stream = listener.accept().await.expect("it has come in");
        stream.write_all(b"served").await.unwrap();
        stream.close().await.unwrap();
        assert_eq!(listener.accept().await.unwrap_err().kind(), ErrorKind::NotConnected);
    });
    pair.near(move |handle, target| async move {
        let mut stream = handle.connect(dial(target, &client)).await.unwrap();
        let mut answer = [0; 6];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"served");
        stream.close().await.unwrap();
    });
    pair.world.run_for(Duration::from_micros(3_500));
    assert_eq!(pair.tasks_at_far().server().cxes(), 1, "it shakes hands");
    pair.far_mut().server_mut().drain(None);
    pair.run();
}

/// Where none of those who shake hands comes in, the listener hears so when the last has failed.
#[test]
fn regression_a_drain_in_which_a_handshake_fails_is_told_to_the_listener() {
    let (_, server) = pki::world().ends();
    let (stranger, _) = pki::world().ends(); // Of another authority.
    let mut pair = Pair::new();
    pair.far(move |handle| async move {
        let mut listener = handle.listen_tls(([0, 0, 0, 0], PORT), &server).unwrap();
        drop(handle.spawn(handle.sleep(millis(4)))); // a tick in between
        assert_eq!(listener.accept().await.unwrap_err().kind(), ErrorKind::NotConnected);
        assert!(handle.tyme() > Tyme::ZERO + millis(4), "too early");
    });
    pair.near(move |handle, target| async move {
        let error = handle.connect(dial(target, &stranger)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
    });
    pair.world.run_for(Duration::from_micros(3_500));
    assert_eq!(pair.tasks_at_far().server().cxes(), 1, "it shakes hands");
    pair.far_mut().server_mut().drain(None);
    pair.run();
}

#[test]
fn a_handshake_that_fails_is_an_error_here_and_an_event_there() {
    let (_, server) = pki::world().ends();
    let (stranger, _) = pki::world().ends(); // Of another authority.
    let mut pair = Pair::new();
    pair.far(move |handle| async move {
        let mut listener = handle.listen_tls(([0, 0, 0, 0], PORT), &server).unwrap();
        let nobody = handle.timeout(millis(2000), listener.accept()).await;
        assert!(nobody.is_err(), "a handshake that failed is no connection");
    });
    pair.near(move |handle, target| async move {
        let error = handle.connect(dial(target, &stranger)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
    });
    pair.run();
    let event = pair.far_mut().poll_event();
    assert!(matches!(event, Some(Event::HandshakeFailed { .. })), "{event:?}");
    pair.run_out();
}

/// Who shakes hands has a place of those that nobody has accepted, and gives it back.
#[test]
fn handshakes_that_fail_take_no_room_from_those_that_do_not() {
    let (client, server) = pki::world().ends();
    let (stranger, _) = pki::world().ends();
    let mut pair = Pair::new();
    pair.far(move |handle| async move {
        let mut listener = handle.listen_tls(([0, 0, 0, 0], PORT), &server).unwrap();
        let mut stream = listener.accept().await.unwrap();
        assert_eq!(stream.read_bytes().await.unwrap(), "good");
    });
    pair.near(move |handle, target| async move {
        for _ in 0..10 {
            assert!(handle.connect(dial(target.clone(), &stranger)).await.is_err());
        }
        let mut stream = handle.connect(dial(target, &client)).await.unwrap();
        stream.write_all(b"good").await.unwrap();
        stream.close().await.unwrap();
    });
    let mut config = pair.far_mut().config();
    config.unaccepted = 2;
    pair.far_mut().set_config(config);
    pair.run_out();
}

#[test]
fn a_stream_goes_over_to_tls_in_the_middle() {
    let (client, server) = pki::world().ends();
    let mut pair = Pair::new();
    pair.far(move |handle| async move {
        let mut stream = handle.listen(([0, 0, 0, 0], PORT)).unwrap().accept().await.unwrap();
        let mut command = [0; 9];
        stream.read_exact(&mut command).await.unwrap();
        assert_eq!(&command, b"STARTTLS\n");
        stream.write_all(b"go\n").await.unwrap();
        stream.upgrade_tls(&server, Unread::MustBeEmpty).await.unwrap();
        let again = stream.upgrade_tls(&server, Unread::MustBeEmpty).await.unwrap_err();
        assert_eq!(again.kind(), ErrorKind::InvalidInput);
        let mut secret = stream.read_bytes().await.unwrap();
        stream.write_bytes(&mut secret).await.unwrap();
        stream.close().await.unwrap();
    });
    pair.near(move |handle, target| async move {
        let mut stream = handle.connect(target).await.unwrap();
        stream.write_all(b"STARTTLS\n").await.unwrap();
        let mut go = [0; 3];
        stream.read_exact(&mut go).await.unwrap();
        stream.upgrade_tls_client(&client, "server.test", Unread::MustBeEmpty).await.unwrap();
        stream.write_all(b"secret").await.unwrap();
        let mut back = [0; 6];
        stream.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, b"secret");
        assert_eq!(stream.read(&mut back).await.unwrap(), 0);
        stream.close().await.unwrap();
    });
    pair.run_out();
}

/// What the far end of a change to TLS does; it begins late, so that the near one can be left on its way.
async fn go_over_late(handle: &Handle, target: Addr, client: &ClientTls) -> TaskStream {
    let mut stream = handle.connect(target).await.unwrap();
    stream.write_all(b"STARTTLS\n").await.unwrap();
    handle.sleep(millis(50)).await;
    stream.upgrade_tls_client(client, "server.test", Unread::MustBeEmpty).await.unwrap();
    stream
}

/// A stream that is on its way to TLS, where nobody waits for that.
async fn left_going_over(handle: &Handle, server: &ServerTls) -> TaskStream {
    let mut stream = handle.listen(([0, 0, 0, 0], PORT)).unwrap().accept().await.unwrap();
    stream.read_exact(&mut [0; 9]).await.unwrap();
    let upgraded = stream.upgrade_tls(server, Unread::MustBeEmpty);
    handle.timeout(Duration::ZERO, upgraded).await.unwrap_err();
    assert!(stream.with_remoter(|remoter| remoter.is_upgrading()).unwrap());
    stream
}

#[test]
fn regression_a_write_on_the_way_to_tls_waits_for_it() {
    let (client, server) = pki::world().ends();
    let mut pair = Pair::new();
    pair.far(move |handle| async move {
        let mut stream = left_going_over(&handle, &server).await;
        stream.write_all(b"secret").await.unwrap();
        stream.close().await.unwrap();
    });
    pair.near(move |handle, target| async move {
        let mut stream = go_over_late(&handle, target, &client).await;
        let mut said = [0; 6];
        stream.read_exact(&mut said).await.unwrap();
        assert_eq!(&said, b"secret");
        stream.close().await.unwrap();
    });
    pair.run_out();
}

#[test]
fn regression_a_half_that_ends_on_the_way_to_tls_has_ended_behind_it() {
    let (client, server) = pki::world().ends();
    for dropped in [true, false] {
        let (client, server) = (client.clone(), server.clone());
        let mut pair = Pair::new();
        pair.far(move |handle| async move {
            let (mut reader, mut writer) = left_going_over(&handle, &server).await.split();
            if dropped {
                drop(writer);
            } else {
                handle.timeout(Duration::ZERO, writer.shutdown()).await.unwrap_err();
                let late = writer.write_all(b"late").await.unwrap_err();
                assert_eq!(late.kind(), ErrorKind::BrokenPipe);
            }
            let mut said = [0; 6];
            reader.read_exact(&mut said).await.unwrap();
            assert_eq!(&said, b"secret");
        });
        pair.near(move |handle, target| async move {
            let mut stream = go_over_late(&handle, target, &client).await;
            let mut buf = [0; 1];
            let end = handle.timeout(Duration::from_secs(60), stream.read(&mut buf)).await;
            assert_eq!(end.expect("their half has ended").unwrap(), 0);
            stream.write_all(b"secret").await.unwrap();
            stream.close().await.unwrap();
        });
        pair.run_out();
    }
}

#[test]
fn regression_a_shutdown_waits_for_what_tls_holds() {
    let (client, server) = pki::world().ends();
    let mut pair = Pair::new();
    pair.config.limits.rx_bytes = 4096;
    pair.config.timeouts.write_stall = None;
    pair.far(move |handle| async move {
        let mut listener = handle.listen_tls(([0, 0, 0, 0], PORT), &server).unwrap();
        let mut stream = listener.accept().await.unwrap();
        handle.sleep(Duration::from_secs(60)).await;
        while !stream.read_bytes().await.unwrap().is_empty() {}
    });
    pair.near(move |handle, target| async move {
        let mut stream = handle.connect(dial(target, &client)).await.unwrap();
        // Until the network has taken a part of the last record.
        loop {
            stream.write_all(&[7; 1000]).await.unwrap();
            handle.sleep(millis(10)).await; // so that it is the far end that has no room
            if handle.timeout(millis(100), stream.drained()).await.is_err() {
                break;
            }
        }
        assert_eq!(stream.with_remoter(|remoter| remoter.tx_len()).unwrap(), 0);
        let early = handle.timeout(millis(100), stream.shutdown()).await;
        assert!(early.is_err(), "the network has not taken all");
        stream.shutdown().await.unwrap();
        assert!(handle.tyme() >= Tyme::from_secs(60));
    });
    pair.run_out();
}
