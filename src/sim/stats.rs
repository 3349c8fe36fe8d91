//! Counters.

/// What a world has seen so far.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Turns that programs got.
    pub turns: u64,
    /// Calls through the seam, without harvests.
    pub calls: u64,
    /// Packets sent.
    pub packets: u64,
    /// Packets lost, for whatever reason.
    pub lost: u64,
    /// TCP segments with payload that arrived.
    pub segments: u64,
    /// TCP payload that arrived, in bytes.
    pub bytes: u64,
    /// Datagrams sent.
    pub grams: u64,
    /// Datagrams put into a socket's buffer.
    pub grams_delivered: u64,
    /// Connections begun.
    pub connections: u64,
    /// Connections accepted.
    pub accepted: u64,
    /// Handshakes that found the accept queue full.
    pub backlog_drops: u64,
    /// Times that an end tried again what had not got through.
    pub retries: u64,
    /// Faults that rules have put in.
    pub faults: u64,
    /// Partitions, crashes and other acts.
    pub acts: u64,
}
