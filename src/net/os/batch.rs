//! Several datagrams in one system call: `sendmmsg(2)`.

use std::io::{self, IoSlice};
use std::os::fd::AsFd;

use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny};

use super::options;
use crate::net::Addr;

/// Most datagrams of one call. More gain next to nothing, and what they are in must be set up on the stack.
const BATCH: usize = 16;

/// Sends the first of `grams`, which are not empty, and what else goes along with it.
pub(super) fn send(socket: &impl AsFd, grams: &[(&[u8], &Addr)]) -> io::Result<usize> {
    let mut to: [Option<SocketAddrAny>; BATCH] = [const { None }; BATCH];
    let mut count = 0;
    for ((_, addr), place) in grams.iter().zip(&mut to) {
        match options::inet(addr) {
            Ok(addr) => *place = Some(SocketAddrAny::from(addr)),
            // Its own call says what is wrong with it, once it is first.
            Err(error) if count == 0 => return Err(error),
            Err(_) => break,
        }
        count += 1;
    }
    let mut bufs = [IoSlice::new(&[]); BATCH];
    for ((data, _), place) in grams.iter().zip(&mut bufs) {
        *place = IoSlice::new(data);
    }
    let mut control: [_; BATCH] = core::array::from_fn(|_| SendAncillaryBuffer::default());
    let mut messages = Vec::with_capacity(count);
    for ((buf, to), control) in bufs.iter().zip(to.iter().flatten()).zip(&mut control) {
        messages.push(MMsgHdr::new_with_addr(to, core::slice::from_ref(buf), control));
    }
    Ok(rustix::net::sendmmsg(socket, &mut messages, SendFlags::empty())?)
}
