//! Work that hio did for nothing, or too little of: system calls are counted, not timed.

use tymist::{Config, Event, Serviced};

use crate::util::script::{Far, Peer, Read, Script, Write};
use crate::util::{Rig, pattern, send};

#[test]
fn hio_b30_idle_connections_cost_no_system_call() {
    let mut script = Script::new(Config::new());
    let idle: Vec<_> = (0..1000).map(|port| Peer::new(port, [])).collect();
    for peer in &idle {
        script.admits(peer);
    }
    let active = Peer::new(2000, []);
    let id = script.admits(&active);
    script.ticks(3);
    let calls = |script: &Script| -> (usize, usize) {
        let of = |far: &Far| far.read_calls + far.write_calls;
        let reads = idle.iter().map(|peer| of(&peer.far())).sum();
        (script.accept_calls(), reads)
    };
    let before = (calls(&script), script.harvests());
    for _ in 0..100 {
        active.then([Read::Bytes(b"ping".to_vec())]);
        assert_eq!(script.tick(), [Event::Received(id)]);
        script.server.remoter_mut(id).unwrap().take();
        script.server.tx(id, b"pong").unwrap();
        script.server.service_sends();
    }
    assert_eq!((calls(&script), script.harvests()), (before.0, before.1 + 100));
    assert_eq!(active.far().write_calls, 100);

    // And a tick in which nothing happens is one call in all.
    let before = (calls(&script), script.harvests(), active.far().read_calls);
    for _ in 0..100 {
        assert_eq!(script.server.service(), Serviced::default());
    }
    assert_eq!((calls(&script), script.harvests()), (before.0, before.1 + 100));
    assert_eq!(active.far().read_calls, before.2);
}

#[test]
fn hio_b30_the_same_on_real_sockets() {
    let mut rig = Rig::new(Config::new());
    let _idle: Vec<_> = (0..100).map(|_| rig.client()).collect();
    let (mut client, id) = rig.client();
    rig.tick();
    rig.tick_now();
    let before = *rig.server.counters();
    for _ in 0..100 {
        rig.tick_now();
    }
    let after = *rig.server.counters();
    assert_eq!((after.reads, after.writes), (before.reads, before.writes));
    send(&mut client, b"x");
    rig.until_unread(id, 1);
    assert_eq!(rig.server.counters().reads, after.reads + 1);
}

#[test]
fn hio_b32_a_connection_writes_until_the_network_takes_no_more() {
    let mut script = Script::with(|config| config.limits.remoter_tick_bytes = 1 << 20);
    let takes = (0..100).map(|_| Write::Takes(1000));
    let peer = Peer::new(1, []).writing(takes.chain([Write::Blocks]));
    let id = script.admits(&peer);
    script.tick();
    script.server.tx(id, &pattern(150_000)).unwrap();
    assert_eq!(script.server.service().bytes_out, 100_000, "in one tick");
    peer.report(false, true);
    assert_eq!(script.tick(), [Event::Drained(id)]);
    assert!(peer.far().written == pattern(150_000));
}
