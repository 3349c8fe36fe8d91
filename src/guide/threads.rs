//! The tutorial's chapter on callbacks, and on servers that run on threads of their own.
//!
//! # Callbacks
//!
//! Events are what happens; a [`Service`](crate::Service) is told of them by callbacks, if you like that better. Write those you need:
//!
//! ```
//! use std::io::{Read, Write};
//! use std::net::TcpStream;
//! use tymist::{CloseReason, Config, Server, Service, Session};
//!
//! #[derive(Default)]
//! struct Lines {
//!     open: usize,
//! }
//!
//! impl Service for Lines {
//!     fn opened(&mut self, session: &mut Session<'_>) {
//!         self.open += 1;
//!         let _ = session.tx(b"welcome\n");
//!     }
//!
//!     fn received(&mut self, session: &mut Session<'_>) {
//!         while let Some(end) = session.rx().iter().position(|byte| *byte == b'\n') {
//!             let mut line = session.take_first(end + 1);
//!             let _ = session.tx_bytes(&mut line); // takes what fits; an error: it is closing
//!             if !line.is_empty() {
//!                 return session.unread(line); // the rest waits for room, and holds the peer back
//!             }
//!         } // half a line stays where it is
//!     }
//!
//!     fn drained(&mut self, session: &mut Session<'_>) {
//!         self.received(session);
//!     }
//!
//!     fn closed(&mut self, _: &mut Session<'_>, _: CloseReason) {
//!         self.open -= 1;
//!     }
//! }
//!
//! let mut server = Server::new(Config::new());
//! let acceptor = server.listen(([127, 0, 0, 1], 0))?;
//! let addr = server.local_addr(acceptor).and_then(|addr| addr.inet()).unwrap();
//! let mut lines = Lines::default();
//!
//! let mut client = TcpStream::connect(addr)?;
//! client.write_all(b"one\ntw")?;
//! while server.counters().bytes_in < 6 {
//!     server.wait(None);
//!     server.serve(&mut lines);
//! }
//! server.service_sends(); // as the next wait would
//! let mut reply = [0; 12];
//! client.read_exact(&mut reply)?;
//! assert_eq!(&reply, b"welcome\none\n");
//! assert_eq!(lines.open, 1);
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! A [`Session`](crate::Session) is the connection for the time of the callback. It queues, and the network comes later: no callback is ever called from inside
//! another. What concerns the rest of the server is done [`later`](crate::Session::later), once the callback has returned.
//! [`incoming`](crate::Service::incoming) and [`outgoing`](crate::Service::outgoing) see each byte once, and may change it: for ciphers, compression, metering,
//! logs. All else (refusals, lost listeners, draining) comes to [`event`](crate::Service::event), which passes on what has a callback.
//!
//! The same service runs in this loop, on threads, and in a [`ServerDoer`](crate::doing::ServerDoer): as a doer in a group, or on a host of a simulated world.
//! Where each connection is best an object of its own, [`TcpServer`](crate::TcpServer) makes them.
//!
//! # One thread, or several
//!
//! A [`Manager`](crate::run::Manager) runs a server and its service on a thread, and `threads(n)` on several at one address: the operating system spreads
//! connections over them (`SO_REUSEPORT`). Both are made on their thread and never leave it, so nothing is shared and nothing is locked. Limits are those of
//! one engine; counters add up.
//!
//! An engine uses one core. More engines than cores bring nothing; fewer leave cores to the rest of your program.
//!
//! ```
//! use std::io::{Read, Write};
//! use std::net::TcpStream;
//! use std::time::Duration;
//! use tymist::run::{Inbox, Manager, Seat};
//! use tymist::{Config, Server, Service, Session};
//!
//! /// Greets with a word that can be changed while it runs.
//! struct Greeter {
//!     word: String,
//!     inbox: Inbox<String>,
//! }
//!
//! impl Service for Greeter {
//!     fn opened(&mut self, session: &mut Session<'_>) {
//!         let _ = session.tx(self.word.as_bytes());
//!         session.close();
//!     }
//!
//!     fn tick(&mut self, _: &mut Server) {
//!         while let Some(word) = self.inbox.take() {
//!             self.word = word;
//!         }
//!     }
//! }
//!
//! let mut manager = Manager::with_mail(8, Config::new(), |_, seat: Seat<String>| {
//!     Ok(Greeter { word: "hello".into(), inbox: seat.inbox })
//! });
//! manager.threads(2).listen(([127, 0, 0, 1], 0));
//! manager.start()?;
//! for engine in 0..2 {
//!     manager.mailbox(engine).unwrap().send("good day".into())?;
//! }
//! let mut said = String::new();
//! while said != "good day" {
//!     said.clear(); // sent is not yet read
//!     TcpStream::connect(manager.addrs()[0].inet().unwrap())?.read_to_string(&mut said)?;
//! }
//! manager.stop(Some(Duration::from_secs(1)))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A [`Mailbox`](crate::run::Mailbox) is bounded, and a message wakes the engine it is for; one that cannot be delivered comes back.
//!
//! # The end
//!
//! [`stop`](crate::run::Manager::stop) lets connections finish for as long as you say, and cuts the rest; dropping a manager does the same.
//! [`wait`](crate::run::Manager::wait) waits for somebody else to end it: a [`Stopper`](crate::run::Stopper), which a signal handler, another thread or the
//! service itself has. A panic of a service ends its engine alone, and is delivered by `wait` or `stop`; a panic, a poller that failed, a service that gave up:
//! nothing is lost, [`failures`](crate::run::Manager::failures) has it all. Then [`start`](crate::run::Manager::start) it again, at the same address. A
//! [`Group`](crate::run::Group) does all this with several managers at once.
//!
//! # From omniserver and turbo
//!
//! | there | here |
//! |---|---|
//! | omniserver `tcp_server(…)`, `ServerManager` | [`Manager::new`](crate::run::Manager::new) with [`listen`](crate::run::Manager::listen) or `listen_tls` |
//! | `ServerManager.start`, `.wait`, `.stop` | [`start`](crate::run::Manager::start), [`wait`](crate::run::Manager::wait), [`stop`](crate::run::Manager::stop) |
//! | `start_all`, `wait_all`, `stop_all` | [`Group`](crate::run::Group) |
//! | `TCPHandler`, `incoming()`, `outgoing()` | [`Service`](crate::Service) |
//! | `udp_server`, `UDPHandler` | [`Server::bind`](crate::Server::bind) in the making of the service, [`Service::grams`](crate::Service::grams) |
//! | `dns_server`, `dns_tcp_server`, `http_server` and their handlers | a service on top of these with a crate that knows the protocol: this one does none above bytes |
//! | turbo `TCPServer(io_loop, ssl_options, max_buffer_size)` | [`TcpServer::new`](crate::TcpServer::new), `set_tls`, [`max_buffer_size`](crate::TcpServer::max_buffer_size); the loop is yours |
//! | `handle_stream(stream, address)` | the closure that [`TcpServer::new`](crate::TcpServer::new) is given |
//! | `listen`, `bind` and `start`, `add_socket`, `add_sockets`, `stop` | the same names |
