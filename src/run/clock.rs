//! A clock that follows real time.

use std::time::Instant;

use crate::tyme::{Tyme, Tymist};

impl Tymist {
    /// A clock that starts at 0 and at each [`tick`](Tymist::tick) is set to where the operating system's monotonic clock stands. Its tock counts for
    /// nothing but pacing.
    #[must_use]
    pub fn realtime() -> Self {
        let origin = now();
        Tymist::following(move || Tyme::ZERO + now().duration_since(origin))
    }
}

#[expect(clippy::disallowed_methods, reason = "this room is where real time comes from")]
fn now() -> Instant {
    Instant::now()
}
