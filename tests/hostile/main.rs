//! Hostile and broken input. For each kind: a clear event, error or close reason; the others are served meanwhile; nothing grows, nothing
//! spins, nothing panics, and nothing is lost that was promised. The crowd and the descriptors have programs of their own.

#![cfg(feature = "os")]
#![allow(clippy::unwrap_used, reason = "a test says so by failing")]

#[path = "../util/mod.rs"]
mod util;

mod accepting;
mod greedy;
mod halves;
mod misuse;
mod resets;

use std::net::TcpStream;
use std::time::Duration;

use tymist::{Id, Wake};
use util::{Rig, receive, send};

/// A well-behaved client beside the hostile one.
struct Witness {
    client: TcpStream,
    id: Id,
}

impl Witness {
    #[track_caller]
    fn new(rig: &mut Rig) -> Witness {
        let (client, id) = rig.client();
        Witness { client, id }
    }

    /// Is answered.
    #[track_caller]
    fn is_served(&mut self, rig: &mut Rig) {
        send(&mut self.client, b"ping");
        rig.until_unread(self.id, 4);
        let mut data = rig.server.remoter_mut(self.id).unwrap().take();
        rig.server.remoter_mut(self.id).unwrap().tx_bytes(&mut data).unwrap();
        rig.server.service_sends();
        assert_eq!(receive(&mut self.client, 4), b"ping");
    }
}

/// After the trouble: a few ticks settle it, and then nothing wants to be done at once, and ticks do nothing.
#[track_caller]
fn is_quiet(rig: &mut Rig) {
    for _ in 0..20 {
        rig.tick_now();
        if rig.server.wake() != Wake::Now {
            let before = *rig.server.counters();
            for _ in 0..50 {
                rig.server.wait(Some(Duration::ZERO));
                assert_eq!(rig.tick_now(), []);
                assert_ne!(rig.server.wake(), Wake::Now);
            }
            let after = *rig.server.counters();
            assert_eq!((after.reads, after.writes), (before.reads, before.writes));
            return;
        }
    }
    panic!("it spins: {:?}", rig.server.wake());
}

/// Only the witness is left, and no trace of anybody else.
#[track_caller]
fn only_the_witness_is_left(rig: &mut Rig, witness: &mut Witness) {
    rig.until_server(|server| server.len() == 1);
    witness.is_served(rig);
    is_quiet(rig);
    assert_eq!(rig.server.ixes(), [witness.id]);
    assert_eq!((rig.server.buffered(), rig.server.axes(), rig.server.cxes()), (0, 0, 0));
    assert!(rig.server.timers() <= 1, "{} timers", rig.server.timers());
}
