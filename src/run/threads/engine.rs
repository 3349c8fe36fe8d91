//! What one thread of a manager does: makes a server and its service, serves until it is told to end, and says how it ended.

#[cfg(all(unix, feature = "systemd"))]
use core::cell::Cell;
use core::fmt;
use core::sync::atomic::Ordering;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use super::crew::{Crew, Place, Tally};
#[cfg(all(unix, feature = "systemd"))]
use super::herald::AGAIN;
#[cfg(all(unix, feature = "uds"))]
use super::listening::Held;
use super::listening::Opening;
use super::mail::{Inbox, Mailbox};
use super::{BoxError, Failure, Stopper};
use crate::config::Config;
use crate::doing::drop_panic;
use crate::event::{Event, Wake};
use crate::net::Addr;
#[cfg(all(unix, feature = "systemd"))]
use crate::run::systemd::Pulse;
use crate::server::Server;
use crate::service::Service;
#[cfg(all(unix, feature = "systemd"))]
use crate::tyme::Tyme;

/// What the maker of a service gets besides its server: which engine it is for, and the box for messages to it.
pub struct Seat<M = ()> {
    /// Its number, from 0.
    pub engine: usize,
    /// How many engines there are.
    pub engines: usize,
    /// Messages sent to this engine; give it to the service, whose `tick` empties it. Dropped, it is "gone" to who sends.
    pub inbox: Inbox<M>,
    /// Ends the manager from the inside.
    pub stopper: Stopper,
}

/// All that a thread needs to begin.
pub(super) struct Job<M> {
    pub(super) engine: usize,
    pub(super) crew: Arc<Crew>,
    pub(super) config: Config,
    pub(super) openings: Vec<Opening>,
    pub(super) mailbox: Mailbox<M>,
    pub(super) capacity: usize,
    pub(super) stopper: Stopper,
    /// Says once that it is up, and where it listens. Dropped unsaid if it does not come up.
    pub(super) up: SyncSender<Vec<Addr>>,
    #[cfg(all(unix, feature = "systemd"))]
    pub(super) pulse: Option<Arc<Pulse>>,
}

/// The body of the thread. Whatever happens in it, `Crew::ends` is told, after the sockets are closed.
pub(super) fn run<M, S: Service>(
    job: Job<M>,
    build: &(impl Fn(&mut Server, Seat<M>) -> Result<S, BoxError> + ?Sized),
) {
    let (engine, crew, mailbox) = (job.engine, Arc::clone(&job.crew), job.mailbox.clone());
    // A panic leaves nothing behind that is looked at again: the server goes with it.
    let result = catch_unwind(AssertUnwindSafe(|| serve(job, build)));
    mailbox.close();
    let failure = match result {
        Ok(result) => result.err(),
        Err(panic) => {
            let failure = Failure::panicked(engine, &*panic);
            drop_panic(panic);
            Some(failure)
        }
    };
    crew.ends(engine, failure);
}

fn serve<M, S: Service>(
    job: Job<M>,
    build: &(impl Fn(&mut Server, Seat<M>) -> Result<S, BoxError> + ?Sized),
) -> Result<(), Failure> {
    let Job { engine, crew, .. } = job;
    let Some(place) = crew.seats.get(engine) else { return Ok(()) };
    let mut server = Server::new(job.config);
    let waker = server.waker().map_err(|error| Failure::Thread(Arc::new(error)))?;
    let addrs = open(engine, job.openings, &mut server, place)?;
    let inbox = job.mailbox.open(job.capacity, waker.clone());
    let seat = Seat { engine, engines: crew.seats.len(), inbox, stopper: job.stopper };
    let service = build(&mut server, seat);
    let mut service =
        service.map_err(|source| Failure::Build { engine, source: Arc::from(source) })?;
    place.is_up(waker);
    // Who starts us waits for this.
    let _ = job.up.send(addrs);
    drop(job.up);
    let rounds = Rounds {
        engine,
        crew: &crew,
        place,
        #[cfg(all(unix, feature = "systemd"))]
        pulse: job.pulse,
        #[cfg(all(unix, feature = "systemd"))]
        again: Cell::new(Tyme::ZERO),
    };
    rounds.go(&mut server, &mut service)
}

