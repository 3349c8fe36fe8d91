//! What the passes of a tick have in common: the clock, the budgets, the wheel, what is told and counted.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use bytes::BytesMut;

use super::events::Events;
use crate::buf::Pool;
use crate::config::Config;
use crate::counters::Counters;
use crate::event::Serviced;
use crate::id::Id;
use crate::net::Stream;
use crate::remoter::Shared;
use crate::tyme::{Tyme, Wheel};
use crate::wire::{Tap, WireLog};

/// What the passes of a tick need besides the one connection they are at.
pub(crate) struct Core {
    pub(crate) now: Tyme,
    pub(crate) config: Config,
    pub(crate) shared: Arc<Shared>,
    pub(crate) wheel: Wheel<Id>,
    pub(crate) events: Events,
    pub(crate) counters: Counters,
    pub(crate) serviced: Serviced,
    /// What reads go through; all of it is initialized.
    pub(crate) scratch: BytesMut,
    pub(crate) pool: Pool,
    /// Bytes that may still be received in this tick.
    pub(crate) tick_left: usize,
    /// Bytes that may still be sent in this tick, and whether that was too little for somebody.
    pub(crate) tick_left_out: usize,
    pub(crate) cut_out: bool,
    /// Datagrams that may still be received in this tick.
    pub(crate) grams_left: usize,
    pub(crate) burst: Burst,
    /// Tries to connect that may still be begun in this tick.
    pub(crate) connects_left: usize,
    /// Those to whom `Drained` is owed.
    pub(crate) drained_owed: Vec<Id>,
    /// Among them may be one whose half is over: it waits for no room.
    pub(crate) owes_ended: bool,
    /// Put around connections as they come in or up.
    pub(crate) wire_log: Option<WireLog>,
    /// Those that can go over to TLS now.
    #[cfg(feature = "tls")]
    pub(crate) upgrades: Vec<Id>,
    /// The last harvest left some for the next one: only what had come by this tyme has been heard.
    pub(crate) heard_until: Option<Tyme>,
    /// Number of the tick, for the budgets per connection.
    pub(crate) tick: u32,
    /// The ticks in which turns were last given, and handshakes last advanced.
    pub(crate) turned_at: u32,
    pub(crate) shook_at: u32,
    /// A service's filters are to see all bytes before they leave.
    pub(crate) filtered: bool,
    /// A service is being called: nothing may call it again before it returns.
    pub(crate) calling: bool,
}

/// Which of a tick's budgets are only those of a burst, whose end is nothing to count.
#[derive(Copy, Clone, Default)]
pub(crate) struct Burst {
    pub(crate) bytes: bool,
    pub(crate) grams: bool,
}

impl Core {
    pub(super) fn new(config: Config, now: Tyme) -> Self {
        let shared = Shared {
            buffered: AtomicUsize::new(0),
            buffered_limit: AtomicUsize::new(config.limits.buffered.max(1)),
        };
        Core {
            now,
            shared: Arc::new(shared),
            wheel: Wheel::new(now),
            events: Events::default(),
            counters: Counters::default(),
            serviced: Serviced::default(),
            scratch: BytesMut::new(),
            pool: Pool::default(),
            tick_left: 0,
            tick_left_out: 0,
            cut_out: false,
            burst: Burst::default(),
            grams_left: 0,
            connects_left: 0,
            wire_log: None,
            drained_owed: Vec::new(),
            owes_ended: false,
            #[cfg(feature = "tls")]
            upgrades: Vec::new(),
            heard_until: None,
            tick: 0,
            turned_at: 0,
            shook_at: 0,
            filtered: false,
            calling: false,
            config,
        }
    }

    #[inline(never)]
    pub(super) fn refit_scratch(&mut self, size: usize) {
        self.scratch = self.pool.scratch(size);
    }

    /// Fills the budgets for another tick.
    #[inline]
    pub(super) fn begin_tick(&mut self) {
        let limits = &self.config.limits;
        self.tick = self.tick.wrapping_add(1);
        self.tick_left = limits.tick_bytes.max(1);
        self.tick_left_out = limits.tick_bytes_out.max(1);
        self.cut_out = false;
        self.burst = Burst::default();
        self.grams_left = limits.grams_per_tick.max(1);
        self.connects_left = limits.connects_per_tick.max(1);
        self.serviced = Serviced::default();
    }

    /// Cuts the budgets down to those of a tick that a wait has begun.
    #[inline]
    pub(super) fn begin_burst(&mut self) {
        let limits = &self.config.limits;
        let bytes = limits.burst_bytes.max(1);
        if bytes < self.tick_left {
            (self.tick_left, self.burst.bytes) = (bytes, true);
        }
        let grams = limits.burst_grams.max(1);
        if grams < self.grams_left {
            (self.grams_left, self.burst.grams) = (grams, true);
        }
    }

    /// The stream, with a tap around it if connections are logged.
    pub(super) fn tapped(&self, stream: Box<dyn Stream>) -> Box<dyn Stream> {
        match &self.wire_log {
            Some(log) => Tap::asked_for(stream, log.clone()),
            None => stream,
        }
    }

    /// The tick can send no more, and somebody could have: counted once a tick.
    pub(super) fn count_cut_out(&mut self) {
        let again = core::mem::replace(&mut self.cut_out, true);
        self.counters.budget.tick_bytes_out += u64::from(!again);
    }
}
