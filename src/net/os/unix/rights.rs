//! Descriptors beside the bytes (`SCM_RIGHTS`).

use core::mem::MaybeUninit;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::cmsg_space;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrAny, SocketAddrUnix, recvmsg, sendmsg, sendmsg_addr,
};

use crate::net::MAX_FILES;

/// Room for as many as one message can carry.
const SPACE: usize = cmsg_space!(ScmRights(MAX_FILES));

/// No SIGPIPE, which would end a process whose main program is not Rust's. Elsewhere sockets are made so.
pub(super) fn quiet() -> SendFlags {
    #[cfg(any(
        target_os = "linux",
        target_os = "android",
        target_os = "freebsd",
        target_os = "netbsd",
        target_os = "openbsd",
        target_os = "dragonfly"
    ))]
    return SendFlags::NOSIGNAL;
    #[allow(unreachable_code, reason = "the systems not named above")]
    SendFlags::empty()
}

/// Sends with descriptors.
pub(super) fn send(
    socket: impl AsFd,
    bufs: &[IoSlice<'_>],
    to: Option<&SocketAddrUnix>,
    files: &[OwnedFd],
) -> io::Result<usize> {
    let files: Vec<BorrowedFd<'_>> = files.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); SPACE];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !files.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&files)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let sent = match to {
        Some(to) => sendmsg_addr(socket, to, bufs, &mut control, quiet()),
        None => sendmsg(socket, bufs, &mut control, quiet()),
    };
    Ok(sent?)
}

/// What a receive brought, besides the bytes.
pub(super) struct Received {
    pub(super) len: usize,
    pub(super) truncated: bool,
    pub(super) from: Option<SocketAddrAny>,
    /// Descriptors closed because they were more than `limit`, or than fit.
    pub(super) dropped: u64,
}

/// Receives, and puts up to `limit` descriptors in all into `files`; the rest are closed.
pub(super) fn receive(
    socket: impl AsFd,
    buf: &mut [u8],
    files: &mut Vec<OwnedFd>,
    limit: usize,
) -> io::Result<Received> {
    let mut space = [MaybeUninit::uninit(); SPACE];
    // Without room the kernel closes them all itself.
    let room = if limit == 0 { &mut space[..0] } else { &mut space[..] };
    let mut control = RecvAncillaryBuffer::new(room);
    let got = recvmsg(socket, &mut [IoSliceMut::new(buf)], &mut control, close_on_exec())?;
    let mut dropped = u64::from(got.flags.contains(ReturnFlags::CTRUNC));
    for message in control.drain() {
        let RecvAncillaryMessage::ScmRights(rights) = message else { continue };
        for file in rights {
            if files.len() < limit && kept_from_children(&file) {
                files.push(file);
            } else {
                dropped += 1;
            }
        }
    }
    let truncated = got.flags.contains(ReturnFlags::TRUNC);
    Ok(Received { len: got.bytes.min(buf.len()), truncated, from: got.address, dropped })
}

/// Programs that are started meanwhile do not inherit what comes in.
#[cfg(not(target_vendor = "apple"))]
fn close_on_exec() -> RecvFlags {
    RecvFlags::CMSG_CLOEXEC
}

#[cfg(not(target_vendor = "apple"))]
fn kept_from_children(_: &OwnedFd) -> bool {
    true
}

#[cfg(target_vendor = "apple")]
fn close_on_exec() -> RecvFlags {
    RecvFlags::empty()
}

#[cfg(target_vendor = "apple")]
fn kept_from_children(file: &OwnedFd) -> bool {
    rustix::io::fcntl_setfd(file, rustix::io::FdFlags::CLOEXEC).is_ok()
}
