//! A world in which sockets come and go has no more of them in the end, nor of what they had: counted at the allocator.
//!
//! One test, since the counter is that of the whole process.
#![cfg(feature = "sim")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod sim_util;

use peak_alloc::PeakAlloc;
use sim_util::lab::{Lab, draw};
use sim_util::{SECOND, millis};
use tymist::sim::{HostSpec, Rng, Tracing, World, WorldSpec};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// The same calls on a network of its own, and all that they have opened is closed.
fn round(world: &mut World) {
    let host = world.hosts().next().unwrap();
    let mut lab = Lab::new(world.host(host).net(), "/lab", cfg!(feature = "uds"), false);
    let mut dice = Rng::new(1);
    for _ in 0..600 {
        let call = draw(&lab, &mut dice);
        lab.call(&call);
        world.run_for(millis(100));
        lab.harvest(false);
    }
    drop(lab);
    // Longer than anything is kept for the network's sake.
    world.run_for(1000 * SECOND);
}

#[test]
fn rounds_of_calls_leave_no_more_than_the_first_ones() {
    let mut spec = WorldSpec::new(1);
    spec.tracing = Tracing::Off;
    let mut world = World::with(spec);
    world.add_host(HostSpec::new("host"));
    // Tables grow to their size.
    for _ in 0..4 {
        round(&mut world);
    }
    let before = MEMORY.current_usage();
    for _ in 0..16 {
        round(&mut world);
    }
    let more = MEMORY.current_usage().saturating_sub(before);
    // A poller for each network, of 48 bytes, in a table that doubles.
    assert!(more < 2048, "{more} bytes more");
}
