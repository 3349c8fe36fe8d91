//! For loops that cannot wait on descriptors, but can be woken by another thread: those of windows.

use core::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use super::driver::Rest;
use crate::net::os::Sleeper;
use crate::net::{Descriptor, Waker};

/// A thread that waits on descriptors in the place of a loop that cannot, as that of winit, and wakes it once there is something.
///
/// [`arm`](Watcher::arm) it with what the [driver](super::Driver) wants before each wait. It calls once, and then rests until it is armed again: the loop has
/// yet to take what there is. Time is the loop's own: winit has `ControlFlow::WaitUntil` for [`Rest::timeout`].
///
/// ```
/// use std::sync::mpsc;
/// use tymist::doing::{Echo, Recur, ServerDoer};
/// use tymist::run::{Driver, Watcher};
/// use tymist::{Config, Server};
///
/// // In the place of winit's EventLoopProxy.
/// let (proxy, events) = mpsc::channel();
/// let mut watcher = Watcher::new(move || _ = proxy.send("network"))?;
///
/// let mut server = Server::new(Config::new());
/// let acceptor = server.listen(([127, 0, 0, 1], 0))?;
/// let addr = server.local_addr(acceptor).and_then(|addr| addr.inet()).unwrap();
/// let mut driver = Driver::new(ServerDoer::new(server, Echo::new()));
/// let _client = std::net::TcpStream::connect(addr)?;
///
/// while driver.server.counters().accepted == 0 {
///     // At the end of each round of the loop (winit's `about_to_wait`):
///     let rest = driver.rest();
///     watcher.arm(&rest);
///     match rest.timeout {
///         Some(time) if time.is_zero() => {}                // ControlFlow::Poll
///         Some(time) => drop(events.recv_timeout(time)),    // ControlFlow::WaitUntil(Instant::now() + time)
///         None => drop(events.recv()),                      // ControlFlow::Wait
///     }
///     // And when something came, or the time has passed:
///     driver.turn().map_err(|error| error.to_string())?;
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Watcher {
    orders: Arc<Mutex<Orders>>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Orders {
    /// What to watch from now on, where that is new.
    watch: Option<Vec<Descriptor>>,
    end: bool,
}

impl Watcher {
    /// Starts the thread, which watches nothing yet. `wake` must return soon; one that panics is called no more, which [`arm`](Watcher::arm) tells. Takes two
    /// descriptors.
    ///
    /// # Errors
    /// What the operating system says: no thread, no descriptor left.
    pub fn new(wake: impl FnMut() + Send + 'static) -> io::Result<Self> {
        let mut sleeper = Sleeper::new()?;
        let waker = sleeper.waker()?;
        let orders = Arc::new(Mutex::new(Orders::default()));
        let taken = Arc::clone(&orders);
        #[expect(clippy::disallowed_methods, reason = "this room may start threads")]
        let thread = thread::Builder::new()
            .name("tymist watcher".into())
            .spawn(move || watch(sleeper, &taken, wake))?;
        Ok(Watcher { orders, waker, thread: Some(thread) })
    }

    /// Has it watch what `rest` names, in the place of what it watched before; nothing, if the loop is not to wait. Costs two system calls.
    ///
    /// # Panics
    /// If `wake` has: the loop would sleep for ever.
    pub fn arm(&mut self, rest: &Rest) {
        assert!(
            !self.thread.as_ref().is_none_or(JoinHandle::is_finished),
            "the watcher's wake has panicked"
        );
        let watch = if rest.is_now() { Vec::new() } else { rest.descriptors.clone() };
        lock(&self.orders).watch = Some(watch);
        self.call();
    }

    fn call(&self) {
        // It fails only without memory for the kernel; the next one is told all the same.
        let _ = self.waker.wake();
    }
}

fn lock(orders: &Mutex<Orders>) -> MutexGuard<'_, Orders> {
    orders.lock().unwrap_or_else(PoisonError::into_inner)
}

fn watch(mut sleeper: Sleeper, orders: &Mutex<Orders>, mut wake: impl FnMut()) {
    let mut watched = Vec::new();
    loop {
        {
            let mut orders = lock(orders);
            if orders.end {
                return;
            }
            if let Some(watch) = orders.watch.take() {
                watched = watch;
            }
        }
        // What cannot be watched is the loop's to see: it is woken rather than left asleep.
        let ready = sleeper.sleep(&watched, None).unwrap_or(!watched.is_empty());
        // New orders mean that the loop has been up since.
        if ready && lock(orders).watch.is_none() {
            watched.clear();
            wake();
        }
    }
}

/// Ends the thread, and waits for that: for a `wake` under way, at most.
impl Drop for Watcher {
    fn drop(&mut self) {
        lock(&self.orders).end = true;
        self.call();
        if let Some(thread) = self.thread.take() {
            // It panicked if `wake` did, which has been printed.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher").finish_non_exhaustive()
    }
}
