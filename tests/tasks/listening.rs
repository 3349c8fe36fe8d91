//! Listeners: nobody is lost who has come in, nobody comes in beyond the bound, and what is the owner's stays the owner's.

use std::io::ErrorKind;
use std::time::Duration;

use tymist::net::Listen;
use tymist::tasks::TaskConfig;
use tymist::tyme::Tymist;
use tymist::{Config, Event, GramConfig, Server, Wake, tasks};

use super::bed::{PORT, Pair, Rig, millis};

#[test]
fn an_accept_that_is_dropped_loses_no_connection() {
    let mut pair = Pair::new();
    pair.far(|handle| async move {
        let mut listener = handle.listen(([0, 0, 0, 0], PORT)).unwrap();
        let mut dropped = 0;
        for _ in 0..5 {
            let mut stream = loop {
                match handle.timeout(millis(70), listener.accept()).await {
                    Ok(stream) => break stream.unwrap(),
                    Err(_) => dropped += 1,
                }
            };
            assert_eq!(stream.read_bytes().await.unwrap(), "here");
        }
        assert!(dropped >= 5, "dropped {dropped} times");
    });
    pair.near(|handle, target| async move {
        for _ in 0..5 {
            handle.sleep(millis(200)).await;
            let mut stream = handle.connect(&target).await.unwrap();
            stream.write_all(b"here").await.unwrap();
            stream.close().await.unwrap();
        }
    });
    pair.run_out();
}

#[test]
fn no_more_come_in_than_the_bound_until_some_are_taken() {
    let mut pair = Pair::new();
    pair.far(|handle| async move {
        let mut listen = Listen::new(([0, 0, 0, 0], PORT));
        listen.backlog = 1000;
        let mut listener = handle.listen(listen).unwrap();
        handle.sleep(Duration::from_secs(10)).await;
        for _ in 0..100 {
            let mut stream = listener.accept().await.unwrap();
            drop(handle.spawn(async move { while stream.read(&mut [0; 9]).await.unwrap() > 0 {} }));
        }
    });
    pair.near(|handle, target| async move {
        for _ in 0..100 {
            let (handle, target) = (handle.clone(), target.clone());
            drop(handle.clone().spawn(async move {
                let stream = handle.connect(target).await.unwrap();
                handle.sleep(Duration::from_secs(60)).await;
                drop(stream);
            }));
        }
    });
    let mut config = pair.tasks_at_far().config();
    config.unaccepted = 7;
    pair.far_mut().set_config(config);
    pair.world.run_for(Duration::from_secs(9));
    {
        let server = pair.tasks_at_far().server();
        assert_eq!((server.len(), server.axes()), (7, 93), "the rest waits in the deque");
    }
    pair.run();
    pair.world.run_for(Duration::from_secs(5));
    assert_eq!(pair.tasks_at_far().server().len(), 100);
    pair.run_out();
}

/// A drain takes in who has come, also those beyond the bound.
#[test]
fn while_the_server_drains_who_has_come_is_still_accepted() {
    let mut pair = Pair::new();
    pair.far(|handle| async move {
        let mut listener = handle.listen(([0, 0, 0, 0], PORT)).unwrap();
        handle.sleep(Duration::from_secs(3)).await;
        let mut count = 0;
        while let Ok(mut stream) = listener.accept().await {
            stream.write_all(b"served").await.unwrap();
            count += 1;
        }
        assert_eq!(count, 20);
    });
    pair.near(|handle, target| async move {
        let mut all = Vec::new();
        for _ in 0..20 {
            let (handle, target) = (handle.clone(), target.clone());
            all.push(handle.clone().spawn(async move {
                let mut stream = handle.connect(target).await.unwrap();
                assert_eq!(stream.read_bytes().await.unwrap(), "served");
            }));
        }
        for one in all {
            one.await.unwrap();
        }
    });
    let mut config = pair.tasks_at_far().config();
    config.unaccepted = 3;
    pair.far_mut().set_config(config);
    pair.world.run_for(Duration::from_secs(1));
    assert_eq!(pair.tasks_at_far().server().axes(), 17);
    pair.far_mut().server_mut().drain(Some(Duration::from_secs(60)));
    pair.far_mut().service();
    pair.run_out();
}

#[test]
fn who_is_gone_before_it_is_accepted_makes_room() {
    let mut pair = Pair::new();
    pair.far(|handle| async move {
        let mut listener = handle.listen(([0, 0, 0, 0], PORT)).unwrap();
        handle.sleep(Duration::from_secs(10)).await;
        // Two were reset, the third is next; the fourth came in once there was room.
        for name in ["third", "fourth"] {
            let mut stream = listener.accept().await.unwrap();
            assert_eq!(stream.read_bytes().await.unwrap(), name);
        }
    });
    pair.near(|handle, target| async move {
        let mut streams = Vec::new();
        for name in ["first", "second", "third", "fourth"] {
            let mut stream = handle.connect(&target).await.unwrap();
            stream.write_all(name.as_bytes()).await.unwrap();
            stream.drained().await.unwrap();
            streams.push(stream);
            handle.sleep(millis(100)).await;
        }
        streams.drain(..2).for_each(tasks::TaskStream::abort);
        handle.sleep(Duration::from_secs(20)).await;
    });
    let mut config = pair.tasks_at_far().config();
    config.unaccepted = 3;
    pair.far_mut().set_config(config);
    pair.run();
    assert_eq!(pair.tasks_at_far().counters().unaccepted, 2);
    pair.run_out();
}

