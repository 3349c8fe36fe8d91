//! The engine by itself: clock and wheel, servers, clients and dials, limits, deadlines, closing, waiting, counters, the wire log.
//!
//! One program, since linking one for each takes longer than running them. What counts the process's descriptors or memory is one of its own.

#![allow(clippy::unwrap_used, reason = "a test says so by failing")]

mod against_model;
mod clients;
mod closing;
mod counters;
#[cfg(feature = "os")]
mod deadlines;
mod dial;
mod echo;
#[cfg(feature = "os")]
mod ending;
mod held;
mod limits;
mod looking;
#[cfg(feature = "os")]
mod renamed;
#[cfg(feature = "os")]
mod steps;
mod swarm_found;
mod tick;
mod timeouts;
mod turns;
mod tyme;
mod waiting;
mod wheel;
mod wire_log;

#[path = "../util/far.rs"]
mod far;
#[cfg(feature = "os")]
#[path = "../util/layers.rs"]
mod layers;
#[path = "../util/memory.rs"]
mod memory;
#[path = "../util/model.rs"]
mod model;
#[path = "../util/sealed.rs"]
mod sealed;
#[cfg(feature = "os")]
#[path = "../util/mod.rs"]
mod util;
