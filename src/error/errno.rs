//! Errors that have no [`ErrorKind`](std::io::ErrorKind) of their own, told by their numbers. The crates that have names for these are for `net/os` alone.

use std::io;

/// Whether the socket itself is to blame: EBADF; ENOTSOCK of Linux and of the BSDs.
pub(crate) fn is_dead_socket(error: &io::Error) -> bool {
    cfg!(unix) && matches!(error.raw_os_error(), Some(9 | 38 | 88))
}

/// Whether the network reports trouble with one peer: EPROTO, ENOPROTOOPT, EHOSTDOWN.
pub(crate) fn is_peer_trouble(error: &io::Error) -> bool {
    cfg!(target_os = "linux") && matches!(error.raw_os_error(), Some(71 | 92 | 112))
}

/// Whether it is among what Linux's accept(2) passes on besides those: ENONET, EOPNOTSUPP.
pub(crate) fn is_passed_on_by_accept(error: &io::Error) -> bool {
    cfg!(target_os = "linux") && matches!(error.raw_os_error(), Some(64 | 95))
}

/// Whether the system has no room for the moment: ENOBUFS, WSAENOBUFS.
pub(crate) fn is_no_buffers(error: &io::Error) -> bool {
    let number = if cfg!(target_os = "linux") {
        105
    } else if cfg!(windows) {
        10_055
    } else {
        55
    };
    error.raw_os_error() == Some(number)
}

/// Whether an earlier datagram's time to live ran out, as Windows reports it: WSAENETRESET.
pub(crate) fn is_net_reset(error: &io::Error) -> bool {
    cfg!(windows) && error.raw_os_error() == Some(10_052)
}
