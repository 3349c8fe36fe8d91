//! A nonblocking, tick-driven network I/O engine: you own the loop, you own the clock.

#![forbid(unsafe_code)]

pub mod event;
pub mod id;
pub mod net;
#[cfg(feature = "sim")]
pub mod sim;
pub mod tyme;

pub use event::Wake;

/// x
pub mod wire {
    /// x
    #[derive(Debug)]
    pub struct Tap;
}
