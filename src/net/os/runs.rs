//! Runs of datagrams that go through the kernel as one (`UDP_SEGMENT` of `udp(7)`): for the same receiver, of the same length but
//! for the last one, which may be shorter. To sockets they are as if they had been sent one by one; who captures or filters packets on
//! the machine sees one.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::OnceLock;

use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessage, MsgFlags, SockaddrIn, SockaddrIn6, getsockopt, sendmsg, sockopt,
};
use rustix::system::uname;

use crate::net::Addr;

/// Most datagrams of a run. They arrive all at once: while a longer one is made, a peer that has so many under way would have nothing to do.
const RUN: usize = 4;
/// The longest datagrams of a run, which as a whole must be no longer than a packet may be.
const LONGEST: u16 = 16_000;
/// After so many sends what the kernel has refused is tried again.
const AGAIN: u32 = 1024;

pub(super) type Grams<'a> = [(&'a [u8], &'a Addr)];

/// Datagrams that can be sent as one: two at least.
pub(super) struct Run<'a, 'b> {
    grams: &'a Grams<'b>,
    size: u16,
    to: SocketAddr,
}

/// What is known of the runs that can be sent by a socket.
pub(super) struct Runs {
    /// The longest datagrams of runs that the kernel may take, and of those that it has not refused lately. It does not take those that the path carries as
    /// fragments only, and none where neither it nor the interface sums them up.
    most: u16,
    longest: u16,
    /// Sends until that may have been about another path.
    left: u32,
}

impl Runs {
    pub(super) fn of(socket: &impl AsFd) -> Self {
        static TAKEN: OnceLock<bool> = OnceLock::new();
        let taken = *TAKEN.get_or_init(|| {
            let asked = || getsockopt(socket, sockopt::UdpGsoSegment).is_ok();
            knows_runs(&uname().release().to_string_lossy()) && asked()
        });
        Runs::new(if taken { LONGEST } else { 0 })
    }

    const fn new(most: u16) -> Self {
        Runs { most, longest: most, left: 0 }
    }

    /// Sends the first of `grams`, which are not empty, and what else goes along with it: by `send_run`, if they begin with a run, or else by `send_each`.
    #[inline]
    pub(super) fn send(
        &mut self,
        grams: &Grams<'_>,
        send_run: impl FnOnce(&Run<'_, '_>) -> Result<(), Errno>,
        send_each: impl FnOnce(&Grams<'_>) -> io::Result<usize>,
    ) -> io::Result<usize> {
        if self.longest < self.most {
            self.left -= 1;
            if self.left == 0 {
                self.longest = self.most;
            }
        }
        let Some(run) = self.first(grams) else { return send_each(grams) };
        match send_run(&run) {
            Ok(()) => Ok(run.grams.len()),
            Err(Errno::EAGAIN) => Err(io::ErrorKind::WouldBlock.into()),
            // If it is not about the run, it is said again of the first one alone.
            Err(error) => send_each(run.grams).inspect(|_| self.refused(run.size, error)),
        }
    }

    /// The run that they begin with.
    fn first<'a, 'b>(&self, grams: &'a Grams<'b>) -> Option<Run<'a, 'b>> {
        let [(first, to), rest @ ..] = grams else { return None };
        let (next, _) = rest.first().filter(|(_, other)| other == to)?;
        let size = u16::try_from(first.len()).ok().filter(|size| *size <= self.longest)?;
        // An empty one would be lost at its end.
        if next.is_empty() || next.len() > first.len() {
            return None;
        }
        let whole = |(data, other): &&(&[u8], &Addr)| data.len() == first.len() && other == to;
        let mut count = 1 + rest.iter().take(RUN - 1).take_while(whole).count();
        if let Some((data, other)) = grams.get(count).filter(|_| count < RUN) {
            count += usize::from((1..first.len()).contains(&data.len()) && other == to);
        }
        Some(Run { grams: &grams[..count], size, to: to.inet()? })
    }

    /// What the kernel did not take as a run it took one by one.
    fn refused(&mut self, size: u16, error: Errno) {
        self.longest = match error {
            Errno::EINVAL | Errno::EMSGSIZE => size - 1,
            Errno::EIO | Errno::EOPNOTSUPP => 0,
            _ => return,
        };
        self.left = AGAIN;
    }
}

/// Whether this release of Linux knows runs: 4.18 does. An older one would take no note, and send all of a run as one datagram.
fn knows_runs(release: &str) -> bool {
    let mut numbers = release.split(|other: char| !other.is_ascii_digit());
    let mut number = || numbers.next().and_then(|number| number.parse::<u32>().ok());
    number().zip(number()).is_some_and(|version| version >= (4, 18))
}

impl Run<'_, '_> {
    /// By a socket that is not connected.
    pub(super) fn send(&self, socket: &impl AsRawFd) -> Result<(), Errno> {
        let bufs: [IoSlice<'_>; RUN] = core::array::from_fn(|at| {
            IoSlice::new(self.grams.get(at).map_or(&[], |(data, _)| data))
        });
        let bufs = &bufs[..self.grams.len()];
        let control = [ControlMessage::UdpGsoSegments(&self.size)];
        let (socket, flags) = (socket.as_raw_fd(), MsgFlags::empty());
        match self.to {
            SocketAddr::V4(to) => {
                sendmsg(socket, bufs, &control, flags, Some(&SockaddrIn::from(to)))?
            }
            SocketAddr::V6(to) => {
                sendmsg(socket, bufs, &control, flags, Some(&SockaddrIn6::from(to)))?
            }
        };
        Ok(())
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test says so by failing")]
mod tests {
    use super::*;

