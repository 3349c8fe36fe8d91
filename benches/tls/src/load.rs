//! The client: rustls on a blocking socket.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::client::Resumption;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::{Outcome, Server};

type Tls = StreamOwned<ClientConnection, TcpStream>;

fn config(server: &Server) -> Outcome<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(server.cert.as_bytes())?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

fn connect(server: &Server, config: &Arc<ClientConfig>) -> Outcome<Tls> {
    let socket = TcpStream::connect(server.addr)?;
    socket.set_nodelay(true)?;
    let mut tls = StreamOwned::new(ClientConnection::new(config.clone(), "localhost".try_into()?)?, socket);
    while tls.conn.is_handshaking() {
        tls.conn.complete_io(&mut tls.sock)?;
    }
    Ok(tls)
}

fn exchange(tls: &mut Tls, sent: &[u8], got: &mut [u8]) -> Outcome<()> {
    tls.write_all(sent)?;
    tls.flush()?;
    tls.read_exact(got)?;
    if sent != got {
        return Err("the echo is another".into());
    }
    Ok(())
}

/// Full handshakes one after the other, each proved by a byte, and ended in order.
pub fn handshakes(server: &Server, window: Duration) -> Outcome<u64> {
    let config = config(server)?;
    let began = Instant::now();
    let mut count = 0;
    while began.elapsed() < window {
        let mut tls = connect(server, &config)?;
        exchange(&mut tls, b"x", &mut [0])?;
        tls.conn.send_close_notify();
        tls.conn.complete_io(&mut tls.sock)?;
        count += 1;
    }
    Ok(count)
}

fn messages(server: &Server, window: Duration, size: usize) -> Outcome<u64> {
    let mut tls = connect(server, &config(server)?)?;
    let sent: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
    let mut got = vec![0; size];
    let began = Instant::now();
    let mut count = 0;
    while began.elapsed() < window {
        exchange(&mut tls, &sent, &mut got)?;
        count += 1;
    }
    Ok(count)
}

/// One connection, 256 KiB there and back.
pub fn bulk(server: &Server, window: Duration) -> Outcome<u64> {
    messages(server, window, 256 << 10)
}

/// One connection, 64 bytes there and back.
pub fn echoes(server: &Server, window: Duration) -> Outcome<u64> {
    messages(server, window, 64)
}

/// Connections that begin a handshake and go on with it no further: half of them say nothing, half of them half a record.
pub fn stall(server: &Server, count: usize) -> Outcome<Vec<TcpStream>> {
    let mut crowd = Vec::with_capacity(count);
    for number in 0..count {
        let mut socket = TcpStream::connect(server.addr)?;
        if number % 2 == 0 {
            socket.write_all(&[22, 3, 1, 1, 0, 1, 0, 0, 252, 3, 3])?;
        }
        crowd.push(socket);
    }
    // Until all were taken in.
    std::thread::sleep(Duration::from_millis(if count > 0 { 1500 } else { 0 }));
    Ok(crowd)
}
