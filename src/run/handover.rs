//! Handing listening sockets to the process that comes after this one. Feature `uds`.
//!
//! A socket is the kernel's, and its queue with it: as long as one process has it open, nobody who waits there is lost. So the old process *offers* its sockets
//! at a path, the new one *takes over* copies of them (`SCM_RIGHTS`), begins to serve, and *confirms*; only then does the old one stop accepting, and finish
//! what it has begun. Where the new one fails before it has confirmed, the old one goes on as if nothing had been.
//!
//! On the wire: from the old one a line, the number of sockets, and for each what was asked for when it was opened (and whether its file is the program's); the
//! descriptors come with the first byte. From the new one `ready`, from the old one `bye`, from when on the files are the new one's;
//! by then the path is free for the new one's own offer. Both look whether the other is the same user, or root.

use core::time::Duration;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use bytes::{Buf, Bytes};

use super::Inherited;
use super::inherited::{File, Listening};
use super::threads::{Held, Sockets};
use crate::clients::Client;
use crate::config::Config;
use crate::connect::Connect;
use crate::error::CloseReason;
use crate::event::Event;
use crate::id::AcceptorId;
use crate::net::{Addr, Listen, MAX_FILES};
use crate::remoter::Remoter;
use crate::server::Server;
use crate::service::{Service, Session};

const GREETING: &[u8] = b"tymist sockets 1\n";
const READY: &[u8] = b"ready\n";
const BYE: &[u8] = b"bye\n";

/// How long one side waits for the other: a new process may have much to do before it is ready.
const PATIENCE: Duration = Duration::from_secs(60);

fn config() -> Config {
    let mut config = Config::new();
    config.limits.remoters = 4;
    config.timeouts.connect = Some(PATIENCE);
    config.timeouts.lifetime = Some(PATIENCE);
    config
}

/// Whether the process at the other end may have our sockets, or give us its.
fn is_trusted(remoter: &mut Remoter) -> bool {
    let own = nix::unistd::geteuid().as_raw();
    remoter.peer_credentials().is_ok_and(|peer| peer.uid == own || peer.uid == 0)
}

/// What the old process does: gives its sockets to who asks, and has its engines end when one confirms.
pub(super) struct Offer {
    sockets: Sockets,
    at: AcceptorId,
    /// Somebody has confirmed.
    given: bool,
}

impl Offer {
    /// Settings of its engine, and where it listens.
    pub(super) fn settings(path: &Path) -> (Config, Listen) {
        let mut listen = Listen::new(path);
        listen.file.mode = Some(0o600);
        listen.file.replace_stale = true;
        (config(), listen)
    }

    pub(super) fn new(sockets: Sockets, server: &Server) -> Option<Self> {
        let at = server.acceptors().next()?.id();
        Some(Offer { sockets, at, given: false })
    }
}

impl Service for Offer {
    fn opened(&mut self, session: &mut Session<'_>) {
        let held = if is_trusted(session) { self.sockets.held() } else { return session.abort() };
        let Some((greeting, files)) = held.ok().and_then(pack) else { return session.abort() };
        // Neither can fail on a new connection; where one did, the other side would say what is missing.
        let _ = session.tx_files(files);
        let _ = session.tx(&greeting);
    }

    fn received(&mut self, session: &mut Session<'_>) {
        if self.given || !READY.starts_with(session.rx()) {
            return session.abort();
        }
        if session.rx().len() < READY.len() {
            return;
        }
        self.given = true;
        session.take();
        let (id, at, sockets) = (session.id(), self.at, self.sockets.clone());
        session.later(move |server| {
            server.unlisten(at); // The path is free.
            let _ = server.tx(id, BYE);
        });
        session.later(move |server| {
            // Before the word is out, so that nobody hears it while these still accept for themselves alone.
            sockets.handed_over();
            server.service_sends();
            if let Some(remoter) = server.remoter_mut(id) {
                remoter.close();
            }
        });
    }
}

/// What is sent for these sockets; `None` where they are more than one message carries.
fn pack(held: Vec<Held>) -> Option<(Vec<u8>, Vec<std::os::fd::OwnedFd>)> {
    let count = u16::try_from(held.len()).ok().filter(|count| usize::from(*count) <= MAX_FILES)?;
    let mut text = GREETING.to_vec();
    text.extend(count.to_be_bytes());
    let mut files = Vec::new();
    for one in held {
        let (kind, name) = match &one.asked {
            Addr::Inet(addr) => (b'i', addr.to_string().into_bytes()),
            Addr::Path(path) => {
                (if one.owns_file { b'p' } else { b'q' }, path.as_os_str().as_bytes().to_vec())
            }
            Addr::Abstract(name) => (b'a', name.to_vec()),
            Addr::Unnamed => (b'u', Vec::new()),
        };
        text.push(kind);
        text.extend(u16::try_from(name.len()).ok()?.to_be_bytes());
        text.extend(name);
        files.push(one.socket);
    }
    Some((text, files))
}

