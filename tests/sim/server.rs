//! The real engine on a simulated host.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::time::Duration;

use crate::sim_util::programs::Pinger;
use crate::sim_util::*;
use tymist::doing::{DoError, Doer, Recur};
use tymist::sim::fault::{Effect, Rule};
use tymist::sim::{Act, Cut, Host, World};
use tymist::tyme::Tyme;
use tymist::{CloseReason, Config, Deadline, Event, Server, Wake};

/// A `Server` that sends back what it gets, unchanged from one for real sockets but for its network.
struct EchoServer {
    server: Server,
    closed: Vec<CloseReason>,
    accepted: usize,
}

impl EchoServer {
    fn new(host: &Host, idle: Option<Duration>) -> Self {
        let mut config = Config::new();
        config.timeouts.idle = idle;
        let mut server = Server::with_net(config, host.net());
        server.wind(host.tymth());
        server.listen(([0, 0, 0, 0], 80)).unwrap();
        EchoServer { server, closed: Vec::new(), accepted: 0 }
    }
}

impl Doer for EchoServer {
    fn recur(&mut self, _: Tyme) -> Result<Recur, DoError> {
        self.server.service();
        while let Some(event) = self.server.poll_event() {
            match event {
                Event::Accepted(_) => self.accepted += 1,
                Event::Received(id) => {
                    let Some(remoter) = self.server.remoter_mut(id) else { continue };
                    let mut data = remoter.take();
                    // Refused where the connection was lost in between; its event follows.
                    let _ = remoter.tx_bytes(&mut data);
                }
                Event::Closed(_, reason) => self.closed.push(reason),
                _ => {}
            }
        }
        Ok(Recur::Again)
    }

    fn wake(&self) -> Wake {
        self.server.wake()
    }
}

#[test]
fn a_server_echoes_and_ends_clean() {
    let mut world = World::new(1);
    let server = world.add("server", |host| EchoServer::new(host, None));
    let clients: Vec<_> = (0..20)
        .map(|number| {
            world.add(format!("client {number}"), move |host| {
                Pinger::new(host, "server", 80, Duration::from_millis(3 + number), 100)
            })
        })
        .collect();
    world.run_for(10 * SECOND);
    for &client in &clients {
        let pinger = world.program::<Pinger>(client).unwrap();
        assert_eq!((pinger.answered, pinger.wrong, pinger.connects), (100, 0, 1));
    }
    let echo = world.program::<EchoServer>(server).unwrap();
    assert_eq!(echo.closed, [const { CloseReason::Eof }; 20]);
    assert_eq!(world.sockets(server), 1, "only the listener");
}

#[test]
fn a_deadline_goes_by_the_skewed_clock() {
    let mut world = World::new(1);
    let mut spec = tymist::sim::HostSpec::new("server");
    spec.drift_ppb = 500_000_000; // half as fast again
    let idle = Some(30 * SECOND);
    let server = world.add(spec, move |host| EchoServer::new(host, idle));
    let client = world.add("client", |host| Pinger::new(host, "server", 80, SECOND, 1 << 40));
    world.plan(Tyme::from_secs(10), Act::Pause(client, 3600 * SECOND));
    world.run_until(Tyme::from_secs(29));
    assert!(world.program::<EchoServer>(server).unwrap().closed.is_empty());
    // The last message came at about 9 s; 30 s there are 20 s here.
    world.run_until(Tyme::from_secs(30));
    let closed = &world.program::<EchoServer>(server).unwrap().closed;
    assert_eq!(*closed, [CloseReason::Expired(Deadline::Idle)]);
}

#[test]
fn a_server_lives_through_faults() {
    for seed in 0..20 {
        let mut world = World::new(seed);
        let server = world.add("server", |host| EchoServer::new(host, Some(60 * SECOND)));
        let clients: Vec<_> = (0..4)
            .map(|number| {
                world.add(format!("client {number}"), |host| {
                    Pinger::new(host, "server", 80, 5 * MS, 200)
                })
            })
            .collect();
        world.rule(Rule::new("dribble", Effect::Short(3)).chance(0.1));
        world.rule(Rule::new("storm", Effect::WouldBlock).chance(0.1));
        world.rule(Rule::new("cut", Effect::Reset).chance(0.002).optional());
        let (from, to) = (server, clients[0]);
        world.plan(at_millis(300), Act::Partition(Cut::OneWay { from, to }));
        world.plan(at_millis(900), Act::Heal);
        world.plan(at_millis(500), Act::Crash(server));
        world.plan(at_millis(700), Act::Restart(server));
        world.run_for(60 * SECOND);
        world.faults().stop();
        world.run_for(120 * SECOND);
        for &client in &clients {
            let pinger = world.program::<Pinger>(client).unwrap();
            assert_eq!((pinger.answered, pinger.wrong), (200, 0), "seed {seed}");
        }
        let echo = world.program::<EchoServer>(server).unwrap();
        assert_eq!(echo.closed.len(), echo.accepted, "seed {seed}");
        assert_eq!(world.sockets(server), 1, "seed {seed}");
        world.all_fired().unwrap();
    }
}
