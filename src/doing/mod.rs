//! Doers: programs in turns, and the Doist that gives them.
//!
//! A [`Doer`] is entered once, has turns, and is left once. It says when it wants its next turn and what it waits on, and that is all that anybody needs to
//! know to run it: a [`Doist`], which is a group of them in order and a doer itself; a loop of somebody else's, by an adapter of `run`; a host of
//! a simulated world. The same doer runs in all of them unchanged.
//!
//! # Walk
//!
//! * [`Doer`] — the trait; [`Recur`], [`DoError`], [`End`]
//! * [`Doist`] — the group: order, beats, limit, adding and taking out, ending; [`Handle`] does that from inside
//! * [`ServerDoer`] — a server and your [`Service`](crate::Service), such as [`Echo`]; [`ClientDoer`], [`ClientsDoer`], [`PeerDoer`] — an engine and your
//!   closure for its events
//! * [`WireLogDoer`] keeps a log
//! * [`Server`](crate::Server), [`Clients`](crate::Clients), [`Client`](crate::Client) and [`Peer`](crate::Peer) are doers themselves, for who takes their
//!   events elsewhere

mod cycle;
mod deed;
mod doer;
mod doist;
mod echo;
mod engines;
mod finish;
mod handle;
mod handled;
mod load;
mod log;

#[cfg(feature = "sim")]
pub(crate) use deed::Deed;
pub use deed::End;
#[cfg(feature = "os")]
pub(crate) use deed::Life;
pub use doer::{DoError, Doer, Recur};
pub use doist::Doist;
pub use echo::Echo;
#[cfg(feature = "os")]
pub use finish::RunError;
pub use finish::{Failed, Finish, OnError};
pub use handle::{DoerId, Handle};
pub use handled::{ClientDoer, ClientsDoer, PeerDoer, ServerDoer};
pub(crate) use load::{drop_panic, keep_first};
pub use log::WireLogDoer;
