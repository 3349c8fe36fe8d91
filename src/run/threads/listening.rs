//! Where a manager's engines listen, and how each comes by its sockets.

use std::io;
use std::sync::Arc;

use super::Failure;
use crate::error::ListenError;
use crate::id::AcceptorId;
#[cfg(feature = "tls")]
use crate::net::tls::ServerTls;
use crate::net::{Addr, Listen};
#[cfg(all(unix, feature = "uds"))]
use crate::run::inherited::File;
use crate::run::inherited::Listening;
use crate::server::Server;

/// What the manager was told to listen on.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) spec: Listen,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<ServerTls>,
    /// Where it is, once that is known: kept when the manager is started again.
    pub(super) addr: Option<Addr>,
    /// From another process, for the next start.
    pub(super) inherited: Vec<Listening>,
    /// The first engine's, for the others of one start: a Unix socket cannot be opened twice.
    pub(super) shared: Option<Listening>,
    /// The file of that socket, if it goes with the last of the engines.
    #[cfg(all(unix, feature = "uds"))]
    pub(super) file: Option<File>,
}

/// What one engine does about an entry.
#[derive(Debug)]
pub(super) struct Opening {
    spec: Listen,
    #[cfg(feature = "tls")]
    tls: Option<ServerTls>,
    sockets: Vec<Listening>,
    /// Whether to look first that nobody else has the port, which sharing it would hide.
    alone: bool,
    /// What was asked for, before the port was picked.
    #[cfg(all(unix, feature = "uds"))]
    asked: Addr,
    /// The file that goes with the last of several engines.
    #[cfg(all(unix, feature = "uds"))]
    file: Option<File>,
}

/// A copy of a listening socket, to be handed on.
#[cfg(all(unix, feature = "uds"))]
#[derive(Debug)]
pub(in crate::run) struct Held {
    /// The number of its entry.
    pub(super) entry: usize,
    /// The address that was asked for.
    pub(in crate::run) asked: Addr,
    /// Whether a file goes with it.
    pub(in crate::run) owns_file: bool,
    pub(in crate::run) socket: std::os::fd::OwnedFd,
}

#[cfg(all(unix, feature = "uds"))]
impl Held {
    pub(super) fn try_clone(&self) -> io::Result<Held> {
        let (asked, socket) = (self.asked.clone(), self.socket.try_clone()?);
        Ok(Held { asked, socket, ..*self })
    }

    /// As a socket to listen on. Its file stays with the one it is a copy of.
    pub(super) fn into_listening(self) -> Listening {
        if self.asked.inet().is_some() {
            Listening::Tcp(self.socket.into())
        } else {
            Listening::Unix { socket: self.socket.into(), file: None }
        }
    }
}

impl Entry {
    /// What engine number `engine` of `count` does.
    pub(super) fn opening(&mut self, engine: usize, count: usize) -> io::Result<Opening> {
        let mut spec = self.spec.clone();
        if let Some(addr) = &self.addr {
            spec.addr = addr.clone();
        }
        let mut sockets = Vec::new();
        let there = self.inherited.len();
        if there > 0 && engine >= there {
            // More engines than sockets: some share one.
            sockets.push(self.inherited[engine % there].share()?);
        } else if let Some(shared) = &self.shared {
            sockets.push(shared.share()?);
        }
        for at in (engine..there).step_by(count.max(1)) {
            let copy = self.inherited[at].try_clone()?;
            sockets.push(core::mem::replace(&mut self.inherited[at], copy));
        }
        #[cfg(all(unix, feature = "uds"))]
        if engine == 0 {
            self.file = self.shared_file(count);
        }
        let shares = count > 1 && spec.addr.inet().is_some();
        let alone = shares && engine == 0 && !spec.reuse_port && spec.addr.port() != Some(0);
        spec.reuse_port |= shares;
        Ok(Opening {
            spec,
            #[cfg(feature = "tls")]
            tls: self.tls.clone(),
            sockets,
            alone,
            #[cfg(all(unix, feature = "uds"))]
            asked: self.spec.addr.clone(),
            #[cfg(all(unix, feature = "uds"))]
            file: self.file.clone(),
        })
    }

    /// The file that `count` engines have in common: any of them may be the last to listen there.
    #[cfg(all(unix, feature = "uds"))]
    fn shared_file(&self, count: usize) -> Option<File> {
        if count < 2 || self.spec.addr.inet().is_some() {
            None
        } else if self.inherited.is_empty() {
            Some(File::default())
        } else {
            self.inherited.iter().find_map(Listening::file).cloned()
        }
    }
}

impl Opening {
    /// Opens it, or takes over what is there.
    pub(super) fn open(
        mut self,
        engine: usize,
        server: &mut Server,
    ) -> Result<Vec<AcceptorId>, Failure> {
        let fail = |source: ListenError| Failure::Listen { engine, source: Arc::new(source) };
        let addr = self.spec.addr.clone();
        let mut ids = Vec::new();
        for socket in core::mem::take(&mut self.sockets) {
            let id = socket.adopt(server, &self.spec.socket);
            ids.push(id.map_err(|(error, _)| fail(ListenError::new(addr.clone(), error)))?);
        }
        if ids.is_empty() {
            if self.alone {
                let probe = Listen { reuse_port: false, ..self.spec.clone() };
                let probed = server.net_mut().listen(&probe);
                probed.map_err(|error| fail(ListenError::new(addr, error)))?;
            }
            ids.push(server.listen(self.spec.clone()).map_err(fail)?);
        }
        #[cfg(all(unix, feature = "uds"))]
        if let Some(file) = &self.file {
            ids.iter().for_each(|id| server.own_file(*id, file.holds()));
        }
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            for id in &ids {
                server.set_tls(*id, tls);
            }
        }
        Ok(ids)
    }

    #[cfg(all(unix, feature = "uds"))]
    pub(super) fn asked(&self) -> &Addr {
        &self.asked
    }

    /// Whether files go with its sockets: with one that it opens, and with those that were taken over as such.
    #[cfg(all(unix, feature = "uds"))]
    pub(super) fn owns_file(&self) -> bool {
        self.sockets.first().is_none_or(|socket| socket.file().is_some())
    }
}
