//! In tokio: an engine, or any doer, as a task beside others.
//!
//! [`turn`] is one round, [`drive`] all of them. The runtime needs its I/O and time drivers (`enable_all`). The future of a doer that is `Send` is `Send`.
//!
//! ```
//! use std::io::{Read, Write};
//! use tymist::run::{Driver, tokio::turn};
//! use tymist::{Config, Event, Server};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! # runtime.block_on(async {
//! let mut server = Server::new(Config::new());
//! let acceptor = server.listen(([127, 0, 0, 1], 0))?;
//! let addr = server.local_addr(acceptor).and_then(|addr| addr.inet()).unwrap();
//! let client = tokio::task::spawn_blocking(move || {
//!     let mut stream = std::net::TcpStream::connect(addr)?;
//!     stream.write_all(b"hello")?;
//!     let mut back = [0; 5];
//!     stream.read_exact(&mut back).map(|()| back)
//! });
//!
//! let mut server = Driver::new(server);
//! while !client.is_finished() {
//!     tokio::select! {
//!         done = turn(&mut server) => { done?; } // and whatever else this task waits for
//!         () = tokio::time::sleep(std::time::Duration::from_millis(10)) => {}
//!     }
//!     while let Some(event) = server.poll_event() {
//!         if let Event::Received(id) | Event::Drained(id) = event
//!             && let Some(remoter) = server.remoter_mut(id)
//!         {
//!             let mut data = remoter.take();
//!             let _ = remoter.tx_bytes(&mut data); // takes what fits; an error: it is closing
//!             remoter.unread(data); // the rest holds the peer back, until `Drained`
//!         }
//!     }
//! }
//! assert_eq!(&client.await??, b"hello");
//! # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
//! ```

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;
use std::io;

use ::tokio::io::Interest;
use ::tokio::io::unix::AsyncFd;
use ::tokio::time::sleep;

use super::driver::Driver;
use crate::doing::{DoError, Doer, Recur};
use crate::net::Descriptor;
use crate::tasks::yield_now;

/// Waits until the doer wants its turn; if that is at once, until other tasks had theirs. Dropping it loses nothing.
///
/// Costs two system calls for each descriptor: they are registered for one wait, which then reports what is true already.
///
/// # Errors
/// What the runtime's poller says: no descriptor, no memory left.
///
/// # Panics
/// Outside a runtime, or in one without I/O or time.
pub async fn rest<D: Doer>(driver: &mut Driver<D>) -> io::Result<()> {
    let rest = driver.rest();
    if rest.is_now() {
        yield_now().await;
        return Ok(());
    }
    let watched = rest.descriptors.into_iter().map(watch).collect::<io::Result<Vec<_>>>()?;
    let mut timeout = pin!(rest.timeout.map(sleep));
    poll_fn(|cx| {
        for one in &watched {
            if let Poll::Ready(ready) = one.poll_read_ready(cx) {
                return Poll::Ready(ready.map(drop));
            }
        }
        match timeout.as_mut().as_pin_mut() {
            Some(timeout) => timeout.poll(cx).map(Ok),
            None => Poll::Pending,
        }
    })
    .await
}

#[allow(
    deprecated,
    reason = "in its place there is only an unsafe one, which asks for what a descriptor's handle is: open while it is held, and the same"
)]
fn watch(descriptor: Descriptor) -> io::Result<AsyncFd<Descriptor>> {
    AsyncFd::with_interest(descriptor, Interest::READABLE)
}

/// Waits until the doer wants its turn, and gives it.
///
/// # Errors
/// What the doer failed with, or the runtime's poller; see [`rest`].
///
/// # Panics
/// As [`rest`].
pub async fn turn<D: Doer>(driver: &mut Driver<D>) -> Result<Recur, DoError> {
    rest(driver).await?;
    driver.turn()
}

/// Gives the doer its turns until it is done.
///
/// # Errors
/// What the doer failed with, or the runtime's poller; see [`rest`].
///
/// # Panics
/// As [`rest`].
pub async fn drive<D: Doer>(driver: &mut Driver<D>) -> Result<(), DoError> {
    while turn(driver).await? == Recur::Again {}
    Ok(())
}
