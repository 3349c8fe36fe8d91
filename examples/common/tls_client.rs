//! What a TLS client's command line says, for all examples that dial.

use std::path::PathBuf;

use tymist::Connect;
use tymist::net::tls::{ClientTls, ClientTlsConfig, Identity, Material, ServerTrust, TlsInfo};

use super::{Args, Result};

pub(crate) const USAGE: &str =
    "[--tls [--ca FILE | --insecure] [--server-name NAME] [--alpn NAMES] [--cert FILE --key FILE]]";

/// What the command line says about TLS to a server.
#[derive(Default)]
pub(crate) struct TlsTo {
    on: bool,
    ca: Option<PathBuf>,
    insecure: bool,
    server_name: Option<String>,
    alpn: Vec<String>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
}

impl TlsTo {
    /// Whether this is one of its options where nobody else takes some.
    pub(crate) fn knows(option: &str) -> bool {
        ["tls", "ca", "insecure", "server-name", "alpn", "cert", "key"].contains(&option)
    }

    /// Takes in one of its options.
    pub(crate) fn take(&mut self, option: &str, args: &mut Args) -> Result<()> {
        match option {
            "tls" => self.on = true,
            "insecure" => self.insecure = true,
            "ca" => self.ca = Some(args.path()?),
            "cert" => self.cert = Some(args.path()?),
            "key" => self.key = Some(args.path()?),
            "server-name" => self.server_name = Some(args.text()?),
            _ => self.alpn = args.list()?,
        }
        Ok(())
    }

    /// Switches it on, by whatever option.
    pub(crate) fn turn_on(&mut self) {
        self.on = true;
    }

    /// The same way, with TLS if so asked; without a name given the server must prove to be `host`.
    pub(crate) fn wrap(&self, connect: Connect, host: &str, args: &Args) -> Result<Connect> {
        if !self.on {
            let files = [&self.ca, &self.cert, &self.key];
            let named = self.server_name.is_some() || !self.alpn.is_empty();
            if files.iter().any(|file| file.is_some()) || named || self.insecure {
                let why = "--ca, --insecure, --server-name, --alpn, --cert and --key need TLS to be switched on";
                return Err(args.refuse(why));
            }
            return Ok(connect);
        }
        let mut config = ClientTlsConfig::new(self.trust(args)?).with_alpn(self.alpn.clone());
        match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => {
                config = config.with_identity(Identity::new(&**cert, &**key));
            }
            (None, None) => {}
            _ => return Err(args.refuse("--cert and --key go together")),
        }
        let name = self.server_name.as_deref().unwrap_or(host);
        Ok(connect.with_tls(&ClientTls::new(&config)?, name)?)
    }

    fn trust(&self, args: &Args) -> Result<ServerTrust> {
        match (&self.ca, self.insecure) {
            (Some(_), true) => Err(args.refuse("--ca and --insecure exclude each other")),
            (None, true) => Ok(ServerTrust::DangerousAnyone),
            (Some(ca), false) => Ok(ServerTrust::Roots(vec![Material::file(ca)])),
            (None, false) => everybody(),
        }
    }
}

/// Those that everybody trusts, as far as this was compiled to know them.
#[cfg(feature = "native-certs")]
#[expect(clippy::unnecessary_wraps, reason = "others fail")]
fn everybody() -> Result<ServerTrust> {
    Ok(ServerTrust::Native)
}

#[cfg(all(feature = "webpki-roots", not(feature = "native-certs")))]
#[expect(clippy::unnecessary_wraps, reason = "others fail")]
fn everybody() -> Result<ServerTrust> {
    Ok(ServerTrust::WebPki)
}

#[cfg(not(any(feature = "webpki-roots", feature = "native-certs")))]
fn everybody() -> Result<ServerTrust> {
    Err("TLS needs --ca FILE or --insecure, or a build with --features native-certs, which trusts whom the system trusts".into())
}

/// What was agreed, in a line.
pub(crate) fn describe(info: &TlsInfo) -> String {
    let mut line = format!("{} {}", info.version(), info.suite());
    if let Some(alpn) = info.alpn() {
        line += &format!(", protocol {}", alpn.escape_ascii());
    }
    if info.resumed() {
        line += ", resumed";
    }
    match info.peer_identity() {
        Some(identity) => {
            let names = identity.dns_names.join(", ");
            line += &format!(", certificate of {}", identity.common_name.unwrap_or(names));
        }
        None => line += ", certificate not verified",
    }
    line
}
