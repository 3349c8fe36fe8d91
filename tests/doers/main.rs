//! Doers and the Doist: the order of turns and ends, beats, errors and panics; in real time; in a world.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says so by failing")]

mod beats;
#[cfg(feature = "sim")]
mod both;
mod ends;
mod engines;
mod order;
#[cfg(unix)]
mod real;
#[cfg(unix)]
mod services;
#[path = "../util/mod.rs"]
mod util;
#[cfg(feature = "sim")]
mod worlds;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tymist::Wake;
use tymist::doing::{DoError, Doer, Recur};
use tymist::tyme::{Tyme, Tymth};

/// What happened, in order.
#[derive(Clone, Default)]
pub(crate) struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    pub(crate) fn say(&self, what: impl Into<String>) {
        self.0.borrow_mut().push(what.into());
    }

    /// All so far, in one line, and forgets it.
    pub(crate) fn take(&self) -> String {
        self.0.borrow_mut().drain(..).collect::<Vec<_>>().join(" ")
    }
}

type Act = Box<dyn FnMut(u32) -> Result<Recur, DoError>>;

/// Says what it does, and does in its turns (counted from 0) what it is told.
pub(crate) struct Actor {
    name: &'static str,
    log: Log,
    pub(crate) tock: Duration,
    pub(crate) turns: u32,
    pub(crate) wake: Wake,
    act: Act,
    pub(crate) on_enter: Box<dyn FnMut() -> Result<(), DoError>>,
    pub(crate) on_exit: Box<dyn FnMut() -> Result<(), DoError>>,
}

impl Actor {
    pub(crate) fn new(
        name: &'static str,
        log: &Log,
        act: impl FnMut(u32) -> Result<Recur, DoError> + 'static,
    ) -> Actor {
        Actor {
            name,
            log: log.clone(),
            tock: Duration::ZERO,
            turns: 0,
            wake: Wake::Now,
            act: Box::new(act),
            on_enter: Box::new(|| Ok(())),
            on_exit: Box::new(|| Ok(())),
        }
    }

    /// One that goes on for ever.
    pub(crate) fn endless(name: &'static str, log: &Log) -> Actor {
        Actor::new(name, log, |_| Ok(Recur::Again))
    }

    /// One that is done in its turn of this number.
    pub(crate) fn done_at(name: &'static str, log: &Log, last: u32) -> Actor {
        let act = move |turn| Ok(if turn == last { Recur::Done } else { Recur::Again });
        Actor::new(name, log, act)
    }
}

impl Doer for Actor {
    fn enter(&mut self, _: &Tymth) -> Result<(), DoError> {
        self.turns = 0;
        self.log.say(format!("+{}", self.name));
        (self.on_enter)()
    }

    fn recur(&mut self, _: Tyme) -> Result<Recur, DoError> {
        self.log.say(format!("{}{}", self.name, self.turns));
        self.turns += 1;
        (self.act)(self.turns - 1)
    }

    fn exit(&mut self) -> Result<(), DoError> {
        self.log.say(format!("-{}", self.name));
        (self.on_exit)()
    }

    fn tock(&self) -> Duration {
        self.tock
    }

    fn wake(&self) -> Wake {
        self.wake
    }
}
