//! The traits of `futures-io`, which `futures`, `async-std` and `smol` share.

use core::pin::Pin;
use core::task::{Context, Poll};
use std::io::{self, IoSlice};

use futures_io::{AsyncRead, AsyncWrite};

use super::{HasConn, ReadHalf, TaskStream, WriteHalf};

macro_rules! reads {
    ($($who:ty)*) => { $(
        impl AsyncRead for $who {
            fn poll_read(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                buf: &mut [u8],
            ) -> Poll<io::Result<usize>> {
                HasConn::conn(&*self).poll_read_into(context, buf)
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

            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                HasConn::conn(&*self).poll_flush()
            }

            fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
                HasConn::conn(&*self).poll_shutdown(context)
            }
        }
    )* };
}

reads!(TaskStream ReadHalf);
writes!(TaskStream WriteHalf);
