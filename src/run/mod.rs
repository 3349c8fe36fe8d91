//! Real time: the only room outside the operating system's network that reads a clock, sleeps or starts threads.

mod clock;
mod doist;
mod lookups;
mod sleeper;

pub(crate) use lookups::Lookups;
pub(crate) use sleeper::Sleeper;
