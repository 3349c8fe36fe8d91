//! How a connection comes in: counted, registered, shaken hands with, told.

use std::sync::Arc;

use super::Engine;
use crate::error::CloseReason;
use crate::event::{Event, Refusal};
use crate::id::{AcceptorId, Id, REMOTER};
use crate::net::{Addr, Stage, Stream};
use crate::remoter::{Phase, Queued, Remoter, Slot};

/// How a stream came to be.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) acceptor: Option<AcceptorId>,
    /// It has to shake hands before it is usable.
    pub(crate) handshake: bool,
    /// A proxy is to tell whom it is for.
    pub(crate) proxied: bool,
}

impl Engine {
    /// Makes a stream one of our connections, or says why not and drops it.
    pub(crate) fn admit(
        &mut self,
        stream: Box<dyn Stream>,
        origin: Origin,
    ) -> Result<Id, (Box<dyn Stream>, Refusal)> {
        let old = self.of_the_same_ends(&*stream);
        // One that nobody knows of leaves its place at once; of others the end is still to be told.
        let unknown = old.and_then(|id| self.slots.get(id)).is_some_and(|old| !old.is_known());
        if self.taken() - usize::from(unknown) >= self.core.config.limits.remoters {
            return Err((stream, Refusal::Remoters));
        }
        // What comes through a proxy is judged once it is known whom it is for.
        if !origin.proxied
            && let Some(why) = self.too_many_from(stream.peer_addr(), origin.handshake, old)
        {
            return Err((stream, why));
        }
        // Only who comes in takes the place of another.
        if let Some(old) = old {
            self.replace(old);
        }
        self.fit_scratch();
        let Some(id) = self.slots.reserve() else {
            return Err((stream, Refusal::Remoters));
        };
        let core = &self.core;
        let stream = core.tapped(stream);
        let shared = Arc::clone(&core.shared);
        let mut remoter = Remoter::new(id, origin.acceptor, stream, &core.config, shared, core.now);
        if origin.proxied {
            remoter.expect_proxy();
        }
        self.slots.fill(id, Box::new(remoter));
        self.enter(id, origin).map(|()| id)
    }

    /// Whether there are as many connections from that address as may be, or as many unfinished handshakes, without the one of it that is to be replaced.
    pub(super) fn too_many_from(
        &self,
        peer: &Addr,
        handshake: bool,
        replaced: Option<Id>,
    ) -> Option<Refusal> {
        let limits = &self.core.config.limits;
        let replaced = replaced.and_then(|id| self.slots.get(id));
        let there = self.index.count_from(peer);
        if there.saturating_sub(usize::from(replaced.is_some())) >= limits.remoters_per_ip {
            return Some(Refusal::PerIp);
        }
        let one_less = usize::from(replaced.is_some_and(|old| old.state.shaking));
        let shaking = self.index.shaking_from(peer).saturating_sub(one_less);
        let crowded = handshake && shaking >= limits.handshakes_per_ip.max(1);
        crowded.then_some(Refusal::HandshakesPerIp)
    }

    /// Tells that a connection was refused.
    pub(crate) fn refuse(&mut self, acceptor: AcceptorId, peer: Addr, why: Refusal) {
        self.core.counters.refused.count(why);
        self.core.events.push(Event::Refused { acceptor, peer, why });
    }

    fn enter(&mut self, id: Id, origin: Origin) -> Result<(), (Box<dyn Stream>, Refusal)> {
        let Some(remoter) = self.slots.get_mut(id) else { return Ok(()) };
        if remoter.stream.register(id.token(REMOTER)).is_err() {
            let stream = remoter.take_stream();
            self.slots.remove(id);
            return Err((stream, Refusal::Register));
        }
        if remoter.is_counted() {
            self.index.insert(remoter.counted_as(), id);
        }
        self.handshaking += 1;
        self.begin_handshake(id, origin.handshake);
        Ok(())
    }

    /// Lets a connection shake hands, or lets it out where it need not.
    pub(super) fn begin_handshake(&mut self, id: Id, handshake: bool) {
        if !handshake {
            return self.open(id);
        }
        if let Some(remoter) = self.slots.get_mut(id) {
            remoter.state.shaking = true;
            if remoter.is_counted() {
                self.index.begin_shaking(remoter.counted_as());
            }
            remoter.arm(&mut self.core, Slot::Handshake);
            // The first step needs no news from the network, and may be the last.
            self.enqueue(id);
        }
    }

