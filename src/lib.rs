//! A nonblocking, tick-driven network I/O engine: you own the loop, you own the clock.

#![forbid(unsafe_code)]

pub mod id;
pub mod net;
pub mod tyme;
/// x
pub mod wire {
    /// x
    #[derive(Debug)]
    pub struct Tap;
}
