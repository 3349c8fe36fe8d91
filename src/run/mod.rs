//! Real time: the only room outside the operating system's network that reads a clock, sleeps or starts threads.
//!
//! * [`Manager`], [`Group`] — servers on threads of their own; [`Mailbox`], [`Inbox`] — messages to them
//! * [`Inherited`] — listening sockets from another process

mod clock;
mod doist;
#[cfg(all(unix, feature = "uds"))]
mod handover;
mod inherited;
mod lookups;
mod sleeper;
#[cfg(all(unix, feature = "systemd"))]
pub mod systemd;
mod threads;

pub use inherited::Inherited;
pub(crate) use lookups::Lookups;
pub(crate) use sleeper::Sleeper;
pub use threads::{
    BoxError, Failure, Group, GroupFailure, Inbox, MailError, Mailbox, Manager, Seat, Stopper,
    mailbox,
};
