//! Keeping a log on disk while others go on.

use core::time::Duration;

use super::{DoError, Doer, Recur};
use crate::event::Wake;
use crate::tyme::{Tyme, Tymth};
use crate::wire::WireLog;

/// A [`WireLog`] as a doer: winds it to the clock, writes out what it has buffered on each beat and at the end, and fails with what stopped the log, as a
/// full disk does, which connections never notice.
///
/// ```
/// use std::time::Duration;
/// use tymist::doing::{Doist, Finish, WireLogDoer};
/// use tymist::tyme::Tymist;
/// use tymist::wire::WireLog;
///
/// let mut doist = Doist::new();
/// doist.add(WireLogDoer::new(WireLog::memory(64 * 1024)));
/// doist.limit = Some(Duration::from_secs(5));
/// assert_eq!(doist.run(&mut Tymist::new())?, Finish::Limit);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct WireLogDoer {
    /// The log.
    pub log: WireLog,
    /// How often it writes out. Default 1 s.
    pub tock: Duration,
}

impl WireLogDoer {
    /// For this log, once a second.
    #[must_use]
    pub fn new(log: WireLog) -> Self {
        WireLogDoer { log, tock: Duration::from_secs(1) }
    }

    fn write_out(&self) -> Result<(), DoError> {
        self.log.take_error().map_or(Ok(()), Err)?;
        Ok(self.log.flush()?)
    }
}

impl Doer for WireLogDoer {
    fn enter(&mut self, tymth: &Tymth) -> Result<(), DoError> {
        self.log.wind(tymth.clone());
        Ok(())
    }

    fn recur(&mut self, _: Tyme) -> Result<Recur, DoError> {
        self.write_out().map(|()| Recur::Again)
    }

    fn exit(&mut self) -> Result<(), DoError> {
        self.write_out()
    }

    fn tock(&self) -> Duration {
        self.tock
    }

    fn wake(&self) -> Wake {
        Wake::OnIo
    }
}
