//! Looking names up with the operating system, which only knows how to block.

use std::io;
use std::net::ToSocketAddrs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::net::{Addr, Lookup};

/// Threads at most: a name whose servers do not answer holds one of them up for 5 to 30 s.
const THREADS: usize = 4;

/// Helper threads that look names up: none before the first name, then one more whenever all are busy, up to four. They end with this.
///
/// The queue is as long as the engine lets it get, `Limits::lookups`.
pub(crate) struct Lookups {
    sender: Sender<Lookup>,
    receiver: Arc<Mutex<Receiver<Lookup>>>,
    threads: usize,
    /// Those queued and not done yet.
    open: Arc<AtomicUsize>,
}

impl Lookups {
    pub(crate) fn new() -> Self {
        let (sender, receiver) = mpsc::channel();
        let receiver = Arc::new(Mutex::new(receiver));
        Lookups { sender, receiver, threads: 0, open: Arc::default() }
    }

    pub(crate) fn look_up(&mut self, lookup: Lookup) {
        let open = self.open.fetch_add(1, Ordering::Relaxed) + 1;
        if open > self.threads && self.threads < THREADS {
            match self.spawn() {
                Ok(()) => self.threads += 1,
                Err(error) if self.threads == 0 => {
                    self.open.fetch_sub(1, Ordering::Relaxed);
                    return lookup.answer(Err(error));
                }
                Err(_) => {} // Those that are there do it.
            }
        }
        // The receiver is here, so there is one; what could not be sent would be dropped, which answers it.
        let _ = self.sender.send(lookup);
    }

    #[expect(clippy::disallowed_methods, reason = "this room may start threads")]
    fn spawn(&self) -> io::Result<()> {
        let (receiver, open) = (Arc::clone(&self.receiver), Arc::clone(&self.open));
        let work = move || {
            while let Some(lookup) = next(&receiver) {
                let found = (lookup.host(), lookup.port()).to_socket_addrs();
                open.fetch_sub(1, Ordering::Relaxed);
                lookup.answer(found.map(|addrs| addrs.map(Addr::Inet).collect()));
            }
        };
        thread::Builder::new().name("tymist lookup".into()).spawn(work).map(drop)
    }
}

/// The next one; waits for it. `None` once nobody can ask any more.
fn next(receiver: &Mutex<Receiver<Lookup>>) -> Option<Lookup> {
    receiver.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}
