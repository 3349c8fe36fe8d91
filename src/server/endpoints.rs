//! Datagram endpoints beside the connections: the same poller, tick and queue of events.

use std::collections::VecDeque;

use super::Server;
use crate::engine::Core;
use crate::error::ListenError;
use crate::event::Event;
use crate::id::{ENDPOINT, EndpointId, Id, Slots};
use crate::net::{Addr, Bind, Net, Readiness};
use crate::peer::{Endpoint, GramConfig, GramEvent};
use crate::spin::Work;
use crate::tyme::Tyme;

/// A server's endpoints. A tick costs what its lists hold, not what exists.
pub(super) struct Endpoints {
    slots: Slots<Box<Endpoint>>,
    /// Had in hand by the caller since the last flush.
    touched: Vec<Id>,
    /// With something to send or receive.
    ready: VecDeque<Id>,
    /// Those that have a deadline, maybe a past one. Few: only what the network does not take waits.
    resting: Vec<Id>,
    /// All datagrams come in through it.
    scratch: Vec<u8>,
    /// What came in so far.
    work: Work,
}

impl Endpoints {
    pub(super) fn new() -> Self {
        Endpoints {
            slots: Slots::new(),
            touched: Vec::new(),
            ready: VecDeque::new(),
            resting: Vec::new(),
            scratch: Vec::new(),
            work: Work::default(),
        }
    }

    fn get(&self, id: Id) -> Option<&Endpoint> {
        self.slots.get(id).map(|endpoint| &**endpoint)
    }

    /// What came in so far.
    #[inline]
    pub(super) fn work(&self) -> &Work {
        &self.work
    }

    pub(super) fn latch(&mut self, readiness: Readiness) {
        let Some(id) = self.slots.by_token(readiness.token, ENDPOINT) else { return };
        let Some(endpoint) = self.slots.get_mut(id) else { return };
        endpoint.latch(readiness.readable, readiness.writable);
        self.enqueue(id);
    }

    fn enqueue(&mut self, id: Id) {
        if let Some(endpoint) = self.slots.get_mut(id)
            && endpoint.has_work()
            && !core::mem::replace(&mut endpoint.queued, true)
        {
            self.ready.push_back(id);
        }
    }

    /// Sends what was queued since the last time.
    #[inline]
    pub(super) fn flush(&mut self, core: &mut Core) {
        if !self.touched.is_empty() {
            self.flush_touched(core);
        }
    }

    #[inline(never)]
    fn flush_touched(&mut self, core: &mut Core) {
        let mut touched = core::mem::take(&mut self.touched);
        for id in touched.drain(..) {
            if let Some(endpoint) = self.slots.get_mut(id) {
                endpoint.touched = false;
                endpoint.begin(core.now, core.tick);
                endpoint.send(&mut core.serviced);
                self.after_pass(id, core);
            }
        }
        self.touched = touched;
    }

    /// Gives everybody in line one turn: send, then receive, each within its budget.
    #[inline]
    pub(super) fn turns(&mut self, core: &mut Core) {
        if !self.ready.is_empty() || !self.resting.is_empty() {
            self.serve_line(core);
        }
    }

    #[inline(never)]
    fn serve_line(&mut self, core: &mut Core) {
        self.wake_rested(core);
        let (grams, bytes) = (core.serviced.grams_in, core.serviced.bytes_in);
        for _ in 0..self.ready.len() {
            if core.grams_left == 0 {
                break;
            }
            let Some(id) = self.ready.pop_front() else { break };
            let Some(endpoint) = self.slots.get_mut(id) else { continue };
            endpoint.queued = false;
            endpoint.begin(core.now, core.tick);
            endpoint.send(&mut core.serviced);
            endpoint.receive(&mut self.scratch, &mut core.grams_left, false, &mut core.serviced);
            self.after_pass(id, core);
        }
        self.work.calls += (core.serviced.grams_in - grams) as u64;
        self.work.bytes += core.serviced.bytes_in - bytes;
        let cut = core.grams_left == 0 && !self.ready.is_empty();
        core.counters.budget.grams += u64::from(cut && !core.burst.grams);
        core.serviced.more |= !self.ready.is_empty();
    }

    /// Puts those in line whose rest is over, and drops what has waited too long.
    fn wake_rested(&mut self, core: &mut Core) {
        for id in core::mem::take(&mut self.resting) {
            let Some(endpoint) = self.slots.get_mut(id) else { continue };
            endpoint.begin(core.now, core.tick);
            if endpoint.is_stalled() {
                endpoint.send(&mut core.serviced);
                endpoint.drop_stalled();
            }
            self.after_pass(id, core);
        }
    }

    /// Sees after a pass what became of an endpoint, and hands on what it tells.
    fn after_pass(&mut self, id: Id, core: &mut Core) {
        let Some(endpoint) = self.slots.get_mut(id) else { return };
        for event in endpoint.drain_events() {
            core.events.push(Event::Gram(EndpointId(id), event));
        }
        if endpoint.next_deadline().is_some() && !self.resting.contains(&id) {
            self.resting.push(id);
        }
        self.enqueue(id);
    }

    /// Whether they want nothing before the network has something for them.
    #[inline]
    pub(super) fn are_calm(&self) -> bool {
        self.ready.is_empty() && self.touched.is_empty() && self.resting.is_empty()
    }

    /// Whether there is work that needs no news from the network.
    #[inline]
    pub(super) fn is_pending(&self) -> bool {
        let works = |id: &Id| self.get(*id).is_some_and(Endpoint::has_work);
        !self.ready.is_empty() || self.touched.iter().any(works)
    }

