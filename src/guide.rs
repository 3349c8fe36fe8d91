//! A tutorial: from an echo server to one that lives in your own loop.
//!
//! Each step is a program that is compiled and run by the tests.
//!
//! # 1. Echo
//!
//! A [`Server`](crate::Server) opens nothing until you say where to [`listen`](crate::Server::listen). A tick is one call of
//! [`service`](crate::Server::service); what it brought comes out of [`poll_event`](crate::Server::poll_event). Events own what they say, so nothing is
//! borrowed while you work on a connection.
//!
//! ```
//! use tymist::{Config, Event, Server};
//!
//! fn serve(server: &mut Server, ticks: usize) {
//!     for _ in 0..ticks {
//!         server.wait(Some(std::time::Duration::from_millis(1)));
//!         server.service();
//!         while let Some(event) = server.poll_event() {
//!             match event {
//!                 Event::Received(id) | Event::Drained(id) => {
//!                     let Some(remoter) = server.remoter_mut(id) else { continue };
//!                     let mut data = remoter.take();
//!                     let _ = remoter.tx_bytes(&mut data); // takes what fits; an error: it is closing
//!                     remoter.unread(data); // the rest holds the peer back
//!                 }
//!                 Event::Closed(id, reason) => println!("{id}: {reason}"),
//!                 _ => {}
//!             }
//!         }
//!     }
//! }
//!
//! let mut server = Server::new(Config::new());
//! server.listen("127.0.0.1:0".parse::<tymist::net::Listen>()?)?;
//! serve(&mut server, 3);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Three things to know. `tx` only *queues*; the bytes leave at the start of the next tick (or at once with
//! [`service_sends`](crate::Server::service_sends)). `tx` takes *what fits* and says how much; `Drained` tells when to offer the rest. And what you do
//! not take from `rx` stays there: at its cap the peer is held back.
//!
//! # 2. Time
//!
//! Deadlines go by a clock. Without one, the server goes by the machine's monotonic clock. [Wind](crate::Server::wind) it to a
//! [`Tymist`](crate::tyme::Tymist) and *you* say what time it is: in fixed ticks, in jumps, or following real time. A test of an hour's silence takes no time:
//!
//! ```
//! use std::net::TcpStream;
//! use std::time::Duration;
//! use tymist::tyme::Tymist;
//! use tymist::{CloseReason, Config, Deadline, Event, Server};
//!
//! let mut config = Config::new();
//! config.timeouts.idle = Some(Duration::from_secs(3600));
//! let mut tymist = Tymist::new();
//! let mut server = Server::new(config);
//! server.wind(tymist.tymth());
//! let acceptor = server.listen(([127, 0, 0, 1], 0))?;
//! let addr = server.local_addr(acceptor).and_then(|addr| addr.inet()).unwrap();
//!
//! let client = TcpStream::connect(addr)?;
//! while server.is_empty() {
//!     server.wait(None);
//!     server.service();
//! }
//! tymist.tick_by(Duration::from_secs(3600) - Duration::from_nanos(1));
//! server.service();
//! assert_eq!(server.len(), 1);
//! tymist.tick_by(Duration::from_nanos(1));
//! server.service();
//! assert_eq!(server.len(), 0);
//! let last = std::iter::from_fn(|| server.poll_event()).last();
//! assert!(matches!(last, Some(Event::Closed(_, CloseReason::Expired(Deadline::Idle)))));
//! # drop(client);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Timeouts`](crate::Timeouts) lists all of them: handshake, first byte, idle, lifetime, write stall, linger, drain, and a minimum rate. One connection can
//! have its own with [`Remoter::set_timeouts`](crate::Remoter::set_timeouts).
//!
//! # 3. Limits
//!
//! Every queue is bounded and every loop has a budget; [`Limits`](crate::Limits) says what each costs and what happens when it is hit. Most hold back; where
//! you would rather be rid of a peer, say so:
//!
//! ```
//! use tymist::{Config, OverLimit, RxFull, TxFull};
//!
//! let mut config = Config::new();
//! config.limits.remoters = 1000;
//! config.over_limit = OverLimit::Wait; // the 1001st waits in the backlog
//! config.limits.rx_bytes = 16 * 1024;
//! config.rx_full = RxFull::Close; // no request is longer than that
//! config.tx_full = TxFull::Close; // who does not read is dropped
//! ```
//!
//! The [counters](crate::Server::counters) tell how often each was met.
//!
//! # 4. Endings
//!
//! [`close`](crate::Remoter::close) sends what is queued, then our end, then waits a little for the peer's. [`abort`](crate::Remoter::abort) resets. A peer
//! that ends its half (`Eof`) can still get its answer: queue it before the next tick, and the connection closes when all is out; to answer later, set
//! [`half_open`](crate::Config::half_open) and close yourself. Every connection ends in exactly one `Closed` with its [`CloseReason`](crate::CloseReason).
//! [`drain`](crate::Server::drain) ends the whole server gently.
//!
//! # 5. The other end
//!
//! [`Clients`](crate::Clients) are the connections you make yourself; [`Client`](crate::Client) is one alone. An id names one at once, so you can queue before
//! it is up. Not being connected is no error: events tell how it goes.
//!
//! ```
//! use std::time::Duration;
//! use tymist::tyme::Tymist;
//! use tymist::{Backoff, Clients, Config, Connect, Event, Server};
//!
//! let mut server = Server::new(Config::new());
//! let acceptor = server.listen(([127, 0, 0, 1], 0))?;
//! let addr = server.local_addr(acceptor).cloned().unwrap();
//!
//! let mut tymist = Tymist::new();
//! let mut clients = Clients::new(Config::new());
//! clients.wind(tymist.tymth());
//! let mut connect = Connect::new(addr);
//! connect.reconnect = Some(Backoff::every(Duration::from_secs(60)));
//! let id = clients.connect(connect)?;
//! clients.tx(id, b"hello")?;
//!
//! let mut connections = 0;
//! while connections < 2 {
//!     clients.wait(Some(Duration::from_millis(1)));
//!     clients.service();
//!     while let Some(event) = clients.poll_event() {
//!         match event {
//!             Event::Connected(_) => connections += 1,
//!             // The server has hung up. A minute later it is tried again, under the same id; here that takes no time.
//!             Event::Disconnected { retry_at, .. } => drop(tymist.set(retry_at)?),
//!             Event::ConnectFailed { addr, error, .. } => println!("{addr}: {error}"),
//!             _ => {}
//!         }
//!     }
//!     server.wait(Some(Duration::from_millis(1)));
//!     server.service();
//!     while let Some(event) = server.poll_event() {
//!         if let Event::Received(id) = event
//!             && let Some(remoter) = server.remoter_mut(id)
//!         {
//!             assert_eq!(remoter.take(), &b"hello"[..]);
//!             remoter.close();
//!         }
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Connect`](crate::Connect) says whom and how: one address, several that are tried side by side, or a name; our own address; whether to come again
//! ([`reconnectable`](crate::Connect::reconnectable)). Three things to know. A new round begins only once you took `Disconnected`. What you queue while it is
//! not connected waits for the connection; what was queued on one that broke is gone, because a part of it may have arrived: say again what your protocol wants
//! said again. And [`close`](crate::Remoter::close) is for good.
//!
//! Names are looked up by helper threads; [`set_resolve`](crate::Clients::set_resolve) puts a resolver of yours in their place. A server makes connections by
//! [`Server::connect`](crate::Server::connect), as a proxy does, and serves both kinds in one tick.
//!
//! # 6. TLS
//!
//! A [`ServerTls`](crate::net::tls::ServerTls) is a checked configuration: certificate chain and key in PEM or DER, from files or memory.
//! [`listen_tls`](crate::Server::listen_tls) is `listen` with it, and all of the above holds: `Accepted` comes once the handshake is done, and what is between
//! is nobody's business but [`cxes`](crate::Server::cxes) and the handshake timeout's. Several acceptors may have a configuration each, beside plain ones.
//!
//! ```
//! use tymist::net::tls::{Identity, Material, ServerTls, ServerTlsConfig};
//! use tymist::{CloseReason, Config, Event, Server};
//!
//! # let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
//! # let (chain_pem, key_pem) = (made.cert.pem(), made.signing_key.serialize_pem());
//! // For files: Identity::new(Path::new("chain.pem"), Path::new("key.pem")).
//! let identity = Identity::new(Material::bytes(chain_pem), Material::bytes(key_pem));
//! let tls = ServerTls::new(ServerTlsConfig::new(identity).with_alpn(["echo"]))?;
//! let mut server = Server::new(Config::new());
//! let acceptor = server.listen_tls(([127, 0, 0, 1], 0), &tls)?;
//!
//! # let addr = server.local_addr(acceptor).and_then(|addr| addr.inet()).unwrap();
//! # let mut client = std::net::TcpStream::connect(addr)?;
//! # std::io::Write::write_all(&mut client, b"GET / HTTP/1.1\r\n\r\n")?;
//! # client.shutdown(std::net::Shutdown::Write)?;
//! # let mut failed = false;
//! # while !failed {
//! server.wait(None);
//! server.service();
//! while let Some(event) = server.poll_event() {
//!     match event {
//!         Event::Accepted(id) => {
//!             let agreed = server.remoter(id).and_then(|remoter| remoter.tls());
//!             println!("{id}: {agreed:?}"); // version, suite, names, the peer's identity
//!         }
//!         Event::HandshakeFailed { peer, reason, .. } => {
//!             println!("{peer}: {reason}"); // "plain HTTP on a TLS port", say
//! #           assert!(matches!(reason, CloseReason::Handshake(_)));
//! #           failed = true;
//!         }
//!         Event::Closed(_, CloseReason::TlsTruncated) => {} // cut short: not to be taken for all
//!         _ => {}
//!     }
//! }
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! *Certificates change while the server runs.* [`reload_tls`](crate::Server::reload_tls) reads the files again, or
//! [`reload`](crate::net::tls::ServerTls::reload) on a clone of the handle does so on any thread. The new set is checked first; on any error the old one goes
//! on, and the event `TlsReloadFailed` says what is wrong with which file. Connections that exist are left alone. `TlsExpiring` warns in time.
//!
//! *Client certificates* are asked for with [`ClientAuth`](crate::net::tls::ClientAuth); [`peer_identity`](crate::net::tls::TlsInfo::peer_identity) then says
//! who it is.
//!
//! *STARTTLS*: queue the answer and call [`upgrade_tls`](crate::Remoter::upgrade_tls). The answer leaves in plain, and `Upgraded` tells when the same
//! connection is usable again. What the peer sent in plain behind its command has to be none, or else be TLS: never is it read as if it had been protected.
//!
//! ```
//! use tymist::net::tls::{ServerTls, Unread};
//! use tymist::{Remoter, UpgradeRefused};
//!
//! fn starttls(remoter: &mut Remoter, tls: &ServerTls) {
//!     match remoter.upgrade_tls(tls, Unread::MustBeEmpty) {
//!         Ok(()) | Err(UpgradeRefused::Closing) => {}
//!         Err(why) => {
//!             println!("{}: {why}", remoter.peer_addr());
//!             remoter.abort();
//!         }
//!     }
//! }
//! ```
//!
//! *In tests and simulations* give the configuration [`TlsTime::simulated`](crate::net::tls::TlsTime::simulated): certificates and tickets then age by the
//! Tymist. A run that is to be repeatable to the bit also needs keys from its seed: feature `tls-test-provider`, and
//! [`with_provider`](crate::net::tls::ServerTlsConfig::with_provider)`(test_provider::seeded(seed))` on both sides. It has no security, and signs with Ed25519
//! only, so a `DevCert` does not do: take a certificate and its key from a file.
//!
//! # 7. In your own loop
//!
//! *A frame loop* calls `service()` once a frame and never `wait()`; the budgets keep a frame's share of network time bounded (example `frame_loop`).
//!
//! *Another event loop* watches [`poll_fd`](crate::Server::poll_fd), and calls `service()` when it is readable and when [`wake`](crate::Server::wake) says so:
//!
//! ```
//! use tymist::{Config, Server};
//!
//! let mut server = Server::new(Config::new());
//! server.listen(([127, 0, 0, 1], 0))?;
//! server.service();
//! let sleep = server.wake().timeout(server.tyme()); // at once after a tick; none: until the descriptor is readable
//! # let _ = sleep;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Between ticks the server's tyme stands still: a loop that does other work before it waits takes a `run::Driver`, which looks at the clock (example
//! `poll_loop`). Adapters for tokio, smol, calloop, windows' loops and `poll(2)` are in the chapter `guide::embedding`; programs of several parts under one
//! clock, hio's doers, in `guide::doers`.
//!
//! *Another thread* that has something for the loop wakes it with a [`Waker`](crate::net::Waker), which [`waker`](crate::Server::waker) gives.
//!
//! *Deadlines of your own* are a [`Tymer`](crate::tyme::Tymer) each, or any number of them in a [`Wheel`](crate::tyme::Wheel), whose
//! [`next`](crate::tyme::Wheel::next) bounds the sleep.
//!
//! *Sockets made elsewhere*, as by `std`, are taken over by [`adopt_listener`](crate::Server::adopt_listener) and
//! [`adopt_stream`](crate::Server::adopt_stream).
//!
//! # 8. Looking on
//!
//! A [`WireLog`](crate::wire::WireLog) keeps what really moved, for one connection or for all, in bounded memory, a file, or your own closure:
//!
//! ```
//! use tymist::wire::WireLog;
//! use tymist::{Config, Server};
//!
//! let log = WireLog::memory(64 * 1024); // or file(path), temporary(), each(closure)
//! let mut server = Server::new(Config::new());
//! server.set_wire_log(Some(log.clone())); // of all that come from now on
//! // … and when something was strange:
//! println!("{}", String::from_utf8_lossy(&log.text(None))); // None: both directions
//! ```
//!
//! # 9. Datagrams
//!
//! A [`Peer`](crate::Peer) is a datagram socket with a queue each way and the same tick as a server: [`tx`](crate::Endpoint::tx) queues one datagram,
//! `service()` sends and receives, [`take`](crate::Endpoint::take) gives the next that came in, with its sender. What the network has against a datagram
//! comes as an event, never as an error out of the tick:
//!
//! ```
//! use tymist::{GramConfig, GramEvent, Peer};
//!
//! let mut config = GramConfig::new();
//! config.max_gram = 1200; // longer ones are cut, and flagged
//! let mut peer = Peer::new(config);
//! peer.open("127.0.0.1:0".parse::<tymist::net::Bind>()?)?;
//! let myself = peer.local_addr().clone();
//! peer.tx(b"ping", &myself)?;
//! let mut echoed = None;
//! while echoed.is_none() {
//!     peer.wait(None); // or draw a frame
//!     peer.service();
//!     while let Some(event) = peer.poll_event() {
//!         match event {
//!             GramEvent::Unsent { to, error, .. } => eprintln!("nothing went to {to}: {error}"),
//!             GramEvent::Unreachable { error, .. } => eprintln!("somebody is not there: {error}"),
//!             _ => {}
//!         }
//!     }
//!     echoed = peer.take();
//! }
//! assert_eq!(echoed.map(|gram| (gram.data, gram.from)), Some(("ping".into(), myself)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A full queue drops, as a kernel does, and counts: the newest or the oldest, [as you say](crate::GramsFull). With
//! [`Bind::peer`](crate::net::Bind::peer) the socket is connected to one end and deaf to others. Multicast is
//! [`join`](crate::Endpoint::join) and [`set_option`](crate::Endpoint::set_option).
//!
//! *A server and datagrams in one loop*: [`Server::bind`](crate::Server::bind) opens the same kind of endpoint in the server's own tick, with its poller, its
//! wait and its events.
//!
//! # 10. Unix sockets
//!
//! With the feature `uds` every address may be a path (or an abstract name, on Linux): `server.listen(path)`, `server.bind(path, ..)`,
//! `peer.open(path)`. Peers of a stream mostly have no name: go by id. [`SocketFile`](crate::net::SocketFile) says who may connect, and whether a dead
//! server's file is replaced. `Remoter::peer_credentials` asks who is there; `tx_files` and `take_files` pass open files along, if
//! [`SocketOptions::files`](crate::net::SocketOptions::files) lets them in.
//!
//! # 11. In simulated time
//!
//! With the feature `sim` the same server runs on a host of a simulated world: with latency, losses, partitions and crashes, hours in moments, and each run
//! repeatable from its seed. The chapter is a module of its own, `guide::simulation`, and is there with the feature.
//!
//! # 12. Standing between others
//!
//! TLS to what you dial, connections through a load balancer that say whom they are for, and forwarding. The chapter is a module of its own,
//! `guide::forwarding`, and is there with the features `os`, `tls` and `proxy-protocol`.
//!
//! # 13. Callbacks, threads, production
//!
//! Callbacks instead of events, and servers on threads of their own, are the chapter `guide::threads`; systemd, replacing a program under load, and several
//! machines are `guide::production` (with the feature `uds`).
//!
//! # From hio
//!
//! | hio | tymist |
//! |---|---|
//! | `Tymist(tyme, tock)`, `.tick()`, `.tymen()` | [`Tymist`](crate::tyme::Tymist), `tick()`, `tymth()` |
//! | `Tymee.wind(tymth)` | [`Server::wind`](crate::Server::wind) |
//! | `Tymer(tymth, duration)`, `.expired`, `.elapsed` | [`Tymer::new(now, duration)`](crate::tyme::Tymer::new), `expired(now)`, `elapsed(now)`: it is told the time |
//! | `Tymer.restart()`, `restart(duration)` | [`Tymer::extend`](crate::tyme::Tymer::extend), [`restart`](crate::tyme::Tymer::restart) (lossless); for a timeout you want `refresh(now)` |
//! | `Tymer.start(duration, start)` | `Tymer::new` |
//! | `Server(ha=…)`, `.reopen()` | [`Server::new`](crate::Server::new), then [`listen`](crate::Server::listen); `reopen()` after `close()` |
//! | `.ha`, `.eha` | [`Acceptor::local_addr`](crate::Acceptor::local_addr), [`Addr::reachable`](crate::net::Addr::reachable) |
//! | `.axes`, `.cxes`, `.ixes[ca]` | [`axes()`](crate::Server::axes), [`cxes()`](crate::Server::cxes), [`ixes()`](crate::Server::ixes), [`at(&addr)`](crate::Server::at) then [`remoter_mut(id)`](crate::Server::remoter_mut) |
//! | `.service()` and its steps | the same names: [`service`](crate::Server::service), `service_accepts`, `service_axes`, `service_cxes`, `service_connects` |
//! | `serviceReceivesAllIx`, `serviceSendsAllIx` | [`service_receives`](crate::Server::service_receives), [`service_sends`](crate::Server::service_sends) |
//! | `serviceReceivesIx(ca)`, `ix.serviceReceiveOnce()` | [`service_receives_of(id)`](crate::Server::service_receives_of), [`service_receive_once(id)`](crate::Server::service_receive_once) |
//! | `ix.rxbs`, `.clearRxbs()` | [`rx()`](crate::Remoter::rx), [`consume`](crate::Remoter::consume), [`take`](crate::Remoter::take) |
//! | `ix.tx(data)`, `transmitIx(data, ca)` | [`Remoter::tx`](crate::Remoter::tx), [`Server::tx`](crate::Server::tx) with the id that [`at(&ca)`](crate::Server::at) gives |
//! | `ix.tymeout`, `.tymer`, `.refreshable` | [`Timeouts::idle`](crate::Timeouts::idle), for one [`set_timeouts`](crate::Remoter::set_timeouts); [`Config::refreshable`](crate::Config::refreshable) |
//! | `ServerTls`, `RemoterTls` | [`listen_tls`](crate::Server::listen_tls); the same [`Remoter`](crate::Remoter), whose [`tls()`](crate::Remoter::tls) then is not `None` |
//! | `ix.cutoff` | the events `Eof` and `Closed`; [`is_eof`](crate::Remoter::is_eof), [`close_reason`](crate::Remoter::close_reason) |
//! | `closeIx`, `removeIx(ca, close=False)` | [`Remoter::close`](crate::Remoter::close), [`Server::detach`](crate::Server::detach) |
//! | `shutdownSendIx`, `shutdownReceiveIx` | [`shutdown_send`](crate::Remoter::shutdown_send), [`shutdown_receive`](crate::Remoter::shutdown_receive) |
//! | `Client(ha=…)`, `.reopen()`, `.serviceConnect()` | [`Client::new`](crate::Client::new), [`reopen`](crate::Client::reopen), [`service_connect`](crate::Client::service_connect) |
//! | `client.accepted`, `.connected`, `.ca`, `.ha` | [`accepted()`](crate::Client::accepted), [`connected()`](crate::Client::connected), [`local_addr()`](crate::Client::local_addr), [`peer_addr()`](crate::Client::peer_addr) |
//! | `reconnectable`, `tymeout` | [`Connect::reconnect`](crate::Connect::reconnect) with a [`Backoff`](crate::Backoff), [`Timeouts::connect`](crate::Timeouts::connect) |
//! | `WireLog(…)`, `Server(wl=…)` | [`WireLog::memory`](crate::wire::WireLog::memory) or [`file`](crate::wire::WireLog::file), [`set_wire_log`](crate::Server::set_wire_log) |
//! | `udp.Peer`, `uxd.Peer`, `.reopen()` | [`Peer::new`](crate::Peer::new), then [`open`](crate::Peer::open) |
//! | `peer.send(data, dst)`, `peer.receive()` | [`tx`](crate::Endpoint::tx) and [`take`](crate::Endpoint::take), with `service()` between |
//! | `bc`, `MaxGramSize` | [`buffer_grams`](crate::GramConfig::buffer_grams), [`max_gram`](crate::GramConfig::max_gram) |
//! | `umask` | [`SocketFile::mode`](crate::net::SocketFile::mode) |
//!
//! hio's doers are in `guide::doers`.
//!
//! # From mio
//!
//! | mio | tymist |
//! |---|---|
//! | `Poll::poll(&mut events, timeout)` | [`wait(timeout)`](crate::Server::wait), then [`service`](crate::Server::service) |
//! | `for event in &events` | [`poll_event`](crate::Server::poll_event) until `None`: what has happened, not what may be tried |
//! | `Token` | [`Id`](crate::Id), which never names another connection; [`set_data`](crate::Remoter::set_data) keeps yours with it |
//! | `Registry::register`, `Interest`, `reregister` | none: what is open is watched |
//! | your own descriptors in the `Poll` | a poller of yours, which watches them and [`poll_fd`](crate::Server::poll_fd): `guide::embedding` |
//! | the time-out of `poll` as a timer | a [`Tymer`](crate::tyme::Tymer), or many in a [`Wheel`](crate::tyme::Wheel); `wait`'s limit is the time until the next |
//! | `TcpListener::from_std` | [`adopt_listener`](crate::Server::adopt_listener) with [`SocketOptions::new()`](crate::net::SocketOptions::new) |
//! | `TcpStream::from_std` | [`adopt_stream`](crate::Server::adopt_stream), likewise |
//! | `UdpSocket` | [`Server::bind`](crate::Server::bind); [`Event::Gram`](crate::Event::Gram) tells of it |
//! | `Waker` | [`waker`](crate::Server::waker) |
//! | `WouldBlock`, partial writes | none: [`rx`](crate::Remoter::rx) has what came, [`tx`](crate::Remoter::tx) takes what fits |
//!
//! For tokio's names see `guide::tasks`.

#[cfg(feature = "os")]
pub mod doers;
#[cfg(feature = "os")]
pub mod embedding;
#[cfg(all(feature = "os", feature = "tls", feature = "proxy-protocol"))]
pub mod forwarding;
#[cfg(all(unix, feature = "uds"))]
pub mod production;
#[cfg(feature = "sim")]
pub mod simulation;
#[cfg(feature = "os")]
pub mod tasks;
#[cfg(feature = "os")]
pub mod threads;
