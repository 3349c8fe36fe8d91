//! Errors that have no kind of their own in the standard library, told by their numbers: for those who must not name the operating system.

use std::io;

/// Whether the numbers are Linux's.
pub(crate) const LINUX: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// No such descriptor: the same on all Unix systems, as are the next two.
pub(crate) const EBADF: i32 = 9;
/// The system has no descriptors left.
pub(crate) const ENFILE: i32 = 23;
/// The process has no descriptors left.
pub(crate) const EMFILE: i32 = 24;

/// No socket: on Linux, and on the BSDs.
pub(crate) const ENOTSOCK: i32 = if LINUX { 88 } else { 38 };
/// No buffer space: on Linux, on other Unix systems, and on Windows (`WSAENOBUFS`).
pub(crate) const ENOBUFS: i32 = if LINUX {
    105
} else if cfg!(windows) {
    10_055
} else {
    55
};
/// Windows: the network dropped it, as after the last hop (`WSAENETRESET`).
pub(crate) const WSAENETRESET: i32 = 10_052;

/// What Linux passes on from the network below. Elsewhere these are other errors.
pub(crate) mod linux {
    /// The machine is not on the network.
    pub(crate) const ENONET: i32 = 64;
    /// Protocol error.
    pub(crate) const EPROTO: i32 = 71;
    /// No such option, or protocol.
    pub(crate) const ENOPROTOOPT: i32 = 92;
    /// Not supported.
    pub(crate) const EOPNOTSUPP: i32 = 95;
    /// The host is down.
    pub(crate) const EHOSTDOWN: i32 = 112;
}

/// Whether the socket itself is to blame.
pub(crate) fn is_dead_socket(error: &io::Error) -> bool {
    cfg!(unix) && matches!(error.raw_os_error(), Some(EBADF | ENOTSOCK))
}

/// Whether the network reports trouble with one peer.
pub(crate) fn is_peer_trouble(error: &io::Error) -> bool {
    use linux::{EHOSTDOWN, ENOPROTOOPT, EPROTO};
    LINUX && matches!(error.raw_os_error(), Some(EPROTO | ENOPROTOOPT | EHOSTDOWN))
}

/// Whether it is among what Linux's accept(2) passes on besides those.
pub(crate) fn is_passed_on_by_accept(error: &io::Error) -> bool {
    LINUX && matches!(error.raw_os_error(), Some(linux::ENONET | linux::EOPNOTSUPP))
}

/// Whether the system has no room for the moment.
pub(crate) fn is_no_buffers(error: &io::Error) -> bool {
    error.raw_os_error() == Some(ENOBUFS)
}

/// Whether an earlier datagram's time to live ran out, as Windows reports it.
pub(crate) fn is_net_reset(error: &io::Error) -> bool {
    cfg!(windows) && error.raw_os_error() == Some(WSAENETRESET)
}
