//! A wire in memory whose every misfortune can be set.

use std::any::Any;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Read};
use std::net::Shutdown;
use std::sync::{Arc, Mutex};

use tymist::net::{Addr, BufferSizes, Stream, Token};

/// One direction.
pub struct Pipe {
    bytes: VecDeque<u8>,
    /// What it holds before writes would block.
    pub capacity: usize,
    /// Most bytes a read gives.
    pub chunk: usize,
    /// The writer has ended it.
    pub closed: bool,
    pub reset: bool,
    /// The next write is interrupted by a signal.
    pub interrupt: bool,
    /// After so many bytes in all the rest is lost, and the reader sees the end.
    pub cut_after: Option<usize>,
    /// The byte at this place is changed on its way.
    pub flip: Option<usize>,
    /// Bytes that have entered it.
    pub passed: usize,
    /// A copy of all of them, if wanted.
    pub record: Option<Vec<u8>>,
}

impl Pipe {
    fn new() -> Self {
        Pipe {
            bytes: VecDeque::new(),
            capacity: 256 * 1024,
            chunk: usize::MAX,
            closed: false,
            reset: false,
            interrupt: false,
            cut_after: None,
            flip: None,
            passed: 0,
            record: None,
        }
    }

    /// Takes bytes in at once where nothing befalls them singly.
    fn push_all(&mut self, bytes: &[u8]) {
        if self.cut_after.is_some() || self.flip.is_some() {
            return bytes.iter().for_each(|byte| self.push(*byte));
        }
        self.passed += bytes.len();
        self.bytes.extend(bytes);
        if let Some(record) = &mut self.record {
            record.extend_from_slice(bytes);
        }
    }

    fn push(&mut self, byte: u8) {
        let byte = if self.flip == Some(self.passed) { byte ^ 0x40 } else { byte };
        if self.cut_after.is_some_and(|cut| self.passed >= cut) {
            self.closed = true;
            return;
        }
        self.passed += 1;
        self.bytes.push_back(byte);
        if let Some(record) = &mut self.record {
            record.push(byte);
        }
        if self.cut_after == Some(self.passed) {
            self.closed = true;
        }
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// One end of a wire.
pub struct End {
    pub tx: Arc<Mutex<Pipe>>,
    pub rx: Arc<Mutex<Pipe>>,
    local: Addr,
    peer: Addr,
}

pub fn duplex() -> (End, End) {
    let (one, two) = (Arc::new(Mutex::new(Pipe::new())), Arc::new(Mutex::new(Pipe::new())));
    let near = Addr::from(([10, 0, 0, 1], 40_000));
    let far = Addr::from(([10, 0, 0, 2], 443));
    (
        End { tx: one.clone(), rx: two.clone(), local: near.clone(), peer: far.clone() },
        End { tx: two, rx: one, local: far, peer: near },
    )
}

impl End {
    /// An end that goes on sending into `tx` and hears nothing.
    pub fn sending(tx: Arc<Mutex<Pipe>>) -> Self {
        let rx = Arc::new(Mutex::new(Pipe::new()));
        End { tx, rx, local: Addr::Unnamed, peer: Addr::Unnamed }
    }

    /// Writes all of `bytes`, which must fit.
    pub fn send(&mut self, bytes: &[u8]) {
        let taken = self.write(&[IoSlice::new(bytes)]).unwrap();
        assert_eq!(taken, bytes.len(), "the wire is full");
    }

    /// Everything that is there.
    pub fn receive(&mut self) -> Vec<u8> {
        self.rx.lock().unwrap().bytes.drain(..).collect()
    }

    pub fn reset(&mut self) {
        self.tx.lock().unwrap().reset = true;
        self.rx.lock().unwrap().reset = true;
    }
}

impl Stream for End {
    fn register(&mut self, _: Token) -> io::Result<()> {
        Ok(())
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut pipe = self.rx.lock().unwrap();
        if pipe.reset {
            return Err(ErrorKind::ConnectionReset.into());
        }
        let count = buf.len().min(pipe.chunk).min(pipe.bytes.len());
        if count == 0 && !buf.is_empty() {
            return if pipe.closed { Ok(0) } else { Err(ErrorKind::WouldBlock.into()) };
        }
        pipe.bytes.read_exact(&mut buf[..count])?;
        Ok(count)
    }

    fn write(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut pipe = self.tx.lock().unwrap();
        if pipe.reset {
            return Err(ErrorKind::ConnectionReset.into());
        }
        if pipe.closed && pipe.cut_after.is_none() {
            return Err(ErrorKind::BrokenPipe.into());
        }
        if std::mem::take(&mut pipe.interrupt) {
            return Err(ErrorKind::Interrupted.into());
        }
        let room = pipe.capacity.saturating_sub(pipe.bytes.len());
        let mut taken = 0;
        for buf in bufs {
            let part = &buf[..buf.len().min(room - taken)];
            pipe.push_all(part);
            taken += part.len();
        }
        if taken == 0 && bufs.iter().any(|buf| !buf.is_empty()) {
            return Err(ErrorKind::WouldBlock.into());
        }
        Ok(taken)
    }

    fn shutdown(&mut self, how: Shutdown) -> io::Result<()> {
        if how != Shutdown::Read {
            self.tx.lock().unwrap().closed = true;
        }
        Ok(())
    }

    fn set_abortive(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn local_addr(&self) -> &Addr {
        &self.local
    }

    fn peer_addr(&self) -> &Addr {
        &self.peer
    }

    fn buffer_sizes(&self) -> io::Result<BufferSizes> {
        Ok(BufferSizes::default())
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.tx.lock().unwrap().closed = true;
    }
}

const _: fn(&End) -> &dyn Any = |end| end;
