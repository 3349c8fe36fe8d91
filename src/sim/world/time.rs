//! How a world goes on: from one thing that is due to the next.

use core::time::Duration;

use super::World;
use crate::Wake;
use crate::sim::topology::HostId;
use crate::tyme::{Tyme, Tymth};

/// What a [step](super::World::step) did.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// A packet arrived, or was lost on arrival.
    Packet,
    /// A timer of the network fired: a retransmission, a delayed acknowledgement, a keep-alive.
    Timer,
    /// A planned act came to pass.
    Act,
    /// A host has a turn: its program had it, or the caller is to give it.
    Turn(HostId),
    /// The host went down; its program is dropped.
    Crashed(HostId),
    /// The host came up again; its program has been made anew.
    Restarted(HostId),
}

/// # How it goes on
impl World {
    /// The tyme of the world's own clock.
    #[must_use]
    pub fn tyme(&self) -> Tyme {
        self.tymth.tyme()
    }

    /// A handle to the world's own clock.
    #[must_use]
    pub fn tymth(&self) -> Tymth {
        self.tymth.clone()
    }

    /// The earliest tyme at which anything may happen; `None` if nothing ever will by itself.
    #[must_use]
    pub fn next_due(&self) -> Option<Tyme> {
        self.shared.lock().next_due()
    }

    /// Does the next thing that is due, at its tyme; `None` if nothing ever is.
    pub fn step(&mut self) -> Option<Step> {
        self.step_until(Tyme::NEVER)
    }

    /// Does the next thing that is due by `limit`; `None` if nothing is, and the clock then stands where it stood.
    pub fn step_until(&mut self, limit: Tyme) -> Option<Step> {
        let step = self.shared.lock().step(limit)?;
        self.follow(step);
        Some(step)
    }

    /// Does all that is due up to and including `limit`, where the clock then stands. Returns the number of steps.
    ///
    /// For a limit of [`Tyme::NEVER`] it goes on until nothing is due any more, which with programs that keep a beat is never.
    pub fn run_until(&mut self, limit: Tyme) -> u64 {
        let mut steps = 0;
        while self.step_until(limit).is_some() {
            steps += 1;
        }
        if limit != Tyme::NEVER {
            self.shared.lock().set_tyme(limit);
        }
        steps
    }

    /// As [`run_until`](World::run_until), for so long.
    pub fn run_for(&mut self, time: Duration) -> u64 {
        let limit = self.tyme() + time;
        self.run_until(limit)
    }

    /// Does what is due by `limit` until `done` says so, asked after each step; returns whether it did.
    pub fn run_while_not(&mut self, limit: Tyme, mut done: impl FnMut(&World) -> bool) -> bool {
        while !done(self) {
            if self.step_until(limit).is_none() {
                return false;
            }
        }
        true
    }

    /// Goes on until a host without a program has a turn, and names it; `None` if that does not happen by `limit`, where the clock then
    /// stands (with [`Tyme::NEVER`]: where it stood after the last thing that was due).
    pub fn next_turn(&mut self, limit: Tyme) -> Option<HostId> {
        while let Some(step) = self.step_until(limit) {
            if let Step::Turn(host) = step
                && self.seats[host.index()].program.is_none()
            {
                return Some(host);
            }
        }
        if limit != Tyme::NEVER {
            self.shared.lock().set_tyme(limit);
        }
        None
    }

    /// When a host without a program wants its next turn, by its own clock, if the network has nothing sooner.
    ///
    /// # Panics
    /// If `host` is of another world.
    pub fn set_wake(&mut self, host: HostId, wake: Wake) {
        self.known(host);
        self.shared.lock().set_wake(host, wake);
    }
}
