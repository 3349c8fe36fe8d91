//! All contact with the I/O of rustls's connections: ciphertext in and out, plaintext in and out.
//!
//! The rest of the layer knows only what is in here, because the next release of rustls changes that surface wholly.
//! Nothing of `rustls::Stream`, `complete_io` or the unbuffered API is used.

use core::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::sync::Arc;

use super::tally::Tally;
use rustls::client::ClientConnection;
use rustls::crypto::SupportedKxGroup;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::{Accepted, AcceptedAlert, Acceptor, ClientHello};
use rustls::{ClientConfig, Connection, HandshakeKind, ServerConfig, SupportedCipherSuite};

/// Ciphertext that may wait inside before [`Session::write`] takes no more: what one write call encrypts, two full records.
const SEND_LIMIT: usize = 32 * 1024;
/// Most plaintext of one record.
const RECORD: usize = 16_384;
/// Records that keys of TLS 1.2 are left with: the Finished message and alerts, and what one more write makes.
const SPARED: u64 = 8;

/// One side of a TLS connection, without any transport.
pub(super) struct Session {
    /// Boxed: 1.2 KiB that only a connection with a handshake behind or before it needs.
    connection: Box<Connection>,
    closed_by_peer: bool,
    close_sent: bool,
    /// Records written so far.
    records: u64,
    incoming: Tally,
}

impl Session {
    pub(super) fn client(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<Self, rustls::Error> {
        ClientConnection::new(config, name).map(|client| Self::new(client.into(), Tally::default()))
    }

    fn new(mut connection: Connection, incoming: Tally) -> Self {
        connection.set_buffer_limit(Some(SEND_LIMIT));
        let connection = Box::new(connection);
        Session { connection, closed_by_peer: false, close_sent: false, records: 0, incoming }
    }

    /// Takes some ciphertext, at most about 4 KiB of it, and works through it. Returns how much it took: everything
    /// after the peer's close_notify is dropped. There must be no plaintext left to [`read`](Session::read).
    pub(super) fn feed(&mut self, ciphertext: &[u8]) -> Result<usize, rustls::Error> {
        if ciphertext.is_empty() || self.closed_by_peer {
            return Ok(ciphertext.len());
        }
        let mut rest = ciphertext;
        let taken = self
            .connection
            .read_tls(&mut rest)
            .map_err(|error| rustls::Error::General(error.to_string()))?;
        self.incoming.add(&ciphertext[..taken]);
        self.digest()?;
        Ok(taken)
    }

    /// Has `source` give as much ciphertext as there is room for, to be [digested](Session::digest); what it says is inside. What is read elsewhere first
    /// need not fit: behind a long record there is less room. There must be no plaintext left to [`read`](Session::read).
    pub(super) fn fill(
        &mut self,
        mut source: impl FnMut(&mut [u8]) -> io::Result<usize>,
    ) -> Result<io::Result<usize>, rustls::Error> {
        struct Source<F>(F);
        impl<F: FnMut(&mut [u8]) -> io::Result<usize>> Read for Source<F> {
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                (self.0)(buf)
            }
        }
        let mut asked = false;
        let incoming = &mut self.incoming;
        let filled = self.connection.read_tls(&mut Source(|buf: &mut [u8]| {
            asked = true;
            let count = source(buf)?;
            incoming.add(buf.get(..count).unwrap_or_default());
            Ok(count)
        }));
        match filled {
            // There is no room for what the peer sends in one message.
            Err(error) if !asked => Err(rustls::Error::General(error.to_string())),
            said => Ok(said),
        }
    }

    /// Records that have come since this was last asked.
    pub(super) fn take_records(&mut self) -> usize {
        core::mem::take(&mut self.incoming.records)
    }

    /// Works through the ciphertext that is inside.
    pub(super) fn digest(&mut self) -> Result<(), rustls::Error> {
        let connection = &mut self.connection;
        let state = if self.close_sent && cfg!(debug_assertions) {
            // rustls asserts in debug builds that no alert follows a close_notify (its issue 959), so that there a
            // peer's garbage after our close would be a panic. In release builds it is the error that it should be.
            let digest = std::panic::AssertUnwindSafe(|| connection.process_new_packets());
            std::panic::catch_unwind(digest).unwrap_or_else(|_| {
                Err(rustls::Error::General("bad record after our close".into()))
            })
        } else {
            connection.process_new_packets()
        }?;
        self.closed_by_peer |= state.peer_has_closed();
        Ok(())
    }

