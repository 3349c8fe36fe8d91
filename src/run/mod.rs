//! Real time: the only room outside the operating system's network that reads a clock, sleeps or starts threads.

mod clock;
mod lookups;

pub(crate) use lookups::Lookups;
