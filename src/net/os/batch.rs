//! Several datagrams in one system call: `recvmmsg(2)` and `sendmmsg(2)`.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};

use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, SockaddrIn6, SockaddrLike, recvmmsg};
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny};

use super::options;
use crate::net::{Addr, Gram};

/// Most datagrams of one call. More gain next to nothing, and what they are in must be set up on the stack.
const BATCH: usize = 8;

/// Sends the first of `grams`, which are not empty, and what else goes along with it.
pub(super) fn send(socket: &impl AsFd, grams: &[(&[u8], &Addr)]) -> io::Result<usize> {
    let place = |at: usize| grams.get(at).map(|(_, to)| options::inet(to)).transpose();
    // What is wrong with a later one its own call says, once it is first.
    let first = place(0)?;
    let to: [Option<SocketAddrAny>; BATCH] = core::array::from_fn(|at| {
        let to = if at == 0 { first } else { place(at).ok().flatten() };
        to.map(SocketAddrAny::from)
    });
    let bufs: [IoSlice<'_>; BATCH] =
        core::array::from_fn(|at| IoSlice::new(grams.get(at).map_or(&[], |(data, _)| data)));
    let mut control: [_; BATCH] = core::array::from_fn(|_| SendAncillaryBuffer::default());
    let mut messages = Vec::with_capacity(grams.len().min(BATCH));
    for ((buf, to), control) in
        bufs.iter().zip(to.iter().map_while(Option::as_ref)).zip(&mut control)
    {
        messages.push(MMsgHdr::new_with_addr(to, core::slice::from_ref(buf), control));
    }
    Ok(rustix::net::sendmmsg(socket, &mut messages, SendFlags::empty())?)
}

/// Receives the next datagrams of a socket of IPv6, or IPv4, each into the buffer at its place: one at least, and as many more as there are. Returns whether
/// there were fewer than buffers.
pub(super) fn receive(
    socket: &impl AsRawFd,
    v6: bool,
    bufs: &mut [&mut [u8]],
    grams: &mut Vec<Gram>,
) -> io::Result<bool> {
    if v6 {
        receive_from(socket, bufs, grams, |from: SockaddrIn6| SocketAddr::V6(from.into()))
    } else {
        receive_from(socket, bufs, grams, |from: SockaddrIn| SocketAddr::V4(from.into()))
    }
}

fn receive_from<S: SockaddrLike + Copy>(
    socket: &impl AsRawFd,
    bufs: &mut [&mut [u8]],
    grams: &mut Vec<Gram>,
    addr: impl Fn(S) -> SocketAddr,
) -> io::Result<bool> {
    let most = bufs.len().min(BATCH);
    let before = grams.len();
    // Pointers that no other thread may have are in it, so it is of this call.
    let mut headers = MultiHeaders::<S>::preallocate(most, None);
    let mut bufs = bufs.iter_mut();
    let mut places: [[IoSliceMut<'_>; 1]; BATCH] =
        core::array::from_fn(|_| [IoSliceMut::new(bufs.next().map_or(&mut [], |buf| *buf))]);
    let got = recvmmsg(socket.as_raw_fd(), &mut headers, &mut places, MsgFlags::empty(), None)?;
    grams.extend(got.map(|message| Gram {
        len: message.bytes,
        truncated: message.flags.contains(MsgFlags::MSG_TRUNC),
        from: message.address.map_or(Addr::Unnamed, |from| addr(from).into()),
    }));
    Ok(grams.len() - before < most)
}
