//! Tasks: `async` code under the tick.
//!
//! [`Tasks`](crate::tasks::Tasks) puts a small executor beside a [`Server`](crate::Server). There is still one loop, yours, and one clock, yours; what was a
//! state machine over events becomes a function that waits.
//!
//! # 1. A program that is nothing but tasks
//!
//! ```
//! use tymist::Config;
//! use tymist::tasks::{TaskStream, Tasks};
//!
//! async fn echo(mut stream: TaskStream) -> std::io::Result<()> {
//!     loop {
//!         let mut data = stream.read_bytes().await?; // the engine's own buffer, not copied
//!         if data.is_empty() {
//!             return stream.close().await; // the peer's end; ours follows
//!         }
//!         stream.write_bytes(&mut data).await?; // waits where the peer does not read
//!     }
//! }
//!
//! let mut tasks = Tasks::new(Config::new());
//! let handle = tasks.handle();
//! let mut listener = handle.listen(([127, 0, 0, 1], 0))?;
//! let addr = listener.local_addr().clone();
//! let served = handle.clone();
//! handle.spawn(async move {
//!     while let Ok(stream) = listener.accept().await {
//!         served.spawn(echo(stream)); // dropping the handle lets it go on by itself
//!     }
//! });
//! let answer = tasks.run_until(async {
//!     let mut stream = handle.connect(addr).await?;
//!     stream.write_all(b"hello").await?;
//!     let mut answer = [0; 5];
//!     stream.read_exact(&mut answer).await?;
//!     std::io::Result::Ok(answer)
//! })?;
//! assert_eq!(&answer, b"hello");
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! [`run_until`](crate::tasks::Tasks::run_until) is the loop `wait`, `service` until its future is done. In a loop of your own do the two yourself, once a
//! frame or whenever [`wake`](crate::tasks::Tasks::wake) and [`poll_fd`](crate::tasks::Tasks::poll_fd) say, as with a server.
//!
//! # 2. Time
//!
//! [`sleep`](crate::tasks::Handle::sleep), [`timeout`](crate::tasks::Handle::timeout) and [`interval`](crate::tasks::Handle::interval) go by the clock that the
//! tasks are wound to. An hour takes a test no time:
//!
//! ```
//! use std::time::Duration;
//! use tymist::Config;
//! use tymist::tasks::Tasks;
//! use tymist::tyme::Tymist;
//!
//! let mut tymist = Tymist::new();
//! let mut tasks = Tasks::new(Config::new());
//! tasks.wind(tymist.tymth());
//! let handle = tasks.handle();
//! let patience = handle.clone();
//! let task = handle.spawn(async move {
//!     patience.timeout(Duration::from_secs(3600), std::future::pending::<()>()).await
//! });
//! tasks.service();
//! tymist.tick_by(Duration::from_secs(3600));
//! tasks.service();
//! assert!(task.is_finished());
//! ```
//!
//! What is ready in the very tick in which its time ends is in time.
//!
//! # 3. How things end
//!
//! A read gives 0 at the peer's end and nowhere else. All else is an error of the right kind with the [`CloseReason`](crate::CloseReason) inside:
//! `ConnectionReset`, `TimedOut` for each of the engine's deadlines, `UnexpectedEof` for a TLS stream that was cut short. What came before is always read
//! first, however late you read it.
//!
//! Dropping a stream closes it gracefully: what is queued goes out, then our end. In a task that panics it is reset instead, so that a torso does not look
//! whole. [`shutdown`](crate::tasks::TaskStream::shutdown) ends our half only, [`abort`](crate::tasks::TaskStream::abort) resets,
//! [`close`](crate::tasks::TaskStream::close) waits for how it went.
//!
//! Any future may be dropped at any time, as `timeout` does: a dropped read has read nothing (also `read_exact`, which puts back what it had), a dropped accept
//! has taken no connection, a dropped connect has given up its dial. Only a `write_all` that is dropped has written nobody knows how much.
//!
//! # 4. Limits
//!
//! Reading ahead stops at [`Limits::rx_bytes`](crate::Limits::rx_bytes) and writing waits beyond [`Limits::tx_bytes`](crate::Limits::tx_bytes).
//! [`TaskConfig`](crate::tasks::TaskConfig) bounds the tasks, their polls per tick, and the connections that nobody has accepted yet; beyond that bound they
//! wait in the backlog. A task that never waits holds up everything else, as in any executor of one thread: hand such work to a thread, and let that wake the
//! task through a channel.
//!
//! # 5. Two styles in one server
//!
//! What you listen to or connect by [`server_mut`](crate::tasks::Tasks::server_mut) stays yours: its events come out of
//! [`Tasks::poll_event`](crate::tasks::Tasks::poll_event) (never take them from the server below, or tasks wait for ever), and so do those of listeners in
//! trouble, failed handshakes, certificates and draining. [`adopt`](crate::tasks::Tasks::adopt) and [`adopt_listener`](crate::tasks::Tasks::adopt_listener)
//! give one to the tasks.
//!
//! # 6. Other people's async code
//!
//! Whatever knows no runtime works: channels of `futures-channel` or `async-channel`, combinators of `futures`, `async` state machines of protocol crates.
//! Libraries that want a stream's traits get them by a feature:
//!
//! | feature | traits |
//! |---|---|
//! | `futures-io` | `AsyncRead`, `AsyncWrite` |
//! | `tokio-io` | tokio's `AsyncRead`, `AsyncWrite`, without its runtime |
//! | `hyper` | hyper's `Read` and `Write`; a [`Handle`](crate::tasks::Handle) is an `Executor` and gives `hyper_timer()` |
//!
//! Streams can also be polled by another executor of the same thread, as long as somebody ticks the tasks.
//!
//! Lines, for example, with the first of them:
//!
//! ```
//! # #[cfg(feature = "futures-io")] {
//! use futures_util::TryStreamExt;
//! use futures_util::io::{AsyncBufReadExt, BufReader};
//! use tymist::Config;
//! use tymist::tasks::Tasks;
//!
//! let mut tasks = Tasks::new(Config::new());
//! let handle = tasks.handle();
//! let said = tasks.run_until(async {
//!     let mut listener = handle.listen(([127, 0, 0, 1], 0))?;
//!     let mut caller = handle.connect(listener.local_addr().clone()).await?;
//!     caller.write_all(b"one\r\ntwo").await?;
//!     drop(caller);
//!     let (read, _write) = listener.accept().await?.split();
//!     BufReader::new(read).lines().try_collect::<Vec<_>>().await
//! })?;
//! assert_eq!(said, ["one", "two"]);
//! # }
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! What calls `tokio::spawn` or `tokio::time` by itself needs tokio. `select!` of `futures` picks at random: take `select_biased!` where a run is to be
//! repeatable.
//!
//! # 7. In a simulated world
//!
//! Feature `sim`: [`Tasks`](crate::tasks::Tasks) is a [`Doer`](crate::doing::Doer), and so the program of a simulated host. The same functions run there under
//! latency, losses, partitions and crashes, hyper's client and server included (example `hyper_in_sim`), and a seed is a run, to the byte:
//!
//! ```
//! # #[cfg(feature = "sim")] {
//! use std::time::Duration;
//! use tymist::Config;
//! use tymist::sim::World;
//! use tymist::sim::fault::{Effect, Rule};
//! use tymist::tasks::Tasks;
//!
//! fn live(seed: u64) -> u64 {
//!     let mut world = World::new(seed);
//!     world.add("server", |host| {
//!         let tasks = Tasks::on_host(host, Config::new());
//!         let handle = tasks.handle();
//!         tasks.handle().spawn(async move {
//!             let mut listener = handle.listen(([0, 0, 0, 0], 7)).expect("a fresh host");
//!             while let Ok(mut stream) = listener.accept().await {
//!                 handle.spawn(async move {
//!                     let mut data = stream.read_bytes().await?;
//!                     stream.write_bytes(&mut data).await
//!                 });
//!             }
//!         });
//!         tasks
//!     });
//!     let target = world.resolve("server")[0];
//!     world.add("client", move |host| {
//!         let tasks = Tasks::on_host(host, Config::new());
//!         let handle = tasks.handle();
//!         tasks.handle().spawn(async move {
//!             loop {
//!                 if let Ok(mut stream) = handle.connect((target, 7)).await {
//!                     let asked = stream.write_all(b"are you there?").await;
//!                     let _ = asked.and(stream.read_bytes().await.map(drop));
//!                 }
//!                 handle.sleep(Duration::from_millis(100)).await;
//!             }
//!         });
//!         tasks
//!     });
//!     world.rule(Rule::new("reset", Effect::Reset).chance(0.1));
//!     world.run_for(Duration::from_secs(10));
//!     world.all_fired().expect("connections were reset");
//!     world.hash()
//! }
//!
//! assert_eq!(live(1), live(1));
//! assert_ne!(live(1), live(2));
//! # }
//! ```
//!
//! A panic of a task that nobody waits for ends such a run ([`Panics::Resume`](crate::tasks::Panics::Resume)), so that a failed assertion is seen; on real
//! networks it ends that task alone.
//!
//! With hyper, three things come from outside the world unless you say no: `Date` (`auto_date_header(false)`); a client's memory of the HTTP/2 streams that it
//! has reset, which lasts a second of real time (`max_concurrent_reset_streams(0)`), and a server's, which it has where a service does not read a body to its
//! end; and the keys of TLS (feature `tls-test-provider`, `with_provider(test_provider::seeded(seed))` on both sides).
//!
//! # From tokio
//!
//! | tokio | tymist |
//! |---|---|
//! | `#[tokio::main]`, `Runtime::block_on` | [`Tasks::run_until`](crate::tasks::Tasks::run_until) |
//! | `tokio::spawn` | [`Handle::spawn`](crate::tasks::Handle::spawn); futures need not be `Send`, and what they share is an `Rc` |
//! | `TcpListener::bind`, `TcpStream::connect`, `UdpSocket::bind` | [`Handle::listen`](crate::tasks::Handle::listen), [`connect`](crate::tasks::Handle::connect), [`bind`](crate::tasks::Handle::bind) |
//! | `read`, `write_all`, `into_split` | [`read`](crate::tasks::TaskStream::read), [`write_all`](crate::tasks::TaskStream::write_all), [`split`](crate::tasks::TaskStream::split) |
//! | `time::sleep`, `timeout`, `interval` | [`Handle::sleep`](crate::tasks::Handle::sleep), [`timeout`](crate::tasks::Handle::timeout), [`interval`](crate::tasks::Handle::interval), whose first tick is one period from now |
//! | `select!`, `join!`, `JoinSet` | `select_biased!`, `join!`, `FuturesUnordered` of `futures-util` |
//! | `sync::mpsc`, `oneshot`; `Notify`, `broadcast` | those of `futures-channel`; a channel for each |
//! | `signal::ctrl_c`, `spawn_blocking` | a thread that sends through such a channel: it wakes the task that waits for it |
