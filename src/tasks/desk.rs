//! The server, and who waits for what of its connections, listeners and datagram sockets.
//!
//! # Invariants
//!
//! * A connection that a task knows of has an entry from its `Accepted` or its dial on, until its `Closed` was taken *and* whoever had it has let go. Until
//!   then its place in the engine stays taken (`Server::keep`), so nothing unread is lost, entries are found by the index of the id, and an id that is stale
//!   meets an entry of another id.

use core::task::Waker;
use std::collections::{BTreeSet, VecDeque};

use super::errors::Unresolved;
use super::queue::Key;
use super::shared::Late;
use super::waiting::Who;
use crate::error::Cause;
use crate::event::Event;
use crate::id::{AcceptorId, EndpointId, Id};
use crate::peer::Endpoint;
use crate::server::Server;

/// Who polls: a waker, and the task that runs if it is that one's.
#[derive(Copy, Clone)]
pub(super) struct Caller<'a> {
    pub(super) waker: &'a Waker,
    pub(super) task: Option<Key>,
}

/// Whom to wake.
pub(super) enum Whom {
    /// One of our tasks, whose waker need not be cloned and dropped for each message.
    Task(Key),
    Other(Waker),
}

/// Somebody who waits, or has waited and may again.
#[derive(Default)]
pub(super) struct Waiter {
    whom: Option<Whom>,
    waiting: bool,
}

impl Waiter {
    pub(super) fn wait(&mut self, caller: Caller<'_>) {
        match (&self.whom, caller.task) {
            (_, Some(key)) => self.whom = Some(Whom::Task(key)),
            (Some(Whom::Other(waker)), None) if waker.will_wake(caller.waker) => {}
            (_, None) => self.whom = Some(Whom::Other(caller.waker.clone())),
        }
        self.waiting = true;
    }

    /// Whom to wake, if anybody waits.
    pub(super) fn wake(&mut self) -> Option<Whom> {
        if core::mem::take(&mut self.waiting) { self.whom.take() } else { None }
    }
}

/// Whose a connection is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Somebody has it, or waits for it to come up.
    Held,
    /// It came in there, and nobody has taken it yet.
    Unaccepted(AcceptorId),
    /// Nobody has it any more; the engine brings it to its end.
    Left,
}

pub(super) struct Entry {
    id: Id,
    pub(super) stage: Stage,
    /// It has come up, if it was dialled.
    pub(super) is_up: bool,
    /// Its `Closed` was taken.
    pub(super) told: bool,
    /// Who reads, or waits for it to come up.
    pub(super) reader: Waiter,
    /// Who writes, or waits until all is out.
    pub(super) writer: Waiter,
    /// Our half is to end, which it cannot on the way to TLS: it does behind that.
    pub(super) ends_behind: bool,
    /// Why the last address of one that was dialled failed.
    pub(super) unresolved: Option<Box<Unresolved>>,
}

impl Entry {
    /// Whether it has ended for good.
    pub(super) fn is_told(&self) -> bool {
        self.told
    }
}

pub(super) struct Listening {
    pub(super) acceptor: AcceptorId,
    pub(super) backlog: VecDeque<Id>,
    pub(super) waiter: Waiter,
}

pub(super) struct Socket {
    pub(super) endpoint: EndpointId,
    pub(super) reader: Waiter,
    pub(super) writer: Waiter,
    /// Bytes of the datagram for which the writer waits for room.
    wanted: usize,
    pub(super) error: Option<Cause>,
}

/// Whether connections may still come in there: it listens, or some have come and wait to be admitted, or shake hands.
pub(super) fn may_give(server: &Server, acceptor: AcceptorId) -> bool {
    let shakes = || server.shaking_at().any(|at| at == acceptor);
    server.acceptor(acceptor).is_some_and(|it| it.opened() || it.axes().len() > 0 || shakes())
}

pub(super) struct Desk {
    pub(super) server: Server,
    /// By the index of the id.
    entries: Vec<Option<Entry>>,
    /// How many there are.
    known: usize,
    pub(super) listeners: Vec<Listening>,
    sockets: Vec<Socket>,
    /// The sockets at which somebody waits for room, or has.
    senders: Vec<EndpointId>,
    /// Acceptors that are gone while some of their connections shake hands; never more than there are connections.
    pub(super) retired: Vec<AcceptorId>,
    /// For the owner.
    pub(super) events: VecDeque<Event>,
    /// Listeners and datagram sockets may have been closed without a word.
    pub(super) watch_sockets: bool,
    /// Whom this tick wakes, in order.
    pub(super) woken: Vec<Whom>,
}