/// What was asked for, of each socket, and whether its file goes with it; `None` while some of it is still to come.
fn unpack(mut data: Bytes) -> io::Result<Option<Vec<(Addr, bool)>>> {
    let wrong = || {
        io::Error::new(
            io::ErrorKind::InvalidData,
            "what listens there offers no sockets; is it another program, or another version?",
        )
    };
    let shown = data.len().min(GREETING.len());
    if data[..shown] != GREETING[..shown] {
        return Err(wrong());
    }
    if data.len() < GREETING.len() + 2 {
        return Ok(None);
    }
    data.advance(GREETING.len());
    let mut asked = Vec::new();
    for _ in 0..data.get_u16() {
        if data.len() < 3 {
            return Ok(None);
        }
        let (kind, len) = (data.get_u8(), usize::from(data.get_u16()));
        if data.len() < len {
            return Ok(None);
        }
        let name = data.split_to(len);
        let addr = match kind {
            b'i' => {
                let text = std::str::from_utf8(&name).map_err(|_| wrong())?;
                Addr::Inet(text.parse().map_err(|_| wrong())?)
            }
            b'p' | b'q' => PathBuf::from(std::ffi::OsString::from_vec(name.to_vec())).into(),
            b'a' => Addr::abstract_name(&name),
            b'u' => Addr::Unnamed,
            _ => return Err(wrong()),
        };
        asked.push((addr, kind == b'p'));
    }
    Ok(Some(asked))
}

/// The new process's connection to the old one.
pub(super) struct Heir {
    client: Client,
    over: Option<CloseReason>,
    /// Held until the other process has given them up.
    files: File,
}

impl Heir {
    /// Ticks until there is something new.
    fn turn(&mut self) {
        self.client.wait(None);
        self.client.service();
        while let Some(event) = self.client.poll_event() {
            match event {
                Event::Closed(_, reason) => self.over = Some(reason),
                Event::Eof(_) => self.over = Some(CloseReason::Eof),
                _ => {}
            }
        }
    }

    fn lost(&self) -> io::Result<()> {
        match self.over {
            Some(reason) => Err(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                format!("the process that offers its sockets went no further: {reason}"),
            )),
            None => Ok(()),
        }
    }
}

impl Inherited {
    /// Takes over the sockets that another process offers at this path ([`Manager::offer`](super::Manager::offer)): none where there is no such process. It
    /// goes on accepting until you [confirm](Inherited::confirm); if you never do, it was as if you had not been. Waits for the other process, which answers at
    /// once, for at most a minute. Feature `uds`.
    ///
    /// # Errors
    /// If something else is there, another user's process, or one that does not answer.
    pub fn take_over(path: impl AsRef<Path>) -> io::Result<Inherited> {
        let path = path.as_ref();
        let at =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        Self::take_over_at(path).map_err(at)
    }

    fn take_over_at(path: &Path) -> io::Result<Inherited> {
        let mut connect = Connect::new(path);
        connect.socket.files = MAX_FILES;
        let mut heir =
            Heir { client: Client::new(config(), connect), over: None, files: File::default() };
        heir.client.reopen().map_err(io::Error::other)?;
        loop {
            heir.turn();
            if let Some(CloseReason::Connect(cause)) = heir.over
                && matches!(
                    cause.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
                )
            {
                return Ok(Inherited::new());
            }
            let over = heir.lost();
            let Some(remoter) = heir.client.remoter_mut().filter(|it| it.can_receive()) else {
                over?;
                continue;
            };
            if !is_trusted(remoter) {
                let text = "another user's process offers its sockets there; run this one as the same user";
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
            }
            let Some(asked) = unpack(Bytes::copy_from_slice(remoter.rx()))? else {
                over?;
                continue;
            };
            remoter.take();
            let files = remoter.take_files();
            if files.len() != asked.len() {
                let text =
                    format!("{} sockets were to come, and {} have", asked.len(), files.len());
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
            let mut inherited = Inherited::new();
            heir.files.hold();
            for ((asked, is_owned), file) in asked.into_iter().zip(files) {
                let socket = if asked.inet().is_some() {
                    Listening::Tcp(file.into())
                } else {
                    // Until it has confirmed it is the other's; if it never does, for ever.
                    let own = is_owned.then(|| heir.files.clone());
                    Listening::Unix { socket: file.into(), file: own }
                };
                inherited.push_heirloom(Some(asked), socket)?;
            }
            inherited.heir = Some(Box::new(heir));
            return Ok(inherited);
        }
    }

    /// Says that this process serves now, and returns when the other has stopped accepting and has left the path; it may then still finish what it has begun.
    /// Does nothing where nothing was taken over. Feature `uds`.
    ///
    /// Whoever a manager [notifies](super::Manager::notify) is told then that this process is the main one and ready.
    ///
    /// # Errors
    /// If the other process has ended meanwhile, or has handed its sockets to another: whatever it is, it is not this process's doing. It waits for at most a
    /// minute since [`take_over`](Inherited::take_over): who confirms later gets `ConnectionAborted`, and the other process goes on as if nothing had been.
    /// If that one has died, these sockets may be the only ones that are left. Who goes on serving finds out by [`offer`](super::Manager::offer), which fails
    /// where another process offers still.
    pub fn confirm(&mut self) -> io::Result<()> {
        let Some(mut heir) = self.heir.take() else { return Ok(()) };
        let _ = heir.client.tx(READY);
        while heir.client.rx().len() < BYE.len() {
            heir.lost()?;
            heir.turn();
        }
        heir.files.release();
        #[cfg(feature = "systemd")]
        {
            let words = core::mem::take(
                &mut *self.words.lock().unwrap_or_else(std::sync::PoisonError::into_inner),
            );
            words.into_iter().for_each(|say| say());
        }
        Ok(())
    }
}
