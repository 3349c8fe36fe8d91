//! In smol, or any other executor: by async-io, whose poller has a thread of its own where nobody blocks on it.
//!
//! [`turn`] is one round, [`drive`] all of them. The future of a doer that is `Send` is `Send`.
//!
//! ```
//! use std::io::{Read, Write};
//! use tymist::doing::ServerDoer;
//! use tymist::run::{Driver, smol::drive};
//! use tymist::{Config, Event, Server};
//!
//! let mut server = Server::new(Config::new());
//! let acceptor = server.listen(([127, 0, 0, 1], 0))?;
//! let addr = server.local_addr(acceptor).and_then(|addr| addr.inet()).unwrap();
//! # #[allow(clippy::disallowed_methods, reason = "a thread is the other end")]
//! let client = std::thread::spawn(move || {
//!     let mut stream = std::net::TcpStream::connect(addr)?;
//!     stream.write_all(b"bye")?;
//!     stream.read(&mut [0])
//! });
//!
//! let until_bye = |server: &mut Server, event: Event| match event {
//!     Event::Accepted(_) => server.drain(None),
//!     Event::Received(id) => server.remoter_mut(id).unwrap().close(),
//!     _ => {}
//! };
//! let mut driver = Driver::new(ServerDoer::new(server, until_bye));
//! async_io::block_on(drive(&mut driver)).map_err(|error| error.to_string())?;
//! assert_eq!(client.join().unwrap()?, 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;
use std::io;

use async_io::{Async, Timer};

use super::driver::Driver;
use crate::doing::{DoError, Doer, Recur};
use crate::tasks::yield_now;

/// Waits until the doer wants its turn; if that is at once, until other tasks had theirs. Dropping it loses nothing.
///
/// Costs four system calls for each descriptor: they are registered for one wait, which then reports what is true already.
///
/// # Errors
/// What the poller says: no descriptor, no memory left.
pub async fn rest<D: Doer>(driver: &mut Driver<D>) -> io::Result<()> {
    let rest = driver.rest();
    if rest.is_now() {
        yield_now().await;
        return Ok(());
    }
    let watched = rest.descriptors.into_iter().map(Async::new_nonblocking);
    let watched = watched.collect::<io::Result<Vec<_>>>()?;
    let mut timeout = pin!(rest.timeout.map(Timer::after));
    poll_fn(|cx| {
        for one in &watched {
            if let Poll::Ready(ready) = one.poll_readable(cx) {
                return Poll::Ready(ready);
            }
        }
        match timeout.as_mut().as_pin_mut() {
            Some(timeout) => timeout.poll(cx).map(|_| Ok(())),
            None => Poll::Pending,
        }
    })
    .await
}

/// Waits until the doer wants its turn, and gives it.
///
/// # Errors
/// What the doer failed with, or the poller; see [`rest`].
pub async fn turn<D: Doer>(driver: &mut Driver<D>) -> Result<Recur, DoError> {
    rest(driver).await?;
    driver.turn()
}

/// Gives the doer its turns until it is done.
///
/// # Errors
/// What the doer failed with, or the poller; see [`rest`].
pub async fn drive<D: Doer>(driver: &mut Driver<D>) -> Result<(), DoError> {
    while turn(driver).await? == Recur::Again {}
    Ok(())
}