    /// A connection with the same ends as a new one: one that the peer has forgotten. Names of Unix sockets tell nothing: several may live by the same.
    fn of_the_same_ends(&self, newcomer: &dyn Stream) -> Option<Id> {
        let (peer, local) = (newcomer.peer_addr(), newcomer.local_addr());
        peer.inet()?;
        self.index
            .find(peer, |id| self.slots.get(id).is_some_and(|old| old.is_between(peer, local)))
    }

    /// Lets go of a connection in favour of a new one.
    fn replace(&mut self, id: Id) {
        if let Some(old) = self.slots.get_mut(id)
            && !old.state.doomed
        {
            old.last_words(&mut self.core);
            // However it ended, this is why it is let go.
            old.state.doomed = false;
        }
        self.cut(id, CloseReason::Replaced);
    }

    /// The connection is usable from now on, or usable again.
    fn open(&mut self, id: Id) {
        let Some(remoter) = self.slots.get_mut(id) else { return };
        let again = core::mem::replace(&mut remoter.state.opened, true);
        remoter.state.phase = Phase::Live;
        if core::mem::take(&mut remoter.state.shaking) {
            if remoter.is_counted() {
                self.index.end_shaking(remoter.counted_as());
            }
            // What came with the last message of the handshake is inside already, and no edge will tell.
            remoter.state.readable = true;
            remoter.state.writable = true;
        }
        remoter.state.short_read_drains = remoter.stream.short_read_drains();
        remoter.note_held();
        if !again {
            remoter.opened_at = self.core.now;
        }
        remoter.arm_opened(&mut self.core, again);
        if remoter.will_owe_drained() {
            // It was asked for when nothing could be sent, and there may be nothing to send.
            remoter.after_send(&mut self.core, 0);
        }
        self.handshaking -= 1;
        self.live += 1;
        self.tell_open(id, again);
        // What the caller has asked of a dialled one meanwhile is done now.
        self.after_pass(id);
    }

    fn tell_open(&mut self, id: Id, again: bool) {
        #[cfg(feature = "tls")]
        if again {
            self.core.counters.upgraded += 1;
            return self.core.events.push(Event::Upgraded(id));
        }
        debug_assert!(!again, "only TLS opens twice");
        self.core.counters.opened += 1;
        let event = match self.slots.get(id) {
            Some(remoter) if remoter.is_dialled() => Event::Connected(id),
            _ => Event::Accepted(id),
        };
        self.core.events.push(event);
    }

    /// Advances the handshakes whose peers have said something, each by a step; returns how many became usable.
    #[inline]
    pub(crate) fn shake(&mut self) -> usize {
        if self.shaking.is_empty() && !self.has_upgrades() { 0 } else { self.shake_hands() }
    }

    #[inline(never)]
    fn shake_hands(&mut self) -> usize {
        #[cfg(feature = "tls")]
        self.go_over();
        let mut opened = 0;
        self.core.shook_at = self.core.tick;
        let budget = self.core.config.limits.handshakes_per_tick.max(1);
        for turn in 0..self.shaking.len() {
            if turn == budget {
                self.core.counters.budget.handshakes += 1;
                self.core.serviced.more = true;
                break;
            }
            let Some(id) = self.shaking.pop_front() else { break };
            let Some(remoter) = self.slots.get_mut(id) else { continue };
            remoter.state.queued = Queued::No;
            if remoter.state.phase != Phase::Handshaking {
                self.after_pass(id); // Its user closed it meanwhile.
                continue;
            }
            let Some(step) = self.advance(id) else { continue };
            let Some(remoter) = self.slots.get_mut(id) else { continue };
            match step {
                Ok(Stage::Live) => {
                    self.open(id);
                    opened += 1;
                }
                Ok(Stage::Handshaking) => {
                    remoter.begin_tick(&self.core);
                    remoter.state.queued = Queued::Again;
                    self.shaking.push_back(id);
                    self.core.serviced.more = true;
                    if self.core.config.refresh_handshake {
                        remoter.arm(&mut self.core, Slot::Handshake);
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => {
                    remoter.break_off(&mut self.core, CloseReason::of(&error));
                    self.after_pass(id);
                }
            }
        }
        opened
    }
}
