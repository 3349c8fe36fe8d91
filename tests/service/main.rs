//! Callback style: which callback comes when, what filters see, and the server that turbo has.
#![cfg(feature = "os")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says so by failing")]
#![allow(clippy::disallowed_methods, reason = "the far ends are plain sockets")]

mod callbacks;
mod filters;
mod inside;
mod tcp;
#[path = "../util/mod.rs"]
mod util;

use std::time::Duration;

use tymist::{Server, Service};
use util::ROUNDS;

/// Serves until `done` says so of the server and the service.
#[track_caller]
fn until<S: Service>(
    server: &mut Server,
    service: &mut S,
    mut done: impl FnMut(&mut Server, &S) -> bool,
) {
    for _ in 0..ROUNDS {
        if done(server, service) {
            return;
        }
        server.wait(Some(Duration::from_millis(5)));
        server.serve(service);
    }
    panic!("it did not come to that");
}
