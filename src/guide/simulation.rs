//! The tutorial's chapter on testing your own protocol in simulated time.
//!
//! Your program runs unchanged on a [`Host`](crate::sim::Host) of a [`World`](crate::sim::World): the network is one that you give it, and the clock is the
//! host's. What takes a minute outside takes no time here, what happens once a year can be asked for, and the same seed gives the same run.
//!
//! # Hosts and programs
//!
//! A [`Doer`](crate::doing::Doer) has a turn when the network has something for it, or when the tyme has come that it asked for. A server is one by
//! its `service()` and its `wake()`. Here is a service that drops who is silent for 30 s, a client that says something every 10 s and comes again
//! when it must, and a minute in which they cannot reach each other:
//!
//! ```
//! use std::time::Duration;
//! use tymist::doing::{DoError, Doer, Recur};
//! use tymist::sim::{Act, Cut, Host, Trace, Tracing, World, WorldSpec};
//! use tymist::tyme::Tyme;
//! use tymist::{Backoff, Client, CloseReason, Config, Connect, Deadline, Event, Server, Wake};
//!
//! struct Service {
//!     server: Server,
//!     host: Host,
//!     closed: Vec<(Tyme, CloseReason)>,
//! }
//!
//! impl Service {
//!     fn new(host: &Host) -> Self {
//!         let mut config = Config::new();
//!         config.timeouts.idle = Some(Duration::from_secs(30));
//!         let mut server = Server::with_net(config, host.net()); // instead of Server::new
//!         server.wind(host.tymth());
//!         server.listen(([0, 0, 0, 0], 7)).expect("a fresh host has all its ports");
//!         Service { server, host: host.clone(), closed: Vec::new() }
//!     }
//! }
//!
//! impl Doer for Service {
//!     fn recur(&mut self, now: Tyme) -> Result<Recur, DoError> {
//!         self.server.service();
//!         while let Some(event) = self.server.poll_event() {
//!             match event {
//!                 Event::Received(id) | Event::Drained(id) => {
//!                     let Some(remoter) = self.server.remoter_mut(id) else { continue };
//!                     let mut data = remoter.take();
//!                     let _ = remoter.tx_bytes(&mut data); // takes what fits
//!                     remoter.unread(data);
//!                 }
//!                 Event::Closed(_, reason) => {
//!                     self.host.note(reason.to_string()); // to be seen on the timeline
//!                     self.closed.push((now, reason));
//!                 }
//!                 _ => {}
//!             }
//!         }
//!         self.server.service_sends();
//!         Ok(Recur::Again)
//!     }
//!
//!     fn wake(&self) -> Wake {
//!         self.server.wake()
//!     }
//! }
//!
//! struct Caller {
//!     client: Client,
//!     next: Tyme,
//!     answers: usize,
//!     lost: u32,
//! }
//!
//! impl Caller {
//!     fn new(host: &Host) -> Self {
//!         let mut connect = Connect::to_name("service", 7); // a world knows the names of its hosts
//!         connect.reconnect = Some(Backoff::every(Duration::from_secs(5)));
//!         let mut client = Client::with_net(Config::new(), host.net(), connect);
//!         client.wind(host.tymth());
//!         client.reopen().expect("it is the first");
//!         Caller { client, next: host.tyme(), answers: 0, lost: 0 }
//!     }
//! }
//!
//! impl Doer for Caller {
//!     fn recur(&mut self, now: Tyme) -> Result<Recur, DoError> {
//!         self.client.service();
//!         while let Some(event) = self.client.poll_event() {
//!             match event {
//!                 Event::Received(_) => self.answers += self.client.take().len(),
//!                 Event::Disconnected { .. } => self.lost += 1, // it comes again by itself
//!                 _ => {}
//!             }
//!         }
//!         if now >= self.next {
//!             self.next = now + Duration::from_secs(10);
//!             let _ = self.client.tx(b"!"); // waits where there is no connection
//!         }
//!         Ok(Recur::Again)
//!     }
//!
//!     fn wake(&self) -> Wake {
//!         self.client.wake().min(Wake::At(self.next))
//!     }
//! }
//!
//! fn run(seed: u64) -> Trace {
//!     let mut spec = WorldSpec::new(seed);
//!     spec.tracing = Tracing::Full; // the default keeps only the hash
//!     spec.link.jitter = Duration::from_millis(20);
//!     spec.link.loss = 0.01;
//!     let mut world = World::with(spec);
//!     let service = world.add("service", Service::new);
//!     let client = world.add("client", Caller::new);
//!     let at = |secs| Tyme::from_secs(secs);
//!     world.plan(at(100), Act::Partition(Cut::Isolate(client)));
//!     world.plan(at(160), Act::Heal);
//!     world.run_until(at(300));
//!
//!     // The deadline came while nobody could say anything: 30 s after what had got through last.
//!     let [(tyme, reason)] = &world.program::<Service>(service).expect("it runs").closed[..] else {
//!         panic!("one connection was lost");
//!     };
//!     assert_eq!(*reason, CloseReason::Expired(Deadline::Idle));
//!     assert!(at(120) < *tyme && *tyme < at(131), "{tyme}");
//!     // And the client came again.
//!     let client: &Caller = world.program(client).expect("it runs");
//!     assert_eq!(client.lost, 1);
//!     assert!(client.answers > 15);
//!     world.all_fired().expect("all that was planned came to pass");
//!     world.trace()
//! }
//!
//! let trace = run(1);
//! assert_eq!(run(1).hash(), trace.hash()); // the same seed, the same run, in any process on any machine
//! let other = run(2);
//! println!("{}", other.first_difference(&trace).expect("another seed, other losses"));
//!
//! let (mut page, mut packets) = (Vec::new(), Vec::new());
//! trace.write_timeline(&mut page, Tyme::ZERO, 1000)?; // write it to a file, open it in a browser
//! trace.write_pcapng(&mut packets)?; // the same for Wireshark
//! assert!(!page.is_empty() && !packets.is_empty());
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # Faults
//!
//! [`World::rule`](crate::sim::World::rule) makes calls fail: short reads and writes, `WouldBlock` storms, errors of your choice, resets after so many bytes;
//! see [`fault`](crate::sim::fault), whose rules work on real sockets as well. [`Act`](crate::sim::Act) lists what befalls hosts and links: partitions, clogs,
//! crashes and restarts, pauses, lost listeners. What was planned and did not happen makes [`all_fired`](crate::sim::World::all_fired) fail, so that no test
//! passes for want of its faults.
//!
//! Unix sockets are there too, between the programs of a host; see [`sim`](crate::sim) for what they are in a world.
//!
//! # Seeds
//!
//! Draw what varies from [`World::rng`](crate::sim::World::rng): each name has a stream of its own, so that one draw more for the workload leaves the faults
//! what they were. Run many seeds, print the one that fails, and run that one again with [`Tracing::Full`](crate::sim::Tracing::Full). The example `sim_bug`
//! finds a bug that way and makes its run small; [`swarm`](crate::sim::swarm) does it all for a scenario of yours, command line included
//! (the example `swarm` is a `main` to begin with); `sim_world` is a whole world under faults with all that can be written down of it.
//!
//! # TLS
//!
//! Real TLS runs in a world, too, its dates by [`TlsTime::simulated`](crate::net::tls::TlsTime::simulated). A run that is to be repeatable to the bit also
//! needs keys from its seed: feature `tls-test-provider`, and `with_provider(test_provider::seeded(seed))` on both sides. It has no security, and signs with
//! Ed25519 only, so a `DevCert` does not do: take a certificate and its key from a file. `net::tls::test_provider` has the whole program.
//!
//! # Words
//!
//! | word | what it means |
//! |---|---|
//! | world | hosts, links and one clock, all from one seed |
//! | host | addresses, ports, a clock of its own (skewed if you like), and a program |
//! | program | what has turns on a host; a server is one |
//! | turn | one tick of a program: at a tyme, and without taking any but [`HostSpec::turn`](crate::sim::HostSpec::turn) |
//! | rule | a fault in calls, with guards that say when |
//! | act | what befalls hosts and links: a partition, a crash, … |
//! | trace | all that happened, record by record; its hash stands for the whole run |
