//! The tutorial's chapter on doers, for those who come from hio and for those who do not.
//!
//! In hio a program is a list of doers under a Doist: each is entered, recurs, and is exited, all by one clock. Here it is the same, with what was learnt from
//! it: a doer says when it wants its next turn and what it waits on, so that the Doist can sleep; an error ends one doer, not all; and the same Doist runs on a
//! simulated host.
//!
//! # A doer
//!
//! A type with a state and two methods. What is a local variable across a `yield` in hio is a field here:
//!
//! ```
//! use std::time::Duration;
//! use tymist::Wake;
//! use tymist::doing::{DoError, Doer, Recur};
//! use tymist::tyme::{Tyme, Tymth};
//!
//! /// Rings three times, a second apart.
//! struct Bell {
//!     left: u32,
//! }
//!
//! impl Doer for Bell {
//!     fn enter(&mut self, _: &Tymth) -> Result<(), DoError> {
//!         self.left = 3; // so that it can be run again
//!         Ok(())
//!     }
//!
//!     fn recur(&mut self, now: Tyme) -> Result<Recur, DoError> {
//!         println!("{now}: ding");
//!         self.left -= 1;
//!         Ok(if self.left == 0 { Recur::Done } else { Recur::Again })
//!     }
//!
//!     fn tock(&self) -> Duration {
//!         Duration::from_secs(1)
//!     }
//!
//!     fn wake(&self) -> Wake {
//!         Wake::OnIo // not asked: it has a tock
//!     }
//! }
//! #
//! # use tymist::doing::{Doist, Finish};
//! # use tymist::tyme::Tymist;
//! # let mut doist = Doist::new();
//! # doist.add(Bell { left: 0 });
//! # let mut tymist = Tymist::new();
//! # assert_eq!(doist.run(&mut tymist)?, Finish::Done);
//! # assert_eq!(tymist.tyme(), Tyme::from_secs(2));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! *A tock* gives it a beat: its turns are due at its entry and each tock after that, however late one of them comes. *Without one* it has a turn in every
//! cycle, and [`wake`](crate::doing::Doer::wake) says when the next cycle must be: `Now`, `At` a tyme, or `OnIo`: when one of its
//! [descriptors](crate::doing::Doer::descriptors) has something, or somebody else a reason.
//!
//! # A Doist
//!
//! [`Doist::run`](crate::doing::Doist::run) is hio's `doist.do(doers)`. Whether it goes as fast as it can or in real time is the clock's affair:
//! [`Tymist::new`](crate::tyme::Tymist::new) counts one tock a cycle, [`Tymist::realtime`](crate::tyme::Tymist::realtime) follows the real one, and then the
//! Doist sleeps until the earliest that any of its doers wants. hio's sleeps one tock a cycle, whether there is something to do or not.
//!
//! ```
//! use std::time::Duration;
//! use tymist::doing::{Doist, Echo, Finish, ServerDoer};
//! use tymist::tyme::Tymist;
//! use tymist::{Config, Server};
//!
//! let mut server = Server::new(Config::new());
//! server.listen(([127, 0, 0, 1], 0))?;
//!
//! let mut doist = Doist::new();
//! let echo = doist.add(ServerDoer::new(server, Echo::new()));
//! doist.limit = Some(Duration::from_millis(50));
//! assert_eq!(doist.run(&mut Tymist::realtime())?, Finish::Limit);
//!
//! // The end has closed the server, which can be looked at all the same.
//! let echo: &ServerDoer<Echo> = doist.get(echo).unwrap();
//! assert!(!echo.server.opened() && echo.service.bytes == 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A Doist is a doer itself, so groups nest, each with its own limit, beat and way with errors. [`Handle`](crate::doing::Handle) adds, takes out and stops from
//! inside.
//!
//! # Engines
//!
//! In hio a `ServerDoer` services a server, and an `EchoServerDoer` that has the same server does something with it. The ready-made ones here hold both:
//! [`ServerDoer`] has a server and a [`Service`](crate::Service), which may be a closure; [`ClientDoer`], [`ClientsDoer`] and [`PeerDoer`]
//! have an engine and a closure for its events. What wants turns of its own besides is a doer around an engine, as at [`ClientDoer`]. hio's shape is there as
//! well: a [`Server`](crate::Server) is a doer, and so is `Rc<RefCell<Server>>`, which another doer may have, too. Whoever does it so must take the events: an
//! engine with untaken ones wants its turn at once, so a doer that takes them has no tock of its own.
//!
//! Every cycle gives every doer without a tock its turn, as hio's does: one may act on what another has done, of which no wake tells. An engine asks the system
//! in each of its turns, so thousands of connections belong in one [`Clients`](crate::Clients), one doer, and not in as many clients.
//!
//! # Ends
//!
//! | what happens | what follows |
//! |---|---|
//! | a doer is done | its `exit` |
//! | a doer fails in `enter` or `recur` | its `exit`; the others go on, or end as well: [`OnError`](crate::doing::OnError). Kept, reported, and returned in the end |
//! | limit, [`stop`](crate::doing::Handle::stop), `exit` of the Doist, its drop | every `exit`, the last doer's first |
//! | a doer panics | the same, and the panic goes on to whoever runs the Doist |
//! | the simulated host crashes | nothing: the doers are dropped |
//!
//! # In a world
//!
//! With the feature `sim` a host's program is any doer, and so any Doist:
//!
//! ```
//! # #[cfg(feature = "sim")] {
//! use std::time::Duration;
//! use tymist::doing::{Doist, Echo, Finish, ServerDoer};
//! use tymist::sim::World;
//! use tymist::tyme::Tyme;
//! use tymist::{Config, Server};
//!
//! let mut world = World::new(7);
//! let host = world.add("echo", |host| {
//!     let mut server = Server::with_net(Config::new(), host.net()); // the only line that differs
//!     server.listen(([0, 0, 0, 0], 7)).expect("a fresh host has all its ports");
//!     let mut doist = Doist::new();
//!     doist.add(ServerDoer::new(server, Echo::new()));
//!     doist.limit = Some(Duration::from_secs(3600));
//!     doist
//! });
//! world.run_until(Tyme::from_secs(4000));
//! assert_eq!(world.program::<Doist>(host).unwrap().finish(), Some(Finish::Limit));
//! # }
//! ```
//!
//! The example `doers` is one program for both.
//!
//! # From hio
//!
//! | hio | tymist |
//! |---|---|
//! | `Doer`, `.enter()`, `.recur(tyme)`, `.exit()` | [`Doer`](crate::doing::Doer), the same names |
//! | `recur` returns `True` when done | [`Recur::Done`](crate::doing::Recur) |
//! | an exception ends everything | an `Err` ends its doer |
//! | `.clean()`, `.close()`, `.abort()` | [`End`](crate::doing::End), for whoever looks; `exit` is the same for all |
//! | `.done` | [`Doist::end`](crate::doing::Doist::end), [`finish`](crate::doing::Doist::finish) |
//! | `doize`, generator functions | a type of your own |
//! | `DoDoer`, `.always` | a [`Doist`](crate::doing::Doist) in a Doist, [`always`](crate::doing::Doist::always) |
//! | `Doist(doers, limit, tock, real)`, `.do()` | [`Doist`](crate::doing::Doist), `run(&mut tymist)`: tock and real time are the [`Tymist`](crate::tyme::Tymist)'s; in real time cycles come when wanted, and a beat is the doer's own `tock` |
//! | `doist.extend`, `.remove` | [`add`](crate::doing::Doist::add), [`remove`](crate::doing::Doist::remove), and [`Handle`](crate::doing::Handle) from inside |
//! | `ServerDoer`, `EchoServerDoer`, `ClientDoer` | [`ServerDoer`](crate::doing::ServerDoer) with [`Echo`](crate::doing::Echo) or any [`Service`](crate::Service), [`ClientDoer`](crate::doing::ClientDoer) |
//! | `WireLogDoer` | [`WireLogDoer`](crate::doing::WireLogDoer) |
//!
//! [`ServerDoer`]: crate::doing::ServerDoer
//! [`ClientDoer`]: crate::doing::ClientDoer
//! [`ClientsDoer`]: crate::doing::ClientsDoer
//! [`PeerDoer`]: crate::doing::PeerDoer
