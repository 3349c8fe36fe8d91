//! Runs of datagrams that go through the kernel as one (`UDP_SEGMENT` of `udp(7)`): for the same receiver, of the same length but for the last one, which may be
//! shorter. They leave, and arrive, as if they had been sent one by one.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrIn, SockaddrIn6, sendmsg};

use super::batch;
use crate::net::Addr;

/// Most datagrams of a run. They arrive all at once: while a longer one is made, a peer that has so many under way would have nothing to do.
const RUN: usize = 4;
/// The longest datagrams of a run, which as a whole must be no longer than a packet may be.
const LONGEST: u16 = 16_000;

type Grams<'a> = [(&'a [u8], &'a Addr)];

/// What is known of the runs that can be sent by a socket. It must not be connected.
pub(super) struct Runs {
    /// The longest datagrams of runs that the kernel has not refused. It does not take those that the path carries as fragments only, and none where neither
    /// it nor the interface sums them up.
    longest: u16,
}

impl Runs {
    pub(super) const fn new() -> Self {
        Runs { longest: LONGEST }
    }

    /// Sends the first of `grams`, which are not empty, and what else goes along with it.
    pub(super) fn send(
        &mut self,
        socket: &(impl AsFd + AsRawFd),
        grams: &Grams<'_>,
    ) -> io::Result<usize> {
        let Some(run) = self.first(grams) else {
            return batch::send(socket, grams);
        };
        match run.send(socket) {
            Ok(()) => Ok(run.grams.len()),
            Err(Errno::EAGAIN) => Err(io::ErrorKind::WouldBlock.into()),
            // If it is not about the run, it is said again of the first one alone.
            Err(error) => batch::send(socket, run.grams).inspect(|_| self.refused(&run, error)),
        }
    }

    /// The run that they begin with.
    fn first<'a, 'b>(&self, grams: &'a Grams<'b>) -> Option<Run<'a, 'b>> {
        let [(first, to), rest @ ..] = grams else { return None };
        let size =
            u16::try_from(first.len()).ok().filter(|size| (1..=self.longest).contains(size))?;
        // An empty one would be lost at the end.
        let fits = |&&(data, other): &&(&[u8], &Addr)| {
            (1..=first.len()).contains(&data.len()) && other == *to
        };
        let rest = &rest[..rest.len().min(RUN - 1)];
        let same = rest.iter().take_while(fits).count();
        let whole = rest[..same].iter().take_while(|(data, _)| data.len() == first.len()).count();
        let count = 1 + same.min(whole + 1);
        let to = to.inet()?;
        (count > 1).then_some(Run { grams: &grams[..count], size, to })
    }

    /// What the kernel did not take as a run it took one by one.
    fn refused(&mut self, run: &Run<'_, '_>, error: Errno) {
        match error {
            Errno::EINVAL | Errno::EMSGSIZE => self.longest = run.size - 1,
            Errno::EIO | Errno::EOPNOTSUPP => self.longest = 0,
            _ => {}
        }
    }
}

struct Run<'a, 'b> {
    grams: &'a Grams<'b>,
    size: u16,
    to: SocketAddr,
}

impl Run<'_, '_> {
    fn send(&self, socket: &impl AsRawFd) -> Result<(), Errno> {
        let bufs: [IoSlice<'_>; RUN] = core::array::from_fn(|at| {
            IoSlice::new(self.grams.get(at).map_or(&[], |(data, _)| data))
        });
        let bufs = &bufs[..self.grams.len()];
        let control = [ControlMessage::UdpGsoSegments(&self.size)];
        let (socket, flags) = (socket.as_raw_fd(), MsgFlags::empty());
        match self.to {
            SocketAddr::V4(to) => {
                sendmsg(socket, bufs, &control, flags, Some(&SockaddrIn::from(to)))
            }
            SocketAddr::V6(to) => {
                sendmsg(socket, bufs, &control, flags, Some(&SockaddrIn6::from(to)))
            }
        }
        .map(|_| ())
    }
}
