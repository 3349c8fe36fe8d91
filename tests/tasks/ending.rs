//! How connections end, as tasks see it: each reason an error of its kind, always after what came before, and never a clean end where there was none.

use std::future::Future;
use std::io::ErrorKind;
use std::time::Duration;

use tymist::net::Addr;
use tymist::sim::fault::{Effect, Rule};
use tymist::sim::{Errno, Op};
use tymist::{CloseReason, Deadline};

use super::bed::{PORT, Pair, millis};

fn reason_in(error: &std::io::Error) -> Option<CloseReason> {
    error.get_ref()?.downcast_ref().copied()
}

#[test]
fn what_came_before_a_reset_is_read_however_late() {
    let mut pair = Pair::new();
    pair.far(|handle| async move {
        let mut stream = handle.listen(([0, 0, 0, 0], PORT)).unwrap().accept().await.unwrap();
        stream.write_all(b"last words").await.unwrap();
        stream.drained().await.unwrap();
        handle.sleep(millis(100)).await;
        stream.abort();
    });
    pair.near(|handle, target| async move {
        let mut stream = handle.connect(target).await.unwrap();
        // The engine has forgotten it long since.
        handle.sleep(Duration::from_secs(100)).await;
        assert_eq!(stream.close_reason(), Some(CloseReason::Reset));
        let mut first = [0; 4];
        stream.read_exact(&mut first).await.unwrap();
        assert_eq!(stream.read_bytes().await.unwrap(), " words");
        for _ in 0..2 {
            let error = stream.read(&mut first).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            assert_eq!(reason_in(&error), Some(CloseReason::Reset));
        }
        assert_eq!(stream.write(b"x").await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(stream.shutdown().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(stream.peer_addr().port(), Some(PORT), "its ends are still known");
    });
    pair.run_out();
}

#[test]
fn dropping_sends_what_is_queued_and_then_the_end() {
    let mut pair = Pair::new();
    let size = 400_000;
    pair.far(move |handle| async move {
        let mut stream = handle.listen(([0, 0, 0, 0], PORT)).unwrap().accept().await.unwrap();
        stream.write_all(&vec![7; size]).await.unwrap();
    });
    pair.near(move |handle, target| async move {
        let mut stream = handle.connect(target).await.unwrap();
        let mut got = 0;
        loop {
            match stream.read_bytes().await.unwrap().len() {
                0 => break,
                count => got += count,
            }
        }
        assert_eq!(got, size);
    });
    pair.run_out();
}

#[test]
fn a_task_that_panics_resets_what_it_was_saying() {
    let mut pair = Pair::new();
    pair.far(|handle| async move {
        let mut listener = handle.listen(([0, 0, 0, 0], PORT)).unwrap();
        let mut stream = listener.accept().await.unwrap();
        let answer = handle.spawn(async move {
            stream.write_all(b"Content-Length: 1000\r\n\r\nten bytes.").await.unwrap();
            stream.drained().await.unwrap();
            panic!("a mistake");
        });
        let failed: Result<(), _> = answer.await;
        assert!(failed.is_err());
        // In a future beside the one that panics, which is dropped only after that.
        let mut stream = listener.accept().await.unwrap();
        let says = async move {
            stream.write_all(b"Content-Length: 1000\r\n\r\nten bytes.").await.unwrap();
            stream.read(&mut [0; 1]).await
        };
        let later = handle.sleep(millis(50));
        let fails = async move {
            later.await;
            panic!("a mistake")
        };
        let both = futures_util::future::join::<_, std::pin::Pin<Box<dyn Future<Output = ()>>>>(
            says,
            Box::pin(fails),
        );
        assert!(handle.spawn(both).await.is_err());
    });
    pair.near(|handle, target| async move {
        for _ in 0..2 {
            let mut stream = handle.connect(&target).await.unwrap();
            let error = loop {
                match stream.read_bytes().await {
                    Ok(part) => assert!(!part.is_empty(), "a torso must not look whole"),
                    Err(error) => break error,
                }
            };
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        }
    });
    pair.run_out();
}

#[test]
fn regression_a_task_that_panics_with_the_writing_half_resets_it() {
    let mut pair = Pair::new();
    pair.far(|handle| async move {
        let mut listener = handle.listen(([0, 0, 0, 0], PORT)).unwrap();
        let (mut reader, mut writer) = listener.accept().await.unwrap().split();
        let answer = handle.spawn(async move {
            writer.write_all(b"Content-Length: 1000\r\n\r\nten bytes.").await.unwrap();
            writer.drained().await.unwrap();
            panic!("a mistake");
        });
        // Who has the other half hears of it, and has not to let go for the peer to hear of it, too.
        let error = reader.read(&mut [0; 1]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
        let failed: Result<(), _> = answer.await;
        assert!(failed.is_err());
        handle.sleep(Duration::from_secs(10)).await;
        drop(reader);
    });
    pair.near(|handle, target| async move {
        let mut stream = handle.connect(&target).await.unwrap();
        let error = loop {
            match stream.read_bytes().await {
                Ok(part) => assert!(!part.is_empty(), "a torso must not look whole"),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert!(handle.tyme() - tymist::tyme::Tyme::ZERO < Duration::from_secs(5), "at once");
    });
    pair.run_out();
}

#[test]
fn a_deadline_is_a_time_out_for_who_waits() {
    let mut pair = Pair::new();
    pair.far(|handle| async move {
        let mut stream = handle.listen(([0, 0, 0, 0], PORT)).unwrap().accept().await.unwrap();
        let mut timeouts = tymist::Timeouts::new();
        timeouts.idle = Some(Duration::from_secs(5));
        stream.with_remoter(|remoter| remoter.set_timeouts(timeouts)).unwrap();
        let error = stream.read(&mut [0; 1]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!(reason_in(&error), Some(CloseReason::Expired(Deadline::Idle)));
    });
    pair.near(|handle, target| async move {
        let mut stream = handle.connect(target).await.unwrap();
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
    });
    pair.run_out();
}

#[test]
fn a_dial_says_why_it_came_to_nothing() {
    let mut pair = Pair::new();
    pair.config.timeouts.connect = Some(Duration::from_secs(3));
    pair.world
        .rule(Rule::new("no port", Effect::Fail(Errno::Eaddrnotavail)).on(&[Op::Connect]).nth(1));
    pair.far(|_| async {});
    pair.near(|handle, target| async move {
        let refused = handle.connect(&target).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        assert_eq!(refused.raw_os_error(), Some(Errno::Econnrefused.number()));
        let at_once = handle.connect(&target).await.unwrap_err();
        assert_eq!(at_once.kind(), ErrorKind::AddrNotAvailable);
        let nobody = tymist::Connect::to_name("nobody", 80);
        let unknown = handle.connect(nobody).await.unwrap_err();
        assert_eq!(unknown.kind(), ErrorKind::NotFound);
        let nowhere = Addr::from(([10, 200, 200, 200], 80));
        let begun = handle.tyme();
        let lost = handle.connect(nowhere).await.unwrap_err();
        assert!(
            matches!(lost.kind(), ErrorKind::TimedOut | ErrorKind::HostUnreachable),
            "{lost:?}"
        );
        assert!(handle.tyme() - begun <= Duration::from_secs(3) + millis(1));
    });
    pair.run();
    pair.world.all_fired().unwrap();
    pair.run_out();
}

#[test]
fn closing_waits_for_the_peers_end() {
    let mut pair = Pair::new();
    pair.config.timeouts.linger = Some(Duration::from_secs(5));
    pair.far(|handle| async move {
        let mut listener = handle.listen(([0, 0, 0, 0], PORT)).unwrap();
        let mut good = listener.accept().await.unwrap();
        let bad = listener.accept().await.unwrap();
        assert_eq!(good.read_bytes().await.unwrap(), "bye");
        handle.sleep(Duration::from_secs(2)).await;
        drop(good);
        handle.sleep(Duration::from_secs(60)).await;
        drop(bad);
    });
    pair.near(|handle, target| async move {
        let mut good = handle.connect(&target).await.unwrap();
        let bad = handle.connect(&target).await.unwrap();
        good.write_all(b"bye").await.unwrap();
        good.close().await.unwrap();
        assert!(handle.tyme() - tymist::tyme::Tyme::ZERO >= Duration::from_secs(2));
        let error = bad.close().await.unwrap_err();
        assert_eq!(reason_in(&error), Some(CloseReason::Expired(Deadline::Linger)));
    });
    pair.run_out();
}

/// The owner ends it under the task's hands: no end of the peer's.
#[test]
fn what_the_owner_closes_is_aborted_for_the_task() {
    let mut pair = Pair::new();
    pair.far(|handle| async move {
        let mut listener = handle.listen(([0, 0, 0, 0], PORT)).unwrap();
        let mut stream = listener.accept().await.unwrap();
        let error = stream.read(&mut [0; 1]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
        let error = listener.accept().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotConnected);
    });
    pair.near(|handle, target| async move {
        let mut stream = handle.connect(target).await.unwrap();
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
    });
    pair.world.run_for(Duration::from_secs(1));
    assert_eq!(pair.tasks_at_far().server().len(), 1);
    let far = pair.far_mut();
    far.server_mut().close_remoters();
    far.server_mut().drain(None);
    far.service();
    pair.run_out();
}

/// Both said at once that all was out, while most of it still waited for room.
#[test]
fn regression_of_one_that_is_closing_all_is_out_once_it_is() {
    for shuts in [false, true] {
        let mut pair = Pair::new();
        pair.far(move |handle| async move {
            let mut stream = handle.listen(([0, 0, 0, 0], PORT)).unwrap().accept().await.unwrap();
            handle.sleep(Duration::from_secs(1)).await;
            let mut got = 0;
            while let more @ 1.. = stream.read_bytes().await.unwrap().len() {
                got += more;
            }
            assert_eq!(got, 1 << 20);
        });
        pair.near(move |handle, target| async move {
            let mut stream = handle.connect(target).await.unwrap();
            stream.with_remoter(|remoter| remoter.set_tx_limit(1 << 20)).unwrap();
            assert_eq!(stream.write(&vec![7; 1 << 20]).await.unwrap(), 1 << 20);
            let counted = stream.with_remoter(|remoter| {
                remoter.close();
                remoter.counters().bytes_out
            });
            assert_eq!(counted.unwrap(), 0);
            if shuts {
                stream.shutdown().await.unwrap();
            } else {
                stream.drained().await.unwrap();
            }
            let sent = stream.with_remoter(|remoter| remoter.counters().bytes_out).unwrap();
            assert_eq!(sent, 1 << 20, "shuts: {shuts}");
        });
        pair.run_out();
    }
}

/// Who has nothing more to say waits for no room to say it in.
#[test]
fn regression_a_half_ends_though_others_hold_all_the_room() {
    let mut pair = Pair::new();
    pair.config.limits.buffered = 100_000;
    pair.config.timeouts.write_stall = None;
    pair.far(|handle| async move {
        let mut listener = handle.listen(([0, 0, 0, 0], PORT)).unwrap();
        let deaf = listener.accept().await.unwrap();
        let mut stream = listener.accept().await.unwrap();
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
        handle.sleep(Duration::from_secs(60)).await;
        deaf.abort();
    });
    pair.near(|handle, target| async move {
        let greedy = handle.connect(target.clone()).await.unwrap();
        let mut stream = handle.connect(target).await.unwrap();
        let fill = |remoter: &mut tymist::Remoter| remoter.tx(&[7; 100_000]).unwrap();
        while greedy.with_remoter(fill).unwrap() > 0 {
            handle.sleep(millis(100)).await;
        }
        let begun = handle.tyme();
        stream.shutdown().await.unwrap();
        assert!(handle.tyme() < begun + millis(100), "nobody told it");
    });
    pair.run_out();
}
