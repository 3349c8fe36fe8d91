//! Other crates' traits for streams, each behind a feature of its own. All come down to the polls of a connection; none waits in a flush, since what is queued
//! leaves by itself.

#[cfg(feature = "futures-io")]
mod futures_io;
#[cfg(feature = "hyper")]
pub(super) mod hyper;
#[cfg(feature = "tokio-io")]
mod tokio_io;

use super::conn::Conn;
use super::halves::{ReadHalf, WriteHalf};
use super::stream::TaskStream;

/// What has a connection below it.
trait HasConn {
    fn conn(&self) -> &Conn;
}

impl HasConn for TaskStream {
    fn conn(&self) -> &Conn {
        TaskStream::conn(self)
    }
}

impl HasConn for ReadHalf {
    fn conn(&self) -> &Conn {
        &self.conn
    }
}

impl HasConn for WriteHalf {
    fn conn(&self) -> &Conn {
        &self.conn
    }
}
