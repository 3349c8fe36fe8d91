//! The tutorial's chapter on standing between others: TLS to what you dial, PROXY headers, and forwarding.
//!
//! # TLS to a server
//!
//! [`Connect::with_tls`](crate::Connect::with_tls) is all there is to it: the same [`Clients`](crate::Clients), events, limits and queues as in plain. The name
//! that the server must prove to be is given apart from the address, and is checked when the `Connect` is made, so that it cannot fail later.
//!
//! ```
//! use tymist::net::tls::{ClientTls, ClientTlsConfig, Identity, Material, ServerTls, ServerTlsConfig};
//! use tymist::{Clients, Config, Connect, Event, Server};
//!
//! # let made = rcgen::generate_simple_self_signed(vec!["server.test".to_owned()])?;
//! # let identity = Identity::new(Material::bytes(made.cert.pem()), Material::bytes(made.signing_key.serialize_pem()));
//! # let roots = Material::bytes(made.cert.pem());
//! let mut server = Server::new(Config::new());
//! let acceptor = server.listen_tls(([127, 0, 0, 1], 0), &ServerTls::new(ServerTlsConfig::new(identity))?)?;
//!
//! let tls = ClientTls::new(&ClientTlsConfig::with_roots(roots))?; // once: it keeps the sessions that can be resumed
//! let mut clients = Clients::new(Config::new());
//! let connect = Connect::new(server.local_addr(acceptor).unwrap()).with_tls(&tls, "server.test")?;
//! let id = clients.connect(connect.reconnectable())?;
//! clients.tx(id, b"a secret")?; // leaves once the server has proved its name
//!
//! let mut heard = false;
//! while !heard {
//!     clients.wait(Some(std::time::Duration::from_millis(1)));
//!     clients.service();
//!     while let Some(event) = clients.poll_event() {
//!         match event {
//!             Event::Connected(id) => println!("{:?}", clients.remoter(id).unwrap().tls()),
//!             Event::Disconnected { reason, retry_at, .. } => println!("{reason}; again at {retry_at:?}"),
//!             _ => {}
//!         }
//!     }
//!     server.service();
//!     while let Some(event) = server.poll_event() {
//!         heard |= matches!(event, Event::Received(_));
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Behind a load balancer
//!
//! What comes through a proxy comes from the proxy's address. With the PROXY protocol it says whom the connection is for:
//! [`set_proxy_protocol`](crate::Server::set_proxy_protocol) makes an acceptor believe that from the networks you name, and from nobody else. From then on
//! [`peer_addr`](crate::Remoter::peer_addr), [`at`](crate::Server::at) and the limits by address are about the true source. Several machines are
//! reached that way, by the load balancer that you already run:
//!
//! ```text
//! frontend all
//!     bind :443
//!     default_backend machines
//! backend machines
//!     balance leastconn
//!     server one 10.0.0.1:7000 send-proxy-v2 check check-send-proxy
//!     server two 10.0.0.2:7000 send-proxy-v2 check check-send-proxy
//! ```
//!
//! with `server.set_proxy_protocol(acceptor, Some("10.0.0.100".parse()?))` on each machine. TLS stays where it was: the header comes in front of it.
//!
//! # Forwarding
//!
//! A [`Relay`](crate::Relay) joins two connections to one. It moves bytes without copying them, holds a sender back where the other end takes no more, and
//! passes ends on as ends and breaks as breaks. This is a forwarder that tells its target by a PROXY header whom each connection is for; with a target
//! made [`with_tls`](crate::Connect::with_tls) it speaks TLS to it:
//!
//! ```
//! use tymist::net::proxy::{ProxyHeader, ProxyVersion};
//! use tymist::{Connect, Event, Id, Relay, Server};
//!
//! fn turn(server: &mut Server, relay: &mut Relay, target: &Connect) {
//!     server.wait(None);
//!     server.service();
//!     while let Some(event) = server.poll_event() {
//!         if let Event::Accepted(id) = event
//!             && forward(server, relay, target, id).is_none()
//!             && let Some(remoter) = server.remoter_mut(id)
//!         {
//!             remoter.abort();
//!         }
//!         relay.handle(server, &event);
//!     }
//! }
//!
//! fn forward(server: &mut Server, relay: &mut Relay, target: &Connect, id: Id) -> Option<()> {
//!     let remoter = server.remoter(id)?;
//!     let mut connect = target.clone();
//!     connect.proxy_header = Some(ProxyHeader::new(ProxyVersion::V2, remoter.peer_addr(), remoter.local_addr()));
//!     relay.dial(server, id, connect).ok()?; // dials nobody for one that is gone already
//!     Some(())
//! }
//! # let mut server = Server::new(tymist::Config::new());
//! # let acceptor = server.listen(([127, 0, 0, 1], 0))?;
//! # let target = std::net::TcpListener::bind("127.0.0.1:0")?;
//! # let connect = Connect::new(target.local_addr()?);
//! # let mut relay = Relay::new();
//! # let client = std::net::TcpStream::connect(server.local_addr(acceptor).and_then(|addr| addr.inet()).unwrap())?;
//! # while relay.is_empty() {
//! #     turn(&mut server, &mut relay, &connect);
//! # }
//! # let mut got = [0; 16];
//! # server.wait(None);
//! # while server.counters().bytes_out == 0 && server.len() < 2 {
//! #     turn(&mut server, &mut relay, &connect);
//! # }
//! # std::io::Read::read_exact(&mut target.accept()?.0, &mut got)?;
//! # assert_eq!(&got[..12], b"\r\n\r\n\0\r\nQUIT\n");
//! # drop(client);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What waits in a pair is bounded by [`rx_bytes`](crate::Limits::rx_bytes) of the one and [`tx_bytes`](crate::Limits::tx_bytes) of the other, each way: set
//! them small where pairs are many. All pairs share [`buffered`](crate::Limits::buffered), and ones that stand still must not take the room of the others: set
//! it to [`Relay::memory`](crate::Relay::memory) of the pairs that you let in. A target that stands still for [`write_stall`](crate::Timeouts::write_stall)
//! breaks its pair. The example `forward` is this with a command line.