#[test]
fn dropping_a_listener_resets_who_waits_and_frees_the_port() {
    let mut pair = Pair::new();
    pair.far(|handle| async move {
        let listener = handle.listen(([0, 0, 0, 0], PORT)).unwrap();
        handle.sleep(Duration::from_secs(1)).await;
        drop(listener);
        handle.sleep(Duration::from_secs(1)).await;
        let mut listener = handle.listen(([0, 0, 0, 0], PORT)).unwrap();
        drop(listener.accept().await.unwrap());
    });
    pair.near(|handle, target| async move {
        let mut stream = handle.connect(&target).await.unwrap();
        let error = stream.read(&mut [0; 1]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        let refused = handle.connect(&target).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        handle.sleep(Duration::from_secs(2)).await;
        let mut stream = handle.connect(&target).await.unwrap();
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
    });
    pair.run_out();
}

#[test]
fn a_lost_listener_is_an_error_here_an_event_there_and_goes_on_once_reopened() {
    let mut pair = Pair::new();
    pair.far(|handle| async move {
        let mut listener = handle.listen(([0, 0, 0, 0], PORT)).unwrap();
        let error = listener.accept().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotConnected);
        let mut stream = loop {
            handle.sleep(millis(500)).await;
            if let Ok(stream) = listener.accept().await {
                break stream;
            }
        };
        assert_eq!(stream.read_bytes().await.unwrap(), "again");
    });
    pair.near(|handle, target| async move {
        let mut stream = loop {
            handle.sleep(Duration::from_secs(1)).await;
            if let Ok(stream) = handle.connect(&target).await {
                break stream;
            }
        };
        stream.write_all(b"again").await.unwrap();
    });
    let far = pair.world.find("far").unwrap();
    let soon = tymist::tyme::Tyme::ZERO + millis(500);
    pair.world.plan(soon, tymist::sim::Act::LoseListener(far, PORT));
    pair.world.run_for(millis(800));
    let event = pair.far_mut().poll_event();
    assert!(matches!(event, Some(Event::ListenerLost { .. })), "{event:?}");
    pair.far_mut().server_mut().reopen().unwrap();
    pair.run_out();
}

#[test]
fn what_the_owner_listens_to_stays_the_owners_until_it_gives_it_away() {
    let mut rig = Rig::new();
    let acceptor = rig.tasks.server_mut().listen(([127, 0, 0, 1], 0)).unwrap();
    let addr = rig.tasks.server().local_addr(acceptor).cloned().unwrap();
    let handle = rig.tasks.handle();
    let dial = handle.clone();
    let near = handle.spawn(async move {
        let mut stream = dial.connect(addr).await.unwrap();
        stream.write_all(b"hello").await.unwrap();
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).await.unwrap();
        answer
    });
    let mut id = None;
    let mut received = false;
    for _ in 0..4000 {
        rig.tasks.wait(Some(millis(5)));
        rig.tasks.service();
        while let Some(event) = rig.tasks.poll_event() {
            match event {
                Event::Accepted(accepted) => id = Some(accepted),
                Event::Received(from) => received = Some(from) == id,
                other => panic!("{other:?}"),
            }
        }
        if received {
            break;
        }
    }
    let mut stream = rig.tasks.adopt(id.expect("the owner was told")).unwrap();
    assert!(rig.tasks.adopt(stream.id()).is_none(), "it is a task's already");
    drop(handle.spawn(async move {
        let mut asked = stream.read_bytes().await.unwrap();
        stream.write_bytes(&mut asked).await.unwrap();
    }));
    assert_eq!(&rig.tasks.run_until(near).unwrap(), b"hello");
    assert_eq!(rig.tasks.poll_event(), None, "it is the task's now");
}

#[test]
fn while_the_owner_has_the_server_in_hand_tasks_are_told_and_nothing_is_lost() {
    let mut rig = Rig::new();
    let handle = rig.tasks.handle();
    let listener = handle.listen(([127, 0, 0, 1], 0)).unwrap();
    let acceptor = listener.id();
    let guard = rig.tasks.server_mut();
    let busy = handle.listen(([127, 0, 0, 1], 0)).unwrap_err();
    assert_eq!(busy.kind(), ErrorKind::ResourceBusy);
    drop(listener);
    assert!(guard.acceptor(acceptor).is_some(), "not yet");
    drop(guard);
    assert_eq!(rig.tasks.wake(), Wake::Now);
    rig.tasks.service();
    assert!(rig.tasks.server().acceptor(acceptor).is_none());
}

