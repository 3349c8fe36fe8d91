//! Servers on threads of their own.
//!
//! # What holds
//!
//! * A thread of a [`Manager`] has one engine: a [`Server`] and its [`Service`], both made on that thread and never seen by another. So neither needs to be
//!   `Send`, and nothing in them is locked.
//! * However a thread ends, its sockets are closed first, then its mailbox says "gone", then it counts as ended, and what went wrong is kept until
//!   it was delivered.
//! * The threads of a manager end with it: dropping it is a [`stop`](Manager::stop), which waits for the connections that are left.
//! * Nothing here installs a signal handler. A [`Stopper`] ends a manager from whatever does.

mod crew;
mod engine;
mod failure;
mod group;
#[cfg(all(unix, feature = "systemd"))]
mod herald;
mod listening;
mod mail;
mod running;
mod start;
mod stopper;

use core::fmt;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::config::Config;
#[cfg(feature = "tls")]
use crate::net::tls::ServerTls;
use crate::net::{Addr, Listen};
use crate::run::Inherited;
#[cfg(all(unix, feature = "uds", feature = "systemd"))]
use crate::run::inherited::Words;
#[cfg(all(unix, feature = "systemd"))]
use crate::run::systemd::Notify;
use crate::server::Server;
use crate::service::Service;

use crew::Crew;
use engine::Job;
use listening::Entry;
#[cfg(all(unix, feature = "uds"))]
pub(super) use listening::Held;
use stopper::Current;
#[cfg(all(unix, feature = "uds"))]
pub(super) use stopper::Sockets;

pub use engine::Seat;
pub use failure::{BoxError, Failure};
pub use group::{Group, GroupFailure};
pub use mail::{Inbox, MailError, Mailbox, mailbox};
pub use stopper::Stopper;

/// A server on a thread of its own, or on several: start it and forget it.
///
/// It is told where to [`listen`](Manager::listen) and how to make a service, and [`start`](Manager::start) makes both on a new thread. With
/// [`threads`](Manager::threads) there are several engines at one address, and the operating system spreads connections over them (`SO_REUSEPORT`); each has
/// its own service, limits, and connections.
///
/// ```
/// use std::io::{Read, Write};
/// use std::net::TcpStream;
/// use std::time::Duration;
/// use tymist::run::Manager;
/// use tymist::{Config, Event, Server};
///
/// let mut manager = Manager::new(Config::new(), |_server, _seat| {
///     Ok(|server: &mut Server, event: Event| {
///         if let Event::Received(id) | Event::Drained(id) = event
///             && let Some(remoter) = server.remoter_mut(id)
///         {
///             let mut data = remoter.take();
///             let _ = remoter.tx_bytes(&mut data); // takes what fits; an error: it is closing
///             remoter.unread(data); // the rest holds the peer back, until `Drained`
///         }
///     })
/// });
/// manager.threads(2).listen(([127, 0, 0, 1], 0));
/// manager.start()?;
///
/// let addr = manager.addrs()[0].inet().unwrap();
/// let mut client = TcpStream::connect(addr)?;
/// client.write_all(b"hello")?;
/// let mut reply = [0; 5];
/// client.read_exact(&mut reply)?;
/// assert_eq!(&reply, b"hello");
/// drop(client);
///
/// manager.stop(Some(Duration::from_secs(5)))?;
/// assert_eq!(manager.counters().accepted, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Manager<M = ()> {
    config: Config,
    engines: usize,
    entries: Vec<Entry>,
    run: Arc<dyn Fn(Job<M>) + Send + Sync>,
    capacity: usize,
    mailboxes: Vec<Mailbox<M>>,
    current: Current,
    threads: Mutex<Vec<JoinHandle<()>>>,
    #[cfg(all(unix, feature = "systemd"))]
    notify: Option<Notify>,
    /// The next start is that of a successor, which is ready only once it has confirmed.
    #[cfg(all(unix, feature = "uds", feature = "systemd"))]
    words: Option<Words>,
    #[cfg(all(unix, feature = "uds"))]
    offer: Option<Box<Manager>>,
}

impl Manager<()> {
    /// A manager of one engine with this configuration, whose service `build` makes. It is called on the engine's thread at each start, once it listens, and
    /// may open more (endpoints for datagrams, connections).
    #[must_use]
    pub fn new<S: Service>(
        config: Config,
        build: impl Fn(&mut Server, Seat) -> Result<S, BoxError> + Send + Sync + 'static,
    ) -> Self {
        Manager::with_mail(1, config, build)
    }
}

