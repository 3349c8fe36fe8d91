//! What is to be told of a server's configuration: that it was replaced, that it could not be, that it expires.

use core::time::Duration;
use std::sync::Arc;

use super::server::ServerTls;
use crate::tyme::Tyme;

/// The clock of certificates is not the engine's, and may be set: it is looked at this often at least.
const LOOK: Duration = Duration::from_secs(86_400);

/// A configuration, and what was told of it.
pub(crate) struct Watch {
    tls: ServerTls,
    changes: u64,
    generation: u64,
    failures: u64,
    /// When to look at the expiry again.
    look: Tyme,
}

/// Something to tell.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum News {
    Reloaded,
    ReloadFailed(Arc<str>),
    Expiring { at: i64, left: Duration },
}

impl Watch {
    pub(crate) fn new(tls: &ServerTls) -> Self {
        let tls = tls.clone();
        let (changes, generation, failures) = (tls.changes(), tls.generation(), tls.failures().0);
        Watch { tls, changes, generation, failures, look: Tyme::ZERO }
    }

    pub(crate) fn tls(&self) -> &ServerTls {
        &self.tls
    }

    /// Whether there may be something to tell before the time has come for a look.
    pub(crate) fn is_pending(&self) -> bool {
        self.changes != self.tls.changes()
    }

    /// When there may be something to tell by itself.
    pub(crate) fn next_look(&self) -> Tyme {
        self.look
    }

    /// The clock has changed.
    pub(crate) fn rebase(&mut self) {
        self.look = Tyme::ZERO;
    }

    /// What is new at `now`. Costs two loads if nothing can be.
    pub(crate) fn news(&mut self, now: Tyme, mut tell: impl FnMut(News)) {
        if self.is_pending() {
            self.changes = self.tls.changes();
            let (failures, why) = self.tls.failures();
            let generation = self.tls.generation();
            if let Some(why) = why.filter(|_| failures != self.failures) {
                tell(News::ReloadFailed(why));
            }
            if generation != self.generation {
                tell(News::Reloaded);
                self.look = Tyme::ZERO;
            }
            (self.failures, self.generation) = (failures, generation);
        }
        if self.look > now {
            return;
        }
        let (left, warning) = (self.tls.expires_in(), self.tls.expiry_warning());
        let until = if left <= warning {
            tell(News::Expiring { at: self.tls.expires_at(), left });
            left
        } else {
            left - warning
        };
        // At the end itself it is told once more, and then day by day.
        self.look = now + if until.is_zero() { LOOK } else { until.min(LOOK) };
    }
}
