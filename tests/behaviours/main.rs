//! What users of hio rely on, one test per line of the list (11 to 42; the clock's are in `tyme.rs`). Real loopback sockets, port 0, a
//! clock in the hand; a scripted network where a real one does not do on demand what the line is about.

#![cfg(feature = "os")]
#![allow(clippy::unwrap_used, reason = "a test says so by failing")]

#[path = "../util/mod.rs"]
mod util;

mod connecting;
mod opening;
mod receiving;
mod sending;
