//! TLS: the layer alone, on clients, on servers; beside OpenSSL; hostile peers, interruptions, what is replaced while it runs.

#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod client;
mod config;
mod handshake;
mod hostile;
mod interrupted;
mod live;
mod openssl;
mod repeat;
mod server;

#[path = "../tls_support/mod.rs"]
mod tls_support;
#[cfg(feature = "os")]
#[path = "../util/mod.rs"]
mod util;
