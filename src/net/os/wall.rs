//! The calendar, for what is valid from one date to another.

use std::time::{SystemTime, UNIX_EPOCH};

use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;

/// The system's clock.
#[derive(Debug)]
pub(crate) struct WallClock;

impl TimeProvider for WallClock {
    #[expect(clippy::disallowed_methods, reason = "this room is where real time comes from")]
    fn current_time(&self) -> Option<UnixTime> {
        SystemTime::now().duration_since(UNIX_EPOCH).ok().map(UnixTime::since_unix_epoch)
    }
}
