//! A connection as tasks see it.

use core::future::{Future, poll_fn};
use std::io;
use std::rc::Rc;

use bytes::Bytes;

use super::conn::Conn;
use super::halves::{ReadHalf, WriteHalf};
use crate::error::CloseReason;
use crate::id::Id;
use crate::net::Addr;
#[cfg(feature = "tls")]
use crate::net::tls::{ClientTls, ServerTls, Unread};
use crate::remoter::Remoter;

/// A connection: bytes each way, in order.
///
/// Reading takes from what the engine has received, up to [`Limits::rx_bytes`](crate::Limits::rx_bytes) ahead; at that cap the peer is held back. Writing
/// queues, up to [`Limits::tx_bytes`](crate::Limits::tx_bytes); then it waits for room. What was queued leaves at the end of the tick by itself. All deadlines
/// of [`Timeouts`](crate::Timeouts) hold; one that passes is an error of kind `TimedOut` here.
///
/// A read at the peer's end is `Ok(0)`, and only there: a reset is `ConnectionReset`, a TLS stream that was cut short `UnexpectedEof`, and so on, always after
/// what came before has been read. The [`CloseReason`] is [inside](io::Error::get_ref) the error.
///
/// Dropping it closes: what is queued goes out, then our end, then the peer's is waited for up to `linger`. In a task that panics it is reset instead, so that
/// a torso does not look whole. Every future here may be dropped at any time; what it says of that is what has become of the bytes.
#[derive(Debug)]
pub struct TaskStream {
    reader: ReadHalf,
    writer: WriteHalf,
}

impl TaskStream {
    pub(super) fn new(conn: Conn) -> Self {
        let conn = Rc::new(conn);
        TaskStream { reader: ReadHalf { conn: Rc::clone(&conn) }, writer: WriteHalf { conn } }
    }

    #[cfg(any(feature = "futures-io", feature = "tokio-io", feature = "hyper"))]
    pub(super) fn conn(&self) -> &Conn {
        &self.reader.conn
    }

    /// Its name in the engine.
    #[must_use]
    pub fn id(&self) -> Id {
        self.reader.conn.id()
    }

    /// Our end; [`Addr::Unnamed`] once the tasks are gone.
    #[must_use]
    pub fn local_addr(&self) -> Addr {
        self.with_remoter(|remoter| remoter.local_addr().clone()).unwrap_or(Addr::Unnamed)
    }

    /// The peer's end; [`Addr::Unnamed`] once the tasks are gone.
    #[must_use]
    pub fn peer_addr(&self) -> Addr {
        self.with_remoter(|remoter| remoter.peer_addr().clone()).unwrap_or(Addr::Unnamed)
    }

