//! Errors as Linux numbers them.

use core::fmt;
use std::io;

macro_rules! errnos {
    ($($(#[$doc:meta])* $name:ident = $number:literal $text:literal $kind:ident;)+) => {
        /// An error number of Linux, under its own name (see `errno(3)`).
        ///
        /// On Linux [`error`](Errno::error) gives the very `io::Error` that the system call would give; elsewhere one of the
        /// same [`ErrorKind`](io::ErrorKind).
        #[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Errno {
            $($(#[$doc])* $name = $number,)+
        }

        impl Errno {
            /// All of them.
            pub const ALL: &[Errno] = &[$(Errno::$name,)+];

            /// Its name in C.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Errno::$name => $text,)+ }
            }

            pub(crate) const fn kind(self) -> io::ErrorKind {
                match self { $(Errno::$name => io::ErrorKind::$kind,)+ }
            }
        }
    };
}

errnos! {
    /// Not permitted; from a send: the receiver is connected to another.
    Eperm = 1 "EPERM" PermissionDenied;
    /// No such file.
    Enoent = 2 "ENOENT" NotFound;
    /// Interrupted by a signal.
    Eintr = 4 "EINTR" Interrupted;
    /// Input/output error.
    Eio = 5 "EIO" Other;
    /// No such descriptor.
    Ebadf = 9 "EBADF" Other;
    /// Try again: nothing there, or no room.
    Eagain = 11 "EAGAIN" WouldBlock;
    /// Out of memory.
    Enomem = 12 "ENOMEM" OutOfMemory;
    /// Permission denied.
    Eacces = 13 "EACCES" PermissionDenied;
    /// There is a file already.
    Eexist = 17 "EEXIST" AlreadyExists;
    /// No such interface.
    Enodev = 19 "ENODEV" Other;
    /// Invalid argument; from `accept`: the socket does not listen (any more).
    Einval = 22 "EINVAL" InvalidInput;
    /// The system has no descriptors left.
    Enfile = 23 "ENFILE" Other;
    /// The process has no descriptors left.
    Emfile = 24 "EMFILE" Other;
    /// Wrote to a connection that is closed.
    Epipe = 32 "EPIPE" BrokenPipe;
    /// The name of a Unix socket does not fit into its address, or is none.
    Enametoolong = 36 "ENAMETOOLONG" InvalidFilename;
    /// Protocol error.
    Eproto = 71 "EPROTO" Other;
    /// The datagram is too long.
    Emsgsize = 90 "EMSGSIZE" Other;
    /// A Unix socket of another type has that name.
    Eprototype = 91 "EPROTOTYPE" Other;
    /// No such option.
    Enoprotoopt = 92 "ENOPROTOOPT" Other;
    /// Not supported.
    Eopnotsupp = 95 "EOPNOTSUPP" Unsupported;
    /// An address of another family than the socket's.
    Eafnosupport = 97 "EAFNOSUPPORT" Other;
    /// The address is taken.
    Eaddrinuse = 98 "EADDRINUSE" AddrInUse;
    /// The address is none of this host's, or no port is left.
    Eaddrnotavail = 99 "EADDRNOTAVAIL" AddrNotAvailable;
    /// The network is down.
    Enetdown = 100 "ENETDOWN" NetworkDown;
    /// No route for addresses of this family.
    Enetunreach = 101 "ENETUNREACH" NetworkUnreachable;
    /// The network was down for a time, and with it the connection.
    Enetreset = 102 "ENETRESET" Other;
    /// The connection was given up before it was accepted.
    Econnaborted = 103 "ECONNABORTED" ConnectionAborted;
    /// The peer reset the connection.
    Econnreset = 104 "ECONNRESET" ConnectionReset;
    /// No buffer space.
    Enobufs = 105 "ENOBUFS" Other;
    /// Not connected.
    Enotconn = 107 "ENOTCONN" NotConnected;
    /// The peer did not answer.
    Etimedout = 110 "ETIMEDOUT" TimedOut;
    /// Nobody listens there.
    Econnrefused = 111 "ECONNREFUSED" ConnectionRefused;
    /// The host is down.
    Ehostdown = 112 "EHOSTDOWN" Other;
    /// No route to the host.
    Ehostunreach = 113 "EHOSTUNREACH" HostUnreachable;
}

/// Linux on all processors but those few where it took over the numbers of an older Unix.
const LINUX_NUMBERS: bool = cfg!(all(
    any(target_os = "linux", target_os = "android"),
    not(any(
        target_arch = "mips",
        target_arch = "mips64",
        target_arch = "sparc",
        target_arch = "sparc64"
    ))
));

impl Errno {
    /// Its number on Linux.
    #[must_use]
    pub const fn number(self) -> i32 {
        self as i32
    }

    /// The one with this number on Linux.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Errno> {
        Self::ALL.iter().copied().find(|errno| errno.number() == number)
    }

    /// The error that a call returns.
    #[must_use]
    pub fn error(self) -> io::Error {
        if LINUX_NUMBERS {
            io::Error::from_raw_os_error(self.number())
        } else {
            io::Error::new(self.kind(), self.name())
        }
    }
}

/// `ECONNRESET`.
impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl From<Errno> for io::Error {
    fn from(errno: Errno) -> io::Error {
        errno.error()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn kinds_are_those_that_linux_gives() {
        for &errno in Errno::ALL {
            let real = errno.error().kind();
            let ours = errno.kind();
            // `Other` stands for kinds that std does not name (yet).
            assert!(real == ours || ours == io::ErrorKind::Other, "{errno}: {real:?}, {ours:?}");
            assert_eq!(errno.error().raw_os_error(), Some(errno.number()));
            assert_eq!(Errno::from_number(errno.number()), Some(errno));
        }
    }
}
