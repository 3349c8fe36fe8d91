//! `async` code driven by the tick: tasks whose every `await` is answered by [`service`](Tasks::service), on a clock that is yours.
//!
//! [`Tasks`] owns a [`Server`] and the tasks. A tick services the server, wakes the tasks that waited for what happened, lets them run one after the other in
//! the order of their waking, and sends what they queued. It is no runtime: no thread, no other clock, nothing global. On a simulated network the same tasks
//! run in simulated time, and the same seed is the same run.
//!
//! ```
//! use tymist::Config;
//! use tymist::tasks::Tasks;
//!
//! let mut tasks = Tasks::new(Config::new());
//! let handle = tasks.handle();
//! let answer = tasks.run_until(async move {
//!     let mut listener = handle.listen(([127, 0, 0, 1], 0))?;
//!     let addr = listener.local_addr().clone();
//!     handle.spawn(async move {
//!         let mut stream = listener.accept().await?;
//!         let mut asked = stream.read_bytes().await?;
//!         stream.write_bytes(&mut asked).await
//!     });
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
//! # The order of things
//!
//! * Tasks run one at a time, on the thread of their `Tasks`, first woken first served. Of one tick, what the network brought comes before deadlines, and these
//!   in their order.
//! * A task that another one wakes runs in the same tick. One that wakes itself while it runs (as [`yield_now`](Handle::yield_now) does) is polled again in the
//!   next, so that it cannot keep the network waiting; and no tick has more than [`TaskConfig::polls_per_tick`] polls.
//! * Wakers may be called from any thread. Then, and only then, the order depends on chance.
//! * Channels, locks and combinators that know no runtime work here, such as those of `futures-channel` and `async-channel`. They wake in the order of waiting,
//!   by no chance, so a run with them is repeatable; there are none here.
//!
//! # What is where
//!
//! [`Handle`] begins tasks, waits, listens and connects; [`TaskListener`], [`TaskStream`] and [`TaskSocket`] are what comes of it; [`JoinHandle`] is a task.
//! With the features `futures-io`, `tokio-io` and `hyper` streams implement those crates' traits; with `hyper` a `Handle` is an executor and makes hyper's
//! timers. The chapter of the guide is `guide::tasks`.
//!
//! # Costs
//!
//! A tick costs what woken tasks there are, whatever number sleeps. A sleeping task costs its future, about 250 bytes and what it waits for: a connection 150
//! bytes besides the engine's, a deadline 100.

mod config;
mod conn;
mod desk;
mod dispatch;
mod doer;
mod errors;
mod halves;
mod handle;
mod job;
mod join;
mod listener;
mod owner;
mod queue;
mod shared;
mod socket;
mod stream;
mod table;
mod tick;
mod time;
#[cfg(any(feature = "futures-io", feature = "tokio-io", feature = "hyper"))]
mod traits;
mod waiting;

#[cfg(doc)]
use crate::Server;

pub use config::{Panics, TaskConfig, TaskCounters};
pub use halves::{ReadHalf, WriteHalf};
pub use handle::Handle;
#[cfg(all(unix, any(feature = "tokio", feature = "smol")))]
pub(crate) use handle::yield_now;
pub use join::{JoinError, JoinHandle};
pub use listener::TaskListener;
pub use owner::Tasks;
pub use socket::TaskSocket;
pub use stream::TaskStream;
pub use time::{Elapsed, Interval, Sleep};
#[cfg(feature = "hyper")]
pub use traits::hyper::HyperTimer;
