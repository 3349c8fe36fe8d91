//! Logs of what really moved on the wire: who, which way, which bytes.
//!
//! A [`WireLog`] is a handle to one log, cheap to clone. Give it to a connection
//! ([`Remoter::set_wire_log`](crate::Remoter::set_wire_log)) or to a server for all that come
//! ([`Server::set_wire_log`](crate::Server::set_wire_log)); a [`Tap`] around the stream then writes to it. Only bytes that the network took or gave
//! are logged: a partial write shows as the part.

mod ring;
mod tap;
mod text;

use core::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::net::Addr;
use crate::tyme::{Tyme, Tymth};
use ring::Ring;
pub use tap::Tap;
pub use text::write_text;

/// Which way bytes went, as this side sees it.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Received.
    Rx,
    /// Sent.
    Tx,
}

/// One read or write.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// When, if the log was [wound](WireLog::wind) to a clock.
    pub tyme: Option<Tyme>,
    /// Which way.
    pub direction: Direction,
    /// The other end.
    pub peer: Addr,
    /// How many bytes moved.
    pub len: usize,
    /// The bytes; empty in a [redacted](WireLog::redacted) log.
    pub data: Bytes,
}

/// A log of bytes on the wire: into bounded memory, a file, or wherever you like.
///
/// ```
/// use tymist::wire::WireLog;
///
/// let log = WireLog::memory(64 * 1024);
/// // server.set_wire_log(Some(log.clone())); … and later:
/// assert!(log.records().is_empty());
/// ```
#[derive(Clone)]
pub struct WireLog(Arc<Mutex<Inner>>);

struct Inner {
    sink: Sink,
    tymth: Option<Tymth>,
    only: Option<Direction>,
    redacted: bool,
    failed: Option<io::Error>,
}

type Callback = Box<dyn FnMut(&Record) -> io::Result<()> + Send>;

enum Sink {
    Ring(Ring),
    Each(Callback),
    File { file: BufWriter<File>, path: PathBuf, temporary: bool },
}

impl WireLog {
    /// Keeps the latest records in memory, as many as fit in `bytes` (their own size included); older ones are dropped and
    /// [counted](WireLog::dropped), and so is one that alone is larger.
    #[must_use]
    pub fn memory(bytes: usize) -> Self {
        Self::with_sink(Sink::Ring(Ring::new(bytes)))
    }

    /// Writes hio's text format ([`write_text`]) to a new file. Writes go through a buffer; a slow disk slows the tick.
    ///
    /// # Errors
    /// If the file is there already or cannot be made.
    pub fn file(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref().to_path_buf();
        let file = BufWriter::new(File::create_new(&path)?);
        Ok(Self::with_sink(Sink::File { file, path, temporary: false }))
    }

    /// Like [`file`](WireLog::file), with a name of its own in the system's folder for temporary files; removed when the last handle
    /// of this log is dropped.
    ///
    /// # Errors
    /// If the file cannot be made.
    pub fn temporary() -> io::Result<Self> {
        for attempt in 0..u32::MAX {
            let name = format!("tymist-{}-{attempt}.wire", std::process::id());
            let path = std::env::temp_dir().join(name);
            match File::create_new(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                result => {
                    let file = BufWriter::new(result?);
                    return Ok(Self::with_sink(Sink::File { file, path, temporary: true }));
                }
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Hands each record to `sink`. After an error it is not called again; see [`take_error`](WireLog::take_error). It must not use this log
    /// itself, which is locked meanwhile: that would never return.
    #[must_use]
    pub fn each(sink: impl FnMut(&Record) -> io::Result<()> + Send + 'static) -> Self {
        Self::with_sink(Sink::Each(Box::new(sink)))
    }

    fn with_sink(sink: Sink) -> Self {
        let inner = Inner { sink, tymth: None, only: None, redacted: false, failed: None };
        WireLog(Arc::new(Mutex::new(inner)))
    }

    /// The same log for one direction only.
    #[must_use]
    pub fn only(self, direction: Direction) -> Self {
        self.lock().only = Some(direction);
        self
    }

    /// The same log without the bytes: only who, which way and how many. For connections whose content nobody may see.
    #[must_use]
    pub fn redacted(self) -> Self {
        self.lock().redacted = true;
        self
    }

    /// Stamps records with this clock from now on.
    pub fn wind(&self, tymth: Tymth) {
        self.lock().tymth = Some(tymth);
    }

    /// The records that are kept in memory, oldest first; none of a log that goes elsewhere.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        match &self.lock().sink {
            Sink::Ring(ring) => ring.records().cloned().collect(),
            _ => Vec::new(),
        }
    }

    /// What is kept in memory, in hio's text format; `direction`: only that one.
    #[must_use]
    pub fn text(&self, direction: Option<Direction>) -> Vec<u8> {
        let mut text = Vec::new();
        for record in self.records() {
            if direction.is_none_or(|direction| direction == record.direction) {
                // Writing to a Vec cannot fail.
                let _ = write_text(&mut text, &record);
            }
        }
        text
    }

    /// Records that had to make room for later ones, or had none at all.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        match &self.lock().sink {
            Sink::Ring(ring) => ring.dropped(),
            _ => 0,
        }
    }

    /// Where it is written, if to a file.
    #[must_use]
    pub fn path(&self) -> Option<PathBuf> {
        match &self.lock().sink {
            Sink::File { path, .. } => Some(path.clone()),
            _ => None,
        }
    }

    /// Writes out what is buffered.
    ///
    /// # Errors
    /// What the file says.
    pub fn flush(&self) -> io::Result<()> {
        match &mut self.lock().sink {
            Sink::File { file, .. } => file.flush(),
            _ => Ok(()),
        }
    }

    /// The error that stopped this log, as a full disk does, if one did. Taking it lets the log go on with the next record. The
    /// connections never notice any of it.
    #[must_use]
    pub fn take_error(&self) -> Option<io::Error> {
        self.lock().failed.take()
    }

    pub(crate) fn record(
        &self,
        direction: Direction,
        peer: &Addr,
        pieces: &[io::IoSlice<'_>],
        len: usize,
    ) {
        let mut inner = self.lock();
        let unwanted = inner.only.is_some_and(|only| only != direction);
        if unwanted || inner.failed.is_some() {
            return;
        }
        let data = if inner.redacted { Bytes::new() } else { first(pieces, len) };
        let tyme = inner.tymth.as_ref().map(Tymth::tyme);
        let record = Record { tyme, direction, peer: peer.clone(), len, data };
        let result = match &mut inner.sink {
            Sink::Ring(ring) => {
                ring.push(record);
                Ok(())
            }
            Sink::Each(sink) => sink(&record),
            Sink::File { file, .. } => write_text(file, &record),
        };
        inner.failed = result.err();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A sink that panicked has lost at most its own record.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A copy of the first `len` bytes of `pieces`.
fn first(pieces: &[io::IoSlice<'_>], len: usize) -> Bytes {
    let mut data = Vec::with_capacity(len);
    for piece in pieces {
        let left = len - data.len();
        data.extend_from_slice(&piece[..piece.len().min(left)]);
    }
    data.into()
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Sink::File { file, path, temporary } = &mut self.sink {
            // Nobody is left to tell; who wants to know calls `flush` before.
            let _ = file.flush();
            if *temporary {
                let _ = std::fs::remove_file(path);
            }
        }
    }
}

impl fmt::Debug for WireLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = self.lock();
        f.debug_struct("WireLog")
            .field("only", &inner.only)
            .field("redacted", &inner.redacted)
            .field("failed", &inner.failed)
            .finish_non_exhaustive()
    }
}
