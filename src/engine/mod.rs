//! The engine: connections, their deadlines and events, and the passes of a tick over them.
//!
//! It knows nothing of how a connection came to be; [`Server`](crate::Server) accepts them and hands them in. One
//! file per pass: [`io`] receives and sends, [`close`] ends, [`deadlines`] expires, [`admit`] lets in and shakes hands.
//! [`turns`] serves the line of those that have something to do, [`index`] finds by address, [`events`] is the queue of what to tell.
//!
//! The work of a tick is in three lists, so that it costs what there is to do and not what exists: `touched` (had in hand by the
//! caller since the last flush), `ready` (latched, with something to read or write) and `shaking` (handshaking and latched).
//! A connection is in each at most once.

mod admit;
mod close;
mod deadlines;
mod events;
mod index;
mod io;
mod turns;

use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::config::Config;
use crate::counters::Counters;
use crate::event::{Event, Serviced};
use crate::id::{Id, Slots};
use crate::net::{Net, Readiness};
use crate::remoter::{Phase, Remoter, Shared};
use crate::tyme::{Tyme, Tymth, Wheel};

pub(crate) use admit::Origin;
use events::Events;
use index::Index;

/// Kinds of tokens.
pub(crate) const REMOTER: u8 = 0;
pub(crate) const ACCEPTOR: u8 = 1;

pub(crate) struct Engine {
    pub(crate) net: Box<dyn Net>,
    pub(crate) core: Core,
    tymth: Option<Tymth>,
    slots: Slots<Box<Remoter>>,
    index: Index,
    live: usize,
    handshaking: usize,
    touched: Vec<Id>,
    ready: VecDeque<Id>,
    shaking: VecDeque<Id>,
    /// Closed, and told: to be forgotten at the next tick.
    told: Vec<Id>,
    harvested: Vec<Readiness>,
    /// The tick was begun by a wait and goes on in the service that follows.
    begun: bool,
    /// `harvested` is from that wait.
    fresh: bool,
    due: Vec<(Tyme, Id)>,
}

/// What the passes of a tick need besides the one connection they are at.
pub(crate) struct Core {
    pub(crate) now: Tyme,
    pub(crate) config: Config,
    pub(crate) shared: Arc<Shared>,
    pub(crate) wheel: Wheel<Id>,
    pub(crate) events: Events,
    pub(crate) counters: Counters,
    pub(crate) serviced: Serviced,
    pub(crate) scratch: Vec<u8>,
    /// Bytes that may still be received in this tick.
    pub(crate) tick_left: usize,
    /// Those to whom `Drained` is owed.
    pub(crate) starved: Vec<Id>,
    /// Number of the tick, for the budgets per connection.
    pub(crate) tick: u32,
}

impl Engine {
    pub(crate) fn new(config: Config, mut net: Box<dyn Net>) -> Self {
        let now = net.now();
        let shared = Shared {
            buffered: AtomicUsize::new(0),
            buffered_limit: AtomicUsize::new(config.limits.buffered.max(1)),
        };
        Engine {
            core: Core {
                now,
                shared: Arc::new(shared),
                wheel: Wheel::new(now),
                events: Events::default(),
                counters: Counters::default(),
                serviced: Serviced::default(),
                scratch: Vec::new(),
                tick_left: 0,
                starved: Vec::new(),
                tick: 0,
                config,
            },
            net,
            tymth: None,
            slots: Slots::new(),
            index: Index::default(),
            live: 0,
            handshaking: 0,
            touched: Vec::new(),
            ready: VecDeque::new(),
            shaking: VecDeque::new(),
            told: Vec::new(),
            harvested: Vec::new(),
            begun: false,
            fresh: false,
            due: Vec::new(),
        }
    }

    // Time.

    pub(crate) fn is_wound(&self) -> bool {
        self.tymth.is_some()
    }

    /// Reads the clock, once per tick.
    pub(crate) fn sample(&mut self) -> Tyme {
        let now = match &self.tymth {
            Some(tymth) => tymth.tyme(),
            None => self.net.now(),
        };
        // A handle on a clock that starts over is caught by `wind`; here time only stands still.
        self.core.now = now.max(self.core.now);
        self.core.now
    }

    /// Goes by another clock from now on: all that runs is started anew there.
    pub(crate) fn wind(&mut self, tymth: Option<Tymth>) -> Tyme {
        self.tymth = tymth;
        self.core.now = Tyme::ZERO;
        let now = self.sample();
        self.core.wheel = Wheel::new(now);
        for remoter in self.slots.iter_mut() {
            remoter.timer = None;
            remoter.opened_at = now;
            remoter.retime(&mut self.core);
        }
        now
    }

    // Ticks.

    /// Begins a tick, or goes on with the one that a wait has begun: reads the clock, fills the budgets.
    pub(crate) fn begin(&mut self) {
        self.sample();
        let limit = self.core.config.limits.buffered.max(1);
        self.core.shared.buffered_limit.store(limit, Ordering::Relaxed);
        if core::mem::replace(&mut self.begun, true) {
            return;
        }
        self.core.tick = self.core.tick.wrapping_add(1);
        self.core.tick_left = self.core.config.limits.tick_bytes.max(1);
        self.core.serviced = Serviced::default();
        if self.slots.len() > 0 {
            self.fit_scratch();
        }
    }

