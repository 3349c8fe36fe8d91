//! What a manager tells the service manager about itself, until that hears it.

use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::io;
use std::sync::{Mutex, PoisonError, TryLockError};

use crate::run::systemd::Notify;

/// How long after a word that did not fit it is said again.
pub(super) const AGAIN: Duration = Duration::from_millis(100);

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Word {
    Ready,
    #[cfg(feature = "uds")]
    Succeeded,
    Stopping,
}

/// Says words in order. Nobody waits for the service manager: what it has no room for is kept, and said again by the engines as long as they go on.
#[derive(Debug)]
pub(super) struct Herald {
    notify: Notify,
    unsaid: Mutex<Vec<Word>>,
    /// Whether there are any, so that engines need not lock to see that there are none.
    owes: AtomicBool,
}

impl Herald {
    pub(super) fn new(notify: Notify) -> Self {
        Herald { notify, unsaid: Mutex::default(), owes: AtomicBool::new(false) }
    }

    /// Says it, after what is unsaid still; whether nothing is any more.
    pub(super) fn say(&self, word: Word) -> bool {
        let mut unsaid = self.unsaid.lock().unwrap_or_else(PoisonError::into_inner);
        if !unsaid.contains(&word) {
            unsaid.push(word);
        }
        self.speak(&mut unsaid)
    }

    pub(super) fn owes(&self) -> bool {
        self.owes.load(Ordering::Acquire)
    }

    pub(super) fn try_again(&self) {
        match self.unsaid.try_lock() {
            Ok(mut unsaid) => _ = self.speak(&mut unsaid),
            Err(TryLockError::Poisoned(unsaid)) => _ = self.speak(&mut unsaid.into_inner()),
            Err(TryLockError::WouldBlock) => {} // Somebody does.
        }
    }

    /// The lock is held meanwhile, so that words keep their order; what is said under it never waits.
    fn speak(&self, unsaid: &mut Vec<Word>) -> bool {
        while let Some(word) = unsaid.first() {
            let said = match word {
                Word::Ready => self.notify.ready(),
                #[cfg(feature = "uds")]
                Word::Succeeded => self.notify.succeeded(),
                Word::Stopping => self.notify.stopping(),
            };
            if said.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
                break;
            }
            // Heard, or nobody is there to hear it: the service manager acts on its absence.
            unsaid.remove(0);
        }
        self.owes.store(!unsaid.is_empty(), Ordering::Release);
        unsaid.is_empty()
    }
}
