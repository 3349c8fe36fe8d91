//! TLS at the server: what hio's users rely on, what hio gets wrong, hostile peers, limits and deadlines, reloads, upgrades, ends.
//!
//! The clients are rustls itself on plain sockets, so that the two sides have no code of ours in common; OpenSSL and curl where they
//! can do it; and bytes by hand where nobody decent would.
#![cfg(all(feature = "tls", feature = "os", unix))]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

mod behaviours;
mod closing;
mod hostile;
mod limits;
mod openssl;
mod peer;
mod refused;
mod regressions;
mod reload;
mod rig;
mod upgrade;