    /// Lets go of the room that a long record needed. 4 KiB stay, which rustls never gives back.
    pub(super) fn shrink(&mut self) {
        struct Nothing;
        impl Read for Nothing {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::WouldBlock.into())
            }
        }
        // The buffer is sized before the reader is asked.
        let _ = self.connection.read_tls(&mut Nothing);
    }

    /// Moves plaintext into `buf`; 0 if there is none now.
    pub(super) fn read(&mut self, buf: &mut [u8]) -> usize {
        self.connection.reader().read(buf).unwrap_or(0)
    }

    /// Encrypts some of `bufs`; returns how much.
    pub(super) fn write(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let taken = self.connection.writer().write_vectored(bufs)?;
        self.records += taken.div_ceil(RECORD) as u64;
        Ok(taken)
    }

    /// Whether nothing more may be written: where the keys of TLS 1.2 are used up, rustls says goodbye by itself and drops what comes, as if it had gone.
    /// Those of TLS 1.3 it renews.
    pub(super) fn is_used_up(&self) -> bool {
        match self.connection.negotiated_cipher_suite() {
            Some(SupportedCipherSuite::Tls12(suite)) => {
                self.records.saturating_add(SPARED) > suite.common.confidentiality_limit
            }
            _ => false,
        }
    }

    /// Whether there is ciphertext to [`take`](Session::take).
    pub(super) fn has_ciphertext(&self) -> bool {
        self.connection.wants_write()
    }

    /// Offers ciphertext to `sink`, which tells how much of it it took.
    pub(super) fn take(
        &mut self,
        sink: &mut dyn FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        struct Sink<'a>(&'a mut dyn FnMut(&[IoSlice<'_>]) -> io::Result<usize>);
        impl Write for Sink<'_> {
            fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
                (self.0)(&[IoSlice::new(buf)])
            }
            fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
                (self.0)(bufs)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        self.connection.write_tls(&mut Sink(sink))
    }

    pub(super) fn handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Whether the peer's close_notify has come; plaintext from before it may still be there to read.
    pub(super) fn closed_by_peer(&self) -> bool {
        self.closed_by_peer
    }

    /// Queues our close_notify, once; nothing may be written after it.
    pub(super) fn close(&mut self) {
        self.close_sent = true;
        self.connection.send_close_notify();
    }

    pub(super) fn version(&self) -> Option<rustls::ProtocolVersion> {
        self.connection.protocol_version()
    }

    pub(super) fn suite(&self) -> Option<rustls::CipherSuite> {
        self.connection.negotiated_cipher_suite().map(|suite| suite.suite())
    }

    pub(super) fn group(&self) -> Option<rustls::NamedGroup> {
        self.connection.negotiated_key_exchange_group().map(SupportedKxGroup::name)
    }

    pub(super) fn alpn(&self) -> Option<&[u8]> {
        self.connection.alpn_protocol()
    }

    pub(super) fn resumed(&self) -> bool {
        self.connection.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    pub(super) fn peer_chain(&self) -> &[CertificateDer<'static>] {
        self.connection.peer_certificates().unwrap_or_default()
    }

    /// The name that the client asked for, on a server.
    pub(super) fn asked_name(&self) -> Option<&str> {
        match &*self.connection {
            Connection::Server(server) => server.server_name(),
            Connection::Client(_) => None,
        }
    }

    /// Fills `output` with key material that only the two ends know (RFC 8446 section 7.5).
    pub(super) fn export<T: AsMut<[u8]>>(
        &self,
        output: T,
        label: &[u8],
        context: Option<&[u8]>,
    ) -> Result<T, rustls::Error> {
        self.connection.export_keying_material(output, label, context)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("handshaking", &self.handshaking()).finish_non_exhaustive()
    }
}

/// A failure at the ClientHello, with the alert that tells the peer.
pub(super) struct Refusal {
    pub(super) error: rustls::Error,
    pub(super) alert: Vec<u8>,
}

impl Refusal {
    fn new(error: rustls::Error, mut alert: AcceptedAlert) -> Self {
        let mut bytes = Vec::new();
        // A Vec takes everything.
        let _ = alert.write_all(&mut bytes);
        Refusal { error, alert: bytes }
    }
}

/// A ClientHello that was read whole and waits for a configuration.
pub(super) struct Greeting(Accepted, Tally);

impl Greeting {
    /// Parses what holds a whole ClientHello; also returns how many bytes it took.
    pub(super) fn read(bytes: &[u8]) -> Result<(Self, usize), Refusal> {
        let mut acceptor = Acceptor::default();
        let mut rest = bytes;
        while !rest.is_empty() {
            acceptor.read_tls(&mut rest).map_err(|error| Refusal {
                error: rustls::Error::General(error.to_string()),
                alert: Vec::new(),
            })?;
            match acceptor.accept() {
                Ok(Some(accepted)) => {
                    let taken = bytes.len() - rest.len();
                    let mut incoming = Tally::default();
                    incoming.add(&bytes[..taken]);
                    return Ok((Greeting(accepted, incoming), taken));
                }
                Ok(None) => {}
                Err((error, alert)) => return Err(Refusal::new(error, alert)),
            }
        }
        let error = rustls::Error::General("the ClientHello has no end".into());
        Err(Refusal { error, alert: Vec::new() })
    }

    pub(super) fn hello(&self) -> ClientHello<'_> {
        self.0.client_hello()
    }

    pub(super) fn answer(self, config: Arc<ServerConfig>) -> Result<Session, Refusal> {
        match self.0.into_connection(config) {
            Ok(server) => Ok(Session::new(server.into(), self.1)),
            Err((error, alert)) => Err(Refusal::new(error, alert)),
        }
    }
}