impl<M: Send + 'static> Manager<M> {
    /// The same with a [mailbox](Manager::mailbox) for each engine that holds `capacity` messages.
    #[must_use]
    pub fn with_mail<S: Service>(
        capacity: usize,
        config: Config,
        build: impl Fn(&mut Server, Seat<M>) -> Result<S, BoxError> + Send + Sync + 'static,
    ) -> Self {
        Manager {
            config,
            engines: 1,
            entries: Vec::new(),
            run: Arc::new(move |job| engine::run(job, &build)),
            capacity,
            mailboxes: vec![Mailbox::shut()],
            current: Current(Arc::new(Mutex::new(Arc::new(Crew::new(0))))),
            threads: Mutex::default(),
            #[cfg(all(unix, feature = "systemd"))]
            notify: None,
            #[cfg(all(unix, feature = "uds", feature = "systemd"))]
            words: None,
            #[cfg(all(unix, feature = "uds"))]
            offer: None,
        }
    }

    /// How many engines the next start makes, each on a thread of its own; 0 counts as 1. Limits are those of one engine. With more than one, TCP listeners
    /// share their port, of which is made sure that nobody else has it; engines share a Unix listener's one socket. Unix only beyond 1.
    pub fn threads(&mut self, engines: usize) -> &mut Self {
        self.engines = engines.max(1);
        self.mailboxes.resize_with(self.engines, Mailbox::shut);
        self
    }

    /// Listens there from the next start on; any number of times. Port 0 is picked by the first engine, and kept when it is started again.
    pub fn listen(&mut self, listen: impl Into<Listen>) -> &mut Self {
        self.entries.push(Entry {
            spec: listen.into(),
            #[cfg(feature = "tls")]
            tls: None,
            addr: None,
            inherited: Vec::new(),
            shared: None,
            #[cfg(all(unix, feature = "uds"))]
            file: None,
        });
        self
    }

    /// The same with TLS. Reload the configuration through any clone of it: all engines share it.
    #[cfg(feature = "tls")]
    pub fn listen_tls(&mut self, listen: impl Into<Listen>, tls: &ServerTls) -> &mut Self {
        self.listen(listen);
        if let Some(entry) = self.entries.last_mut() {
            entry.tls = Some(tls.clone());
        }
        self
    }

    /// Takes those of the sockets that are for an address it was told to [`listen`](Manager::listen) on; the next start uses them instead of new ones. The
    /// others stay: see [`Inherited::addrs`], and [`inherit_all`](Manager::inherit_all).
    pub fn inherit(&mut self, inherited: &mut Inherited) -> &mut Self {
        #[cfg(all(unix, feature = "uds", feature = "systemd"))]
        if let Some(words) = inherited.words() {
            self.words = Some(words);
        }
        for entry in &mut self.entries {
            for heirloom in inherited.take(&entry.spec.addr) {
                entry.addr = Some(heirloom.addr().clone());
                entry.inherited.push(heirloom.socket);
            }
        }
        self
    }

    /// Takes all of the sockets, and listens on those, too, whose addresses it was not told: for a program that serves where it is told to from outside.
    pub fn inherit_all(&mut self, inherited: &mut Inherited) -> &mut Self {
        self.inherit(inherited);
        while let Some(addr) = inherited.next_addr() {
            self.listen(addr).inherit(inherited);
        }
        self
    }

    /// The same with TLS on those whose addresses it was not told.
    #[cfg(feature = "tls")]
    pub fn inherit_all_tls(&mut self, inherited: &mut Inherited, tls: &ServerTls) -> &mut Self {
        self.inherit(inherited);
        while let Some(addr) = inherited.next_addr() {
            self.listen_tls(addr, tls).inherit(inherited);
        }
        self
    }

    /// Tells the service manager that it is ready once it has started, and that it is stopping; and feeds its watchdog as long as all engines go on.
    ///
    /// Where it [inherits](Manager::inherit) from a process that it succeeds, it is ready once [that is confirmed](Inherited::confirm), and is then the main
    /// process; and it feeds the watchdog although that was set for the other one.
    ///
    /// Nothing waits for the service manager. Where that does not read, and no more fits, the engines say those words again until they fit.
    #[cfg(all(unix, feature = "systemd"))]
    pub fn notify(&mut self, notify: Notify) -> &mut Self {
        self.notify = Some(notify);
        self
    }

    /// Where it listens, with the ports that were picked, in the order of the calls that said so; what was asked for before the first start.
    #[must_use]
    pub fn addrs(&self) -> Vec<Addr> {
        let addr = |entry: &Entry| entry.addr.clone().unwrap_or_else(|| entry.spec.addr.clone());
        self.entries.iter().map(addr).collect()
    }
}

impl<M> fmt::Debug for Manager<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manager")
            .field("engines", &self.engines)
            .field("running", &self.current.get().running())
            .finish_non_exhaustive()
    }
}
