//! What a watch asks of an engine.

use tymist::tyme::Tyme;
use tymist::{Clients, Config, Counters, Id, Remoter, Server, Wake};

/// What can be asked of a server and of clients alike.
pub(crate) trait Engine {
    fn tyme(&self) -> Tyme;
    fn wake(&self) -> Wake;
    fn remoter(&self, id: Id) -> Option<&Remoter>;
    fn buffered(&self) -> usize;
    fn timers(&self) -> usize;
    /// Connections: all with a place, and those of them that shake hands after they came in.
    fn places(&self) -> (usize, usize);
    /// Connections that wait to be let in, and the most that may.
    fn waiting(&self, config: &Config) -> (usize, usize);
    /// Whether it still has lists, or anything else of the network's.
    fn opened(&self) -> bool;
    fn counters(&self) -> &Counters;
    /// Sends what was queued.
    fn send(&mut self);
    /// How many ticks may have sent since the last turn ended, but for that of `send`: its own, and that of what drives a server behind its turn.
    fn ticks(&self) -> u64;
}

impl Engine for Server {
    fn tyme(&self) -> Tyme {
        self.tyme()
    }

    fn wake(&self) -> Wake {
        self.wake()
    }

    fn remoter(&self, id: Id) -> Option<&Remoter> {
        self.remoter(id)
    }

    fn buffered(&self) -> usize {
        self.buffered()
    }

    fn timers(&self) -> usize {
        self.timers()
    }

    fn places(&self) -> (usize, usize) {
        (self.len() + self.cxes() + self.dialling(), self.cxes())
    }

    fn waiting(&self, config: &Config) -> (usize, usize) {
        (self.axes(), config.limits.accept_deque.max(1) * self.acceptors().count())
    }

    fn opened(&self) -> bool {
        self.opened()
    }

    fn counters(&self) -> &Counters {
        self.counters()
    }

    fn send(&mut self) {
        self.service_sends();
    }

    fn ticks(&self) -> u64 {
        2
    }
}

impl Engine for Clients {
    fn tyme(&self) -> Tyme {
        self.tyme()
    }

    fn wake(&self) -> Wake {
        self.wake()
    }

    fn remoter(&self, id: Id) -> Option<&Remoter> {
        self.remoter(id)
    }

    fn buffered(&self) -> usize {
        self.buffered()
    }

    fn timers(&self) -> usize {
        self.timers()
    }

    fn places(&self) -> (usize, usize) {
        (self.len(), 0)
    }

    fn waiting(&self, _: &Config) -> (usize, usize) {
        (0, 0)
    }

    fn opened(&self) -> bool {
        false
    }

    fn counters(&self) -> &Counters {
        self.counters()
    }

    fn send(&mut self) {
        self.service_sends();
    }

    fn ticks(&self) -> u64 {
        1
    }
}
