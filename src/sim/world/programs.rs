//! The programs on a world's hosts: made, given their turns, looked at.

use core::any::Any;

use super::{Host, Step, World};
use crate::doing::{Deed, Doer, End};
use crate::sim::topology::{HostId, HostSpec};

/// What makes a host's program, at the start and after each restart.
type Factory = Box<dyn FnMut(&Host) -> Box<dyn Doer>>;

#[derive(Default)]
pub(super) struct Seat {
    factory: Option<Factory>,
    pub(super) program: Option<Deed>,
}

impl Seat {
    /// As when the power goes: nobody leaves the program, it is only dropped.
    pub(super) fn crash(&mut self) {
        if let Some(program) = self.program.take() {
            program.abandon();
        }
    }
}

/// # What runs on it
impl World {
    /// Gives the host a program, made by `factory` and entered now and, after a crash, at each restart. It gets its first turn at the next step.
    ///
    /// Once it is done, or has failed, it is left and gets no more turns; it can still be [looked at](World::program), and asked [how it ended](World::ended).
    /// In a crash, and when the world is dropped, it is dropped without being left. A panic in it goes on its way, to whoever steps the world.
    /// On a host that is down it is made when the host comes up. One that the host has already is [stopped](World::stop) first.
    ///
    /// # Panics
    /// If `host` is of another world, as all that take one.
    pub fn start<P: Doer>(&mut self, host: HostId, mut factory: impl FnMut(&Host) -> P + 'static) {
        let up = self.is_up(host);
        self.stop(host); // Before the next one is made, which may want its ports.
        self.seats[host.index()].factory = Some(Box::new(move |host| Box::new(factory(host))));
        if up {
            self.make_program(host);
        }
    }

    /// Adds a host with a program; see [`start`](World::start).
    ///
    /// # Panics
    /// As [`add_host`](World::add_host).
    pub fn add<P: Doer>(
        &mut self,
        spec: impl Into<HostSpec>,
        factory: impl FnMut(&Host) -> P + 'static,
    ) -> HostId {
        let host = self.add_host(spec);
        self.start(host, factory);
        host
    }

    /// Leaves the host's program and drops it, with all its sockets, and makes no more of them. The host itself stays up.
    ///
    /// # Panics
    /// If `host` is of another world.
    pub fn stop(&mut self, host: HostId) {
        self.known(host);
        if let Some(program) = &mut self.seats[host.index()].program {
            program.end(End::Forced);
        }
        self.seats[host.index()] = Seat::default();
    }

    /// The host's program, if it has one of this type.
    #[must_use]
    pub fn program<P: Doer>(&self, host: HostId) -> Option<&P> {
        let program: &dyn Any = &*self.seats.get(host.index())?.program.as_ref()?.doer;
        program.downcast_ref()
    }

    /// The host's program, to change it between steps.
    pub fn program_mut<P: Doer>(&mut self, host: HostId) -> Option<&mut P> {
        let program: &mut dyn Any = &mut *self.seats.get_mut(host.index())?.program.as_mut()?.doer;
        program.downcast_mut()
    }

    /// How the host's program ended; `None` while it has not, or there is none.
    #[must_use]
    pub fn ended(&self, host: HostId) -> Option<&End> {
        self.seats.get(host.index())?.program.as_ref()?.life.ended()
    }

    fn make_program(&mut self, id: HostId) {
        let host = self.host(id);
        let seat = &mut self.seats[id.index()];
        seat.program = None;
        if let Some(factory) = &mut seat.factory {
            let program = seat.program.insert(Deed::new(factory(&host)));
            program.enter(&host.tymth());
        }
        self.shared.lock().schedule_turn(id);
    }

    /// What a step means for programs.
    pub(super) fn follow(&mut self, step: Step) {
        match step {
            Step::Turn(host) => self.turn(host),
            // Dropped with the host down already: its sockets are gone without a word.
            Step::Crashed(host) => self.seats[host.index()].crash(),
            Step::Restarted(host) => self.make_program(host),
            Step::Packet | Step::Timer | Step::Act => {}
        }
    }

    fn turn(&mut self, id: HostId) {
        if let Some(program) = &mut self.seats[id.index()].program {
            let now = self.shared.lock().host(id).tymth.tyme();
            program.turn(now);
            let wake = program.wake();
            self.shared.lock().set_wake(id, wake);
        }
    }
}
