//! The tutorial's chapter on other people's loops.
//!
//! An engine says two things: what it waits on (one descriptor, whatever the number of its connections) and when it wants its next tick. A loop that can wait
//! for a descriptor and a time can have it. [`Driver`](crate::run::Driver) is the part that all such loops have in common; around it the adapters are a page
//! each.
//!
//! # tokio
//!
//! With the feature `tokio`, [`turn`](crate::run::Driver::turn)'s twin `run::tokio::turn(&mut driver).await` waits in the runtime until the engine wants its
//! tick, and does it. It may stand in a `select!`: dropped while it waits, it loses nothing.
//!
//! ```
//! # #[cfg(all(unix, feature = "tokio"))] {
//! use tymist::run::Driver;
//! use tymist::run::tokio::turn;
//! use tymist::{Config, Event, Server};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! # runtime.block_on(async {
//! let mut server = Server::new(Config::new());
//! server.listen(([127, 0, 0, 1], 0))?;
//! let mut server = Driver::new(server);
//! let mut a_second = std::pin::pin!(tokio::time::sleep(std::time::Duration::from_secs(1)));
//! # a_second.set(tokio::time::sleep(std::time::Duration::ZERO));
//! loop {
//!     tokio::select! {
//!         done = turn(&mut server) => { done?; }
//!         () = &mut a_second => break, // or whatever else this task waits for
//!     }
//!     while let Some(event) = server.poll_event() {
//!         if let Event::Received(id) = event {
//!             // …
//! #           let _ = id;
//!         }
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
//! # })?;
//! # }
//! # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
//! ```
//!
//! A whole program of doers is one `run::tokio::drive(&mut Driver::new(doist)).await`.
//!
//! # smol, and any other executor
//!
//! `run::smol` (feature `smol`) is the same by async-io, which runs under every executor.
//!
//! # calloop
//!
//! `run::calloop::Source` (feature `calloop`) is an `EventSource`: `handle.insert_source(Source::new(server), |turn, server, data| …)`. The callback comes
//! after each tick; there take the events. With a `calloop::Dispatcher` other sources of the loop get at the engine, too; what they queue is minded before the
//! loop sleeps.
//!
//! # A window's loop
//!
//! winit's waits for the window system and a time, not for descriptors. A [`Watcher`](crate::run::Watcher) is a thread that does that for it, and calls the
//! loop's proxy. In `about_to_wait`, at the end of each round:
//!
//! ```text
//! let rest = driver.rest();
//! watcher.arm(&rest);                                        // made with: move || _ = proxy.send_event(Network)
//! event_loop.set_control_flow(match rest.timeout {
//!     Some(time) if time.is_zero() => ControlFlow::Poll,
//!     Some(time) => ControlFlow::WaitUntil(Instant::now() + time),
//!     None => ControlFlow::Wait,
//! });
//! ```
//!
//! and in `user_event` and `new_events`: `driver.turn()`. The example of [`Watcher`](crate::run::Watcher) is this loop without a window. A loop that draws at a
//! fixed rate needs none of it: `service()` once a frame (example `frame_loop`). How long that may take is bounded by the budgets of [`Limits`](crate::Limits):
//! connections taken in, [turns](crate::Limits::turns_per_tick), bytes. On Linux let the table of descriptors grow before the first frame, as the example does:
//! it does so in steps, each of which holds up a process with threads for some 10 ms.
//!
//! # Whatever polls descriptors
//!
//! ```
//! # #[cfg(unix)] {
//! use rustix::event::{PollFd, PollFlags, Timespec, poll};
//! use tymist::doing::Recur;
//! use tymist::run::Driver;
//! use tymist::{Config, Event, Server};
//!
//! let mut server = Server::new(Config::new());
//! let acceptor = server.listen(([127, 0, 0, 1], 0))?;
//! let addr = server.local_addr(acceptor).and_then(|addr| addr.inet()).unwrap();
//! let _client = std::net::TcpStream::connect(addr)?;
//! let mut server = Driver::new(server);
//! let mut accepted = false;
//! while !accepted {
//!     let rest = server.rest();
//!     let mut watched: Vec<_> = rest.descriptors.iter().map(|one| PollFd::new(one, PollFlags::IN)).collect();
//!     // … and the descriptors that the program has besides
//!     let timeout = rest.timeout.map(Timespec::try_from).transpose()?;
//!     poll(&mut watched, timeout.as_ref())?;
//!     let _ = server.turn()?;
//!     while let Some(event) = server.poll_event() {
//!         accepted |= matches!(event, Event::Accepted(_));
//!     }
//! }
//! # }
//! # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
//! ```
//!
//! Five things to mind, with or without a [`Driver`](crate::run::Driver):
//!
//! * *Ask last.* What you do to an engine between its tick and the wait changes what it wants.
//! * *By level.* One harvest takes at most 1024 reports, and 64 where the last one was just before; the rest stays, and the descriptor stays readable. A loop
//!   that only hears of edges (tokio's, epoll with `EPOLLET`) must register anew before each wait, as the adapters do, or tick until the descriptor is not
//!   readable any more.
//! * *Budgets.* A loop that comes back at once does well with smaller ticks, as [`wait`](crate::Server::wait) makes them by itself
//!   ([`burst_bytes`](crate::Limits::burst_bytes)). In other loops set [`tick_bytes`](crate::Limits::tick_bytes) to that, if streams are fat.
//! * *Looking.* [`wait`](crate::Server::wait) looks for a moment before it sleeps, where that is cheaper
//!   ([`Config::spin`](crate::Config::spin)). A loop around an engine decides for itself how it waits.
//! * *Round up.* A timeout cut to whole milliseconds spins for the rest.
//!
//! # What it costs
//!
//! Nothing while nothing happens: with 1,000 idle connections under an idle time-out of a minute there was one tick in five seconds in each of them, and 0.1 to
//! 0.6 ms of CPU time, 0.003 to 0.011 % (Doist, poll, Watcher at the lower end, tokio at the upper). A wait costs two system calls for each descriptor besides
//! the waiting itself in tokio and smol, one in a Doist, none in calloop as long as nothing changes.
//!
//! # Not on Unix
//!
//! Elsewhere engines have no descriptor that others can wait on. [`Doist::run`](crate::doing::Doist::run) then gives turns at least every tock of its clock;
//! for other loops run the engine in a thread of its own, or tick it every few milliseconds.