    /// Ends a tick; what was done in it.
    pub(crate) fn end(&mut self) -> Serviced {
        self.begun = false;
        self.core.serviced
    }

    /// Forgets the connections whose `Closed` was taken.
    pub(crate) fn bury_told(&mut self) {
        while let Some(id) = self.told.pop() {
            self.bury(id);
        }
    }

    /// Makes the read buffer as large as configured. There is none while there is no connection.
    fn fit_scratch(&mut self) {
        let size = self.core.config.limits.scratch.max(1);
        if self.core.scratch.len() != size {
            self.core.scratch = vec![0; size];
        }
    }

    /// Does what the caller has asked of connections since the last time: sends, ends, resumes.
    pub(crate) fn flush(&mut self) {
        let mut touched = core::mem::take(&mut self.touched);
        for id in touched.drain(..) {
            if let Some(remoter) = self.slots.get_mut(id) {
                remoter.state.touched = false;
                if remoter.state.retime {
                    remoter.retime(&mut self.core);
                }
                remoter.send(&mut self.core);
                if remoter.rest(&mut self.core, &mut self.ready) {
                    self.release(id);
                }
            }
        }
        self.touched = touched;
        self.tell_drained();
    }

    /// Asks the network who is ready, unless the wait just before has done so.
    pub(crate) fn harvest_once(&mut self) {
        if !self.fresh {
            self.harvest(Some(Duration::ZERO));
        }
    }

    /// Asks the network who is ready.
    pub(crate) fn harvest(&mut self, wait: Option<Duration>) {
        if let Err(error) = self.net.harvest(wait, &mut self.harvested) {
            let event = Event::NetFailed { error: error.kind(), errno: error.raw_os_error() };
            self.core.events.push_once(event);
        }
        self.fresh = true;
    }

    /// Sets the latches of those who became ready; what is not a connection's goes to `other`.
    pub(crate) fn latch(&mut self, mut other: impl FnMut(Readiness)) {
        self.fresh = false;
        let mut harvested = core::mem::take(&mut self.harvested);
        for readiness in harvested.drain(..) {
            if readiness.token.kind() != usize::from(REMOTER) {
                other(readiness);
            } else if let Some(id) = self.slots.by_token(readiness.token, REMOTER) {
                self.latch_one(id, readiness);
            }
        }
        self.harvested = harvested;
    }

    fn latch_one(&mut self, id: Id, readiness: Readiness) {
        let Some(remoter) = self.slots.get_mut(id) else { return };
        remoter.state.readable |= readiness.readable;
        remoter.state.writable |= readiness.writable;
        remoter.state.ending |= readiness.ending;
        if remoter.state.queued {
            return;
        }
        if remoter.state.phase == Phase::Handshaking {
            remoter.state.queued = true;
            self.shaking.push_back(id);
        } else if remoter.has_work(&self.core) {
            remoter.state.queued = true;
            self.ready.push_back(id);
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<Tyme> {
        self.core.wheel.next()
    }

    // Who is there.

    /// Connections with a socket and past their handshake.
    pub(crate) fn live(&self) -> usize {
        self.live
    }

    pub(crate) fn handshaking(&self) -> usize {
        self.handshaking
    }

    /// All places taken, of closed ones too until their `Closed` was taken.
    pub(crate) fn taken(&self) -> usize {
        self.slots.len() - self.told.len()
    }

    pub(crate) fn get(&self, id: Id) -> Option<&Remoter> {
        self.slots.get(id).filter(|remoter| remoter.state.shaken).map(|remoter| &**remoter)
    }

    /// The connection, which counts as touched from now on.
    pub(crate) fn get_mut(&mut self, id: Id) -> Option<&mut Remoter> {
        let remoter = self.slots.get_mut(id)?;
        if !remoter.state.shaken {
            return None;
        }
        if !core::mem::replace(&mut remoter.state.touched, true) {
            self.touched.push(id);
        }
        Some(&mut **remoter)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Remoter> {
        self.slots.iter().map(|remoter| &**remoter)
    }

    pub(crate) fn ids(&self) -> Vec<Id> {
        self.slots.ids().collect()
    }

    pub(crate) fn at(&self, peer: &crate::net::Addr) -> Option<Id> {
        self.index.find(peer, |id| {
            self.slots
                .get(id)
                .is_some_and(|remoter| remoter.peer_addr() == peer && remoter.is_live())
        })
    }

    /// Takes the next event, and does what its being taken means.
    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        let event = self.core.events.pop()?;
        match event {
            Event::Received(id) => {
                if let Some(remoter) = self.slots.get_mut(id) {
                    remoter.state.received = false;
                }
            }
            Event::Eof(id) => {
                if let Some(remoter) = self.get_mut(id) {
                    remoter.state.eof_told = true;
                }
            }
            Event::Drained(id) => {
                if let Some(remoter) = self.get_mut(id) {
                    remoter.state.starved = false;
                }
            }
            Event::Closed(id, _) => self.told.push(id),
            _ => {}
        }
        Some(event)
    }
}
