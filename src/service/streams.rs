//! An object for each connection, in the manner of turbo's `handle_stream`.

use core::fmt;
use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};

use super::{Service, Session};
use crate::error::CloseReason;
use crate::id::Id;
use crate::net::Addr;

/// A [`Service`] that makes another one for each connection, and passes on to it what happens there: the callbacks and the filters, if it
/// [has some](Service::filters). Its `event`, `grams`,
/// `tick` and `wake` are not called: they are not about one connection. Costs a look-up in a tree per callback.
///
/// A connection that is dialled has its service while it is up. What is queued before that, or between two of its lives, no filter of a service here sees: it
/// goes out as it is.
pub struct Streams<H, S> {
    handle: H,
    streams: BTreeMap<Id, S>,
}

impl<H, S> Streams<H, S>
where
    H: FnMut(&mut Session<'_>, &Addr) -> S + 'static,
    S: Service,
{
    /// Calls `handle` with each connection that comes in (turbo's `handle_stream`), and its peer's address; what it returns deals with that connection from
    /// then on.
    pub fn new(handle: H) -> Self {
        Streams { handle, streams: BTreeMap::new() }
    }

    /// What deals with that connection, while it is open.
    #[must_use]
    pub fn get(&self, id: Id) -> Option<&S> {
        self.streams.get(&id)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.streams.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }
}

impl<H, S> Service for Streams<H, S>
where
    H: FnMut(&mut Session<'_>, &Addr) -> S + 'static,
    S: Service,
{
    fn opened(&mut self, session: &mut Session<'_>) {
        let address = session.peer_addr().clone();
        let mut stream = (self.handle)(session, &address);
        stream.opened(session);
        self.streams.insert(session.id(), stream);
    }

    fn received(&mut self, session: &mut Session<'_>) {
        if let Some(stream) = self.streams.get_mut(&session.id()) {
            stream.received(session);
        }
    }

    fn drained(&mut self, session: &mut Session<'_>) {
        if let Some(stream) = self.streams.get_mut(&session.id()) {
            stream.drained(session);
        }
    }

    fn ended(&mut self, session: &mut Session<'_>) {
        if let Some(stream) = self.streams.get_mut(&session.id()) {
            stream.ended(session);
        }
    }

    fn closed(&mut self, session: &mut Session<'_>, reason: CloseReason) {
        if let Some(mut stream) = self.streams.remove(&session.id()) {
            stream.closed(session, reason);
        }
    }

    fn incoming(&mut self, id: Id, data: &mut BytesMut) {
        if let Some(stream) = self.streams.get_mut(&id).filter(|stream| stream.filters()) {
            stream.incoming(id, data);
        }
    }

    fn outgoing(&mut self, id: Id, data: &mut Bytes) {
        if let Some(stream) = self.streams.get_mut(&id).filter(|stream| stream.filters()) {
            stream.outgoing(id, data);
        }
    }
}

impl<H, S> fmt::Debug for Streams<H, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streams").field("len", &self.streams.len()).finish_non_exhaustive()
    }
}
