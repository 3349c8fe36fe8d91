//! A nonblocking, tick-driven network I/O engine: you own the loop, you own the clock.
//!
//! Nothing here starts a runtime. You call [`Server::service`] once per tick and then ask what happened. Between ticks you
//! do what you like: draw a frame, step a simulation, or sleep in [`Server::wait`] until the network or a deadline has
//! something. Nothing calls you back unless you ask for it ([`Service`]), and no thread is started unless you ask for
//! it (`run::Manager`); only names are looked up by helper threads, since that blocks on all operating systems.
//!
//! ```
//! use std::time::Duration;
//! use tymist::{Config, Event, Server};
//!
//! let mut config = Config::new();
//! config.timeouts.idle = Some(Duration::from_secs(60));
//! let mut server = Server::new(config);
//! let acceptor = server.listen(([127, 0, 0, 1], 0))?;
//! println!("listening on {}", server.local_addr(acceptor).unwrap());
//!
//! for _tick in 0..10 {
//!     server.wait(Some(Duration::from_millis(1))); // or draw a frame instead
//!     server.service();
//!     while let Some(event) = server.poll_event() {
//!         if let Event::Received(id) | Event::Drained(id) = event
//!             && let Some(remoter) = server.remoter_mut(id)
//!         {
//!             let mut data = remoter.take();
//!             let _ = remoter.tx_bytes(&mut data); // takes what fits, for the next tick; an error: it is closing
//!             remoter.unread(data); // the rest holds the peer back, until `Drained`
//!         }
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Where to go from here
//!
//! * [`guide`] is the tutorial: an echo server, its time, its limits, its end, its clients, TLS, how to put it into a loop of your own, and (with `sim`) how to
//!   test it in simulated time.
//! * [`doing`] has doers and the Doist that gives them their turns; `run` puts them, and engines, into other people's loops.
//! * [`design`] tells the invariants, the order of a tick, and every default and why.
//! * [`Server`], [`Clients`] and [`Remoter`] are what you work with, [`Peer`] for datagrams; [`Config`] and [`Connect`] hold all settings; [`Event`] is what
//!   comes out. [`tasks`] are the same as `async fn`.
//!
//! # The rooms
//!
//! From the ground up: [`tyme`] (clock, deadlines), [`net`] (the seam to the network, and the operating system behind it),
//! [`wire`] (middleware that logs), then [`Acceptor`], [`Remoter`], [`Peer`], [`Server`] and [`Clients`]; on these [`Relay`],
//! [`doing`] (programs in turns, hio's doers), [`Service`] (callbacks) and [`tasks`] (`async fn`); last `run` (loops of
//! others, threads) and `sim` (simulated worlds). Each depends only on those before it.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `os` | yes | real sockets, through mio and socket2 |
//! | `uds` | no | Unix sockets: streams and datagrams, credentials, passing descriptors (nix, rustix); nothing on other systems |
//! | `tls` | yes | TLS 1.2 and 1.3 on rustls, cryptography by ring |
//! | `aws-lc-rs` | no | that provider as well, with post-quantum key exchange; needs a C compiler |
//! | `dev-cert` | no | a self-signed certificate in one call |
//! | `tls-test-provider` | no | TLS from a seed, for tests and repeatable simulations (`net::tls::test_provider`); no security |
//! | `native-certs`, `webpki-roots` | no | roots for TLS clients: the operating system's, or Mozilla's |
//! | `futures-io`, `tokio-io`, `hyper` | no | streams of [`tasks`] with the traits of those crates (of tokio without its runtime), and hyper's executor and timers |
//! | `proxy-protocol` | no | the PROXY protocol, versions 1 and 2, behind a load balancer and towards what is dialled |
//! | `systemd` | no | sockets that systemd has opened, `READY`, its watchdog (listenfd, sd-notify); nothing on other systems |
//! | `sim` | no | simulated worlds: hosts, links, faults, traces; no system call in it |
//! | `tokio`, `smol`, `calloop` | no | engines and doers in those loops (`run`); on Unix |
//!
//! Without `os` there is no system call in the crate; you bring a [`net::Net`] of your own to [`Server::with_net`].
//!
//! # What it is not
//!
//! It is no runtime: [`tasks`] are `async fn` on one thread under your tick; where you want tasks on all cores and the libraries that need tokio, tokio is the
//! better choice. It does no protocol above bytes, yet. One engine uses one core; `run::Manager` has several.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod acceptor;
mod backoff;
mod buf;
mod clients;
mod config;
mod connect;
mod counters;
pub mod design;
pub mod doing;
mod engine;
mod error;
mod event;
pub mod guide;
mod id;
pub mod net;
mod peer;
mod random;
mod relay;
mod remoter;
#[cfg(feature = "os")]
pub mod run;
mod server;
mod service;
#[cfg(feature = "sim")]
pub mod sim;
mod spin;
pub mod tasks;
pub mod tyme;
pub mod wire;

pub use acceptor::Acceptor;
pub use backoff::Backoff;
pub use clients::{Client, Clients};
pub use config::{Config, Limits, MinRate, OverLimit, RxFull, Timeouts, TxFull};
pub use connect::{Connect, Target};
pub use counters::{
    BudgetCounters, ClosedCounters, Counters, ExpiredCounters, RefusedCounters, RemoterCounters,
    TlsCounters,
};
#[cfg(feature = "tls")]
pub use error::UpgradeRefused;
pub use error::{AdoptError, Cause, CloseReason, Deadline, Gone, ListenError, TxError};
pub use event::{Event, Refusal, Serviced, Wake};
pub use id::{AcceptorId, EndpointId, Id};
pub use net::Layer;
pub use peer::{Endpoint, GramConfig, GramCounters, GramError, GramEvent, GramsFull, Peer, RxGram};
pub use relay::{DialRefused, Relay, RelayCounters};
pub use remoter::{Detached, Remoter};
pub use server::{Broadcast, Draining, Server};
pub use service::{Service, Session, Streams, TcpServer, call_back};

/// The README's examples are tests.
#[cfg(all(doctest, feature = "os"))]
#[doc = include_str!("../README.md")]
struct Readme;