    /// Why it ended or is ending; `None` while it is not.
    #[must_use]
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.with_remoter(|remoter| remoter.close_reason()).ok().flatten()
    }

    /// The connection itself: its counters, timeouts, limits, what TLS has agreed, and what came in and was not read.
    ///
    /// # Errors
    /// `NotConnected` once the tasks are gone.
    pub fn with_remoter<T>(&self, act: impl FnOnce(&mut Remoter) -> T) -> io::Result<T> {
        self.reader.conn.with_remoter(act)
    }

    /// As [`ReadHalf::read`].
    ///
    /// # Errors
    /// As [`ReadHalf::read`].
    pub async fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buf).await
    }

    /// As [`ReadHalf::read_bytes`].
    ///
    /// # Errors
    /// As [`ReadHalf::read_bytes`].
    pub async fn read_bytes(&mut self) -> io::Result<Bytes> {
        self.reader.read_bytes().await
    }

    /// As [`ReadHalf::read_exact`].
    ///
    /// # Errors
    /// As [`ReadHalf::read_exact`].
    pub fn read_exact<'a>(
        &'a mut self,
        buf: &'a mut [u8],
    ) -> impl Future<Output = io::Result<()>> + 'a {
        self.reader.read_exact(buf)
    }

    /// As [`ReadHalf::readable`].
    ///
    /// # Errors
    /// As [`ReadHalf::readable`].
    pub async fn readable(&mut self) -> io::Result<usize> {
        self.reader.readable().await
    }

    /// As [`WriteHalf::write`].
    ///
    /// # Errors
    /// As [`WriteHalf::write`].
    pub async fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.writer.write(data).await
    }

    /// As [`WriteHalf::write_all`].
    ///
    /// # Errors
    /// As [`WriteHalf::write_all`].
    pub async fn write_all(&mut self, data: &[u8]) -> io::Result<()> {
        self.writer.write_all(data).await
    }

    /// As [`WriteHalf::write_bytes`].
    ///
    /// # Errors
    /// As [`WriteHalf::write_bytes`].
    pub async fn write_bytes(&mut self, data: &mut Bytes) -> io::Result<()> {
        self.writer.write_bytes(data).await
    }

    /// As [`WriteHalf::drained`].
    ///
    /// # Errors
    /// As [`WriteHalf::drained`].
    pub async fn drained(&mut self) -> io::Result<()> {
        self.writer.drained().await
    }

    /// As [`WriteHalf::shutdown`].
    ///
    /// # Errors
    /// As [`WriteHalf::shutdown`].
    pub async fn shutdown(&mut self) -> io::Result<()> {
        self.writer.shutdown().await
    }

    /// Two halves, for two tasks.
    #[must_use]
    pub fn split(self) -> (ReadHalf, WriteHalf) {
        (self.reader, self.writer)
    }

    /// Closes gracefully, as dropping it does, and waits for the end of it: all that was queued is out, and the peer has ended its half as well. What it still
    /// sends is thrown away. Dropped, the rest goes on by itself.
    ///
    /// # Errors
    /// Why it did not end well: `TimedOut` where the peer did not end within `linger`, a reset, `UnexpectedEof` of a TLS peer without a farewell.
    pub async fn close(self) -> io::Result<()> {
        let conn = &self.reader.conn;
        conn.with_remoter(Remoter::close)?;
        let reason = poll_fn(|context| conn.poll_closed(context)).await?;
        if reason.is_clean() { Ok(()) } else { Err(super::errors::error_of(reason)) }
    }

    /// Ends it at once by a reset; what is queued is thrown away.
    pub fn abort(self) {
        self.reader.conn.set_abort();
    }

    /// Goes over to TLS as the server, once what is queued in plain has left; see [`Remoter::upgrade_tls`]. Dropped, the rest goes on by itself, and reads and
    /// writes wait for it.
    ///
    /// # Errors
    /// `InvalidInput` with the [`UpgradeRefused`](crate::UpgradeRefused) inside, and then the connection is as it was; otherwise why it ended.
    #[cfg(feature = "tls")]
    pub async fn upgrade_tls(&mut self, tls: &ServerTls, unread: Unread) -> io::Result<()> {
        let begun = self.with_remoter(|remoter| remoter.upgrade_tls(tls, unread))?;
        begun.map_err(|refused| io::Error::new(io::ErrorKind::InvalidInput, refused))?;
        let conn = &self.reader.conn;
        conn.reading(|context| conn.poll_upgraded(context)).await
    }

    /// The same as the client of a server that must prove to be `name`.
    ///
    /// # Errors
    /// As [`upgrade_tls`](TaskStream::upgrade_tls).
    #[cfg(feature = "tls")]
    pub async fn upgrade_tls_client(
        &mut self,
        tls: &ClientTls,
        name: &str,
        unread: Unread,
    ) -> io::Result<()> {
        let begun = self.with_remoter(|remoter| remoter.upgrade_tls_client(tls, name, unread))?;
        begun.map_err(|refused| io::Error::new(io::ErrorKind::InvalidInput, refused))?;
        let conn = &self.reader.conn;
        conn.reading(|context| conn.poll_upgraded(context)).await
    }
}
