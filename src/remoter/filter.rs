//! Bytes on their way through a service's filters.
//!
//! What came in, and what was queued, since the filters last looked are the *last* bytes of their queues. So two numbers say which they are; they are taken
//! out, shown, and put back, and all else (caps, sums, ends) goes by the queues as ever. Nobody else ever puts bytes behind them: the network does so only in
//! a tick, and the filters look before each one and after.
//!
//! Who takes bytes before they were shown may put them back: until its connection's next event `raw_in` counts them as well, and is more than there is.

use bytes::{Bytes, BytesMut};

use super::{Phase, Remoter};

/// A count as a connection keeps it. More than there can be is as good as all.
fn small(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl Remoter {
    pub(crate) fn note_raw_in(&mut self, count: usize) {
        self.raw_in = self.raw_in.saturating_add(small(count));
    }

    pub(super) fn note_raw_out(&mut self, count: usize) {
        self.raw_out = self.raw_out.saturating_add(small(count));
    }

    /// So many bytes were dropped from the front: those do not come back.
    pub(super) fn consume_raw_in(&mut self, count: usize) {
        let left = small(self.rx.len());
        let taken = self.raw_in.saturating_sub(left.saturating_add(small(count)));
        self.raw_in = self.raw_in.min(left.saturating_add(taken));
    }

    /// So many bytes are put back in front. More than were taken before they were shown are something else, and none of the raw ones.
    pub(super) fn put_back_raw_in(&mut self, count: usize) {
        let left = small(self.rx.len());
        if small(count) > self.raw_in.saturating_sub(left) {
            self.raw_in = self.raw_in.min(left);
        }
    }

    /// Whether something is queued that no filter has seen.
    pub(crate) fn has_raw_out(&self) -> bool {
        self.raw_out > 0 && !self.tx.is_empty()
    }

    /// Takes out what came in and no filter has seen; put it back by [`put_in`](Remoter::put_in).
    pub(crate) fn take_raw_in(&mut self) -> Option<BytesMut> {
        let raw = core::mem::take(&mut self.raw_in);
        if raw == 0 || self.rx.is_empty() {
            return None;
        }
        let data = self.rx.take_last(raw as usize);
        self.shared.sub(data.len());
        Some(data)
    }

    /// What came in is as good as shown: there is no filter.
    pub(crate) fn pass_raw_in(&mut self) {
        self.raw_in = 0;
    }

    /// Puts in what a filter made of it. There may be more of it than the cap allows, which the next bytes then wait for.
    pub(crate) fn put_in(&mut self, data: BytesMut) {
        if !data.is_empty() {
            self.shared.add(data.len());
            self.rx.push_back(data);
            self.note_rx_cap();
        }
    }

    /// Puts it in as it was, still to be shown; where it goes over to TLS by now it is as good as unread then.
    pub(crate) fn put_back(&mut self, data: Option<BytesMut>) {
        if let Some(data) = data {
            #[cfg(feature = "tls")]
            if self.is_upgrading() {
                return self.put_ahead(&data);
            }
            self.note_raw_in(data.len());
            self.put_in(data);
        }
    }

    /// Takes out what is queued and no filter has seen; put it back by [`put_out`](Remoter::put_out).
    pub(crate) fn take_raw_out(&mut self, pieces: &mut Vec<Bytes>) {
        let raw = core::mem::take(&mut self.raw_out);
        if raw > 0 {
            let before = self.tx.len();
            self.tx.take_last(raw as usize, pieces);
            self.shared.sub(before - self.tx.len());
        }
    }

    /// Queues what a filter made of it, whatever the cap.
    pub(crate) fn put_out(&mut self, data: Bytes) {
        if self.state.phase != Phase::Closed {
            self.shared.add(data.len());
            self.tx.push_bytes(data);
        }
    }
}
