//! The engine: connections, their deadlines and events, and the passes of a tick over them.
//!
//! [`Server`](crate::Server) accepts connections and hands them in; those we make are made here ([`dial`], [`names`]), for
//! [`Clients`](crate::Clients) and servers alike. One file per pass: [`harvest`] asks who is ready, [`receive`] and [`send`]
//! move bytes, [`close`] ends, [`deadlines`] expires, [`admit`] lets in and shakes hands. [`turns`] serves the line of those that have something to do, which
//! [`work`] knows; [`common`] is what all passes need, [`index`] finds by address, [`rooms`] counts whom nobody has taken, [`events`] is the
//! queue of what to tell.
//!
//! The work of a tick is in five lists, so that it costs what there is to do and not what exists: `touched` (had in hand by the
//! caller since the last flush), `ready` (latched, with something to read or write), `shaking` (handshaking and latched), `dials_due`
//! (with a round or an address to begin) and `dials_latched` (dialling and latched). A connection is in each at most once.

mod admit;
mod close;
mod common;
mod deadlines;
mod dial;
mod events;
mod harvest;
mod index;
mod keep;
mod names;
mod receive;
mod renamed;
mod rooms;
mod send;
mod turns;
#[cfg(feature = "tls")]
mod upgrade;
mod wait;
mod work;

use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use crate::config::Config;
use crate::event::Serviced;
use crate::id::{Id, REMOTER, Slots};
use crate::net::{Net, Readiness};
use crate::remoter::{Phase, Remoter};
use crate::spin::Spin;
use crate::tyme::{Tyme, Tymth, Wheel};

pub(crate) use admit::Origin;
pub(crate) use common::Core;
use index::Index;

/// More than that in one read is nobody's wish, and memory that is taken at once.
const SCRATCH_MOST: usize = 16 << 20;

pub(crate) struct Engine {
    pub(crate) net: Box<dyn Net>,
    pub(crate) core: Core,
    tymth: Option<Tymth>,
    slots: Slots<Box<Remoter>>,
    index: Index,
    live: usize,
    handshaking: usize,
    dialling: usize,
    touched: Vec<Id>,
    ready: VecDeque<Id>,
    /// The last turns had too little budget to send for somebody in line.
    behind: bool,
    shaking: VecDeque<Id>,
    dials_due: VecDeque<Id>,
    dials_latched: VecDeque<Id>,
    pub(crate) names: names::Names,
    pub(crate) rooms: rooms::Rooms,
    /// What jitter is drawn from, once it was asked for.
    seed: Option<u64>,
    /// Closed, and told: to be forgotten at the next tick.
    to_forget: Vec<Id>,
    harvested: Vec<Readiness>,
    /// The tick was begun by a wait and goes on in the service that follows.
    begun: bool,
    /// `harvested` is from that wait.
    fresh: bool,
    sweep: Option<harvest::Sweep>,
    spin: Spin,
    due: Vec<(Tyme, Id)>,
}

impl Engine {
    pub(crate) fn new(config: Config, mut net: Box<dyn Net>) -> Self {
        let now = net.now();
        Engine {
            core: Core::new(config, now),
            net,
            tymth: None,
            slots: Slots::new(),
            index: Index::default(),
            live: 0,
            handshaking: 0,
            dialling: 0,
            touched: Vec::new(),
            ready: VecDeque::new(),
            behind: false,
            shaking: VecDeque::new(),
            dials_due: VecDeque::new(),
            dials_latched: VecDeque::new(),
            names: names::Names::default(),
            rooms: rooms::Rooms::default(),
            seed: None,
            to_forget: Vec::new(),
            harvested: Vec::new(),
            begun: false,
            fresh: false,
            sweep: None,
            spin: Spin::new(),
            due: Vec::new(),
        }
    }

    // Time.

    pub(crate) fn is_wound(&self) -> bool {
        self.tymth.is_some()
    }

    /// Reads the clock, once per tick.
    #[inline]
    pub(crate) fn sample(&mut self) -> Tyme {
        let now = match &self.tymth {
            Some(tymth) => tymth.tyme(),
            None => self.net.now(),
        };
        // A handle on a clock that starts over is caught by `wind`; here time only stands still.
        self.core.now = now.max(self.core.now);
        self.core.now
    }

    /// What the clock shows now, where it follows another one also between two ticks of it. Nothing here goes by that.
    pub(crate) fn latest(&mut self) -> Tyme {
        let now = match &self.tymth {
            Some(tymth) => tymth.latest(),
            None => self.net.now(),
        };
        now.max(self.core.now)
    }