    #[inline]
    pub(super) fn next_deadline(&self) -> Tyme {
        if self.resting.is_empty() && self.touched.is_empty() {
            return Tyme::NEVER;
        }
        let ids = self.resting.iter().chain(&self.touched);
        let next = ids.filter_map(|id| self.get(*id)?.next_deadline()).min();
        next.unwrap_or(Tyme::NEVER)
    }

    pub(super) fn rebase(&mut self, now: Tyme) {
        self.slots.iter_mut().for_each(|endpoint| endpoint.rebase(now));
    }

    #[inline(never)]
    pub(super) fn taken(&mut self, id: EndpointId, event: &GramEvent) {
        if let Some(endpoint) = self.slots.get_mut(id.0) {
            endpoint.taken(event);
        }
    }

    /// Gives what is queued there the one try that a socket has before it is closed.
    fn try_last(&mut self, id: Id, core: &mut Core) {
        let Some(endpoint) = self.slots.get_mut(id) else { return };
        endpoint.begin(core.now, core.tick);
        endpoint.send_last(&mut core.serviced);
        self.after_pass(id, core);
    }

    /// Closes all sockets, after one try for what is queued, also where nobody has touched it since the last tick. The endpoints stay, to be looked at and to
    /// be opened again.
    pub(super) fn close(&mut self, core: &mut Core) {
        for id in self.slots.ids().collect::<Vec<_>>() {
            self.try_last(id, core);
        }
        for endpoint in self.slots.iter_mut() {
            endpoint.close();
            (endpoint.touched, endpoint.queued) = (false, false);
        }
        self.touched.clear();
        self.ready.clear();
        self.resting.clear();
        self.scratch = Vec::new();
    }

    /// Opens what is closed; the first error, and where.
    pub(super) fn reopen(&mut self, net: &mut dyn Net) -> Result<(), ListenError> {
        let mut result = Ok(());
        for id in self.slots.ids().collect::<Vec<_>>() {
            let Some(endpoint) = self.slots.get_mut(id) else { continue };
            if endpoint.opened() {
                continue;
            }
            let Some(spec) = endpoint.spec_again() else { continue };
            let addr = spec.addr.clone();
            if let Err(error) = endpoint.open(net, spec, id.token(ENDPOINT)) {
                result = result.and(Err(ListenError::new(addr, error)));
            }
        }
        result
    }
}

/// # Datagrams
impl Server {
    /// Opens a datagram endpoint that is served in the same tick as the connections: what it tells comes as
    /// [`Event::Gram`], in one queue with all else. A text is parsed first: `"127.0.0.1:0".parse::<Bind>()?`.
    ///
    /// ```
    /// use tymist::{Config, Event, GramConfig, GramEvent, Server};
    ///
    /// let mut server = Server::new(Config::new());
    /// server.listen(([127, 0, 0, 1], 0))?;
    /// let udp = server.bind(([127, 0, 0, 1], 0), GramConfig::new())?;
    /// let myself = server.endpoint(udp).unwrap().local_addr().clone();
    /// server.endpoint_mut(udp).unwrap().tx(b"hello", myself)?;
    /// loop {
    ///     server.wait(None);
    ///     server.service();
    ///     if server.poll_event() == Some(Event::Gram(udp, GramEvent::Received)) {
    ///         break;
    ///     }
    /// }
    /// assert_eq!(server.endpoint_mut(udp).unwrap().take().unwrap().data, "hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// What the network says, with the address: in use, not ours, no permission, no descriptors left.
    pub fn bind(
        &mut self,
        bind: impl Into<Bind>,
        config: GramConfig,
    ) -> Result<EndpointId, ListenError> {
        let bind = bind.into();
        let addr: Addr = bind.addr.clone();
        let full = || ListenError::new(addr.clone(), std::io::ErrorKind::OutOfMemory.into());
        let id = self.endpoints.slots.reserve().ok_or_else(full)?;
        let mut endpoint = Endpoint::new(config);
        endpoint.rebase(self.engine.sample());
        let opened = endpoint.open(&mut *self.engine.net, bind, id.token(ENDPOINT));
        opened.map_err(|error| ListenError::new(addr, error))?;
        self.endpoints.slots.fill(id, Box::new(endpoint));
        Ok(EndpointId(id))
    }

    /// Closes that endpoint and forgets it, with what waited in it. Returns whether there was one.
    pub fn unbind(&mut self, id: EndpointId) -> bool {
        self.endpoints.slots.remove(id.0).is_some()
    }

    /// The same, after one try for what is queued.
    pub(crate) fn unbind_last(&mut self, id: EndpointId) {
        self.engine.sample();
        self.endpoints.try_last(id.0, &mut self.engine.core);
        self.unbind(id);
    }

    /// The endpoint of this id.
    #[must_use]
    pub fn endpoint(&self, id: EndpointId) -> Option<&Endpoint> {
        self.endpoints.get(id.0)
    }

    /// The endpoint of this id, to do something with.
    pub fn endpoint_mut(&mut self, id: EndpointId) -> Option<&mut Endpoint> {
        let endpoint = self.endpoints.slots.get_mut(id.0)?;
        if !core::mem::replace(&mut endpoint.touched, true) {
            self.endpoints.touched.push(id.0);
        }
        Some(&mut **endpoint)
    }

    /// All its endpoints, in the order of their places.
    pub fn endpoints(&self) -> impl Iterator<Item = (EndpointId, &Endpoint)> {
        let slots = &self.endpoints.slots;
        slots.ids().map(EndpointId).zip(slots.iter().map(|endpoint| &**endpoint))
    }
}
