//! The steps of a tick one by one, on scripted networks: each that does input asks who is ready, whatever a wait before it has found.

use std::time::Duration;

use crate::far::{self, Desk};
use crate::util::pattern;
use crate::util::script::{Accept, Peer, Read, Script};
use tymist::tyme::Tymist;
use tymist::{Backoff, Client, Config, Connect, Event, Gone, Id, Server};

/// A connection at rest.
fn admitted(script: &mut Script) -> (Peer, Id) {
    let peer = Peer::new(1, []);
    let id = script.admits(&peer);
    script.tick();
    (peer, id)
}

/// The wait's harvest was taken for the step's: what came between them was not there.
#[test]
fn regression_a_step_takes_what_has_come_since_the_wait() {
    let mut script = Script::with(|_| {});
    let (peer, id) = admitted(&mut script);
    script.server.wait(None);
    script.accepts([Accept::Peer(Peer::new(2, []))]);
    assert_eq!(script.server.service_accepts(), 1);
    script.server.wait(None);
    script.accepts([Accept::Peer(Peer::new(3, []))]);
    assert_eq!(script.server.service_connects(), 2);
    script.tick();

    let receives: [fn(&mut Server, Id) -> u64; 3] = [
        |server, _| server.service_receives(),
        |server, id| server.service_receives_of(id).unwrap(),
        |server, id| server.service_receive_once(id).unwrap(),
    ];
    for receive in receives {
        script.server.wait(None);
        peer.then([Read::Bytes(pattern(5))]);
        // Sending is no look at who is ready.
        script.server.service_sends();
        let before = script.harvests();
        assert_eq!((receive(&mut script.server, id), script.harvests() - before), (5, 1));
        script.tick();
    }
}

#[test]
fn regression_a_step_of_clients_takes_what_has_come_since_the_wait() {
    let mut desk = Desk::new();
    let mut connect = Connect::new(vec![far::addr(1), far::addr(2)]);
    connect.stagger = Duration::from_secs(1);
    let id = desk.clients.connect(connect).unwrap();
    desk.clients.wait(None);
    desk.far.up(0);
    assert_eq!(desk.clients.service_connects(), 1);
    desk.tick();
    desk.clients.wait(None);
    desk.far.send(0, b"pong");
    assert_eq!(desk.clients.service_receives(), 4);
    desk.tick();
    desk.clients.wait(None);
    desk.far.send(0, b"!");
    assert_eq!(desk.clients.service_receive_once(id), Ok(1));
}

/// The kernel had it before the drain began, and the client saw a reset.
#[test]
fn regression_a_drain_takes_in_who_came_after_the_wait() {
    let mut script = Script::with(|_| {});
    script.server.wait(None);
    let peer = Peer::new(1, []);
    script.accepts([Accept::Peer(peer.clone())]);
    script.server.drain(None);
    assert_eq!(script.server.draining().unwrap().left, 1);
    let events = script.tick();
    let id = script.server.at(&peer.addr()).unwrap();
    assert_eq!(events, [Event::Accepted(id), Event::Draining { left: 1 }]);
}

/// In steps nothing that was due ever came: no time-out, no next address, and no new try of a client that comes again by itself.
#[test]
fn regression_a_client_in_steps_does_what_is_due_of_connecting() {
    let (mut tymist, far) = (Tymist::new(), far::Far::default());
    let backoff = Backoff::every(Duration::from_secs(1));
    let mut connect = Connect::new(vec![far::addr(1), far::addr(2)]);
    connect.reconnect = Some(backoff);
    let mut client = Client::with_net(Config::new(), far.net(), connect);
    client.wind(tymist.tymth());
    client.reopen().unwrap();
    let mut step = |after: Duration| {
        tymist.tick_by(after);
        let up = client.service_connect();
        client.clear_events();
        (up, far.ports())
    };
    assert_eq!(step(Duration::ZERO), (false, vec![1]));
    assert_eq!(step(Duration::from_millis(250)), (false, vec![1, 2]), "beside the first");
    assert_eq!(step(Duration::from_secs(10)), (false, vec![1, 2]), "timed out");
    assert_eq!(step(Duration::from_secs(1)), (false, vec![1, 2, 1]));
    far.up(2);
    assert!(step(Duration::ZERO).0);
}

#[test]
fn steps_of_clients_are_of_one_connection_too() {
    let mut desk = Desk::with(|config| config.limits.scratch = 4);
    let ids: Vec<Id> = (1..3).map(|port| desk.clients.connect(far::addr(port)).unwrap()).collect();
    for _ in 0..2 {
        desk.tick();
        (0..desk.far.tries()).for_each(|number| desk.far.up(number));
    }
    desk.tick();
    for (number, id) in ids.iter().enumerate() {
        desk.far.send(number, b"ping pong");
        assert_eq!(desk.clients.remoter_mut(*id).unwrap().tx(b"x"), Ok(1));
    }
    assert_eq!(desk.clients.service_receive_once(ids[1]), Ok(4));
    assert_eq!(desk.clients.service_receives_of(ids[1]), Ok(5));
    assert_eq!(desk.clients.service_sends_of(ids[1]), Ok(1));
    assert_eq!((desk.far.get(0).reads, desk.far.get(0).got), (0, vec![]), "nothing of the other");
    assert_eq!(desk.far.get(1).got, b"x");
    desk.clients.remoter_mut(ids[1]).unwrap().abort();
    desk.tick();
    assert_eq!(desk.clients.service_receives_of(ids[1]), Err(Gone));
    assert_eq!(desk.clients.service_sends_of(ids[1]), Err(Gone));
}

#[test]
fn a_client_reads_exactly_once() {
    let (tymist, far) = (Tymist::new(), far::Far::default());
    let mut config = Config::new();
    config.limits.scratch = 4;
    let mut client = Client::with_net(config, far.net(), far::addr(1));
    client.wind(tymist.tymth());
    client.reopen().unwrap();
    assert_eq!(client.service_receive_once(), 0, "not connected");
    client.service_connect();
    far.up(0);
    assert!(client.service_connect());
    far.send(0, b"ping pong");
    assert_eq!((client.service_receive_once(), far.get(0).reads), (4, 1));
    assert_eq!((client.service_receive_once(), far.get(0).reads), (4, 2));
    client.close();
    assert_eq!(client.service_receive_once(), 0, "over");
}
