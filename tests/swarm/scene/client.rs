//! All that runs on a client's host.

use tymist::Wake;
use tymist::doing::{DoError, Doer, Recur};
use tymist::tyme::Tyme;

use super::caller::Caller;
use super::speaker::Speaker;

pub(crate) struct Client {
    pub(crate) caller: Caller,
    pub(crate) speaker: Option<Speaker>,
}

impl Client {
    /// The end: closes all, and takes what that tells.
    pub(crate) fn close(&mut self) {
        self.caller.close();
        self.speaker.iter_mut().for_each(Speaker::close);
    }
}

impl Doer for Client {
    fn recur(&mut self, now: Tyme) -> Result<Recur, DoError> {
        self.caller.turn(now);
        self.speaker.iter_mut().for_each(|speaker| speaker.turn(now));
        Ok(Recur::Again)
    }

    fn wake(&self) -> Wake {
        let caller = self.caller.wake();
        self.speaker.as_ref().map_or(caller, |speaker| caller.min(speaker.wake()))
    }
}
