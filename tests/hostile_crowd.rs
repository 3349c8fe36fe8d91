//! Thousands at once. A program of its own, for the sake of the descriptors: each connection takes two of them here, so that the size of
//! the crowd follows from the limit (9,000 where it is 20,000).

#![cfg(all(feature = "os", target_os = "linux"))]
#![allow(clippy::unwrap_used, reason = "a test says so by failing")]

mod util;

use std::net::TcpStream;
use std::time::Duration;

use tymist::net::Listen;
use tymist::tyme::Tymist;
use tymist::{Config, Event, Refusal, Server, Wake};
use util::{Rig, connect, descriptors, receive, reset, send};

/// The soft limit of descriptors, as this process has it.
fn descriptor_limit() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    line.split_whitespace().nth(3).unwrap().parse().unwrap_or(20_000)
}

/// As many connections as the kernel queues while nobody accepts.
fn backlog() -> usize {
    let cap = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap();
    cap.trim().parse::<usize>().unwrap().min(4096)
}

fn rig(config: Config) -> Rig {
    let tymist = Tymist::new();
    let mut server = Server::new(config);
    server.wind(tymist.tymth());
    let mut listen = Listen::new(([127, 0, 0, 1], 0));
    listen.backlog = 4096;
    let acceptor = server.listen(listen).unwrap();
    let addr = server.local_addr(acceptor).unwrap().inet().unwrap();
    Rig { server, tymist, acceptor, addr, log: Vec::new() }
}

fn is_served(rig: &mut Rig, client: &mut TcpStream) {
    let id = rig.server.at(&client.local_addr().unwrap().into()).unwrap();
    send(client, b"ping");
    rig.until_unread(id, 4);
    rig.server.remoter_mut(id).unwrap().take();
    rig.server.tx(id, b"pong").unwrap();
    rig.server.service_sends();
    assert_eq!(receive(client, 4), b"pong");
}

#[test]
fn thousands_of_connects_at_once_come_in_within_the_budgets_and_go_without_a_trace() {
    let before = descriptors();
    let size = (descriptor_limit().saturating_sub(before + 200) / 2).min(9000);
    let admitted = size - size / 10;
    let mut config = Config::new();
    config.limits.remoters = admitted;
    config.timeouts.idle = Some(Duration::from_secs(600));
    let mut rig = rig(config);
    let (mut witness, witness_id) = rig.client();

    // In waves as large as the kernel's queue, and nothing is accepted while a wave comes in.
    let mut crowd = Vec::with_capacity(size);
    let (mut most_accepted, mut ticks) = (0, 0);
    while crowd.len() < size {
        let wave = (size - crowd.len()).min(backlog());
        crowd.extend((0..wave).map(|_| connect(rig.addr)));
        let want = crowd.len() as u64 + 1;
        while rig.server.counters().accepted < want {
            rig.server.wait(Some(Duration::from_millis(5)));
            let serviced = rig.server.service();
            most_accepted = most_accepted.max(serviced.accepted);
            while let Some(event) = rig.server.poll_event() {
                rig.log.push(event);
            }
            ticks += 1;
            assert!(ticks < util::ROUNDS, "{} of {want}", rig.server.counters().accepted);
            if ticks % 8 == 0 {
                is_served(&mut rig, &mut witness);
            }
        }
    }
    assert!(most_accepted <= rig.server.config().limits.accepts_per_tick, "{most_accepted}");
    rig.until_server(|server| server.len() == admitted);
    let refused = rig
        .log
        .iter()
        .filter(|event| matches!(event, Event::Refused { why: Refusal::Remoters, .. }))
        .count();
    assert_eq!(refused, size + 1 - admitted, "each is told");
    assert_eq!(rig.server.timers(), admitted);
    assert_eq!(
        descriptors() - before,
        size + 1 + admitted + 4,
        "with those of listener, poller and timer"
    );

    // The first, one in the middle and the last that came in are served, and with all of them idle nothing is done.
    is_served(&mut rig, &mut witness);
    is_served(&mut rig, &mut crowd[0]);
    is_served(&mut rig, &mut crowd[admitted / 2]);
    is_served(&mut rig, &mut crowd[admitted - 2]);
    let calm = *rig.server.counters();
    for _ in 0..100 {
        rig.tick_now();
        assert!(matches!(rig.server.wake(), Wake::At(_)));
    }
    assert_eq!(rig.server.counters().reads, calm.reads);

    // They all go at once, half of them by reset.
    for (number, client) in crowd.into_iter().enumerate() {
        if number % 2 == 0 {
            reset(client);
        }
    }
    rig.until_server(|server| server.len() == 1);
    is_served(&mut rig, &mut witness);
    assert_eq!(rig.server.ixes(), [witness_id]);
    rig.server.close();
    rig.tick_now();
    rig.tick_now();
    assert_eq!((rig.server.len(), rig.server.timers(), rig.server.buffered()), (0, 0, 0));
    assert_eq!(rig.server.wake(), Wake::OnIo);
    drop((rig, witness));
    assert_eq!(descriptors(), before);
}
