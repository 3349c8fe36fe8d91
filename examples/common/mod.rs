//! What all example servers share: the command line, the line that says where they listen, and ending on a signal.
#![allow(dead_code, reason = "each example uses its part")]
#![allow(clippy::print_stdout, reason = "the line that says where it listens")]
#![allow(clippy::print_stderr, reason = "what else there is to say")]

#[cfg(feature = "tls")]
pub(crate) mod tls;
#[cfg(feature = "tls")]
pub(crate) mod tls_client;

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lexopt::ValueExt;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use tymist::net::{Addr, Listen, Waker};
use tymist::{AcceptorId, Server};

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// `--host` and `--port`, which every server has, and `--unix`.
pub(crate) struct Bind {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// A Unix socket's path instead of those. What a dead server has left there is replaced.
    pub(crate) unix: Option<std::path::PathBuf>,
}

impl Default for Bind {
    fn default() -> Self {
        Bind { host: "127.0.0.1".into(), port: 0, unix: None }
    }
}

impl Bind {
    /// The address.
    pub(crate) fn addr(&self) -> Result<Addr> {
        if let Some(path) = &self.unix {
            return Ok(Addr::from(path.as_path()));
        }
        let bare_v6 = self.host.contains(':') && !self.host.starts_with('[');
        let text = if bare_v6 {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        };
        Ok(text.parse()?)
    }

    /// Another address, as `IP:port`.
    pub(crate) fn set(&mut self, text: &str) -> Result<()> {
        let addr: Addr = text.parse()?;
        (self.host, self.port) = match addr.inet() {
            Some(addr) => (addr.ip().to_string(), addr.port()),
            None => return Err(format!("{text}: no IP address and port").into()),
        };
        Ok(())
    }

    /// Where and how to listen.
    pub(crate) fn spec(&self) -> Result<Listen> {
        let mut listen = Listen::new(self.addr()?);
        listen.file.replace_stale = true;
        Ok(listen)
    }

    /// Listens there.
    pub(crate) fn listen(&self, server: &mut Server) -> Result<AcceptorId> {
        Ok(server.listen(self.spec()?)?)
    }
}

/// Says where a server listens: the one line on standard output that programs wait for.
pub(crate) fn announce(server: &Server, acceptor: AcceptorId) {
    if let Some(addr) = server.local_addr(acceptor) {
        println!("listening on {addr}");
    }
}

/// Seconds, as in `1.5`.
pub(crate) fn secs(text: &std::ffi::OsString) -> Result<Duration> {
    let secs: f64 = text.parse()?;
    Duration::try_from_secs_f64(secs).map_err(|error| format!("{secs} seconds: {error}").into())
}

/// A flag that SIGINT and SIGTERM set; the server is woken by them.
pub(crate) fn stop_on_signal(waker: Waker) -> Result<Arc<AtomicBool>> {
    flag_on_signals(&[SIGINT, SIGTERM], waker)
}

/// A flag that SIGHUP sets: certificates are to be read again.
pub(crate) fn reload_on_signal(waker: Waker) -> Result<Arc<AtomicBool>> {
    flag_on_signals(&[SIGHUP], waker)
}

fn flag_on_signals(signals: &[i32], waker: Waker) -> Result<Arc<AtomicBool>> {
    let told = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&told);
    let mut signals = signal_hook::iterator::Signals::new(signals)?;
    #[expect(
        clippy::disallowed_methods,
        reason = "a thread that waits for signals and wakes the loop"
    )]
    std::thread::spawn(move || {
        for _ in signals.forever() {
            flag.store(true, Ordering::Release);
            // Without a waker the loop would only see the flag at its next event.
            let _ = waker.wake();
        }
    });
    Ok(told)
}
