//! Numbers of errors that have no kind of their own in the standard library, for those who must tell them apart without naming the operating system.

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
