//! In calloop: an engine, or any doer, as an event source.
//!
//! ```
//! use std::io::{Read, Write};
//! use calloop::EventLoop;
//! use tymist::doing::{DoError, Recur};
//! use tymist::run::{Driver, calloop::Source};
//! use tymist::{Config, Event, Server};
//!
//! let mut server = Server::new(Config::new());
//! let acceptor = server.listen(([127, 0, 0, 1], 0))?;
//! let addr = server.local_addr(acceptor).and_then(|addr| addr.inet()).unwrap();
//! let mut client = std::net::TcpStream::connect(addr)?;
//! client.write_all(b"hello")?;
//!
//! let mut events: EventLoop<usize> = EventLoop::try_new()?;
//! events.handle().insert_source(Source::new(server), |_, server: &mut Driver<Server>, heard| {
//!     while let Some(event) = server.poll_event() {
//!         if let Event::Received(id) = event
//!             && let Some(remoter) = server.remoter_mut(id)
//!         {
//!             *heard += remoter.take().len();
//!         }
//!     }
//! }).map_err(|refused| refused.error)?;
//! let mut heard = 0;
//! while heard < 5 {
//!     events.dispatch(None, &mut heard)?; // until there is something to do
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use core::fmt;
use core::time::Duration;
use std::io;

use ::calloop::generic::Generic;
use ::calloop::timer::{TimeoutAction, Timer};
use ::calloop::{EventSource, Interest, Mode, Poll, PostAction, Readiness, Token, TokenFactory};

use super::Driver;
use super::driver::Rest;
use crate::doing::{DoError, Doer, Recur};
use crate::net::Descriptor;
use crate::tyme::Tyme;

/// A doer as an event source of calloop.
///
/// The callback is called after each turn, with what it came to and the doer; after the last one the source is removed. One turn per dispatch at most, and the
/// loop is not let to sleep while another is wanted. To get at the doer from elsewhere, make a `calloop::Dispatcher` of the source: what you do to the doer
/// there is minded before the next sleep.
pub struct Source<D: Doer> {
    driver: Driver<D>,
    watched: Vec<Generic<Descriptor>>,
    timer: Timer,
    /// What the timer is set to, by the driver's clock.
    armed: Option<Tyme>,
    /// Of events that no descriptor and no timer made.
    own: Option<Token>,
}

impl<D: Doer> Source<D> {
    /// Enters the doer; see [`Driver::new`].
    pub fn new(doer: D) -> Self {
        Self::of(Driver::new(doer))
    }

    /// Of a driver that is there.
    pub fn of(driver: Driver<D>) -> Self {
        let timer = Timer::from_duration(Duration::MAX);
        Source { driver, watched: Vec::new(), timer, armed: None, own: None }
    }

    /// The doer, in its driver.
    #[must_use]
    pub fn driver(&self) -> &Driver<D> {
        &self.driver
    }

    /// The doer, in its driver, to do something with.
    pub fn driver_mut(&mut self) -> &mut Driver<D> {
        &mut self.driver
    }

    /// The driver again, of a source that is not in a loop any more.
    #[must_use]
    pub fn into_driver(self) -> Driver<D> {
        self.driver
    }

    /// Whether what is registered will wake the loop for all that `rest` says.
    fn is_set_for(&self, rest: &Rest) -> bool {
        let same = |one: &Generic<Descriptor>, other| one.get_ref().same(other);
        let descriptors = self.watched.len() == rest.descriptors.len()
            && self.watched.iter().zip(&rest.descriptors).all(|(one, other)| same(one, other));
        // A timer that fires too early is set anew then.
        let due = rest.timeout.map(|timeout| self.driver.tyme() + timeout);
        descriptors && due.is_none_or(|due| self.armed.is_some_and(|armed| armed <= due))
    }

    fn set(&mut self, poll: &mut Poll, tokens: &mut TokenFactory) -> ::calloop::Result<()> {
        self.own = Some(tokens.token());
        let rest = self.driver.rest();
        if rest.is_now() {
            // Asked again before the loop sleeps.
            return Ok(());
        }
        self.armed = rest.timeout.map(|timeout| self.driver.tyme() + timeout);
        self.timer.set_duration(rest.timeout.unwrap_or(Duration::MAX));
        self.timer.register(poll, tokens)?;
        for descriptor in rest.descriptors {
            let mut one = Generic::new(descriptor, Interest::READ, Mode::Level);
            one.register(poll, tokens)?;
            self.watched.push(one);
        }
        Ok(())
    }
}

impl<D: Doer> EventSource for Source<D> {
    type Event = Result<Recur, DoError>;
    type Metadata = Driver<D>;
    type Ret = ();
    type Error = io::Error;

    fn process_events<F>(
        &mut self,
        readiness: Readiness,
        token: Token,
        mut callback: F,
    ) -> io::Result<PostAction>
    where
        F: FnMut(Result<Recur, DoError>, &mut Driver<D>),
    {
        let mut ready = false;
        for one in &mut self.watched {
            one.process_events(readiness, token, |_, _| {
                ready = true;
                Ok(PostAction::Continue)
            })?;
        }
        self.timer.process_events(readiness, token, |_, ()| {
            self.armed = None;
            TimeoutAction::Drop
        })?;
        if ready || self.driver.rest().is_now() {
            let turn = self.driver.turn();
            let over = !matches!(turn, Ok(Recur::Again));
            callback(turn, &mut self.driver);
            if over {
                return Ok(PostAction::Remove);
            }
        }
        let rest = self.driver.rest();
        let set = rest.is_now() || self.is_set_for(&rest);
        Ok(if set { PostAction::Continue } else { PostAction::Reregister })
    }

    fn register(&mut self, poll: &mut Poll, tokens: &mut TokenFactory) -> ::calloop::Result<()> {
        self.set(poll, tokens)
    }

    fn reregister(&mut self, poll: &mut Poll, tokens: &mut TokenFactory) -> ::calloop::Result<()> {
        self.unregister(poll)?;
        self.set(poll, tokens)
    }

    fn unregister(&mut self, poll: &mut Poll) -> ::calloop::Result<()> {
        self.own = None;
        self.armed = None;
        self.timer.unregister(poll)?;
        for mut one in self.watched.drain(..) {
            one.unregister(poll)?;
        }
        Ok(())
    }

    const NEEDS_EXTRA_LIFECYCLE_EVENTS: bool = true;

    /// The loop is not to sleep while a turn is wanted, or something else is to be waited for than what is registered.
    fn before_sleep(&mut self) -> ::calloop::Result<Option<(Readiness, Token)>> {
        let rest = self.driver.rest();
        let sleeps = !rest.is_now() && self.is_set_for(&rest);
        Ok(if sleeps { None } else { self.own.map(|own| (Readiness::EMPTY, own)) })
    }
}

impl<D: Doer> fmt::Debug for Source<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("driver", &self.driver)
            .field("watched", &self.watched.len())
            .field("armed", &self.armed)
            .finish_non_exhaustive()
    }
}
