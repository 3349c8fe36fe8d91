//! A nonblocking, tick-driven network I/O engine: you own the loop, you own the clock.

#![forbid(unsafe_code)]

mod acceptor;
mod buf;
mod config;
mod counters;
mod engine;
mod error;
mod event;
mod id;
pub mod net;
mod remoter;
mod run;
mod server;
pub mod tyme;
pub mod wire;

pub use acceptor::{Acceptor, AcceptorId, Layer};
pub use config::{Config, Limits, MinRate, OverLimit, RxFull, Timeouts, TxFull};
pub use counters::{Budgets, Closed, Counters, Expired, Refused, RemoterCounters};
pub use error::{AdoptError, CloseReason, Deadline, Gone, ListenError, TxError};
pub use event::{Event, Refusal, Serviced, Wake};
pub use id::Id;
pub use remoter::Remoter;
pub use server::{Broadcast, Draining, Server};
