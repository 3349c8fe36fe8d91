//! The simulated network, and programs in it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod as_linux;
mod asked;
#[cfg(all(feature = "os", target_os = "linux"))]
mod beside_linux;
mod bounds;
mod cast;
#[cfg(feature = "os")]
mod chaos;
mod clients;
mod close;
mod drawn;
mod edges;
mod exports;
mod fault;
mod group;
mod kept;
mod ledger;
mod limits;
mod lived;
mod middleware;
mod orphans;
mod patience;
mod peer;
mod plans;
mod ports;
mod random;
mod reduced;
mod room;
mod routes;
mod rules;
mod server;
mod story;
mod swarm;
mod tcp;
#[cfg(feature = "tls-test-provider")]
mod tls_clients;
mod told;
mod trace;
mod trouble;
mod turns;
mod udp;
mod unix;
mod unix_room;
mod ways;
mod weather;
mod world;

#[path = "../sim_util/mod.rs"]
mod sim_util;
#[cfg(feature = "tls-test-provider")]
#[path = "../tls_support/mod.rs"]
mod tls_support;
