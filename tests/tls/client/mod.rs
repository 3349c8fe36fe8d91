//! TLS on connections that are made from here: behaviours 43 to 55 of hio's clients, and what may go wrong on the way.
#![cfg(all(feature = "os", feature = "tls"))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says so by failing")]
#![allow(clippy::cast_possible_truncation, reason = "patterns wrap")]
#![allow(clippy::disallowed_methods, reason = "servers that misbehave are plain blocking sockets")]

mod behaviours;
mod failures;
mod given;
mod rig;
