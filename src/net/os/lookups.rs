//! Looking names up with the operating system, which only knows how to block.

use std::collections::VecDeque;
use std::io;
use std::net::ToSocketAddrs;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::net::{Addr, Lookup};

/// Threads at most: a name whose servers do not answer holds one of them up for 5 to 30 s.
const THREADS: usize = 4;

/// Helper threads that look names up: none before the first name, then one more whenever all are busy, up to four. They end with this.
pub(crate) struct Lookups {
    shared: Arc<Shared>,
    threads: usize,
}

#[derive(Default)]
struct Shared {
    line: Mutex<Line>,
    news: Condvar,
}

/// What waits for a thread. As long as the engine lets it get, `Limits::lookups`, and once more what nobody wants any more.
#[derive(Default)]
struct Line {
    lookups: VecDeque<Lookup>,
    /// Threads at work on one.
    busy: usize,
    /// At this length those are left out that nobody wants.
    full: usize,
    over: bool,
}

impl Shared {
    /// A thread that panics leaves the line as it was, or shorter by one.
    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next one that somebody wants; waits for it. `None` once nobody can ask any more.
    fn next(&self) -> Option<Lookup> {
        let mut line = self.line();
        loop {
            while let Some(lookup) = line.lookups.pop_front() {
                if lookup.is_wanted() {
                    line.busy += 1;
                    return Some(lookup);
                }
            }
            if line.over {
                return None;
            }
            line = self.news.wait(line).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn work(&self) {
        while let Some(lookup) = self.next() {
            let found = (lookup.host(), lookup.port()).to_socket_addrs();
            self.line().busy -= 1;
            lookup.answer(found.map(|addrs| addrs.map(Addr::Inet).collect()));
        }
    }
}

impl Lookups {
    pub(crate) fn new() -> Self {
        Lookups { shared: Arc::default(), threads: 0 }
    }

    pub(crate) fn look_up(&mut self, lookup: Lookup) {
        let mut line = self.shared.line();
        if line.lookups.len() >= line.full {
            // Behind names that hold all threads up, those must not pile up whose askers have gone.
            line.lookups.retain(Lookup::is_wanted);
            line.full = (line.lookups.len() * 2).max(64);
        }
        line.lookups.push_back(lookup);
        let open = line.lookups.len() + line.busy;
        drop(line);
        if open > self.threads && self.threads < THREADS {
            match self.spawn() {
                Ok(()) => self.threads += 1,
                Err(error) if self.threads == 0 => {
                    let lookup = self.shared.line().lookups.pop_back();
                    if let Some(lookup) = lookup {
                        lookup.answer(Err(error));
                    }
                    return;
                }
                Err(_) => {} // Those that are there do it.
            }
        }
        self.shared.news.notify_one();
    }

    #[expect(clippy::disallowed_methods, reason = "this room may start threads")]
    fn spawn(&self) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let work = move || shared.work();
        thread::Builder::new().name("tymist lookup".into()).spawn(work).map(drop)
    }
}

/// Who waits for a name then has gone as well: what is queued is dropped, which answers it.
impl Drop for Lookups {
    fn drop(&mut self) {
        let mut line = self.shared.line();
        line.over = true;
        let left = core::mem::take(&mut line.lookups);
        drop(line);
        self.shared.news.notify_all();
        drop(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{Inbox, Wish};

    #[test]
    fn what_nobody_wants_neither_holds_a_thread_up_nor_piles_up() {
        let mut lookups = Lookups::new();
        lookups.threads = THREADS; // All of them busy, for ever.
        let inbox = Arc::new(Inbox::new());
        let mut ask = |number, wish: &Wish| {
            lookups.look_up(Lookup::new(("name".into(), 1), number, wish.clone(), &inbox));
            lookups.shared.line().lookups.len()
        };
        let wanted = Wish::new();
        ask(0, &wanted);
        for number in 1..10_000 {
            let wish = Wish::new();
            assert!(ask(number, &wish) <= 65);
            wish.end();
        }
        assert_eq!(ask(10_000, &wanted), ask(10_001, &wanted) - 1);
        let line = &lookups.shared;
        let next: Vec<bool> =
            (0..3).map(|_| line.next().is_some_and(|it| it.is_wanted())).collect();
        assert_eq!(next, [true; 3], "the others are passed over");
        assert!(inbox.take().iter().all(|answer| [0, 10_000, 10_001].contains(&answer.number)));
    }
}
