//! The places of a connection's deadlines.

use super::Remoter;
use crate::tyme::Tyme;

/// What a deadline is about, and at which place it stands.
#[derive(Copy, Clone)]
pub(crate) enum Slot {
    Handshake,
    FirstByte,
    Idle,
    Lifetime,
    WriteStall,
    Linger,
    Rate,
    Connect,
    /// The wait before the next address or the next round of a dialled connection.
    Dial,
}

pub(crate) const SLOTS: usize = 9;

impl Slot {
    /// All of them, in the order of their places.
    pub(crate) const ALL: [Slot; SLOTS] = [
        Slot::Handshake,
        Slot::FirstByte,
        Slot::Idle,
        Slot::Lifetime,
        Slot::WriteStall,
        Slot::Linger,
        Slot::Rate,
        Slot::Connect,
        Slot::Dial,
    ];
}

/// The numbers alone; the engine sees to the wheel.
impl Remoter {
    pub(crate) fn is_armed(&self, slot: Slot) -> bool {
        self.deadlines[slot as usize] != Tyme::NEVER
    }

    pub(crate) fn disarm(&mut self, slot: Slot) {
        self.deadlines[slot as usize] = Tyme::NEVER;
    }

    pub(crate) fn disarm_all(&mut self) {
        self.deadlines = [Tyme::NEVER; SLOTS];
    }

    /// Disarms those that watch over what moves.
    pub(crate) fn disarm_traffic(&mut self) {
        for slot in [Slot::FirstByte, Slot::Idle, Slot::WriteStall, Slot::Rate] {
            self.disarm(slot);
        }
    }
}
