//! The tutorial's chapter on life in production: service managers, replacing a program while it is asked, several machines.
//!
//! # Under systemd
//!
//! With the feature `systemd` a program listens on the sockets that systemd has opened for it, says when it is ready, and feeds the watchdog from its tick: an
//! engine that hangs is restarted. By hand, without systemd, the same program opens its sockets itself, and nobody is told.
//!
//! ```
//! # #[cfg(feature = "systemd")] {
//! use tymist::run::Manager;
//! use tymist::run::systemd::{Notify, sockets};
//! use tymist::{Config, Event, Server};
//!
//! let mut inherited = sockets()?; // first of all: it changes the environment
//! let mut manager = Manager::new(Config::new(), |_, _| Ok(|_: &mut Server, _: Event| {}));
//! manager.threads(2).listen(([127, 0, 0, 1], 0));
//! manager.inherit(&mut inherited).notify(Notify::from_env());
//! manager.start()?; // READY=1
//! # manager.stopper().stop(None);
//! manager.wait(None)?;
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ```text
//! # tymist.socket                         # tymist.service
//! [Socket]                                [Service]
//! ListenStream=0.0.0.0:7000               Type=notify-reload
//! ReusePort=true                          ExecStart=/usr/local/bin/managed --port 7000 --host 0.0.0.0 --takeover /run/tymist/next
//!                                         RuntimeDirectory=tymist
//! [Install]                               WatchdogSec=10
//! WantedBy=sockets.target                 Restart=on-failure
//!                                         NotifyAccess=all
//! ```
//!
//! That is the example `managed`, built with `--features systemd,uds`. `systemctl reload` sends it SIGHUP; it says `RELOADING=1` and starts its successor,
//! which takes over (below) and, once it has confirmed, says `MAINPID=` itself and `READY=1`: `NotifyAccess=all` is there for that. It feeds the watchdog that
//! was set for the one before.
//!
//! A socket is taken where its address is the very one that is listened on: `ListenStream=7000` is `[::]:7000`, and for `--host 0.0.0.0` another address. What
//! is taken by nobody is closed; [`Inherited::addrs`](crate::run::Inherited::addrs) tells what that would be. A program that is to serve wherever its sockets
//! are takes them all, with [`Manager::inherit_all`](crate::run::Manager::inherit_all) or
//! [`Inherited::listen_all`](crate::run::Inherited::listen_all), as `managed` does without `--host`, `--port` and `--unix`.
//!
//! As systemd keeps the socket open, a restart loses nobody who waits in its queue, not even after a crash. With one socket and several engines they share it,
//! which works and costs a wake-up in vain now and then; several sockets are shared out.
//!
//! # Replacing a program while it is asked
//!
//! The old process offers its sockets at a path, and the new one takes them over. Both accept for a moment; then the old one only finishes what it has begun:
//!
//! ```
//! use std::io::{Read, Write};
//! use std::net::TcpStream;
//! use tymist::net::Listen;
//! use tymist::run::{Inherited, Manager};
//! use tymist::{Config, Event, Server};
//!
//! /// What the program's `main` does, the first time and each time after.
//! fn begin(path: &std::path::Path) -> Result<Manager, Box<dyn std::error::Error>> {
//!     let mut manager = Manager::new(Config::new(), |_, _| Ok(|server: &mut Server, event: Event| {
//!         if let Event::Accepted(id) = event {
//!             let _ = server.tx(id, b"hello");
//!         }
//!     }));
//!     manager.listen("127.0.0.1:0".parse::<Listen>()?);
//!     let mut inherited = Inherited::take_over(path)?; // nothing, the first time
//!     manager.inherit(&mut inherited);
//!     manager.start()?;
//!     inherited.confirm()?; // from here on the other one accepts no more
//!     manager.offer(path)?; // to the next
//!     Ok(manager)
//! }
//!
//! let path = std::env::temp_dir().join(format!("tymist-guide-{}", std::process::id()));
//! let old = begin(&path)?;
//! let new = begin(&path)?; // another process, in earnest
//! assert!(old.wait(None)?);
//! assert_eq!(new.addrs(), old.addrs());
//! let mut hello = [0; 5];
//! TcpStream::connect(new.addrs()[0].inet().unwrap())?.read_exact(&mut hello)?;
//! # new.stop(Some(std::time::Duration::ZERO))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A new program that fails before it has confirmed has changed nothing. Connections stay with the process that has accepted them, for at most
//! [`Timeouts::drain`](crate::Timeouts::drain); so what is asked in one short connection is never lost, and what stays connected for hours should close at a
//! good moment when [`Event::Draining`](crate::Event::Draining) says that it is time. Settings that belong to a socket from its opening on (backlog, buffers)
//! are those of the process that opened it. The example `managed` does all this.
//!
//! # Several machines
//!
//! One engine is one core, `threads(n)` is one machine. Several machines are reached through the load balancer that you already run: HAProxy → m machines × n
//! threads. It watches over the machines, and takes one out before it is replaced as a whole.
//!
//! ```haproxy
//! global
//!     maxconn 100000
//!
//! defaults
//!     mode tcp
//!     timeout connect 5s
//!     timeout client 5m
//!     timeout server 5m
//!     # A machine that refuses is not asked twice in a row: the next one is.
//!     retries 2
//!     option redispatch
//!
//! frontend service
//!     bind :7000
//!     # The end of TLS may be here (`bind :7001 ssl crt /etc/haproxy/site.pem`), or in the servers, which then see it whole.
//!     default_backend machines
//!
//! backend machines
//!     balance leastconn
//!     # So that a server knows its clients' addresses (and counts them, not ours): the PROXY protocol, which it must believe from this network alone.
//!     default-server check inter 2s fall 3 rise 2 maxconn 20000 send-proxy-v2
//!     server one 192.0.2.11:7000
//!     server two 192.0.2.12:7000
//!     # In front of a single process on this machine, without TCP:
//!     server local unix@/run/tymist/service backup
//! ```
//!
//! * **Limits** are per engine: of 20,000 connections a machine gets from here, each of four engines sees about 5,000; let
//!   [`Limits::remoters`](crate::Limits::remoters) leave room for chance, say half as many again.
//! * **Addresses.** Behind a balancer every connection comes from the same address. Limits per address mean the balancer then, unless the PROXY protocol tells
//!   of the clients (`Server::set_proxy_protocol`, feature `proxy-protocol`, in the chapter `guide::forwarding`); and it must be believed from the balancer's
//!   network only, or anybody may claim to be anybody.
//! * **Time.** The balancer's `timeout client` is the idle time-out that clients see; keep [`Timeouts::idle`](crate::Timeouts::idle) above it, so that the
//!   balancer is the one who closes.
//! * **Replacing** a program on one machine needs no word with the balancer: the socket never closes.
