//! Room to send, watched for only while there is none.
//!
//! Linux tells of room whenever some of what was sent has left a datagram socket, or was taken by the peer of a Unix socket: who watched for it all the
//! time would be woken twice for each message. (Of a TCP socket it tells only where there was none.)

use std::io;

use mio::event::Source;

use crate::net::Token;

/// What a socket is registered as, and for what.
pub(super) struct Room {
    token: Option<mio::Token>,
    watched: bool,
}

impl Room {
    /// Of a socket that can be sent to from the first moment on.
    pub(super) const fn given() -> Self {
        Room { token: None, watched: false }
    }

    /// Of a socket that is to report once that it can be sent to, as those that were dialled do.
    #[cfg(all(unix, feature = "uds"))]
    pub(super) const fn awaited() -> Self {
        Room { token: None, watched: true }
    }

    fn interest(&self) -> mio::Interest {
        let news = mio::Interest::READABLE;
        if self.watched { news | mio::Interest::WRITABLE } else { news }
    }

    /// Registers the socket.
    pub(super) fn register(
        &mut self,
        socket: &mut impl Source,
        registry: &mio::Registry,
        token: Token,
    ) -> io::Result<()> {
        let token = *self.token.insert(mio::Token(token.0));
        registry.register(socket, token, self.interest())
    }

    /// Takes note of how a call to send went.
    #[inline]
    pub(super) fn after<T>(
        &mut self,
        socket: &mut impl Source,
        registry: &mio::Registry,
        result: io::Result<T>,
    ) -> io::Result<T> {
        let full = matches!(&result, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        let Some(token) = self.token else { return result };
        if full == self.watched || (result.is_err() && !full) {
            return result;
        }
        self.watched = full;
        match registry.reregister(socket, token, self.interest()) {
            // Nothing would tell of the room.
            Err(_) if full => {
                self.watched = false;
                Err(io::ErrorKind::OutOfMemory.into())
            }
            _ => result, // At the worst one is woken more often than need be.
        }
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test says so by failing")]
mod tests {
    use core::time::Duration;

    use super::*;

    struct Bed {
        poll: mio::Poll,
        socket: mio::net::UdpSocket,
        room: Room,
    }

    impl Bed {
        fn new() -> Self {
            let poll = mio::Poll::new().expect("a poller");
            let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
            let socket = mio::net::UdpSocket::bind(any).expect("a port");
            Bed { poll, socket, room: Room::given() }
        }

        fn register(&mut self) {
            let Bed { poll, socket, room } = self;
            room.register(socket, poll.registry(), Token(7)).expect("a place");
        }

        /// On the loopback there always is room, so it is said that there was none.
        fn full(&mut self) -> io::ErrorKind {
            let Bed { poll, socket, room } = self;
            let none: io::Result<()> = Err(io::ErrorKind::WouldBlock.into());
            let after = room.after(socket, poll.registry(), none);
            after.expect_err("it failed before").kind()
        }

        fn send(&mut self) {
            let Bed { poll, socket, room } = self;
            let sent = socket.send_to(b"", socket.local_addr().expect("an address"));
            room.after(socket, poll.registry(), sent).expect("room");
        }

        /// Whether room is reported.
        fn is_told(&mut self) -> bool {
            let mut events = mio::Events::with_capacity(8);
            self.poll.poll(&mut events, Some(Duration::ZERO)).expect("a poller");
            events.iter().any(mio::event::Event::is_writable)
        }
    }

    #[test]
    fn room_is_watched_for_while_there_is_none() {
        let mut bed = Bed::new();
        assert_eq!(bed.full(), io::ErrorKind::WouldBlock, "nobody would be told, and nobody asked");
        bed.register();
        assert!(!bed.is_told());
        for _ in 0..2 {
            assert_eq!(bed.full(), io::ErrorKind::WouldBlock);
            assert!(bed.is_told());
            bed.send();
            bed.is_told();
            bed.send();
            assert!(!bed.is_told());
        }
    }

    /// As where the poller has no memory: nobody must wait for word that never comes.
    #[test]
    fn room_that_cannot_be_watched_for_is_an_error_to_try_again_after() {
        let mut bed = Bed::new();
        bed.register();
        bed.poll.registry().deregister(&mut bed.socket).expect("it is there");
        assert_eq!(bed.full(), io::ErrorKind::OutOfMemory);
        assert_eq!(bed.full(), io::ErrorKind::OutOfMemory, "and tried anew each time");
    }
}
