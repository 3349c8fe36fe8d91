//! Unix sockets: the only code that names rustix and nix.
//!
//! [`path`] decides whether a path may be bound and removes it again, [`stream`] and [`datagram`] are the sockets, [`rights`] moves descriptors.

mod datagram;
mod listener;
mod path;
mod rights;
mod stream;

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use socket2::{Domain, SockAddr, Socket, Type};

pub(super) use self::datagram::UnixDatagram;
pub(super) use self::listener::UnixListener;
pub(super) use self::stream::UnixStream;
use crate::net::Addr;

/// Whether this is an address of ours.
pub(super) fn is_unix(addr: &Addr) -> bool {
    !matches!(addr, Addr::Inet(_))
}

/// Bytes that an address holds, the terminating zero of a path included: 108 on Linux, 104 on the BSDs.
const SUN_PATH: usize =
    size_of::<libc::sockaddr_un>() - core::mem::offset_of!(libc::sockaddr_un, sun_path);

fn bad(kind: io::ErrorKind, text: String) -> io::Error {
    io::Error::new(kind, text)
}

/// A nonblocking socket.
fn socket(kind: Type) -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, kind, None)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// The address as the kernel wants it.
///
/// # Errors
/// One that says what is wrong: too long, empty, a zero byte inside, no name at all.
fn to_system(addr: &Addr) -> io::Result<SockAddr> {
    match addr {
        Addr::Path(path) => {
            let bytes = path.as_os_str().as_bytes();
            let (len, most) = (bytes.len(), SUN_PATH - 1);
            if len > most {
                return Err(bad(
                    io::ErrorKind::InvalidFilename,
                    format!("the path has {len} bytes; the address of a Unix socket holds {most}"),
                ));
            }
            if len == 0 || bytes.contains(&0) {
                let text = "the path of a Unix socket is not empty and has no zero byte";
                return Err(bad(io::ErrorKind::InvalidFilename, text.into()));
            }
            SockAddr::unix(path)
        }
        Addr::Abstract(name) if cfg!(any(target_os = "linux", target_os = "android")) => {
            let (len, most) = (name.len(), SUN_PATH - 1);
            if len > most || len == 0 {
                return Err(bad(
                    io::ErrorKind::InvalidFilename,
                    format!(
                        "the name has {len} bytes; the address of a Unix socket holds 1 to {most}"
                    ),
                ));
            }
            let mut bytes = vec![0];
            bytes.extend_from_slice(name);
            SockAddr::unix(Path::new(std::ffi::OsStr::from_bytes(&bytes)))
        }
        Addr::Abstract(_) => {
            Err(bad(io::ErrorKind::Unsupported, "abstract names are Linux's".into()))
        }
        Addr::Unnamed | Addr::Inet(_) => {
            Err(bad(io::ErrorKind::Unsupported, format!("{addr} is no name to bind or to reach")))
        }
    }
}

/// The address as the kernel gives it.
pub(crate) fn from_system(addr: &SockAddr) -> Addr {
    match (addr.as_pathname(), addr.as_abstract_namespace()) {
        (Some(path), _) => Addr::from(path),
        (_, Some(name)) => Addr::abstract_name(name),
        _ => Addr::Unnamed,
    }
}
