//! Where a connection is on its way.

use crate::config::{Config, TxFull};
use crate::error::CloseReason;
use crate::net::Stream;

/// Where a connection is on its way.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// To be connected: nothing is up yet, or nothing any more.
    Dialling,
    Handshaking,
    Live,
    /// Closing: what is queued still goes out, what comes in is thrown away.
    Flushing,
    /// Our end is sent; waiting for the peer's.
    Lingering,
    /// Released: no socket any more.
    Closed,
}

/// Whether our half has ended.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fin {
    No,
    /// As soon as all queued is out.
    Asked,
    Sent,
    /// Not in order: a reset comes in its place, as soon as all queued is out.
    Cut,
}

/// Whether it stays when its peer has ended its half.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum HalfOpen {
    No,
    Yes,
    /// It does, since a relay has joined it to another one. What has gone over is a part of something until both halves have ended in order: an end that is
    /// not is a reset, whoever makes it.
    Joined,
}

impl HalfOpen {
    pub(crate) fn of(yes: bool) -> Self {
        if yes { HalfOpen::Yes } else { HalfOpen::No }
    }

    /// Whether a full queue holds back who fills it, whatever is configured: what is passed on is whole.
    pub(crate) fn holds_back(self) -> bool {
        self == HalfOpen::Joined
    }
}

/// Whether a proxy stands between the peer and us.
#[cfg(feature = "proxy-protocol")]
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    Nobody,
    /// A proxy, which is to tell whom it is for: it counts to no address.
    Awaited,
    /// A proxy, which has told, and it is counted there.
    Admitted,
}

/// Whether it is in the line of connections that have something to do.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Queued {
    No,
    Waiting,
    /// Once more: it had its turn in the tick of `spent_at`.
    Again,
}

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, one byte")]
pub(crate) struct State {
    pub(crate) phase: Phase,
    #[cfg(feature = "proxy-protocol")]
    pub(crate) via: Via,
    /// Its transport came up.
    pub(crate) up: bool,
    /// It became usable at some time, and the caller was told.
    pub(crate) opened: bool,
    pub(crate) fin: Fin,
    pub(crate) reason: Option<CloseReason>,
    pub(crate) tx_full: TxFull,
    /// Latches: set by readiness, cleared by `WouldBlock`. `ending`: an end or an error is there.
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    pub(crate) ending: bool,
    /// The peer has ended its half, and whether that event was taken.
    pub(crate) eof: bool,
    pub(crate) eof_told: bool,
    /// It broke: what a read now says of an end is not the peer's word.
    pub(crate) eof_untrusted: bool,
    /// What comes in is thrown away (`shutdown_receive`).
    pub(crate) receive_shut: bool,
    pub(crate) half_open: HalfOpen,
    pub(crate) refreshable: bool,
    /// A read that fills less than its buffer has taken all there is.
    pub(crate) short_read_drains: bool,
    pub(crate) queued: Queued,
    /// In the list of connections that the caller has had in hand.
    pub(crate) touched: bool,
    /// A `Received` waits to be taken.
    pub(crate) received: bool,
    /// The stream keeps bytes back that are to go out.
    pub(crate) holding: bool,
    /// Something was left after a send, so that `Drained` is owed.
    pub(crate) backlogged: bool,
    /// A `Drained` is owed as soon as there is room, or waits to be taken.
    pub(crate) drained_owed: bool,
    /// The caller has changed its timeouts, or the address of its peer.
    pub(crate) changed: bool,
    /// The last turn, or what was done since, left the unread bytes at their cap.
    pub(crate) at_rx_cap: bool,
    /// To be released with `reason` at the next occasion, cutting what is queued.
    pub(crate) doomed: bool,
    /// A layer has given up, or never came to speak: `reason` stands, and what comes in is thrown away beneath it.
    pub(crate) broken_off: bool,
    /// Counted among the unfinished handshakes of its address. With `opened`: it is going over to TLS.
    pub(crate) shaking: bool,
    /// It keeps its place after its `Closed` was taken, until whoever reads from it lets go.
    pub(crate) kept: bool,
    /// The tick that `spent_in` and `spent_out` are about, and the bytes of budget spent in it.
    pub(crate) spent_at: u32,
    /// That a budget ran out was counted in that tick.
    pub(crate) exhausted: bool,
    pub(crate) spent_in: u32,
    pub(crate) spent_out: u32,
}

impl State {
    pub(super) fn new(config: &Config, stream: &dyn Stream) -> Self {
        State {
            phase: Phase::Handshaking,
            #[cfg(feature = "proxy-protocol")]
            via: Via::Nobody,
            up: true,
            opened: false,
            fin: Fin::No,
            reason: None,
            tx_full: config.tx_full,
            readable: false,
            writable: true,
            ending: false,
            eof: false,
            eof_told: false,
            eof_untrusted: false,
            receive_shut: false,
            half_open: HalfOpen::of(config.half_open),
            refreshable: config.refreshable,
            short_read_drains: stream.short_read_drains(),
            queued: Queued::No,
            touched: false,
            received: false,
            holding: false,
            backlogged: false,
            drained_owed: false,
            changed: false,
            at_rx_cap: false,
            doomed: false,
            broken_off: false,
            shaking: false,
            kept: false,
            spent_at: 0,
            exhausted: false,
            spent_in: 0,
            spent_out: 0,
        }
    }

    /// As it was before the connection that is over, but for what belongs to the caller and to the engine's lists.
    pub(crate) fn renew(&mut self) {
        self.up = false;
        self.opened = false;
        self.broken_off = false;
        self.shaking = false;
        self.reason = None;
        self.readable = false;
        self.writable = true;
        self.ending = false;
        self.holding = false;
        self.eof = false;
        self.eof_told = false;
        self.eof_untrusted = false;
        self.at_rx_cap = false;
    }
}
