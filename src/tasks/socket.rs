//! A datagram socket as tasks see it.

use core::fmt;
use core::task::{Context, Poll};
use std::io;
use std::rc::Rc;

use bytes::Bytes;

use super::desk::Desk;
use super::shared::{Late, Shared, gone};
use super::waiting::{Who, waiting};
use crate::id::EndpointId;
use crate::net::Addr;
use crate::peer::{Endpoint, GramError, RxGram};

/// A socket for datagrams, with the queues and limits of an [`Endpoint`]. Made by [`Handle::bind`](super::Handle::bind). Dropping it closes it; what is queued
/// gets one try to leave.
///
/// What the network has against a datagram comes later, if at all: in connected mode as an error of [`recv_from`](TaskSocket::recv_from), otherwise as an event
/// of the owner's.
///
/// ```
/// use std::io;
/// use std::time::Duration;
/// use tymist::net::Addr;
/// use tymist::tasks::{Handle, Tasks};
/// use tymist::{Config, GramConfig, RxGram};
///
/// /// Asks until there is an answer, five times at most.
/// async fn ask(handle: &Handle, whom: Addr) -> io::Result<RxGram> {
///     let mut socket = handle.bind(([127, 0, 0, 1], 0), GramConfig::new())?;
///     for _try in 0..5 {
///         socket.send_to(b"who is there?", whom.clone()).await?;
///         if let Ok(answer) = handle.timeout(Duration::from_millis(50), socket.recv_from()).await {
///             return answer;
///         }
///     }
///     Err(io::ErrorKind::TimedOut.into())
/// }
///
/// let mut tasks = Tasks::new(Config::new());
/// let handle = tasks.handle();
/// let mut server = handle.bind(([127, 0, 0, 1], 0), GramConfig::new())?;
/// let addr = server.local_addr().clone();
/// handle.spawn(async move {
///     let mut heard = 0;
///     while let Ok(asked) = server.recv_from().await {
///         heard += 1;
///         if heard > 1 {
///             let _ = server.send_to(b"it is me", asked.from).await; // but not at once
///         }
///     }
/// });
/// let answer = tasks.run_until(ask(&handle, addr))?;
/// assert_eq!(answer.data, "it is me");
/// # Ok::<(), io::Error>(())
/// ```
pub struct TaskSocket {
    shared: Rc<Shared>,
    endpoint: EndpointId,
    local_addr: Addr,
}

impl TaskSocket {
    /// Of an endpoint that the server has.
    pub(super) fn new(shared: &Rc<Shared>, desk: &mut Desk, endpoint: EndpointId) -> Self {
        desk.add_socket(endpoint);
        let local_addr = desk.server.endpoint(endpoint).map(|it| it.local_addr().clone());
        let local_addr = local_addr.unwrap_or(Addr::Unnamed);
        TaskSocket { shared: Rc::clone(shared), endpoint, local_addr }
    }

    /// The endpoint below it.
    #[must_use]
    pub fn id(&self) -> EndpointId {
        self.endpoint
    }

    /// Where it is bound, with the port that was picked.
    #[must_use]
    pub fn local_addr(&self) -> &Addr {
        &self.local_addr
    }

    /// The endpoint itself: its counters, settings, groups.
    ///
    /// # Errors
    /// `NotConnected` once the tasks are gone.
    pub fn with_endpoint<T>(&self, act: impl FnOnce(&mut Endpoint) -> T) -> io::Result<T> {
        let endpoint = self.endpoint;
        self.shared.change(|desk| desk.server.endpoint_mut(endpoint).map(act))?.ok_or_else(gone)
    }

    /// Waits for the next datagram, whole and with its sender. Dropped, it has taken none.
    ///
    /// # Errors
    /// In connected mode that an earlier one did not arrive (`ConnectionRefused`, say), the latest report of those that nobody has heard of yet; `NotConnected`
    /// once the socket is lost.
    pub async fn recv_from(&mut self) -> io::Result<RxGram> {
        let stop = || self.shared.stop_waiting(Who::Receiver(self.endpoint));
        waiting(|context| self.look(context), stop).await
    }

    /// The same as a poll.
    ///
    /// # Errors
    /// As [`recv_from`](TaskSocket::recv_from).
    pub fn poll_recv_from(&mut self, context: &mut Context<'_>) -> Poll<io::Result<RxGram>> {
        self.look(context)
    }

    fn look(&self, context: &Context<'_>) -> Poll<io::Result<RxGram>> {
        self.poll_with(|desk, endpoint| {
            let Some(there) = desk.server.endpoint_mut(endpoint) else {
                return Some(Err(closed()));
            };
            if let Some(gram) = there.take() {
                return Some(Ok(gram));
            }
            let opened = there.opened();
            let socket = desk.socket(endpoint)?;
            if let Some(error) = socket.error.take() {
                return Some(Err(error.into()));
            }
            if !opened {
                return Some(Err(closed()));
            }
            socket.reader.wait(self.shared.caller(context));
            None
        })
    }

    /// Queues a copy of `data` as one datagram, waiting for room where the queue is full. Dropped, it has queued nothing.
    ///
    /// # Errors
    /// `InvalidInput` where it can never go: too long, to nobody, not to the peer; `NotConnected` once the socket is lost.
    pub async fn send_to(&mut self, data: &[u8], to: impl Into<Addr>) -> io::Result<()> {
        let to = to.into();
        let data = Bytes::copy_from_slice(data);
        self.send_bytes_to(data, to).await
    }

    /// The same without a copy.
    ///
    /// # Errors
    /// As [`send_to`](TaskSocket::send_to).
    pub async fn send_bytes_to(&mut self, data: Bytes, to: impl Into<Addr>) -> io::Result<()> {
        let to = to.into();
        let stop = || self.shared.stop_waiting(Who::Sender(self.endpoint));
        let poll = |context: &mut Context<'_>| {
            self.poll_with(|desk, endpoint| {
                let Some(there) = desk.server.endpoint_mut(endpoint) else {
                    return Some(Err(closed()));
                };
                match there.tx_bytes(data.clone(), &to) {
                    Ok(()) => Some(Ok(())),
                    Err(GramError::Full) => {
                        there.want_drained();
                        desk.wait_to_send(endpoint, data.len(), self.shared.caller(context));
                        None
                    }
                    Err(GramError::Closed) => Some(Err(closed())),
                    Err(error) => Some(Err(io::Error::new(io::ErrorKind::InvalidInput, error))),
                }
            })
        };
        waiting(poll, stop).await
    }

    fn poll_with<T>(
        &self,
        act: impl FnOnce(&mut Desk, EndpointId) -> Option<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        match self.shared.change(|desk| act(desk, self.endpoint)) {
            Ok(Some(done)) => Poll::Ready(done),
            Ok(None) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the socket is closed")
}

impl Drop for TaskSocket {
    fn drop(&mut self) {
        self.shared.let_go(Late::Unbind(self.endpoint));
    }
}

impl fmt::Debug for TaskSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskSocket")
            .field("id", &self.endpoint)
            .field("local_addr", &self.local_addr)
            .finish_non_exhaustive()
    }
}
