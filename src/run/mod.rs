//! Real time: doers in loops of their own and of others.
//!
//! It is the only room outside the operating system's network that reads a clock, sleeps or starts threads. (hyper's timer, in `tasks`, takes one `Instant` as
//! an anchor, but no time from it.)
//!
//! [`Doist::run`](crate::doing::Doist::run) is the loop of one's own. In somebody else's a [`Driver`] holds the doer (a [`Server`](crate::Server) is one, too),
//! and says before each wait what there is to wait for: descriptors, and a time. The adapters are thin loops around that.
//!
//! | loop | adapter |
//! |---|---|
//! | tokio | `tokio` (feature of that name): `turn(&mut driver).await` |
//! | smol, or any other executor | `smol` (feature of that name, by async-io): the same |
//! | calloop | `calloop` (feature of that name): an `EventSource` |
//! | a window's, as winit's | [`Watcher`]: a thread that waits, and a waker of the loop's |
//! | any that polls descriptors, `poll(2)` | none: [`Rest`] has what it wants |
//! | one at a fixed rate, as a game's | none: `service()` once a frame |
//!
//! Servers on threads of their own are [`Manager`] and [`Group`], with [`Mailbox`] and [`Inbox`] for messages to them; [`Inherited`] are listening sockets from
//! another process.
//!
//! Adapters are for Unix, since only there an engine has a descriptor that others can wait on. Elsewhere run the engine in a thread of its own, or give it a
//! turn every few milliseconds.

#[cfg(all(unix, feature = "calloop"))]
pub mod calloop;
mod clock;
mod doist;
mod driver;
#[cfg(all(unix, feature = "uds"))]
mod handover;
mod inherited;
#[cfg(all(unix, feature = "smol"))]
pub mod smol;
#[cfg(all(unix, feature = "systemd"))]
pub mod systemd;
mod threads;
#[cfg(all(unix, feature = "tokio"))]
pub mod tokio;
mod watcher;

pub use driver::{Driver, Rest};
pub use inherited::Inherited;
pub use threads::{
    BoxError, Failure, Group, GroupFailure, Inbox, MailError, Mailbox, Manager, Seat, Stopper,
    mailbox,
};
pub use watcher::Watcher;
