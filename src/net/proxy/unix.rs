//! Names of Unix sockets as a header holds them: a `sun_path` of 108 bytes, on all systems.

use std::path::Path;

use crate::net::Addr;

/// Bytes of one name.
pub(super) const UNIX_LEN: usize = 108;

/// The name in those bytes: a path up to the first zero, or, behind a zero, one of Linux's abstract space.
pub(super) fn read(bytes: &[u8]) -> Addr {
    let trimmed = |bytes: &[u8]| bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
    match bytes.split_first() {
        Some((0, rest)) => match trimmed(rest) {
            0 => Addr::Unnamed,
            len => Addr::abstract_name(&rest[..len]),
        },
        _ => {
            let len = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
            path(&bytes[..len]).map_or(Addr::Unnamed, Addr::from)
        }
    }
}

/// The bytes of that name; `None` for one that has none, or too many.
pub(super) fn write(addr: &Addr) -> Option<Vec<u8>> {
    let mut bytes = match addr {
        Addr::Path(path) => path.as_os_str().as_encoded_bytes().to_vec(),
        Addr::Abstract(name) => [&[0], &**name].concat(),
        Addr::Unnamed => Vec::new(),
        Addr::Inet(_) => return None,
    };
    if bytes.len() > UNIX_LEN {
        return None;
    }
    bytes.resize(UNIX_LEN, 0);
    Some(bytes)
}

#[cfg(unix)]
fn path(bytes: &[u8]) -> Option<&Path> {
    use std::os::unix::ffi::OsStrExt;
    Some(Path::new(std::ffi::OsStr::from_bytes(bytes)))
}

#[cfg(not(unix))]
fn path(bytes: &[u8]) -> Option<&Path> {
    core::str::from_utf8(bytes).ok().map(Path::new)
}
