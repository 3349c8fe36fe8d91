//! `--tls` and what belongs to it, for all example servers.

use std::path::{Path, PathBuf};

use tempfile::TempPath;
use tymist::net::Addr;
use tymist::net::tls::{ClientAuth, ClientTrust, Identity, Material, ServerTls, ServerTlsConfig};
use tymist::{AcceptorId, Event, Server};

use super::{Args, Bind, Result, say};

pub(crate) const USAGE: &str = "[--tls [--cert FILE --key FILE] [--client-ca FILE] [--alpn NAMES]]";

/// What the command line says about TLS.
#[derive(Default)]
pub(crate) struct Tls {
    on: bool,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    client_ca: Option<PathBuf>,
    alpn: Vec<String>,
    /// The certificate that was made here, for clients to trust; gone with this.
    made: Option<TempPath>,
}

impl Tls {
    pub(crate) fn knows(option: &str) -> bool {
        ["tls", "cert", "key", "client-ca", "alpn"].contains(&option)
    }

    /// Switches it on, by whatever option.
    pub(crate) fn turn_on(&mut self) {
        self.on = true;
    }

    /// Takes in one of its options.
    pub(crate) fn take(&mut self, option: &str, args: &mut Args) -> Result<()> {
        match option {
            "tls" => self.on = true,
            "cert" => self.cert = Some(args.path()?),
            "key" => self.key = Some(args.path()?),
            "client-ca" => self.client_ca = Some(args.path()?),
            _ => self.alpn = args.list()?,
        }
        Ok(())
    }

    /// Whether its options go together, once all are taken in.
    pub(crate) fn check(&self, args: &Args) -> Result<()> {
        let files = [&self.cert, &self.key, &self.client_ca];
        if !self.on && (files.iter().any(|file| file.is_some()) || !self.alpn.is_empty()) {
            let why = "--cert, --key, --client-ca and --alpn need TLS to be switched on";
            return Err(args.refuse(why));
        }
        if self.cert.is_some() != self.key.is_some() {
            return Err(args.refuse("--cert and --key go together"));
        }
        Ok(())
    }

    /// Listens there, with TLS if so asked.
    pub(crate) fn listen(&mut self, bind: &Bind, server: &mut Server) -> Result<AcceptorId> {
        if !self.on {
            return bind.listen(server);
        }
        let mut config = match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => ServerTlsConfig::new(Identity::new(&**cert, &**key)),
            _ => self.made_here(bind)?,
        };
        if let Some(authority) = &self.client_ca {
            let trust = ClientTrust::new(Material::file(authority));
            config = config.with_client_auth(ClientAuth::Required(trust));
        }
        let tls = ServerTls::new(config.with_alpn(self.alpn.clone()))?;
        let acceptor = server.listen_tls(bind.spec()?, &tls)?;
        if let (Some(path), Some(addr)) = (&self.made, server.local_addr(acceptor)) {
            tell_of(path, &addr.reachable());
        }
        Ok(acceptor)
    }

    #[cfg(feature = "dev-cert")]
    fn made_here(&mut self, bind: &Bind) -> Result<ServerTlsConfig> {
        use std::io::Write;
        use tymist::net::tls::{DevCert, TlsTime};
        let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        let host = super::bare(&bind.host).to_owned();
        if !host.is_empty() && !names.contains(&host) {
            names.push(host);
        }
        let cert = DevCert::new(names, &TlsTime::system())?;
        let failed = |error| format!("cannot write the certificate made for --tls: {error}");
        // A name that nobody has: those who were killed have left theirs behind.
        let mut file = tempfile::Builder::new();
        let mut file = file.prefix("tymist-dev-").suffix(".pem").tempfile().map_err(failed)?;
        file.write_all(cert.cert_pem().as_bytes()).map_err(failed)?;
        self.made = Some(file.into_temp_path());
        Ok(cert.server_config())
    }

    #[cfg(not(feature = "dev-cert"))]
    fn made_here(&mut self, _: &Bind) -> Result<ServerTlsConfig> {
        Err("--tls needs --cert and --key, or a build with --features dev-cert, which makes a certificate".into())
    }
}

/// Says where the certificate is that was made, and how to call the server with it.
fn tell_of(path: &Path, addr: &Addr) {
    let path = path.display();
    let (openssl, curl) = match addr {
        Addr::Inet(inet) => {
            (Some(format!("-connect {addr}")), format!("https://localhost:{}/", inet.port()))
        }
        Addr::Abstract(name) => {
            let name = name.escape_ascii();
            (None, format!("--abstract-unix-socket '{name}' https://localhost/"))
        }
        _ => {
            (Some(format!("-unix '{addr}'")), format!("--unix-socket '{addr}' https://localhost/"))
        }
    };
    say(format_args!("self-signed certificate in {path}; nobody trusts it but who is told to:"));
    if let Some(to) = openssl {
        say(format_args!("  openssl s_client {to} -CAfile {path} -verify_return_error"));
    }
    say(format_args!("  curl --cacert {path} {curl}"));
}

/// Says what became of certificates.
pub(crate) fn report(event: &Event) {
    match event {
        Event::TlsReloaded { .. } => say(format_args!("new certificate in use")),
        Event::TlsReloadFailed { why, .. } => {
            say(format_args!("the old certificate goes on: {why}"));
        }
        Event::TlsExpiring { left, .. } => {
            say(format_args!("the certificate expires in {} days", left.as_secs() / 86_400));
        }
        _ => {}
    }
}
