//! The PROXY protocol: headers read and written, acceptors behind a proxy, dialling as one, and a real HAProxy in between.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says so by failing")]
#![allow(clippy::cast_possible_truncation, reason = "small numbers")]
#![allow(clippy::disallowed_methods, reason = "the other ends are plain blocking sockets")]

mod accepting;
mod dialling;
mod haproxy;
mod headers;
#[path = "../tls_support/mod.rs"]
mod tls_support;
#[path = "../util/mod.rs"]
mod util;
