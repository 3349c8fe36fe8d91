//! Unix sockets: streams through the server, datagrams through the peer, and what may and may not be done to a path.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test says so by failing")]
#![allow(clippy::cast_possible_truncation, reason = "small numbers")]
#![allow(clippy::disallowed_methods, reason = "the far ends are plain sockets and threads")]

mod datagrams;
mod descriptors;
mod paths;
mod streams;
#[cfg(feature = "tls")]
#[path = "../tls_support/mod.rs"]
mod tls_support;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tymist::net::{Addr, Listen};
use tymist::tyme::Tymist;
use tymist::{AcceptorId, Config, Event, Id, Server};

const ROUNDS: usize = 4000;
const ROUND: Duration = Duration::from_millis(5);

/// A directory of the test's own, removed with all that is in it.
struct Dir(tempfile::TempDir);

impl Dir {
    fn new() -> Dir {
        Dir(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// A server on a path whose clock only the test advances.
struct Rig {
    server: Server,
    acceptor: AcceptorId,
}

impl Rig {
    #[track_caller]
    fn new(path: &Path) -> Rig {
        Rig::on(Listen::new(path))
    }

    #[track_caller]
    fn on(listen: Listen) -> Rig {
        let mut server = Server::new(Config::new());
        server.wind(Tymist::new().tymth());
        let acceptor = server.listen(listen).unwrap();
        Rig { server, acceptor }
    }

    /// The first event that `wanted` makes something of.
    #[track_caller]
    fn until<T>(&mut self, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
        let mut seen = Vec::new();
        for _ in 0..ROUNDS {
            while let Some(event) = self.server.poll_event() {
                if let Some(found) = wanted(&event) {
                    return found;
                }
                seen.push(event);
            }
            self.server.wait(Some(ROUND));
            self.server.service();
        }
        panic!("the awaited event did not come; these came: {seen:?}");
    }

    #[track_caller]
    fn accepted(&mut self) -> Id {
        self.until(|event| match event {
            Event::Accepted(id) => Some(*id),
            _ => None,
        })
    }

    /// Ticks until so many bytes are there.
    #[track_caller]
    fn unread(&mut self, id: Id, count: usize) -> Vec<u8> {
        for _ in 0..ROUNDS {
            let remoter = self.server.remoter(id).unwrap();
            if remoter.rx().len() >= count {
                return remoter.rx().to_vec();
            }
            self.server.wait(Some(ROUND));
            self.server.service();
            self.server.clear_events();
        }
        panic!("{count} bytes never came");
    }
}

/// Why it cannot listen there.
#[track_caller]
fn refused(listen: impl Into<Listen>) -> (ErrorKind, String) {
    let mut server = Server::new(Config::new());
    let error = server.listen(listen).unwrap_err();
    (error.kind(), error.to_string())
}

fn addr(path: &Path) -> Addr {
    Addr::from(path)
}