impl Desk {
    pub(super) fn new(server: Server) -> Self {
        Desk {
            server,
            entries: Vec::new(),
            known: 0,
            listeners: Vec::new(),
            sockets: Vec::new(),
            senders: Vec::new(),
            retired: Vec::new(),
            events: VecDeque::new(),
            watch_sockets: false,
            woken: Vec::new(),
        }
    }

    // Who is there.

    pub(super) fn entry(&mut self, id: Id) -> Option<&mut Entry> {
        let entry = self.entries.get_mut(id.index())?.as_mut()?;
        (entry.id == id).then_some(entry)
    }

    pub(super) fn listening(&mut self, acceptor: AcceptorId) -> Option<&mut Listening> {
        self.listeners.iter_mut().find(|listening| listening.acceptor == acceptor)
    }

    pub(super) fn socket(&mut self, endpoint: EndpointId) -> Option<&mut Socket> {
        self.sockets.iter_mut().find(|socket| socket.endpoint == endpoint)
    }

    /// Wakes whoever waits at a listener or a datagram socket, to look for itself.
    pub(super) fn wake_sockets(&mut self) {
        let listeners = self.listeners.iter_mut().map(|listening| &mut listening.waiter);
        let sockets = self.sockets.iter_mut();
        let sockets = sockets.flat_map(|socket| [&mut socket.reader, &mut socket.writer]);
        self.woken.extend(listeners.chain(sockets).filter_map(Waiter::wake));
    }

    /// Somebody waits until there is room for one more datagram, of `len` bytes. `Drained` is told only once nothing is queued, which it may be for ever for a
    /// receiver that takes none.
    pub(super) fn wait_to_send(&mut self, endpoint: EndpointId, len: usize, caller: Caller<'_>) {
        if let Some(socket) = self.socket(endpoint) {
            socket.writer.wait(caller);
            socket.wanted = len;
            if !self.senders.contains(&endpoint) {
                self.senders.push(endpoint);
            }
        }
    }

    /// Whether there is room by now for what waits to be sent at that socket; `None` where nothing does.
    fn has_room_at(&self, endpoint: EndpointId) -> Option<bool> {
        let socket = self.sockets.iter().find(|socket| socket.endpoint == endpoint);
        let wanted = socket.filter(|socket| socket.writer.waiting)?.wanted;
        Some(self.server.endpoint(endpoint)?.has_room(wanted))
    }

    /// Whether somebody has room by now and does not know of it.
    pub(super) fn owes_room(&self) -> bool {
        self.senders.iter().any(|endpoint| self.has_room_at(*endpoint) == Some(true))
    }

    /// Wakes who has room by now.
    pub(super) fn wake_senders(&mut self) {
        for endpoint in core::mem::take(&mut self.senders) {
            match self.has_room_at(endpoint) {
                Some(true) => {
                    let woken = self.socket(endpoint).and_then(|socket| socket.writer.wake());
                    self.woken.extend(woken);
                }
                Some(false) => self.senders.push(endpoint),
                None => {}
            }
        }
    }

    /// Whether somebody waits at a listener or a datagram socket that the owner has closed since the last tick, of which no event tells.
    pub(super) fn is_waited_in_vain(&self) -> bool {
        let server = &self.server;
        let waits_to_accept = |it: &Listening| it.waiter.waiting && !may_give(server, it.acceptor);
        let waits_for_grams = |it: &Socket| {
            let opened = server.endpoint(it.endpoint).is_some_and(Endpoint::opened);
            (it.reader.waiting || it.writer.waiting) && !opened
        };
        let listeners = || self.listeners.iter().any(waits_to_accept);
        self.watch_sockets && (listeners() || self.sockets.iter().any(waits_for_grams))
    }

    /// Where that one waits.
    pub(super) fn waiter(&mut self, who: Who) -> Option<&mut Waiter> {
        match who {
            Who::Reader(id) => self.entry(id).map(|entry| &mut entry.reader),
            Who::Writer(id) => self.entry(id).map(|entry| &mut entry.writer),
            Who::Listener(id) => self.listening(id).map(|listening| &mut listening.waiter),
            Who::Receiver(id) => self.socket(id).map(|socket| &mut socket.reader),
            Who::Sender(id) => self.socket(id).map(|socket| &mut socket.writer),
        }
    }

