//! A whole tick, when the next one is due, and sleeping until then.

use core::time::Duration;
use std::io;

use super::{Server, drain};
use crate::acceptor::Acceptor;
use crate::event::{Serviced, Wake};
#[cfg(feature = "tls")]
use crate::net::tls::Watch;
use crate::net::{Descriptor, Waker};
use crate::tyme::Tyme;

/// # The tick
impl Server {
    /// Does one tick. Never blocks, is bounded by the budgets in [`Limits`](crate::Limits), and never fails because of a peer.
    ///
    /// In this order:
    ///
    /// 1. Read the clock, and forget the connections whose `Closed` you took.
    /// 2. Send, end and dial what you asked for.
    /// 3. Harvest readiness: one system call, or none if [`wait`](Server::wait) has just done it and no deadline has come since.
    /// 4. Accept; admit what was accepted, or start its handshake.
    /// 5. See which dialled connections are up, and advance handshakes.
    /// 6. Let each ready connection, then each ready endpoint, send what was blocked and receive.
    /// 7. Expire deadlines, after all that has arrived, and dial again what is due.
    /// 8. Look at certificates, if that is due; go on with draining.
    ///
    /// What happened waits for [`poll_event`](Server::poll_event). Costs what there is to do, whatever the number of connections.
    pub fn service(&mut self) -> Serviced {
        self.engine.before_harvest();
        self.endpoints.flush(&mut self.engine.core);
        self.engine.harvest_once();
        self.latch();
        self.take_in();
        self.engine.serve_connections();
        self.endpoints.turns(&mut self.engine.core);
        self.engine.expire_and_dial();
        #[cfg(feature = "tls")]
        self.tls_pass();
        self.drain_pass();
        self.engine.end_tick()
    }

    /// When the server wants to be serviced next. True at any time: also right after something was queued, closed, listened to or changed.
    ///
    /// An event that was not taken counts as pending, so a loop that takes only some each round is not put to sleep over the rest.
    #[must_use]
    #[inline]
    pub fn wake(&self) -> Wake {
        let calm = self.endpoints.are_calm()
            && self.draining.is_none()
            && self.acceptors.iter().all(Acceptor::is_calm);
        let (pending, deadline) = if calm { (false, Tyme::NEVER) } else { self.look_closer() };
        self.engine.wake(pending, deadline)
    }

    /// Sleeps until the server wants to be serviced, `limit` has passed (`None`: no limit), a [`Waker`] calls or a signal comes.
    /// Before that it sends what was queued and dials what was asked for. It never sleeps while something is pending, nor on a simulated network.
    ///
    /// A deadline that is a tyme is slept for as if the clock went at real speed; who drives the clock by hand gives a limit of one tick. The
    /// operating system rounds up to whole milliseconds. What readiness it finds is kept for the [`service`](Server::service) that follows, so a loop of both
    /// makes one such system call a round. Where answers come so fast that it has measured sleep to take more CPU time, it looks for a moment before
    /// it sleeps, with such a call every microsecond or less ([`Config::spin`](crate::Config::spin)). A signal that comes while it looks, or just before it
    /// sleeps, does not keep it awake: let the handler call a [`Waker`]. Trouble of the poller comes as an event.
    pub fn wait(&mut self, limit: Option<Duration>) {
        self.engine.before_wait();
        self.endpoints.flush(&mut self.engine.core);
        let wake = self.wake();
        self.engine.sleep(wake, limit, self.endpoints.work());
    }

    /// A handle that ends [`wait`](Server::wait) from any thread. Takes one descriptor, once.
    ///
    /// # Errors
    /// If no descriptor is left.
    pub fn waker(&mut self) -> io::Result<Waker> {
        self.engine.net.waker()
    }

    /// A descriptor that polls as readable while the network has something for the server: put it into any other event loop, and there call
    /// [`service`](Server::service) when it is readable and when [`wake`](Server::wake) says so. `None` before anything was opened, and on
    /// networks that have none.
    #[cfg(unix)]
    #[must_use]
    pub fn poll_fd(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        self.engine.net.poll_fd()
    }

    /// A handle to [`poll_fd`](Server::poll_fd) that can be kept, without a system call.
    #[must_use]
    pub fn descriptor(&self) -> Option<Descriptor> {
        self.engine.net.descriptor()
    }
}

impl Server {
    /// Whether anything but connections is pending, and when something will be.
    #[inline(never)]
    fn look_closer(&self) -> (bool, Tyme) {
        let pending =
            self.endpoints.is_pending() || self.can_accept_now() || self.drain_is_pending();
        #[cfg(feature = "tls")]
        let pending = pending || self.tls_is_pending();
        (pending, self.next_deadline())
    }

    /// `NEVER`: there is none.
    #[inline]
    fn next_deadline(&self) -> Tyme {
        let deque = self.deque();
        let mut next = self.endpoints.next_deadline();
        let mut sooner = |deadline: Option<Tyme>| {
            next = next.min(deadline.unwrap_or(Tyme::NEVER));
        };
        for acceptor in &self.acceptors {
            sooner(acceptor.next_deadline(deque));
            #[cfg(feature = "tls")]
            sooner(acceptor.watch.as_ref().map(Watch::next_look));
        }
        sooner(self.draining.as_ref().map(drain::State::deadline));
        next
    }
}