    /// To one of several receivers, so many bytes each.
    fn first_run(longest: u16, grams: &[(usize, u16)]) -> usize {
        let bytes = vec![0; 70_000];
        let addrs: Vec<Addr> = grams
            .iter()
            .map(|(_, port)| SocketAddr::from(([127, 0, 0, 1], *port)).into())
            .collect();
        let grams: Vec<_> =
            grams.iter().zip(&addrs).map(|((len, _), to)| (&bytes[..*len], to)).collect();
        Runs::new(longest).first(&grams).map_or(0, |run| {
            assert_eq!(usize::from(run.size), grams[0].0.len());
            run.grams.len()
        })
    }

    #[test]
    fn a_run_is_for_one_receiver_and_of_one_length_but_for_its_end() {
        let run = |grams: &[(usize, u16)]| first_run(LONGEST, grams);
        assert_eq!(run(&[]), 0);
        assert_eq!(run(&[(9, 1)]), 0);
        assert_eq!(run(&[(9, 1), (9, 1)]), 2);
        assert_eq!(run(&[(9, 1), (9, 2)]), 0);
        assert_eq!(run(&[(9, 1), (9, 1), (9, 2), (9, 1)]), 2);
        assert_eq!(run(&[(9, 1), (9, 1), (8, 2), (9, 1)]), 2);
        assert_eq!(run(&[(9, 1), (8, 1), (9, 1)]), 2, "a shorter one ends it");
        assert_eq!(run(&[(9, 1), (8, 1), (8, 1)]), 2);
        assert_eq!(run(&[(9, 1), (9, 1), (9, 1), (1, 1), (9, 1)]), 4);
        assert_eq!(run(&[(9, 1), (10, 1)]), 0, "a longer one is none of it");
        assert_eq!(run(&[(9, 1), (9, 1), (10, 1)]), 2);
        assert_eq!(run(&[(9, 1); 8]), RUN);
        assert_eq!(run(&[(9, 1), (9, 1), (9, 1), (9, 1), (8, 1)]), RUN);
        assert_eq!(run(&[(9, 1), (0, 1)]), 0, "an empty one would be lost");
        assert_eq!(run(&[(9, 1), (9, 1), (0, 1)]), 2);
        assert_eq!(run(&[(0, 1), (0, 1)]), 0);
        let longest = usize::from(LONGEST);
        assert_eq!(run(&[(longest, 1), (longest, 1)]), 2);
        assert_eq!(run(&[(longest + 1, 1), (longest + 1, 1)]), 0);
        assert_eq!(run(&[(66_000, 1), (66_000, 1)]), 0);
        assert_eq!(first_run(0, &[(1, 1), (1, 1)]), 0);
    }