#[test]
fn one_that_the_owner_gives_away_before_it_is_told_of_it_takes_no_room() {
    let mut server = Server::new(Config::new());
    let acceptor = server.listen(([127, 0, 0, 1], 0)).unwrap();
    let addr = server.local_addr(acceptor).cloned().unwrap();
    let mut config = TaskConfig::new();
    config.unaccepted = 1;
    let mut rig = Rig::on(server, Tymist::new(), config);
    let (handle, target) = (rig.tasks.handle(), addr.clone());
    let first = rig.tasks.run_until(async move { handle.connect(target).await.unwrap() });
    for _ in 0..2000 {
        // Not the tasks' tick, which tells.
        let mut server = rig.tasks.server_mut();
        if server.len() == 2 {
            break;
        }
        server.wait(Some(millis(5)));
        server.service();
    }
    let mut listener = rig.tasks.adopt_listener(acceptor).unwrap();
    let ids: Vec<_> = rig.tasks.server().remoters().map(tymist::Remoter::id).collect();
    let given: Vec<_> = ids.into_iter().filter_map(|id| rig.tasks.adopt(id)).collect();
    assert_eq!(given.len(), 1, "the other one is dialled here, and a task's already");
    let handle = rig.tasks.handle();
    let second = rig.tasks.run_until(async move { handle.connect(addr).await.unwrap() });
    rig.until(|tasks| tasks.server().len() == 4);
    rig.tasks.run_until(listener.accept()).unwrap();
    drop((first, second, given));
}

/// The owner's doing, of which no event tells the socket: whoever waited for a datagram waited for ever.
#[test]
fn regression_who_waits_for_a_datagram_hears_that_the_server_is_closed() {
    for drains in [false, true] {
        let mut rig = Rig::new();
        let mut socket = rig.tasks.handle().bind(([127, 0, 0, 1], 0), GramConfig::new()).unwrap();
        let told = rig.tasks.handle().spawn(async move { socket.recv_from().await.unwrap_err() });
        rig.tasks.service();
        if drains {
            rig.tasks.server_mut().drain(Some(Duration::ZERO));
        } else {
            rig.tasks.server_mut().close();
        }
        for _ in 0..3 {
            rig.tasks.service();
        }
        assert!(told.is_finished(), "drains: {drains}");
        let error = rig.tasks.run_until(told).unwrap();
        assert_eq!(error.kind(), ErrorKind::NotConnected);
    }
}

/// The same where the owner sleeps between ticks: no event makes its next one due.
#[test]
fn regression_who_waits_at_a_socket_that_the_owner_closes_makes_a_tick_due() {
    let mut rig = Rig::new();
    let handle = rig.tasks.handle();
    let mut socket = handle.bind(([127, 0, 0, 1], 0), GramConfig::new()).unwrap();
    let mut listener = handle.listen(([127, 0, 0, 1], 0)).unwrap();
    let told = handle.spawn(async move { socket.recv_from().await.unwrap_err() });
    let heard = handle.spawn(async move { listener.accept().await.unwrap_err() });
    while rig.tasks.wake() == Wake::Now {
        rig.tasks.service();
    }
    drop(rig.tasks.server_mut());
    assert_ne!(rig.tasks.wake(), Wake::Now, "a look at it is no work");
    rig.tasks.server_mut().close();
    assert_eq!(rig.tasks.wake(), Wake::Now);
    while rig.tasks.wake() == Wake::Now {
        rig.tasks.service();
    }
    assert!(told.is_finished() && heard.is_finished());
}

/// `recv_from` and `send_to` waited for ever, with nobody to wake them.
#[test]
fn regression_a_socket_that_the_owner_unbinds_is_closed_for_who_waits_there() {
    let mut rig = Rig::new();
    let handle = rig.tasks.handle();
    let mut socket = handle.bind(([127, 0, 0, 1], 0), GramConfig::new()).unwrap();
    let (id, to) = (socket.id(), socket.local_addr().clone());
    let told = handle.spawn(async move {
        let kind = socket.recv_from().await.unwrap_err().kind();
        (kind, socket.recv_from().await.unwrap_err().kind(), socket.send_to(b"x", to).await)
    });
    while rig.tasks.wake() == Wake::Now {
        rig.tasks.service();
    }
    assert!(rig.tasks.server_mut().unbind(id));
    while rig.tasks.wake() == Wake::Now {
        rig.tasks.service();
    }
    assert!(told.is_finished());
    let (waited, asked, sent) = rig.tasks.run_until(told).unwrap();
    let closed = ErrorKind::NotConnected;
    assert_eq!((waited, asked, sent.unwrap_err().kind()), (closed, closed, closed));
}

/// The owner never knew of that endpoint, and cannot find it.
#[test]
fn regression_a_socket_that_is_dropped_tells_the_owner_nothing_of_its_queues() {
    let mut rig = Rig::new();
    let mut config = GramConfig::new();
    config.tick_grams = 1;
    let socket = rig.tasks.handle().bind(([127, 0, 0, 1], 0), config).unwrap();
    let to = socket.local_addr().clone();
    for _ in 0..3 {
        socket.with_endpoint(|endpoint| endpoint.tx(b"x", &to)).unwrap().unwrap();
    }
    rig.tasks.service();
    drop(socket);
    rig.tasks.service();
    assert_eq!(rig.tasks.poll_event(), None);
}
