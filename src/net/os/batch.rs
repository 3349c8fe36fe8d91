//! Several datagrams in one system call: `recvmmsg(2)` and `sendmmsg(2)`.

use std::cell::RefCell;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::thread::LocalKey;

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
    let count = to.iter().take_while(|to| to.is_some()).count();
    let mut places = to.iter().zip(&bufs);
    let mut messages = control.each_mut().map(|control| match places.next() {
        Some((Some(to), buf)) => MMsgHdr::new_with_addr(to, core::slice::from_ref(buf), control),
        _ => MMsgHdr::new(&[], control),
    });
    Ok(rustix::net::sendmmsg(socket, &mut messages[..count], SendFlags::empty())?)
}

thread_local! {
    // They cannot go along with a socket to another thread, and to make them for each call is felt.
    static V4: RefCell<MultiHeaders<SockaddrIn>> = RefCell::new(headers());
    static V6: RefCell<MultiHeaders<SockaddrIn6>> = RefCell::new(headers());
}

fn headers<S: SockaddrLike + Copy>() -> MultiHeaders<S> {
    MultiHeaders::preallocate(BATCH, None)
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
        receive_by(&V6, |from| SocketAddr::V6(from.into()), socket, bufs, grams)
    } else {
        receive_by(&V4, |from| SocketAddr::V4(from.into()), socket, bufs, grams)
    }
}

fn receive_by<S: SockaddrLike + Copy>(
    kept: &'static LocalKey<RefCell<MultiHeaders<S>>>,
    addr: impl Fn(S) -> SocketAddr,
    socket: &impl AsRawFd,
    bufs: &mut [&mut [u8]],
    grams: &mut Vec<Gram>,
) -> io::Result<bool> {
    let (most, before) = (bufs.len().min(BATCH), grams.len());
    let mut receive = |headers: &mut MultiHeaders<S>| {
        let mut bufs = bufs.iter_mut();
        let mut places: [[IoSliceMut<'_>; 1]; BATCH] =
            core::array::from_fn(|_| [IoSliceMut::new(bufs.next().map_or(&mut [], |buf| *buf))]);
        let (socket, flags) = (socket.as_raw_fd(), MsgFlags::empty());
        let got = recvmmsg(socket, headers, &mut places[..most], flags, None)?;
        grams.extend(got.map(|message| Gram {
            len: message.bytes,
            truncated: message.flags.contains(MsgFlags::MSG_TRUNC),
            from: message.address.map_or(Addr::Unnamed, |from| addr(from).into()),
        }));
        io::Result::Ok(())
    };
    // A thread that is about to end may have let go of them.
    kept.try_with(|kept| receive(&mut kept.borrow_mut()))
        .unwrap_or_else(|_| receive(&mut headers()))?;
    Ok(grams.len() - before < most)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test says so by failing")]
mod tests {
    use mio::net::UdpSocket;

    use super::*;

    /// Receives with so many buffers, of five bytes; what came, by its first byte and its length, and whether that was known to be all.
    fn received(socket: &UdpSocket, bufs: usize) -> (Vec<(u8, usize, bool)>, bool) {
        let mut bufs = vec![[0; 5]; bufs];
        let mut places: Vec<&mut [u8]> = bufs.iter_mut().map(|buf| &mut buf[..]).collect();
        let mut grams = Vec::new();
        let all = receive(socket, false, &mut places, &mut grams).unwrap();
        let own = socket.local_addr().unwrap();
        assert!(grams.iter().all(|gram| gram.from == own.into()));
        let heads = grams.iter().zip(&bufs).map(|(gram, buf)| (buf[0], gram.len, gram.truncated));
        (heads.collect(), all)
    }

    #[test]
    fn as_many_come_as_there_are_buffers_and_it_is_known_when_there_were_fewer() {
        let socket = UdpSocket::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let own = socket.local_addr().unwrap();
        for len in [1, 2, 3, 4, 5, 6, 7, 1, 2, 3] {
            socket.send_to(&vec![len; len.into()], own).unwrap();
        }
        let whole = |len: u8| (len, usize::from(len), false);
        assert_eq!(received(&socket, 3), (vec![whole(1), whole(2), whole(3)], false));
        let cut = [(6, 5, true), (7, 5, true)];
        assert_eq!(
            received(&socket, 4),
            ([vec![whole(4), whole(5)], cut.to_vec()].concat(), false)
        );
        assert_eq!(received(&socket, 4), (vec![whole(1), whole(2), whole(3)], true));
        for _ in 0..=BATCH {
            socket.send_to(&[9], own).unwrap();
        }
        assert_eq!(received(&socket, BATCH + 5), (vec![(9, 1, false); BATCH], false));
        assert_eq!(received(&socket, BATCH + 5), (vec![(9, 1, false)], true));
    }
}