    const OTHERWISE: Errno = Errno::ENETUNREACH;

    /// Two of ten bytes, where the kernel says this to runs, and to others; and what becomes of the longest.
    fn told(run: Errno, each: io::Result<usize>) -> (io::Result<usize>, u16) {
        let to = Addr::from(SocketAddr::from(([127, 0, 0, 1], 1)));
        let mut runs = Runs::new(LONGEST);
        let sent = runs.send(&[(&[7; 10], &to), (&[8; 10], &to)], |_| Err(run), |_| each);
        (sent, runs.longest)
    }

    #[test]
    fn a_run_that_is_refused_goes_one_by_one_and_no_such_run_is_tried_again() {
        for (error, longest) in
            [(Errno::EINVAL, 9), (Errno::EMSGSIZE, 9), (Errno::EIO, 0), (Errno::EOPNOTSUPP, 0)]
        {
            let (sent, left) = told(error, Ok(1));
            assert_eq!((sent.expect("it goes"), left), (1, longest), "{error}");
        }
        let (sent, left) = told(OTHERWISE, Ok(2));
        assert_eq!((sent.expect("it goes"), left), (2, LONGEST), "not about runs");
    }

    #[test]
    fn what_is_not_about_the_run_is_said_of_the_first_datagram() {
        let (sent, left) = told(Errno::EINVAL, Err(io::ErrorKind::PermissionDenied.into()));
        assert_eq!(sent.expect_err("it fails").kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(left, LONGEST);
    }

    #[test]
    fn no_room_for_a_run_is_no_room() {
        let (sent, left) = told(Errno::EAGAIN, Ok(1));
        assert_eq!(sent.expect_err("no room").kind(), io::ErrorKind::WouldBlock);
        assert_eq!(left, LONGEST);
    }

    #[test]
    fn what_was_refused_is_tried_again_much_later() {
        let to = Addr::from(SocketAddr::from(([127, 0, 0, 1], 1)));
        let grams: [(&[u8], &Addr); 2] = [(&[7; 10], &to), (&[8; 10], &to)];
        let mut runs = Runs::new(LONGEST);
        let mut tried = Vec::new();
        for nth in 0..=2 * AGAIN {
            let refused = |_: &Run<'_, '_>| {
                tried.push(nth);
                Err(Errno::EIO)
            };
            assert_eq!(runs.send(&grams, refused, |grams| Ok(grams.len())).expect("it goes"), 2);
        }
        assert_eq!(tried, [0, AGAIN, 2 * AGAIN]);
    }

    #[test]
    fn a_kernel_that_does_not_know_runs_is_given_none() {
        for release in ["4.18.0", "4.18", "4.19.7-generic", "5.4.0-42", "6.18.44-fc", "10.0"] {
            assert!(knows_runs(release), "{release}");
        }
        for release in
            ["4.17.99", "3.10.0-1160.el7", "2.6.32", "4.4.0-19041-Microsoft", "", "x", "5"]
        {
            assert!(!knows_runs(release), "{release}");
        }
        let to = Addr::from(SocketAddr::from(([127, 0, 0, 1], 1)));
        let mut runs = Runs::new(0);
        for _ in 0..2 * AGAIN {
            let never = |_: &Run<'_, '_>| panic!("it would be sent as one datagram");
            assert_eq!(
                runs.send(&[(b"1", &to), (b"2", &to)], never, |_| Ok(2)).expect("it goes"),
                2
            );
        }
    }
}