    /// Makes a connection one that tasks know of.
    pub(super) fn adopt(&mut self, id: Id, stage: Stage, is_up: bool) {
        self.server.keep(id);
        let (reader, writer) = (Waiter::default(), Waiter::default());
        let (told, ends_behind, unresolved) = (false, false, None);
        let entry = Entry { id, stage, is_up, told, reader, writer, ends_behind, unresolved };
        if self.entries.len() <= id.index() {
            self.entries.resize_with(id.index() + 1, || None);
        }
        self.entries[id.index()] = Some(entry);
        self.known += 1;
    }

    pub(super) fn forget(&mut self, id: Id) {
        self.entries[id.index()] = None;
        self.known -= 1;
        if self.known == 0 {
            self.entries = Vec::new();
        }
    }

    pub(super) fn add_listener(&mut self, acceptor: AcceptorId, room: usize) {
        self.server.set_room(acceptor, room.max(1));
        let (backlog, waiter) = (VecDeque::new(), Waiter::default());
        self.listeners.push(Listening { acceptor, backlog, waiter });
    }

    pub(super) fn add_socket(&mut self, endpoint: EndpointId) {
        let (reader, writer) = (Waiter::default(), Waiter::default());
        self.sockets.push(Socket { endpoint, reader, writer, wanted: 0, error: None });
    }

    /// The oldest that has come in there and was not taken.
    pub(super) fn accept(&mut self, acceptor: AcceptorId) -> Option<Id> {
        let id = self.listening(acceptor)?.backlog.pop_front()?;
        self.server.give_room(acceptor);
        if let Some(entry) = self.entry(id) {
            entry.stage = Stage::Held;
        }
        Some(id)
    }

    // Letting go.

    pub(super) fn let_go(&mut self, what: Late) {
        match what {
            Late::Leave { id, abort } => self.leave(id, abort),
            Late::EndSend(id) => self.end_send(id),
            Late::Abort(id) => {
                if let Some(remoter) = self.server.remoter_mut(id) {
                    remoter.abort();
                }
            }
            Late::Unread(id, data) => {
                if let Some(remoter) = self.server.remoter_mut(id) {
                    remoter.unread(data);
                }
            }
            Late::Stop(who) => drop(self.waiter(who).map(core::mem::take)),
            Late::Unlisten(acceptor) => self.unlisten(acceptor),
            Late::Unbind(endpoint) => {
                self.sockets.retain(|socket| socket.endpoint != endpoint);
                self.server.unbind_last(endpoint);
            }
        }
    }

    /// Our half of that connection is to end, now or once it has gone over to TLS.
    pub(super) fn end_send(&mut self, id: Id) {
        let Some(remoter) = self.server.remoter_mut(id) else { return };
        remoter.shutdown_send();
        let ends_behind = remoter.is_upgrading();
        if let Some(entry) = self.entry(id) {
            entry.ends_behind = ends_behind;
        }
    }

    /// Nobody has that connection any more.
    pub(super) fn leave(&mut self, id: Id, abort: bool) {
        let Some(entry) = self.entry(id) else { return };
        if entry.told {
            self.server.let_go(id, true);
            return self.forget(id);
        }
        entry.stage = Stage::Left;
        (entry.reader, entry.writer) = (Waiter::default(), Waiter::default());
        if let Some(remoter) = self.server.remoter_mut(id) {
            if abort {
                remoter.abort();
            } else {
                remoter.close();
            }
        }
        self.server.let_go(id, false);
    }

    /// Who has come in there and was not taken is reset, as the kernel does with its own backlog.
    fn unlisten(&mut self, acceptor: AcceptorId) {
        let Some(at) = self.listeners.iter().position(|it| it.acceptor == acceptor) else { return };
        let listening = self.listeners.remove(at);
        self.server.unlisten(acceptor);
        for id in listening.backlog {
            self.leave(id, true);
        }
        if self.server.cxes() > 0 {
            // Where somebody always shakes hands, those that are over would stay for ever.
            let shaking: BTreeSet<AcceptorId> = self.server.shaking_at().collect();
            self.retired.push(acceptor);
            self.retired.retain(|acceptor| shaking.contains(acceptor));
        }
    }
}
