//! The desk's part of a tick: whom each event of the server wakes.
//!
//! Events of connections that tasks know of go no further than to here; all others go to the owner, in their order. A waker is called only for who waits: a
//! read that is not under way is not woken. And it is called when the desk is free again, since some poll at once.

use super::config::{TaskConfig, TaskCounters};
use super::desk::{Desk, Stage};
use super::errors::Unresolved;
use crate::event::{Event, Serviced};
use crate::id::{EndpointId, Id};
use crate::peer::GramEvent;
use crate::remoter::Remoter;

impl Desk {
    /// Services the server, and wakes who waits for what it tells.
    pub(super) fn service(&mut self, config: &TaskConfig, counters: &mut TaskCounters) -> Serviced {
        let serviced = self.server.service();
        while let Some(event) = self.server.poll_event() {
            if let Some(event) = self.dispatch(event, counters) {
                self.tell_owner(event, config, counters);
            }
        }
        if core::mem::take(&mut self.watch_sockets) {
            self.wake_sockets();
        }
        self.wake_senders();
        if !self.retired.is_empty() && self.server.cxes() == 0 {
            self.retired = Vec::new();
        }
        serviced
    }

    fn tell_owner(&mut self, event: Event, config: &TaskConfig, counters: &mut TaskCounters) {
        self.watch_sockets |= matches!(
            event,
            Event::ListenerLost { .. } | Event::Draining { .. } | Event::DrainEnded { .. }
        );
        if self.events.len() < config.events.max(1) {
            self.events.push_back(event);
        } else {
            counters.events_dropped += 1;
        }
    }

    /// Wakes whom an event is for; gives back those that are for the owner.
    fn dispatch(&mut self, event: Event, counters: &mut TaskCounters) -> Option<Event> {
        if let Some(id) = event.id()
            && self.entry(id).is_some()
        {
            self.meet(id, event, counters);
            return None;
        }
        match &event {
            Event::Accepted(id) if self.take_in(*id) => return None,
            Event::Gram(endpoint, gram) if !self.meet_gram(*endpoint, gram) => return None,
            _ => {}
        }
        Some(event)
    }

    /// A connection has come in; returns whether it was for a task.
    fn take_in(&mut self, id: Id) -> bool {
        let acceptor = self.server.remoter(id).and_then(Remoter::acceptor);
        let Some(acceptor) = acceptor else { return false };
        if self.retired.contains(&acceptor) {
            // One of the tasks' to its end, so that the owner never hears of it.
            self.adopt(id, Stage::Held, true);
            self.leave(id, true);
            return true;
        }
        if self.listening(acceptor).is_none() {
            return false;
        }
        self.adopt(id, Stage::Unaccepted(acceptor), true);
        if let Some(listening) = self.listening(acceptor) {
            listening.backlog.push_back(id);
            let woken = listening.waiter.wake();
            self.woken.extend(woken);
        }
        true
    }

    /// That one waits at no listener, and will not.
    fn give_room_of(&mut self, id: Id) {
        if let Some(acceptor) = self.server.remoter(id).and_then(Remoter::acceptor) {
            self.server.give_room(acceptor);
        }
    }

    /// Something happened to a connection that tasks know of.
    fn meet(&mut self, id: Id, event: Event, counters: &mut TaskCounters) {
        let Some(entry) = self.entry(id) else { return };
        let woken = match event {
            Event::Received(_) | Event::Eof(_) => entry.reader.wake(),
            Event::Drained(_) => entry.writer.wake(),
            Event::Connected(_) => {
                entry.is_up = true;
                entry.reader.wake()
            }
            Event::ConnectFailed { .. } => {
                entry.unresolved = None;
                return;
            }
            Event::Unresolved { host, why, .. } => {
                entry.unresolved = Some(Box::new(Unresolved { host, why }));
                return;
            }
            // The owner gave it to the tasks before it was told of it.
            Event::Accepted(_) => return self.give_room_of(id),
            Event::Closed(..) => return self.meet_end(id, counters),
            // `Upgraded` among others: whoever waits looks for itself.
            _ => {
                let ends = core::mem::take(&mut entry.ends_behind);
                let woken = [entry.reader.wake(), entry.writer.wake()];
                self.woken.extend(woken.into_iter().flatten());
                if ends {
                    self.end_send(id);
                }
                return;
            }
        };
        if let Some(waker) = woken {
            self.woken.push(waker);
        }
    }

    fn meet_end(&mut self, id: Id, counters: &mut TaskCounters) {
        let Some(entry) = self.entry(id) else { return };
        entry.told = true;
        match entry.stage {
            Stage::Held => {
                let woken = [entry.reader.wake(), entry.writer.wake()];
                self.woken.extend(woken.into_iter().flatten());
            }
            Stage::Unaccepted(acceptor) => {
                counters.unaccepted += 1;
                if let Some(listening) = self.listening(acceptor) {
                    listening.backlog.retain(|other| *other != id);
                }
                self.server.give_room(acceptor);
                self.leave(id, false);
            }
            Stage::Left => self.forget(id),
        }
    }

    /// Something happened at a datagram socket; returns whether the owner is to know of it.
    fn meet_gram(&mut self, endpoint: EndpointId, gram: &GramEvent) -> bool {
        let Some(endpoint_is) = self.server.endpoint(endpoint) else {
            // What a socket that was dropped had to say of its queues is nobody's any more.
            return !matches!(gram, GramEvent::Received | GramEvent::Drained);
        };
        let connected = endpoint_is.peer_addr().is_some();
        let Some(socket) = self.socket(endpoint) else { return true };
        let (woken, told) = match gram {
            GramEvent::Received => ([socket.reader.wake(), None], false),
            GramEvent::Drained => ([socket.writer.wake(), None], false),
            GramEvent::Unreachable { error } if connected => {
                socket.error = Some(*error);
                ([socket.reader.wake(), None], false)
            }
            GramEvent::Lost { .. } => ([socket.reader.wake(), socket.writer.wake()], true),
            _ => return true,
        };
        self.woken.extend(woken.into_iter().flatten());
        told
    }
}
