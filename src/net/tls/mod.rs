//! TLS 1.2 and 1.3 on rustls, as a layer over any [`Stream`](crate::net::Stream) that is a stream itself.
//!
//! [`ServerTls`] and [`ClientTls`] are checked configurations; they make a [`TlsStream`] of a plain one. A connection then
//! takes one bounded step per [`advance`](crate::net::Stream::advance) until it is live, and from then on reads and writes like any other.
//! [`Stream::tls`](crate::net::Stream::tls) tells what was agreed. What goes wrong is a small enum inside the [`io::Error`](std::io::Error):
//! [`HandshakeFailure`] before, [`TlsFailure`] and [`TlsTruncated`] after.
//!
//! # Memory
//!
//! A connection costs, besides the stream below it and with the default limits (measured by `tests/tls_memory.rs`):
//!
//! * before its ClientHello is whole, what it has sent of it and about 500 bytes: there is no rustls connection yet. At most
//!   [`hello_max`](ServerTlsConfig::hello_max) + 512 bytes, 16.5 KiB;
//! * between the ClientHello and the end of the handshake, at most [`handshake_max`](ServerTlsConfig::handshake_max) and about 6 KiB: 22 KiB;
//! * live and idle about 7 KiB, of which 4 KiB are a read buffer that rustls never gives back. A client's certificates, where it gave some,
//!   come on top;
//! * live and busy up to 20 KiB more for a record that has not come whole, and up to 33 KiB for records that the peer does not
//!   take. Both are given back once the connection is idle.
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
mod handshake;
mod hello;
mod identity;
mod info;
mod material;
mod server;
mod session;
mod stream;
#[cfg(feature = "tls-test-provider")]
#[doc(hidden)]
pub mod test_provider;
mod ticket;
mod time;
mod upgrade;

pub use client::{ClientTls, ClientTlsConfig, ServerTrust};
#[cfg(feature = "aws-lc-rs")]
pub use config::aws_lc_rs_provider;
pub use config::{ClientAuth, ClientTrust, ServerTlsConfig, TlsCommon, ring_provider};
#[cfg(feature = "dev-cert")]
pub use dev_cert::DevCert;
pub use error::{HandshakeError, HandshakeFailure, TlsError, TlsFailure, TlsTruncated};
pub use hello::{Choice, Chooser, Hello};
pub use identity::Identity;
pub use info::{PeerIdentity, TlsInfo, TlsVersion};
pub use material::{Material, Problem, TlsConfigError};
pub use rustls;
pub use server::ServerTls;
pub use stream::TlsStream;
pub use time::TlsTime;
pub use upgrade::{ReadAhead, UpgradeError};
