//! Whatever connections go through, at the end nothing of them is left. A program of its own with one test, since it counts the
//! descriptors of the process.

#![cfg(all(feature = "os", target_os = "linux"))]
#![allow(clippy::unwrap_used, reason = "a test says so by failing")]

#[path = "util/layers.rs"]
mod layers;
mod util;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use layers::{Step, scripted};
use tymist::wire::WireLog;
use tymist::{Event, Wake};
use util::{Rig, connect, descriptors, end, pattern, reset, send};

/// Forty connections, eight for each of five ways to end, each in several stages; and eight that never finish their handshakes.
fn crowd(rig: &mut Rig) {
    let layer = scripted(&[Step::Byte, Step::Byte], &Arc::new(AtomicUsize::new(0)));
    let shaking = rig.server.listen_with(([127, 0, 0, 1], 0), layer).unwrap();
    let addr = rig.server.local_addr(shaking).unwrap().inet().unwrap();
    let mut half_made: Vec<_> = (0..8).map(|_| connect(addr)).collect();
    let mut clients: Vec<_> = (0..40).map(|_| rig.client()).collect();
    rig.until_server(|server| server.cxes() == 8);
    for (number, client) in half_made.iter_mut().enumerate() {
        if number % 2 == 0 {
            send(client, b".");
        }
    }
    for (number, (client, id)) in clients.iter_mut().enumerate() {
        send(client, &pattern(number * 100));
        let remoter = rig.server.remoter_mut(*id).unwrap();
        remoter.set_data(vec![number]);
        if number % 2 == 0 {
            remoter.tx(&pattern(number * 100_000)).unwrap();
        }
        if number % 3 == 0 {
            remoter.set_wire_log(Some(WireLog::memory(1000)));
        }
    }
    for _ in 0..5 {
        rig.tick();
    }
    assert!(rig.server.buffered() > 0 && rig.server.timers() >= 48 && descriptors() > 90);
    for (number, (client, id)) in clients.into_iter().enumerate() {
        let remoter = rig.server.remoter_mut(id).unwrap();
        match number % 5 {
            0 => remoter.abort(),
            1 => remoter.close(),
            2 => end(&client),
            3 => reset(client.try_clone().unwrap()),
            _ => remoter.shutdown_send(),
        }
        if number % 10 == 1 {
            continue; // Its peer is gone too; or else it lingers, until its deadline.
        }
        half_made.push(client);
    }
    for _ in 0..5 {
        rig.tick();
    }
    rig.tick_after(Duration::from_secs(11));
    half_made.truncate(30);
    rig.server.drain(Some(Duration::from_secs(5)));
    for _ in 0..5 {
        rig.tick();
    }
    rig.tick_after(Duration::from_secs(5));
    rig.until_server(|server| server.draining().is_none());
    rig.tick();
    assert!(rig.server.unlisten(shaking));
}

#[test]
fn descriptors_ids_timers_and_buffers_return_to_zero() {
    let before = descriptors();
    let mut rig = Rig::with(|config| config.timeouts.idle = Some(Duration::from_secs(10)));
    let with_nothing = descriptors();
    for round in 1..=3_u64 {
        crowd(&mut rig);
        let server = &rig.server;
        assert_eq!((server.len(), server.cxes(), server.axes()), (0, 0, 0));
        assert_eq!((server.timers(), server.buffered()), (0, 0));
        assert_eq!(server.wake(), Wake::OnIo);
        assert_eq!(server.counters().closed.total(), 48 * round);
        assert_eq!(server.counters().opened, 40 * round);
        assert_eq!(descriptors(), with_nothing - 1, "all but the poller's and the server's own");
        for event in std::mem::take(&mut rig.log) {
            if let Event::Closed(id, _) = event {
                assert!(rig.server.remoter(id).is_none());
            }
        }
        rig.server.reopen().unwrap();
        assert_eq!(descriptors(), with_nothing);
    }
    drop(rig);
    assert_eq!(descriptors(), before);
}
