//! What all example servers share: the command line, the line that says where they listen, and ending on a signal.
#![allow(dead_code, reason = "each example uses its part")]

pub(crate) mod cli;
#[cfg(feature = "tls")]
pub(crate) mod tls;
#[cfg(feature = "tls")]
pub(crate) mod tls_client;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[allow(unused_imports, reason = "each example uses its part")]
pub(crate) use cli::{Args, Result, print, run, say};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use tymist::net::{Addr, Listen, Waker};
use tymist::tyme::{Tyme, Tymer};
use tymist::{AcceptorId, Config, Event, Id, Server};

/// `--host` and `--port`, which every server has, and `--unix`.
pub(crate) struct Bind {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The option that says where.
    option: &'static str,
    /// A Unix socket's path instead of those, or on Linux `@name` in the abstract space. What a dead server has left at a path is replaced.
    pub(crate) unix: Option<PathBuf>,
}

impl Default for Bind {
    fn default() -> Self {
        Bind { host: "127.0.0.1".into(), port: 0, option: "--host", unix: None }
    }
}

impl Bind {
    /// The address. A name is looked up here and now: nothing runs yet that could be held up.
    pub(crate) fn addr(&self) -> Result<Addr> {
        if let Some(path) = &self.unix {
            return Ok(unix_addr(path));
        }
        let host = match bare(&self.host) {
            "" => "127.0.0.1",
            "*" => "0.0.0.0",
            host => host,
        };
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(Addr::from((ip, self.port)));
        }
        let found = (host, self.port).to_socket_addrs();
        let option = self.option;
        let found = found.map_err(|error| format!("{option} {host}: {error}"))?;
        let found: Vec<SocketAddr> = found.collect();
        // Of a name that has both, what most who call it try first or at last.
        let first = found.iter().find(|addr| addr.is_ipv4()).or(found.first());
        Ok(Addr::from(*first.ok_or_else(|| format!("{option} {host}: it has no address"))?))
    }

    /// Another address, as `HOST:PORT`.
    pub(crate) fn set(&mut self, args: &mut Args) -> Result<()> {
        let text = args.text()?;
        let wrong = || args.refuse_value(&text, "not HOST:PORT, with port 0 for any");
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        if host.contains(':') {
            // Where the address ends and the port begins only brackets tell.
            text.parse::<Addr>().map_err(|error| args.refuse_value(&text, error))?;
        }
        self.host = host.into();
        self.option = "--listen";
        self.port = port.parse().map_err(|_| wrong())?;
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

/// A path, or on Linux an abstract name where it begins with `@`; a file whose name does is `./@file`, there and in what is said elsewhere.
fn unix_addr(path: &Path) -> Addr {
    match path.as_os_str().as_encoded_bytes().strip_prefix(b"@") {
        Some(name) if cfg!(target_os = "linux") => Addr::abstract_name(name),
        Some(_) => Addr::from(Path::new(".").join(path)),
        None => Addr::from(path),
    }
}

/// The options of an echo server that is about the loop it runs in.
pub(crate) struct Plain {
    pub(crate) bind: Bind,
    pub(crate) config: Config,
    /// How often it says how it goes.
    pub(crate) stats: Option<Duration>,
}

impl Plain {
    /// Those of the command line of the program `name`.
    pub(crate) fn parse(name: &str) -> Result<Self> {
        let usage =
            "[--host NAME] [--port N] [--idle-timeout SECS] [--max-remoters N] [--stats SECS]";
        let mut args = Args::new(format!("usage: {name} {usage}"));
        let mut options = Plain { bind: Bind::default(), config: Config::new(), stats: None };
        while let Some(option) = args.next()? {
            match &*option {
                "host" => options.bind.host = args.text()?,
                "port" => options.bind.port = args.port()?,
                "idle-timeout" => options.config.timeouts.idle = args.secs_or_none()?,
                "max-remoters" => options.config.limits.remoters = args.count()?,
                "stats" => options.stats = args.secs_or_none()?,
                _ => return Err(args.unknown()),
            }
        }
        Ok(options)
    }
}

/// The usage of a server that may speak TLS, where that was compiled in.
pub(crate) fn usage(own: &str) -> String {
    #[cfg(feature = "tls")]
    return format!("{own}\n       {}", tls::USAGE);
    #[cfg(not(feature = "tls"))]
    own.into()
}

/// A host without the brackets of an IPv6 address.
pub(crate) fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// Says where a server listens: the one line on standard output that programs wait for.
pub(crate) fn announce(server: &Server, acceptor: AcceptorId) -> Result<()> {
    let addr = server.local_addr(acceptor).ok_or("it does not listen")?;
    print(format_args!("listening on {addr}"))
}

/// Says when a server finds no descriptor for those who come, once, and when it takes them in again.
#[derive(Default)]
pub(crate) struct Room {
    none: bool,
}

impl Room {
    /// To be told each event.
    pub(crate) fn heed(&mut self, event: &Event) {
        match event {
            // It rests and tries again, many times a second.
            Event::AcceptPaused { error, .. } if !std::mem::replace(&mut self.none, true) => {
                say(format_args!("nobody is taken in for now: {error}"));
            }
            Event::Accepted(_) if std::mem::take(&mut self.none) => {
                say("somebody is taken in again");
            }
            Event::ListenerLost { error, .. } => say(format_args!("listens no more: {error}")),
            _ => {}
        }
    }
}

/// How long connections may take to end after a signal.
pub(crate) const DRAIN: Duration = Duration::from_secs(2);

/// How often a server that ends looks who has nothing more to say, which no event tells.
pub(crate) const LOOK: Duration = Duration::from_millis(5);

/// The end of a server that answers all that it has read: it takes in nobody any more, and closes each connection once that is quiet and its
/// answers are out.
pub(crate) struct Ending {
    within: Duration,
    /// When it began.
    since: Option<Tyme>,
    /// How many bytes have come from each, and since when no more.
    quiet: BTreeMap<Id, (u64, Tyme)>,
}

impl Ending {
    /// Those left `within` that time are cut.
    pub(crate) fn new(within: Duration) -> Self {
        Ending { within, since: None, quiet: BTreeMap::new() }
    }

    /// To be called after each tick, once the server is to end; or more often, by a loop whose looks are no ticks and which therefore says what time it is
    /// now, since the server's own stands still between them.
    pub(crate) fn turn(&mut self, server: &mut Server, now: Tyme) {
        let Some(since) = self.since else {
            self.since = Some(now);
            return server.drain(Some(self.within));
        };
        // Who never stops talking is closed between two words.
        let patient = now - since < self.within / 4;
        for id in server.ixes() {
            let Some(remoter) = server.remoter_mut(id) else { continue };
            let bytes = remoter.counters().bytes_in;
            let quiet = self.quiet.entry(id).or_insert((bytes, now));
            if quiet.0 != bytes {
                *quiet = (bytes, now);
            }
            let over = now - quiet.1 >= LOOK && remoter.tx_len() == 0;
            if !remoter.can_receive() && (over || !patient) {
                remoter.close();
            }
        }
    }
}

/// Until when a server need not be woken: its next report, or soon where it is to end.
pub(crate) fn rest(report: Option<&Tymer>, now: Tyme, ending: bool) -> Option<Duration> {
    let report = report.map(|report| report.remaining(now));
    if ending { Some(report.map_or(LOOK, |report| report.min(LOOK))) } else { report }
}

/// A flag that SIGINT and SIGTERM set; the server is woken by them.
pub(crate) fn stop_on_signal(waker: Waker) -> Result<Arc<AtomicBool>> {
    let told = Arc::default();
    tell_on_signal(&told, waker)?;
    Ok(told)
}

/// The same with a flag that is there already.
pub(crate) fn tell_on_signal(told: &Arc<AtomicBool>, waker: Waker) -> Result<()> {
    set_on_signals(told, &[SIGINT, SIGTERM], waker)
}

/// A flag that SIGHUP sets: certificates are to be read again.
pub(crate) fn reload_on_signal(waker: Waker) -> Result<Arc<AtomicBool>> {
    let told = Arc::default();
    set_on_signals(&told, &[SIGHUP], waker)?;
    Ok(told)
}

fn set_on_signals(told: &Arc<AtomicBool>, signals: &[i32], waker: Waker) -> Result<()> {
    let flag = Arc::clone(told);
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
    Ok(())
}
