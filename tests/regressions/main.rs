//! What hio got wrong, and what we got wrong, a test each, named for it: `hio_b..` by the number of the finding, `ours_..` what was found
//! in this crate. Defects of HTTP, TLS, clients and datagrams have tests of their own; what the clock itself is held to is in `tyme.rs`.

#![cfg(feature = "os")]
#![allow(clippy::unwrap_used, reason = "a test says so by failing")]

#[path = "../util/mod.rs"]
mod util;

mod fatal;
mod lifecycle;
mod naming;
mod ours;
mod timing;
mod work;
