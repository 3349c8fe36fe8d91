//! Async code under the tick: the order of things, time, streams, listeners, datagrams, and the same run for the same seed.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

mod bed;
mod ending;
mod foreign;
mod listening;
mod order;
mod panics;
#[cfg(feature = "proxy-protocol")]
mod proxied;
mod repeat;
mod streams;
mod time;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "tls")]
#[path = "../tls_support/mod.rs"]
mod tls_support;
mod traits;
mod wakers;
