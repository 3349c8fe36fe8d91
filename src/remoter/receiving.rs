//! What came in, and what is done with it.

use bytes::Bytes;

use super::{Phase, Remoter, cap};

/// # Receiving
///
/// What came in is in one queue: look at it, then drop or take as much of it as you have used. What you leave stays, and comes in front of what comes next.
impl Remoter {
    /// The bytes that came in and were not taken yet, as one slice.
    #[must_use]
    pub fn rx(&self) -> &[u8] {
        self.rx.as_slice()
    }

    /// Drops the first `count` unread bytes (at most all); returns how many. O(1).
    pub fn consume(&mut self, count: usize) -> usize {
        let count = self.rx.consume(count);
        self.shared.sub(count);
        self.consume_raw_in(count);
        count
    }

    /// Takes all unread bytes, without copying them.
    #[inline]
    pub fn take(&mut self) -> Bytes {
        self.shared.sub(self.rx.len());
        self.rx.take()
    }

    /// Takes the first `count` unread bytes (at most all), without copying them.
    pub fn take_first(&mut self, count: usize) -> Bytes {
        let bytes = self.rx.take_first(count);
        self.shared.sub(bytes.len());
        bytes
    }

    /// Puts bytes back in front of the unread ones, as after looking too far ahead. They count against the cap again, and may exceed it.
    /// Copies what is unread unless that is nothing. Those of a connection that has closed go with it, like all that is unread then.
    ///
    /// Of a connection that is going over to TLS it would be plaintext that looks protected: that ends the connection.
    pub fn unread(&mut self, data: Bytes) {
        self.put_back_raw_in(data.len());
        #[cfg(feature = "tls")]
        if self.is_upgrading() && !data.is_empty() {
            return self.refuse_plaintext();
        }
        self.shared.add(data.len());
        self.rx.push_front(data);
        self.note_rx_cap();
    }

    /// Whether more can still come in: the peer has not ended its half, and you have not closed this one.
    #[must_use]
    pub fn may_receive(&self) -> bool {
        self.state.phase == Phase::Live
            && !self.state.eof
            && !self.state.receive_shut
            && !self.is_upgrading()
    }

    /// Whether there are unread bytes.
    #[must_use]
    pub fn can_receive(&self) -> bool {
        !self.rx.is_empty()
    }

    /// Whether the peer has ended its half.
    #[must_use]
    pub fn is_eof(&self) -> bool {
        self.state.eof
    }

    /// Changes the cap of unread bytes of this connection; at least 1, at most 4 GiB.
    pub fn set_rx_limit(&mut self, bytes: usize) {
        self.rx_limit = cap(bytes);
        self.note_rx_cap();
    }

    /// The next turn begins at the cap, whatever has brought it there.
    pub(super) fn note_rx_cap(&mut self) {
        self.state.at_rx_cap = self.rx.len() >= self.rx_limit();
    }

    pub(crate) fn rx_limit(&self) -> usize {
        self.rx_limit as usize
    }
}
