//! A TLS client of rustls on a nonblocking socket, that does a little each time it is asked.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use tymist::net::tls::ring_provider;
use tymist::net::tls::rustls::client::{
    ClientConfig, ClientConnection, Resumption, WebPkiServerVerifier,
};
use tymist::net::tls::rustls::crypto::CryptoProvider;
use tymist::net::tls::rustls::pki_types::pem::PemObject;
use tymist::net::tls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tymist::net::tls::rustls::time_provider::TimeProvider;
use tymist::net::tls::rustls::{self, RootCertStore, SupportedProtocolVersion};

use crate::tls_support::EPOCH;
use crate::tls_support::pki::{Authority, Issued};
use crate::util;

#[derive(Debug)]
struct Standing;

impl TimeProvider for Standing {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(EPOCH)))
    }
}

pub(crate) const BOTH: &[&SupportedProtocolVersion] =
    &[&rustls::version::TLS13, &rustls::version::TLS12];

/// A client that trusts `authority`.
pub(crate) fn config(
    authority: &Authority,
    versions: &[&'static SupportedProtocolVersion],
    identity: Option<&Issued>,
) -> ClientConfig {
    make(authority, ring_provider(), versions, identity)
}

/// One with cryptography of its own.
pub(crate) fn with_provider(authority: &Authority, provider: Arc<CryptoProvider>) -> ClientConfig {
    make(authority, provider, BOTH, None)
}

fn make(
    authority: &Authority,
    provider: Arc<CryptoProvider>,
    versions: &[&'static SupportedProtocolVersion],
    identity: Option<&Issued>,
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(authority.cert.der().clone()).unwrap();
    let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider.clone());
    let builder = ClientConfig::builder_with_details(provider, Arc::new(Standing))
        .with_protocol_versions(versions)
        .unwrap()
        .with_webpki_verifier(verifier.build().unwrap());
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(issued) => builder
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(issued.cert.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap(),
            )
            .unwrap(),
    };
    // Each handshake a full one, so that what is shown is what is there.
    config.resumption = Resumption::disabled();
    config
}

/// How the server's half ended, as the client sees it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum End {
    /// With a close_notify.
    Clean,
    /// Without.
    Cut,
    Reset,
    /// With a TLS error, such as an alert.
    Tls(rustls::Error),
}

pub(crate) struct Peer {
    pub(crate) socket: TcpStream,
    pub(crate) tls: ClientConnection,
    pub(crate) got: Vec<u8>,
    pub(crate) end: Option<End>,
    /// Bytes that it has sent, TLS and all.
    pub(crate) sent: usize,
    /// The most it may send in all.
    pub(crate) limit: usize,
    /// The transport has ended too.
    pub(crate) over: bool,
    /// Most bytes to send at a time.
    pub(crate) chunk: usize,
}

impl Peer {
    #[track_caller]
    pub(crate) fn connect(addr: SocketAddr, config: &Arc<ClientConfig>, name: &str) -> Self {
        Self::over(util::connect(addr), config, name)
    }

    /// On a socket that has been in use.
    #[track_caller]
    pub(crate) fn over(socket: TcpStream, config: &Arc<ClientConfig>, name: &str) -> Self {
        socket.set_nonblocking(true).unwrap();
        socket.set_nodelay(true).unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let tls = ClientConnection::new(Arc::clone(config), name).unwrap();
        Peer {
            socket,
            tls,
            got: Vec::new(),
            end: None,
            sent: 0,
            limit: usize::MAX,
            over: false,
            chunk: usize::MAX,
        }
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    pub(crate) fn is_live(&self) -> bool {
        !self.tls.is_handshaking()
    }

    /// Queues `data`; it leaves with [`pump`](Self::pump).
    pub(crate) fn say(&mut self, data: &[u8]) {
        self.tls.writer().write_all(data).unwrap();
    }

    /// Sends what there is to send, in one write of at most a chunk.
    pub(crate) fn send(&mut self) {
        struct Some<'a>(&'a TcpStream, usize);
        impl Write for Some<'_> {
            fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
                let mut socket = self.0;
                socket.write(&buf[..buf.len().min(self.1)])
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        while self.tls.wants_write() && self.sent < self.limit {
            let most = self.chunk.min(self.limit - self.sent);
            let sent = self.tls.write_tls(&mut Some(&self.socket, most));
            self.sent += sent.as_ref().copied().unwrap_or(0);
            match sent {
                Ok(_) if self.chunk < usize::MAX => return,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => {
                    self.over = true;
                    return;
                }
            }
        }
    }

    /// Reads what has come.
    pub(crate) fn hear(&mut self) {
        while self.end.is_none() || (self.end == Some(End::Clean) && !self.over) {
            match self.tls.read_tls(&mut self.socket) {
                Ok(0) => {
                    self.over = true;
                    self.end.get_or_insert(End::Cut);
                }
                Ok(_) => match self.tls.process_new_packets() {
                    Ok(state) => {
                        self.take();
                        if state.peer_has_closed() {
                            self.end.get_or_insert(End::Clean);
                        }
                    }
                    Err(error) => {
                        self.take();
                        self.end = Some(End::Tls(error));
                    }
                },
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                    self.over = true;
                    self.end.get_or_insert(End::Reset);
                }
                Err(error) => panic!("the client cannot read: {error}"),
            }
        }
    }

    fn take(&mut self) {
        let mut buf = [0; 16 * 1024];
        while let Ok(count) = self.tls.reader().read(&mut buf) {
            if count == 0 {
                return;
            }
            self.got.extend_from_slice(&buf[..count]);
        }
    }

    pub(crate) fn pump(&mut self) {
        self.hear();
        self.send();
    }

    /// Ends our half as TLS wants it.
    pub(crate) fn finish(&mut self) {
        self.tls.send_close_notify();
        self.send();
        // The server may have gone already.
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    /// Ends our half as TLS does not want it.
    pub(crate) fn cut(&mut self) {
        self.send();
        self.socket.shutdown(Shutdown::Write).unwrap();
    }

    /// The first bytes that a client of this configuration sends.
    pub(crate) fn hello(config: &Arc<ClientConfig>) -> Vec<u8> {
        let name = ServerName::try_from("server.test").unwrap();
        let mut tls = ClientConnection::new(Arc::clone(config), name).unwrap();
        let mut bytes = Vec::new();
        tls.write_tls(&mut bytes).unwrap();
        bytes
    }
}
