//! Binding to a path: what is there is looked at first, and afterwards only our own file is removed.

use core::sync::atomic::{AtomicUsize, Ordering};
use std::fs::{self, Metadata};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use socket2::{SockAddr, Socket, Type};

use super::{bad, socket, to_system};
use crate::net::{Addr, SocketFile};

/// How often another is waited for who looks at what is in the same directory, which takes some microseconds.
#[cfg(not(target_os = "solaris"))]
const LOCK_TRIES: usize = 1000;

/// A socket's file; removed with it.
///
/// It must be dropped before its socket is: as long as that is open, the kernel gives the file's number to no other.
#[derive(Debug)]
pub(super) struct Bound {
    /// Absolute, so that a change of directory does not mislead.
    path: PathBuf,
    inode: (u64, u64),
    /// It is another's by now.
    left: bool,
    /// How many have it, this one among them: the last one removes it.
    holds: Option<Arc<AtomicUsize>>,
}

impl Bound {
    /// Lets it stay.
    pub(super) fn leave(mut self) {
        self.left = true;
    }

    /// Lets it stay where others hold it still when its time comes.
    pub(super) fn unless(mut self, holds: Arc<AtomicUsize>) -> Self {
        holds.fetch_add(1, Ordering::AcqRel);
        self.holds = Some(holds);
        self
    }
}

/// The file of a socket that was bound elsewhere, if it has one.
pub(super) fn found(addr: &Addr) -> Option<Bound> {
    let Addr::Path(path) = addr else { return None };
    let meta = look(path).ok().flatten()?;
    let path = std::path::absolute(path).ok()?;
    Some(Bound { path, inode: inode(&meta), left: false, holds: None })
}

fn inode(meta: &Metadata) -> (u64, u64) {
    (meta.dev(), meta.ino())
}

impl Drop for Bound {
    fn drop(&mut self) {
        let held =
            self.holds.as_ref().is_some_and(|holds| holds.fetch_sub(1, Ordering::AcqRel) > 1);
        if self.left || held {
            return;
        }
        let ours = fs::symlink_metadata(&self.path).is_ok_and(|meta| inode(&meta) == self.inode);
        if ours {
            // Where it fails nobody is left to tell; the next to bind finds a dead file.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Binds to a path or an abstract name; what is to be removed later.
///
/// # Errors
/// `InvalidFilename` for what is no address, `IsADirectory`, `AlreadyExists` for what is no socket and for a dead socket that is not to be
/// replaced, `AddrInUse` where a live one is; otherwise what the system says.
pub(super) fn bind(socket: &Socket, addr: &Addr, file: SocketFile) -> io::Result<Option<Bound>> {
    let to = to_system(addr)?;
    let Addr::Path(path) = addr else {
        socket.bind(&to)?;
        return Ok(None);
    };
    restrict(socket, file)?;
    let absolute = std::path::absolute(path)?;
    match socket.bind(&to) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            bind_anew(socket, &to, path, addr, file)?;
        }
        bound => bound?,
    }
    let meta = fs::symlink_metadata(path)?;
    let bound = Bound { path: absolute, inode: inode(&meta), left: false, holds: None };
    if let Some(mode) = file.mode
        && meta.mode() & 0o777 != mode & 0o777
    {
        fs::set_permissions(&bound.path, fs::Permissions::from_mode(mode & 0o777))?;
    }
    Ok(Some(bound))
}

/// On Linux the file gets no more permissions than the socket itself has, so that nobody slips in between `bind` and `chmod`.
/// Elsewhere a stream socket is safe all the same, as it does not listen yet.
fn restrict(socket: &Socket, file: SocketFile) -> io::Result<()> {
    if let Some(mode) = file.mode.filter(|_| cfg!(any(target_os = "linux", target_os = "android")))
    {
        // Cannot be cut: permission bits are nine.
        #[allow(clippy::cast_possible_truncation, reason = "16 bits where it is not 32")]
        let mode = rustix::fs::Mode::from_raw_mode((mode & 0o777) as rustix::fs::RawMode);
        rustix::fs::fchmod(socket.as_fd(), mode)?;
    }
    Ok(())
}

/// Binds where something is, in its place if it is a dead socket's file, or says what is there.
fn bind_anew(
    socket: &Socket,
    to: &SockAddr,
    path: &Path,
    addr: &Addr,
    file: SocketFile,
) -> io::Result<()> {
    let _alone = if file.replace_stale { alone_in(path) } else { None };
    if let Some(found) = look(path)? {
        // Whoever has made that file is bound to it once the kernel says no: it does both before it lets the next one into the directory.
        if socket.bind(to).is_ok() {
            return Ok(());
        }
        clear_the_way(path, &found, addr, file)?;
    }
    socket.bind(to).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => bad(error.kind(), format!("{addr} was just taken by another")),
        _ => error,
    })
}

/// Removes what was found at `path`, or says what it is.
fn clear_the_way(path: &Path, found: &Metadata, addr: &Addr, file: SocketFile) -> io::Result<()> {
    if found.is_dir() {
        return Err(bad(io::ErrorKind::IsADirectory, format!("{addr} is a directory")));
    }
    if !found.file_type().is_socket() {
        let text = format!("{addr} is there and is no socket; it was left alone");
        return Err(bad(io::ErrorKind::AlreadyExists, text));
    }
    if is_live(addr)? {
        return Err(bad(io::ErrorKind::AddrInUse, format!("{addr} belongs to a live socket")));
    }
    if !file.replace_stale {
        let text = format!(
            "{addr} was left behind by a dead server; SocketFile::replace_stale replaces it"
        );
        return Err(bad(io::ErrorKind::AlreadyExists, text));
    }
    // Another server may have come since: what was not seen dead is not removed. Numbers are given again.
    let changed = |meta: &Metadata| (meta.ctime(), meta.ctime_nsec());
    match look(path)? {
        Some(now) if inode(&now) == inode(found) && changed(&now) == changed(found) => {
            fs::remove_file(path)
        }
        _ => Ok(()),
    }
}

/// Keeps others who do as we do out of the directory, as long as it is kept: several servers may want to replace the same dead one, and between a look and
/// the removal the file could become a live one's. Whoever may not read the directory goes without, and so do those who do not get it soon, since anybody who
/// may read it could hold it for ever.
#[cfg(not(target_os = "solaris"))]
fn alone_in(path: &Path) -> Option<fs::File> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let dir = fs::File::open(parent.unwrap_or(Path::new("."))).ok()?;
    let is_ours = || {
        std::thread::yield_now();
        rustix::fs::flock(&dir, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_ok()
    };
    (0..LOCK_TRIES).any(|_| is_ours()).then_some(dir)
}

#[cfg(target_os = "solaris")]
fn alone_in(_: &Path) -> Option<fs::File> {
    None // It has no such lock.
}

fn look(path: &Path) -> io::Result<Option<Metadata>> {
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether some process has a socket bound there; where that cannot be seen, it counts as live.
///
/// Asked with a datagram socket, whatever the other is: a live stream socket then says `EPROTOTYPE`, also in the moment before it
/// listens, and no connection that nobody wants ends in its queue.
fn is_live(addr: &Addr) -> io::Result<bool> {
    let probe = socket(Type::DGRAM)?;
    Ok(match probe.connect(&to_system(addr)?) {
        Ok(()) => true,
        Err(error) => {
            !matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound)
        }
    })
}