    /// The clock that it is wound to.
    #[cfg(feature = "hyper")]
    pub(crate) fn tymth(&self) -> Option<&Tymth> {
        self.tymth.as_ref()
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
            remoter.restart_deadlines(&mut self.core, true);
            // There may be no time-out any more for what it waits for.
            let lingers = remoter.state.phase == Phase::Lingering;
            if lingers && !core::mem::replace(&mut remoter.state.touched, true) {
                self.touched.push(remoter.id);
            }
        }
        // What was heard by then is a tyme of the clock that was left.
        if core::mem::take(&mut self.sweep).is_some() {
            self.core.heard_until = Some(Tyme::ZERO);
        }
        now
    }

    // Ticks.

    /// Begins a tick, or goes on with the one that a wait has begun: reads the clock, fills the budgets.
    #[inline]
    pub(crate) fn begin_tick(&mut self) {
        self.sample();
        let limit = self.core.config.limits.buffered.max(1);
        self.core.shared.buffered_limit.store(limit, Ordering::Relaxed);
        if core::mem::replace(&mut self.begun, true) {
            return;
        }
        self.core.begin_tick();
        if self.slots.len() > 0 {
            self.fit_scratch();
        }
    }

    /// Ends a tick; what was done in it.
    #[inline]
    pub(crate) fn end_tick(&mut self) -> Serviced {
        self.begun = false;
        self.core.serviced
    }

    /// Forgets the connections whose `Closed` was taken.
    #[inline]
    pub(crate) fn forget_closed(&mut self) {
        while let Some(id) = self.to_forget.pop() {
            self.forget(id);
        }
    }

    /// Makes the read buffer as large as configured. There is none while there is no connection.
    #[inline]
    fn fit_scratch(&mut self) {
        let size = self.core.config.limits.scratch.clamp(1, SCRATCH_MOST);
        if self.core.scratch.len() != size {
            self.core.refit_scratch(size);
        }
    }

    /// Does what the caller has asked of connections since the last time: sends, ends, resumes.
    #[inline]
    pub(crate) fn flush(&mut self) {
        if !self.touched.is_empty() {
            self.flush_touched();
        }
        self.tell_drained();
    }

    #[inline]
    fn flush_touched(&mut self) {
        // Half of it is for those who wait in line since the last tick, whatever the caller queues for others.
        let left = self.core.tick_left_out;
        let kept = if self.behind { left - left / 2 } else { 0 };
        self.core.tick_left_out = left - kept;
        // Those that are flushed while this goes on come behind.
        let count = self.touched.len();
        let mut stay = 0;
        for at in 0..count {
            let id = self.touched[at];
            let Some(remoter) = self.slots.get_mut(id) else { continue };
            if self.core.filtered && remoter.has_raw_out() {
                self.touched[stay] = id; // Until the filters have seen it.
                stay += 1;
                continue;
            }
            remoter.state.touched = false;
            if remoter.state.changed {
                if remoter.is_renamed() {
                    self.index.rename(remoter);
                }
                if remoter.has_new_timeouts() {
                    remoter.restart_deadlines(&mut self.core, false);
                }
            }
            remoter.send(&mut self.core);
            if remoter.after_pass(&mut self.core, &mut self.ready) {
                self.release(id);
            }
        }
        self.touched.drain(stay..count);
        self.core.tick_left_out += kept;
    }

    /// Puts it in the line it belongs to if it has something to do and is in none yet.
    #[inline]
    fn enqueue(&mut self, id: Id) {
        if let Some(remoter) = self.slots.get_mut(id) {
            remoter.enqueue(&self.core, &mut self.ready, &mut self.shaking);
        }
    }

    #[cfg(not(feature = "tls"))]
    #[inline]
    fn has_upgrades(&self) -> bool {
        false
    }

    #[inline]
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

    /// Those that are still to be made, or made again.
    pub(crate) fn dialling(&self) -> usize {
        self.dialling
    }

    /// All places taken, of closed ones too until their `Closed` was taken.
    pub(crate) fn taken(&self) -> usize {
        self.slots.len() - self.to_forget.len()
    }

    pub(crate) fn get(&self, id: Id) -> Option<&Remoter> {
        self.slots.get(id).filter(|remoter| remoter.is_known()).map(|remoter| &**remoter)
    }

    /// The connection, which counts as touched from now on.
    #[inline]
    pub(crate) fn get_mut(&mut self, id: Id) -> Option<&mut Remoter> {
        let remoter = self.slots.get_mut(id)?;
        if !remoter.is_known() {
            return None;
        }
        if !core::mem::replace(&mut remoter.state.touched, true) {
            self.touched.push(id);
        }
        Some(&mut **remoter)
    }

    /// The connection, as a service's filters need it: looking at it asks for nothing.
    pub(crate) fn filtered_mut(&mut self, id: Id) -> Option<&mut Remoter> {
        self.slots.get_mut(id).map(|remoter| &mut **remoter)
    }

    /// The connections that the caller has had in hand since the last flush.
    pub(crate) fn touched(&self) -> &[Id] {
        &self.touched
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Remoter> {
        self.slots.iter().map(|remoter| &**remoter)
    }

    pub(crate) fn ids(&self) -> Vec<Id> {
        self.slots.ids().collect()
    }

    pub(crate) fn at(&self, peer: &crate::net::Addr) -> Option<Id> {
        self.index.find(peer, |id| {
            self.slots.get(id).is_some_and(|remoter| {
                index::is_same(remoter.peer_addr(), peer) && remoter.is_live()
            })
        })
    }

    /// Unread and unsent bytes of all.
    pub(crate) fn buffered(&self) -> usize {
        self.core.shared.buffered.load(Ordering::Relaxed)
    }
}
