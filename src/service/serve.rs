//! Calling a service: the tick of a server in callback style.

use super::session::Later;
use super::{Service, Session};
use crate::event::{Event, Serviced, Wake};
use crate::peer::GramEvent;
use crate::server::Server;

/// Calls the callback that `event` is for, if there is one: what [`Service::event`] does by default.
pub fn call_back<S: Service + ?Sized>(service: &mut S, server: &mut Server, event: &Event) {
    if let Event::Gram(id, GramEvent::Received) = event {
        if let Some(endpoint) = server.endpoint_mut(*id) {
            service.grams(endpoint, *id);
        }
        return;
    }
    let Some(id) = event.id() else { return };
    let tyme = server.tyme();
    let mut later: Vec<Later> = Vec::new();
    {
        let Some(remoter) = server.remoter_mut(id) else { return };
        if matches!(event, Event::Accepted(_) | Event::Connected(_)) {
            let raw = remoter.take_raw_in();
            service.opened(&mut Session::new(remoter, tyme, &mut later));
            remoter.put_back(raw); // For its own event, which follows.
        } else if !service.filters() {
            remoter.pass_raw_in();
        } else if let Some(mut data) = remoter.take_raw_in() {
            service.incoming(id, &mut data);
            remoter.put_in(data);
        }
        let mut session = Session::new(remoter, tyme, &mut later);
        match *event {
            Event::Received(_) if session.can_receive() => service.received(&mut session),
            Event::Drained(_) => service.drained(&mut session),
            Event::Eof(_) => service.ended(&mut session),
            Event::Closed(_, reason) | Event::Disconnected { reason, .. } => {
                service.closed(&mut session, reason);
            }
            _ => {}
        }
    }
    for act in later {
        // What it does may send, and whatever is sent was seen before.
        server.filter_out(service);
        act(server);
    }
}

/// A server whose service is being called, until it is dropped, also by a panic.
struct Calling<'a>(&'a mut Server);

impl<'a> Calling<'a> {
    /// None from inside a callback.
    fn begin(server: &'a mut Server, filters: bool) -> Option<Self> {
        let core = &mut server.engine_mut().core;
        let inside = core::mem::replace(&mut core.calling, true);
        debug_assert!(
            !inside,
            "`serve` was called by a service: a callback would run inside another"
        );
        if inside {
            return None;
        }
        core.filtered = filters;
        Some(Calling(server))
    }
}

impl Drop for Calling<'_> {
    fn drop(&mut self) {
        self.0.engine_mut().core.calling = false;
    }
}

/// A server that is closed once this is dropped, also by a panic.
struct Closing<'a>(&'a mut Server);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// # With callbacks
impl Server {
    /// One tick in callback style: [`service`](Server::service), then each event to [`Service::event`], then [`Service::tick`], with the filters
    /// in between. Like `service`, it never blocks. What was queued leaves at the start of the next [`wait`](Server::wait) or tick, or at once with
    /// [`service_sends`](Server::service_sends).
    ///
    /// From the first call on, nothing leaves that the [filters](Service::filters) have not seen. So go on with it once you have begun: what was queued since
    /// gets no try at a [`close`](Server::close) either, and its peer sees a reset.
    ///
    /// Inside a callback it does nothing, whatever the service, and tests are told so by a panic (`debug_assertions`).
    pub fn serve<S: Service + ?Sized>(&mut self, service: &mut S) -> Serviced {
        self.serve_seeing(service, |_| ())
    }

    /// The same, with a look at each event.
    pub(crate) fn serve_seeing<S: Service + ?Sized>(
        &mut self,
        service: &mut S,
        seen: impl FnMut(&Event),
    ) -> Serviced {
        let Some(calling) = Calling::begin(self, service.filters()) else {
            return Serviced::default();
        };
        let server = &mut *calling.0;
        server.filter_out(service);
        let serviced = server.service();
        server.tell(service, seen);
        server.filter_out(service);
        service.tick(server);
        server.filter_out(service);
        serviced
    }

    /// Closes it, once the service was shown what is queued: nothing else may leave.
    pub(crate) fn close_shown<S: Service + ?Sized>(&mut self, service: &mut S) {
        let closing = Closing(self);
        closing.0.filter_out(service);
    }

    /// Tells the service what there is to be told, without a tick: of a server that was closed.
    pub(crate) fn tell_rest<S: Service + ?Sized>(&mut self, service: &mut S) {
        if let Some(calling) = Calling::begin(self, service.filters()) {
            calling.0.tell(service, |_| ());
        }
    }

    fn tell<S: Service + ?Sized>(&mut self, service: &mut S, mut seen: impl FnMut(&Event)) {
        while let Some(event) = self.poll_event() {
            seen(&event);
            service.event(self, event);
        }
    }

    /// [Waits](Server::wait), but no longer than until `wake`, such as what [`Service::wake`] says.
    pub fn wait_until(&mut self, wake: Wake) {
        match wake {
            Wake::Now => {}
            Wake::At(tyme) => {
                let now = self.engine_mut().sample();
                self.wait(Some(tyme - now));
            }
            Wake::OnIo => self.wait(None),
        }
    }

    /// Shows the service what was queued since it was last shown.
    fn filter_out<S: Service + ?Sized>(&mut self, service: &mut S) {
        if !service.filters() {
            return;
        }
        let engine = self.engine_mut();
        let mut pieces = Vec::new();
        for at in 0..engine.touched().len() {
            let id = engine.touched()[at];
            let Some(remoter) = engine.filtered_mut(id).filter(|remoter| remoter.has_raw_out())
            else {
                continue;
            };
            remoter.take_raw_out(&mut pieces);
            for mut piece in pieces.drain(..) {
                service.outgoing(id, &mut piece);
                remoter.put_out(piece);
            }
        }
    }
}
