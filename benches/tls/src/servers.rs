//! The servers: echo, without delay, one thread.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;
use tymist::net::tls::{Identity, Material, ServerTls, ServerTlsConfig};
use tymist::{Config, Event, Remoter, Server};

use crate::Outcome;

const SCRATCH: usize = 64 * 1024;

/// Runs until killed; says where it listens and what its certificate is.
pub fn run(kind: &str) -> Outcome<()> {
    let key = KeyPair::generate()?; // ECDSA P-256
    let cert = CertificateParams::new(vec!["localhost".to_owned()])?.self_signed(&key)?;
    let (cert, key) = (cert.pem(), key.serialize_pem());
    match kind {
        "tymist" => tymist(&cert, &key),
        "tokio" => tokio_rustls(&cert, &key),
        _ => Err(format!("no server named {kind}").into()),
    }
}

fn tymist(cert: &str, key: &str) -> Outcome<()> {
    let identity = Identity::new(Material::bytes(cert), Material::bytes(key));
    let tls = ServerTls::new(ServerTlsConfig::new(identity))?;
    let mut config = Config::new();
    // All limits and timeouts are on; those of the crowd of stalled handshakes last through a measurement.
    config.timeouts.handshake = Some(Duration::from_secs(60));
    config.timeouts.idle = Some(Duration::from_secs(60));
    let mut server = Server::new(config);
    let acceptor = server.listen_tls(([127, 0, 0, 1], 0), &tls)?;
    println!("{}\n{cert}", server.local_addr(acceptor).ok_or("no address")?);
    loop {
        server.wait(None);
        server.service();
        while let Some(event) = server.poll_event() {
            if let Event::Received(id) | Event::Drained(id) = event
                && let Some(remoter) = server.remoter_mut(id)
            {
                echo(remoter);
            }
        }
    }
}

fn echo(remoter: &mut Remoter) {
    let mut data = remoter.take();
    let _ = remoter.tx_bytes(&mut data);
    remoter.unread(data);
}

fn tokio_rustls(cert: &str, key: &str) -> Outcome<()> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(cert.as_bytes())?],
            PrivateKeyDer::from_pem_slice(key.as_bytes())?,
        )?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("{}\n{cert}", listener.local_addr()?);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    stream.set_nodelay(true)?;
                    let mut tls = acceptor.accept(stream).await?;
                    let mut buffer = vec![0; SCRATCH];
                    loop {
                        let count = tls.read(&mut buffer).await?;
                        if count == 0 {
                            return tls.shutdown().await;
                        }
                        tls.write_all(&buffer[..count]).await?;
                        tls.flush().await?;
                    }
                });
            }
        })
        .await?;
        Err("accept failed".into())
    })
}