/// Listens where it is told to; where that is.
fn open(
    engine: usize,
    openings: Vec<Opening>,
    server: &mut Server,
    place: &Place,
) -> Result<Vec<Addr>, Failure> {
    let mut addrs = Vec::new();
    #[cfg(all(unix, feature = "uds"))]
    let mut held = Vec::new();
    #[cfg_attr(not(all(unix, feature = "uds")), expect(unused_variables, reason = "to hand on"))]
    for (entry, opening) in openings.into_iter().enumerate() {
        #[cfg(all(unix, feature = "uds"))]
        let (asked, owns_file) = (opening.asked().clone(), opening.owns_file());
        let ids = opening.open(engine, server)?;
        let addr = ids.first().and_then(|id| server.local_addr(*id)).cloned();
        addrs.push(addr.unwrap_or(Addr::Unnamed));
        #[cfg(all(unix, feature = "uds"))]
        for id in ids {
            let fd = server.acceptor(id).and_then(|acceptor| acceptor.listener()?.as_fd());
            let socket = fd.map(|fd| fd.try_clone_to_owned()).transpose();
            let socket = socket.map_err(|error| Failure::Thread(Arc::new(error)))?;
            let asked = asked.clone();
            held.extend(socket.map(|socket| Held { entry, asked, owns_file, socket }));
        }
    }
    #[cfg(all(unix, feature = "uds"))]
    place.holds(held);
    #[cfg(not(all(unix, feature = "uds")))]
    let _ = place;
    Ok(addrs)
}

struct Rounds<'a> {
    engine: usize,
    crew: &'a Crew,
    place: &'a Place,
    #[cfg(all(unix, feature = "systemd"))]
    pulse: Option<Arc<Pulse>>,
    /// When words that the service manager had no room for are said again.
    #[cfg(all(unix, feature = "systemd"))]
    again: Cell<Tyme>,
}

impl Rounds<'_> {
    /// Ticks until an order was carried out.
    fn go(&self, server: &mut Server, service: &mut impl Service) -> Result<(), Failure> {
        let (mut orders, mut ending) = (0, false);
        loop {
            let given = self.crew.orders.load(Ordering::Acquire);
            if given != orders {
                orders = given;
                ending = self.obey(server) || ending;
            }
            if !(ending && server.draining().is_none()) {
                server.wait_until(self.wake(server, service));
            }
            let mut failed = None;
            server.serve_seeing(service, |event| {
                if let Event::NetFailed { error } = event {
                    failed = Some(*error);
                }
            });
            // The wait would send it as well, but only after this account was given.
            server.service_sends();
            self.place.publish(Tally { counters: *server.counters(), live: server.len() });
            if let Some(error) = failed {
                return Err(Failure::Net { engine: self.engine, error });
            }
            if ending && server.draining().is_none() {
                #[cfg(all(unix, feature = "systemd"))]
                self.pulse.iter().for_each(|pulse| pulse.done(self.engine));
                return Ok(());
            }
        }
    }

    /// Begins to end. Returns whether there was an order.
    fn obey(&self, server: &mut Server) -> bool {
        let Some(order) = self.crew.order() else { return false };
        if order.handed_over {
            server.leave_listeners();
        }
        self.place.lets_go();
        match order.within {
            Some(within) if within.is_zero() => server.close(),
            within => server.drain(within),
        }
        true
    }

    /// When the service wants to be called, or the service manager is to be told something.
    #[cfg_attr(
        not(all(unix, feature = "systemd")),
        expect(clippy::unused_self, reason = "what is told is there")
    )]
    fn wake(&self, server: &Server, service: &impl Service) -> Wake {
        let wake = service.wake();
        #[cfg(all(unix, feature = "systemd"))]
        let wake = wake.min(self.tell(server.tyme()));
        let _ = server;
        wake
    }

    /// Tells the service manager what is due now; when it wants to go on with that.
    #[cfg(all(unix, feature = "systemd"))]
    fn tell(&self, now: Tyme) -> Wake {
        let mut wake = self.pulse.as_ref().map_or(Wake::OnIo, |it| it.beat(self.engine, now));
        if let Some(herald) = self.crew.herald.as_ref().filter(|herald| herald.owes()) {
            if now >= self.again.get() {
                herald.try_again();
                self.again.set(now + AGAIN);
            }
            wake = wake.min(Wake::At(self.again.get()));
        }
        wake
    }
}

impl<M> fmt::Debug for Seat<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat")
            .field("engine", &self.engine)
            .field("engines", &self.engines)
            .finish_non_exhaustive()
    }
}
