//! TLS 1.2 and 1.3 on rustls, as a layer over any [`Stream`](crate::net::Stream) that is a stream itself.
//!
//! [`ServerTls`] and [`ClientTls`] are checked configurations; they make a [`TlsStream`] of a plain one. A connection then
//! takes one bounded step per [`advance`](crate::net::Stream::advance) until it is live, and from then on reads and writes like any other.
//! [`Stream::tls`](crate::net::Stream::tls) tells what was agreed. What goes wrong is a small enum inside the [`io::Error`](std::io::Error):
//! [`HandshakeFailure`] before, [`TlsFailure`] and [`TlsTruncated`] after.
//!
//! # Memory
//!
//! What a server's connection costs besides the stream below it, with the default limits and on 64-bit systems. `tests/tls_memory.rs` counts it at
//! the allocator.
//!
//! * Before its ClientHello is whole: what has come of it and about 300 bytes, at most 16.3 KiB. There is no rustls connection yet, so
//!   thousands of stalled ones are cheap.
//! * From the ClientHello to the end of the handshake: 8 KiB, and at most 21.5 KiB where the client sends as much as
//!   [`handshake_max`](ServerTlsConfig::handshake_max) lets it. Nobody is authenticated so far; 22 KiB is the most that costs.
//! * Live and idle: 7.5 KiB, and with the remoter and its places in the engine 8 KiB in all (`tests/tls_remoter_memory.rs`), of which 4 KiB are a read buffer
//!   that rustls never gives back; a client's certificates, where it gave some, come on top. Everything that only the handshake needs is gone.
//! * Live and busy: up to 20 KiB more for a record that has not come whole, up to 33 KiB for records that the peer does not take, and
//!   plaintext that the caller has not read where its buffer holds less than a record. All of it is given back once the connection is idle.
//!
//! Give [`read`](crate::net::Stream::read) at least 37,000 bytes, better 64 KiB: it then takes in as much with one system call; with less it is
//! 4 KiB at a time.
//!
//! # In the engine
//!
//! [`Server::listen_tls`](crate::Server::listen_tls) puts it around what an acceptor takes, [`Connect::with_tls`](crate::Connect::with_tls) around what is
//! dialled, [`Remoter::upgrade_tls`](crate::Remoter::upgrade_tls) around a connection in use, and the [guide](crate::guide) shows how. Without an engine it is
//! a [`Stream`](crate::net::Stream) like any other.
//!
//! # Not for
//!
//! DTLS, QUIC, raw public keys, early data (0-RTT), renegotiation (rustls refuses it), and protocol versions before 1.2.

mod anyone;
mod client;
mod config;
mod der;
#[cfg(feature = "dev-cert")]
mod dev_cert;
mod error;
mod given;
mod handshake;
mod hello;
mod identity;
mod info;
mod material;
mod records;
mod server;
mod session;
mod stream;
#[cfg(feature = "tls-test-provider")]
pub mod test_provider;
mod tally;
mod ticket;
mod time;
mod upgrade;
mod watch;

pub(crate) use client::CheckedName;
pub use client::{ClientTls, ClientTlsConfig, ServerTrust};
#[cfg(feature = "aws-lc-rs")]
pub use config::aws_lc_rs_provider;
pub use config::{ClientAuth, ClientTrust, ServerTlsConfig, TlsCommon, ring_provider};
#[cfg(feature = "dev-cert")]
pub use dev_cert::DevCert;
pub use error::{
    BadServerName, HandshakeError, HandshakeFailure, TlsError, TlsFailure, TlsTruncated,
};
pub use hello::{Choice, Chooser, Hello};
pub use identity::Identity;
pub use info::{PeerIdentity, TlsInfo, TlsVersion};
pub use material::{Material, Problem, TlsConfigError};
pub use rustls;
pub use server::ServerTls;
pub use stream::TlsStream;
pub use time::TlsTime;
pub use upgrade::{ReadAhead, Unread, UpgradeError};
pub(crate) use watch::{News, Watch};
