//! What a task can ask for.

use core::fmt;
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;
use core::time::Duration;
use std::io;
use std::rc::Rc;

use super::conn::Conn;
use super::desk::{Desk, Stage};
use super::join::JoinHandle;
use super::listener::TaskListener;
use super::shared::Shared;
use super::socket::TaskSocket;
use super::stream::TaskStream;
use super::time::{Elapsed, Interval, Sleep};
use crate::connect::Connect;
use crate::error::ListenError;
use crate::id::AcceptorId;
use crate::net::{Addr, Bind, Listen};
use crate::peer::GramConfig;
use crate::server::Server;
use crate::tyme::Tyme;

/// What tasks have of their [`Tasks`](super::Tasks): begins tasks, waits, listens, connects. Cheap to clone; stays valid after its `Tasks` is gone, and then
/// says so.
///
/// It may also be used outside of a tick, and its streams be polled by another executor of the same thread: the tick that is due for it is announced by
/// [`wake`](super::Tasks::wake) and by the descriptor.
#[derive(Clone)]
pub struct Handle {
    pub(super) shared: Rc<Shared>,
}

impl Handle {
    pub(super) fn new(shared: &Rc<Shared>) -> Self {
        Handle { shared: Rc::clone(shared) }
    }

    // Tasks.

    /// Begins a task: `future` is first polled in this tick if there is one, after those that were woken before, else in the next.
    ///
    /// Beyond [`TaskConfig::tasks`](super::TaskConfig::tasks), and once the [`Tasks`](super::Tasks) are gone, the future is dropped, and the handle gives
    /// [`Refused`](super::JoinError::Refused). Costs four allocations, one of the size of the future.
    pub fn spawn<F: Future + 'static>(&self, future: F) -> JoinHandle<F::Output> {
        self.shared.spawn(future)
    }

    /// The same, for who has something else to do with a future that is refused.
    ///
    /// # Errors
    /// Gives it back.
    pub fn try_spawn<F: Future + 'static>(&self, future: F) -> Result<JoinHandle<F::Output>, F> {
        self.shared.try_spawn(future)
    }

    /// Lets everything else have its turn, the network included, and goes on in the next tick.
    pub async fn yield_now(&self) {
        yield_now().await;
    }

    // Time.

    /// The tyme of the current (or else the last) tick.
    #[must_use]
    pub fn tyme(&self) -> Tyme {
        self.shared.timers.now()
    }

    /// Waits for so long, from the tyme of this tick on; outside of tasks, from now on.
    pub fn sleep(&self, time: Duration) -> Sleep {
        self.sleep_until(self.now() + time)
    }

    /// The tyme of this tick. Between ticks the last one may be long over: there it is what the clock shows, unless the owner has the server in hand.
    fn now(&self) -> Tyme {
        if self.shared.queue.is_running() {
            return self.tyme();
        }
        let latest = self.shared.with_desk(|desk| desk.server.engine_mut().latest());
        latest.unwrap_or_else(|_| self.tyme())
    }

    /// Waits until then.
    pub fn sleep_until(&self, deadline: Tyme) -> Sleep {
        Sleep::new(&self.shared.timers, deadline)
    }

    /// Gives `future` so long, from the tyme of this tick on; outside of tasks, from now on.
    /// What is ready in the very tick in which its time ends is in time. It is dropped with this.
    ///
    /// # Errors
    /// [`Elapsed`] if it took longer.
    pub fn timeout<F: Future>(
        &self,
        time: Duration,
        future: F,
    ) -> impl Future<Output = Result<F::Output, Elapsed>> + use<F> {
        let sleep = self.sleep(time);
        async move {
            let (mut sleep, mut future) = (pin!(sleep), pin!(future));
            poll_fn(|context| match future.as_mut().poll(context) {
                Poll::Ready(output) => Poll::Ready(Ok(output)),
                Poll::Pending => sleep.as_mut().poll(context).map(|()| Err(Elapsed)),
            })
            .await
        }
    }

    /// A beat with this period, whose first is one period from now. A period of zero counts as a nanosecond: a beat in each tick.
    #[must_use]
    pub fn interval(&self, period: Duration) -> Interval {
        Interval::new(&self.shared.timers, self.now(), period)
    }

    // The network.

    /// Opens a listener; a text is parsed first, as at [`Server::listen`](crate::Server::listen).
    ///
    /// # Errors
    /// What the network says, with the address; `ResourceBusy` while the owner has the server in hand, `NotConnected` once it is gone.
    pub fn listen(&self, listen: impl Into<Listen>) -> Result<TaskListener, ListenError> {
        let listen = listen.into();
        let addr = listen.addr.clone();
        self.listen_by(addr, |server| server.listen(listen))
    }

    /// The same with TLS: `accept` gives connections whose handshake is done. Those that fail are told to the owner.
    ///
    /// # Errors
    /// As [`listen`](Handle::listen).
    #[cfg(feature = "tls")]
    pub fn listen_tls(
        &self,
        listen: impl Into<Listen>,
        tls: &crate::net::tls::ServerTls,
    ) -> Result<TaskListener, ListenError> {
        let listen = listen.into();
        let addr = listen.addr.clone();
        self.listen_by(addr, |server| server.listen_tls(listen, tls))
    }

    fn listen_by(
        &self,
        addr: Addr,
        open: impl FnOnce(&mut Server) -> Result<AcceptorId, ListenError>,
    ) -> Result<TaskListener, ListenError> {
        let opened = self.shared.change(|desk: &mut Desk| {
            let acceptor = open(&mut desk.server)?;
            Ok(TaskListener::new(&self.shared, desk, acceptor))
        });
        opened.unwrap_or_else(|error| Err(ListenError::new(addr, error)))
    }

    /// Connects, by all that [`Connect`] can say but coming again by itself: for that, call it in a loop. Dropped, it ends the dial. A text is parsed first:
    /// `"example.org:80".parse::<Connect>()?`.
    ///
    /// # Errors
    /// What the last address said; `NotFound` for a name without any; `TimedOut` after [`Timeouts::connect`](crate::Timeouts::connect); `QuotaExceeded` where
    /// [`Limits::remoters`](crate::Limits::remoters) are there.
    pub async fn connect(&self, connect: impl Into<Connect>) -> io::Result<TaskStream> {
        let connect = connect.into();
        let begun = self.shared.change(|desk| {
            let id = desk.server.connect(connect)?;
            desk.adopt(id, Stage::Held, false);
            Ok(id)
        })?;
        let id = begun.map_err(|refused: crate::Refusal| {
            io::Error::new(io::ErrorKind::QuotaExceeded, refused)
        })?;
        let conn = Conn::new(&self.shared, id);
        poll_fn(|context| conn.poll_up(context)).await?;
        Ok(TaskStream::new(conn))
    }

    /// Opens a socket for datagrams; a text is parsed first: `"127.0.0.1:0".parse::<Bind>()?`.
    ///
    /// # Errors
    /// What the network says, with the address; `ResourceBusy` while the owner has the server in hand, `NotConnected` once it is gone.
    pub fn bind(
        &self,
        bind: impl Into<Bind>,
        config: GramConfig,
    ) -> Result<TaskSocket, ListenError> {
        let bind = bind.into();
        let addr = bind.addr.clone();
        let opened = self.shared.change(|desk| {
            let endpoint = desk.server.bind(bind, config)?;
            Ok(TaskSocket::new(&self.shared, desk, endpoint))
        });
        opened.unwrap_or_else(|error| Err(ListenError::new(addr, error)))
    }
}

/// Lets others have their turns, in whatever executor, and goes on when they had them.
pub(crate) async fn yield_now() {
    let mut yielded = false;
    poll_fn(|context| {
        if core::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("tyme", &self.tyme()).finish_non_exhaustive()
    }
}
