//! Middleware and networks for tests: scripted handshakes, counted calls, failing accepts.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tymist::Layer;
use tymist::net::os::OsNet;
use tymist::net::{Addr, Listen, Listener, Net, Readiness, Stage, Stream};
use tymist::tyme::Tyme;

/// What one `advance()` of a scripted handshake does.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A step that needs nobody.
    Go,
    /// Needs a byte of the peer first.
    Byte,
    /// Fails for good.
    Fail(ErrorKind),
}

/// Called at each `advance()`.
type Observe = Arc<dyn Fn(&Addr) + Send + Sync>;

struct Scripted {
    inner: Box<dyn Stream>,
    steps: VecDeque<Step>,
    observe: Observe,
    /// Most bytes that one write takes.
    most: usize,
}

/// A layer whose handshake takes these steps; `advanced` counts them all.
pub(crate) fn scripted(steps: &[Step], advanced: &Arc<AtomicUsize>) -> Layer {
    let counted = Arc::clone(advanced);
    let count = move |_: &Addr| {
        counted.fetch_add(1, Ordering::Relaxed);
    };
    observed(steps, Arc::new(count))
}

pub(crate) fn observed(steps: &[Step], observe: Observe) -> Layer {
    let steps: VecDeque<Step> = steps.iter().copied().collect();
    Arc::new(move |inner| {
        let (steps, observe) = (steps.clone(), Arc::clone(&observe));
        Box::new(Scripted { inner, steps, observe, most: usize::MAX })
    })
}

/// A stream that takes at most `most` bytes a write.
pub(crate) fn narrow(inner: Box<dyn Stream>, most: usize) -> Box<dyn Stream> {
    Box::new(Scripted { inner, steps: VecDeque::new(), observe: Arc::new(|_| ()), most })
}

impl Stream for Scripted {
    fn below(&self) -> Option<&dyn Stream> {
        Some(&*self.inner)
    }

    fn below_mut(&mut self) -> Option<&mut dyn Stream> {
        Some(&mut *self.inner)
    }

    fn advance(&mut self) -> io::Result<Stage> {
        (self.observe)(self.inner.peer_addr());
        match self.steps.front() {
            None => return Ok(Stage::Live),
            Some(Step::Go) => {}
            Some(Step::Fail(kind)) => return Err((*kind).into()),
            Some(Step::Byte) => {
                if self.inner.read(&mut [0])? == 0 {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
            }
        }
        self.steps.pop_front();
        Ok(if self.steps.is_empty() { Stage::Live } else { Stage::Handshaking })
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buf)
    }

    fn write(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let first = &bufs[0];
        self.inner.write(&[IoSlice::new(&first[..first.len().min(self.most)])])
    }
}

/// The operating system's network, counting calls of `harvest` and failing accepts by script.
#[derive(Clone, Default)]
pub(crate) struct Watched {
    pub(crate) harvests: Arc<AtomicUsize>,
    pub(crate) accepts: Arc<AtomicUsize>,
    /// Errno of the coming accepts, first one first.
    pub(crate) errors: Arc<Mutex<VecDeque<i32>>>,
}

impl Watched {
    pub(crate) fn net(&self) -> Box<dyn Net> {
        Box::new(WatchedNet { watched: self.clone(), inner: OsNet::new() })
    }

    pub(crate) fn harvests(&self) -> usize {
        self.harvests.load(Ordering::Relaxed)
    }

    pub(crate) fn accepts(&self) -> usize {
        self.accepts.load(Ordering::Relaxed)
    }
}

struct WatchedNet {
    watched: Watched,
    inner: OsNet,
}

impl Net for WatchedNet {
    fn below(&self) -> Option<&dyn Net> {
        Some(&self.inner)
    }

    fn below_mut(&mut self) -> Option<&mut dyn Net> {
        Some(&mut self.inner)
    }

    fn now(&mut self) -> Tyme {
        self.inner.now()
    }

    fn listen(&mut self, spec: &Listen) -> io::Result<Box<dyn Listener>> {
        let inner = self.inner.listen(spec)?;
        Ok(Box::new(WatchedListener { watched: self.watched.clone(), inner }))
    }

    fn harvest(&mut self, wait: Option<Duration>, ready: &mut Vec<Readiness>) -> io::Result<()> {
        self.watched.harvests.fetch_add(1, Ordering::Relaxed);
        self.inner.harvest(wait, ready)
    }
}

struct WatchedListener {
    watched: Watched,
    inner: Box<dyn Listener>,
}

impl Listener for WatchedListener {
    fn below(&self) -> Option<&dyn Listener> {
        Some(&*self.inner)
    }

    fn below_mut(&mut self) -> Option<&mut dyn Listener> {
        Some(&mut *self.inner)
    }

    fn accept(&mut self) -> io::Result<Box<dyn Stream>> {
        self.watched.accepts.fetch_add(1, Ordering::Relaxed);
        if let Some(errno) = self.watched.errors.lock().unwrap().pop_front() {
            return Err(io::Error::from_raw_os_error(errno));
        }
        self.inner.accept()
    }
}
