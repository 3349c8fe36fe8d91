//! The two halves of a connection, for two tasks; all that a whole one reads and writes is theirs.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::io;
use std::rc::Rc;

use bytes::Bytes;

use super::conn::Conn;
use crate::remoter::Remoter;

/// The half of a [`TaskStream`](super::TaskStream) that reads. Once both halves are gone the connection is closed.
pub struct ReadHalf {
    pub(super) conn: Rc<Conn>,
}

/// The half of a [`TaskStream`](super::TaskStream) that writes. Dropping it ends our half once all that is queued is out; once both are gone the
/// connection is closed.
pub struct WriteHalf {
    pub(super) conn: Rc<Conn>,
}

impl ReadHalf {
    /// As [`TaskStream::with_remoter`](super::TaskStream::with_remoter).
    ///
    /// # Errors
    /// As [`TaskStream::with_remoter`](super::TaskStream::with_remoter).
    pub fn with_remoter<T>(&self, act: impl FnOnce(&mut Remoter) -> T) -> io::Result<T> {
        self.conn.with_remoter(act)
    }

    /// Reads what is there, at least one byte, which is waited for; 0 is the peer's end (or an empty `buf`). Dropped, it has read nothing.
    ///
    /// # Errors
    /// Why the connection was lost.
    pub async fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.conn.reading(|context| self.conn.poll_read_into(context, buf)).await
    }

    /// Takes all that is there, without copying it; nothing is the peer's end. Dropped, it has read nothing.
    ///
    /// # Errors
    /// Why the connection was lost.
    pub async fn read_bytes(&mut self) -> io::Result<Bytes> {
        let read = self.conn.reading(|context| self.conn.poll_read(context, Remoter::take));
        read.await.map(Option::unwrap_or_default)
    }

    /// Reads until `buf` is full. Dropped before, it puts back what it has read.
    ///
    /// # Errors
    /// `UnexpectedEof` where the peer's end comes before, and what was read is then unread again; otherwise why the connection was lost.
    pub fn read_exact<'a>(
        &'a mut self,
        buf: &'a mut [u8],
    ) -> impl Future<Output = io::Result<()>> + 'a {
        ReadExact { conn: &self.conn, buf, filled: 0, waited: false }
    }

    /// Waits until something is unread; how many bytes, 0 at the peer's end. Look at them by [`with_remoter`](ReadHalf::with_remoter).
    ///
    /// # Errors
    /// Why the connection was lost.
    pub async fn readable(&mut self) -> io::Result<usize> {
        let look = |remoter: &mut Remoter| remoter.rx().len();
        let read = self.conn.reading(|context| self.conn.poll_read(context, look));
        read.await.map(Option::unwrap_or_default)
    }
}

struct ReadExact<'a> {
    conn: &'a Conn,
    buf: &'a mut [u8],
    filled: usize,
    waited: bool,
}

impl Future for ReadExact<'_> {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while this.filled < this.buf.len() {
            let rest = &mut this.buf[this.filled..];
            let read = this.conn.poll_read_into(context, rest);
            this.waited |= read.is_pending();
            match ready!(read)? {
                0 => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                count => this.filled += count,
            }
        }
        this.filled = 0;
        Poll::Ready(Ok(()))
    }
}

impl Drop for ReadExact<'_> {
    fn drop(&mut self) {
        self.conn.unread(&self.buf[..self.filled]);
        if self.waited {
            self.conn.stop_reading();
        }
    }
}

impl WriteHalf {
    /// Queues as much of `data` as there is room for, at least one byte, which is waited for; how much. Dropped, it has queued nothing.
    ///
    /// # Errors
    /// `BrokenPipe` after a shutdown or a close; otherwise why the connection was lost.
    pub async fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.conn.writing(|context| self.conn.poll_write(context, data)).await
    }

    /// Queues all of `data`. Dropped before, it has queued a part of it, and nobody knows how much.
    ///
    /// # Errors
    /// As [`write`](WriteHalf::write).
    pub async fn write_all(&mut self, mut data: &[u8]) -> io::Result<()> {
        while !data.is_empty() {
            let count = self.write(data).await?;
            data = &data[count..];
        }
        Ok(())
    }

    /// Queues all of `data` without copying it. Dropped before, what is left in `data` was not queued.
    ///
    /// # Errors
    /// As [`write`](WriteHalf::write).
    pub async fn write_bytes(&mut self, data: &mut Bytes) -> io::Result<()> {
        while !data.is_empty() {
            self.conn.writing(|context| self.conn.poll_write_bytes(context, data)).await?;
        }
        Ok(())
    }

    /// Waits until all that was queued has been handed to the network. Nothing needs it to leave.
    ///
    /// # Errors
    /// Why the connection was lost before.
    pub async fn drained(&mut self) -> io::Result<()> {
        self.conn.writing(|context| self.conn.poll_drained(context)).await
    }

    /// Ends our half, and waits until all that was queued and that end have been handed to the network; the peer can go on sending. Dropped, our half ends all
    /// the same.
    ///
    /// # Errors
    /// Why the connection was lost before.
    pub async fn shutdown(&mut self) -> io::Result<()> {
        self.conn.writing(|context| self.conn.poll_shutdown(context)).await
    }
}

impl Drop for WriteHalf {
    fn drop(&mut self) {
        if Rc::strong_count(&self.conn) > 1 {
            self.conn.end_send(); // Else the connection goes as a whole.
        }
    }
}

impl fmt::Debug for ReadHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadHalf").field("id", &self.conn.id()).finish_non_exhaustive()
    }
}

impl fmt::Debug for WriteHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteHalf").field("id", &self.conn.id()).finish_non_exhaustive()
    }
}
