//! Pairs of connections: bytes, ends and breaks go through, back pressure too; on loopback, and between hosts of a simulated world.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says so by failing")]
#![allow(clippy::cast_possible_truncation, reason = "patterns wrap")]
#![allow(clippy::disallowed_methods, reason = "the other ends are plain blocking sockets")]

mod loopback;
mod simulated;
mod upgraded;
#[path = "../tls_support/mod.rs"]
mod tls_support;
#[path = "../util/mod.rs"]
mod util;
