//! The traits of `tokio::io`, without tokio's runtime.

use core::pin::Pin;
use core::task::{Context, Poll};
use std::io::{self, IoSlice};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{HasConn, ReadHalf, TaskStream, WriteHalf};
use crate::remoter::Remoter;

/// Fills `buf` with what is unread, as far as it fits.
fn fill(remoter: &mut Remoter, buf: &mut ReadBuf<'_>) {
    let count = remoter.rx().len().min(buf.remaining());
    buf.put_slice(&remoter.rx()[..count]);
    remoter.consume(count);
}

macro_rules! reads {
    ($($who:ty)*) => { $(
        impl AsyncRead for $who {
            fn poll_read(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                if buf.remaining() == 0 {
                    return Poll::Ready(Ok(()));
                }
                let read = HasConn::conn(&*self).poll_read(context, |remoter| fill(remoter, buf));
                read.map_ok(|_| ())
            }
        }
    )* };
}

macro_rules! writes {
    ($($who:ty)*) => { $(
        impl AsyncWrite for $who {
            fn poll_write(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                data: &[u8],
            ) -> Poll<io::Result<usize>> {
                HasConn::conn(&*self).poll_write(context, data)
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                pieces: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                HasConn::conn(&*self).poll_write_vectored(context, pieces)
            }

            fn is_write_vectored(&self) -> bool {
                true
            }

            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                HasConn::conn(&*self).poll_flush()
            }

            fn poll_shutdown(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
            ) -> Poll<io::Result<()>> {
                HasConn::conn(&*self).poll_shutdown(context)
            }
        }
    )* };
}

reads!(TaskStream ReadHalf);
writes!(TaskStream WriteHalf);
