//! Whether a wait looks for a moment before it sleeps, learned from what it costs.
//!
//! To sleep until a message comes may cost more than to look for it: the core goes idle and must be woken, its caches have gone cold, and the peer waits for
//! all that. How much more depends on the machine and on the peer, so it is measured: a run of waits that sleep, then one of waits that look, each by the
//! thread's CPU time for what got done. Who looks goes on as long as that takes less; where it does not, the next try is four times as far away. So looking
//! costs no CPU time in the long run, and a wait that is not soon followed by another one never looks at all.

use core::time::Duration;

use crate::tyme::{Tyme, nanos};

/// A wait is short if the next one begins within so many times what a look may take: asleep, it has the wake-ups of both sides in it.
const REACH: u64 = 3;
/// Short waits in a row before the first look after one that was not.
const SHY: u32 = 8;
/// Short waits that are measured together.
const WINDOW: u32 = 128;
/// Looks before those that are measured: both sides get used to the pace.
const WARM: u32 = 16;
/// Looks that find nothing, in one window, after which it is not worth going on.
const VAIN: u32 = 8;
/// Windows in a row that cost more than sleeping; a single one may be somebody else's doing.
const DEAR: u32 = 2;
/// Windows of looking before what sleeping costs is measured again.
const RUN: u32 = 64;
/// Short waits without a try after one that failed, at first and at most.
const REST: u32 = 256;
const REST_MOST: u32 = 65_536;

/// What an engine has got done.
#[derive(Copy, Clone, Debug, Default)]
pub(crate) struct Work {
    /// Reads, or datagrams.
    pub(crate) calls: u64,
    /// Bytes received.
    pub(crate) bytes: u64,
}

/// And the CPU time of its thread by then.
#[derive(Copy, Clone, Debug, Default)]
pub(crate) struct Sample {
    cpu: u64,
    work: Work,
}

impl Sample {
    pub(crate) fn new(cpu: Duration, work: Work) -> Self {
        Sample { cpu: nanos(cpu), work }
    }

    /// What was done since `earlier`. An engine that went to another thread in between has a wrong time once.
    fn since(self, earlier: Sample) -> Self {
        Sample {
            cpu: self.cpu.saturating_sub(earlier.cpu),
            work: Work {
                calls: self.work.calls.saturating_sub(earlier.work.calls),
                bytes: self.work.bytes.saturating_sub(earlier.work.bytes),
            },
        }
    }

    /// Whether it took clearly less, an eighth at least, for each call, and for each byte: who looks takes what comes in smaller pieces.
    fn is_cheaper_than(self, other: Sample) -> bool {
        let less = |mine: u64, others: u64| {
            let (mine, others) = (u128::from(mine), u128::from(others));
            u128::from(self.cpu) * others * 8 < u128::from(other.cpu) * mine * 7
        };
        less(self.work.calls, other.work.calls) && less(self.work.bytes, other.work.bytes)
    }
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Phase {
    /// Sleeps, and is not measured.
    Resting,
    /// Sleeps, and is measured.
    Asleep,
    /// Looks, and is not measured.
    Warming,
    /// Looks, and is measured.
    Looking,
}

/// One engine's waits.
#[derive(Debug)]
pub(crate) struct Spin {
    /// When the last wait began, and whether it was to look.
    last: Tyme,
    looked: bool,
    phase: Phase,
    /// Short waits until the phase, or its window, is over.
    left: u32,
    shy: u32,
    /// The next rest.
    rest: u32,
    vain: u32,
    dear: u32,
    windows: u32,
    /// Where the window began.
    began: Sample,
    /// What one of sleeping took.
    asleep: Sample,
}

impl Spin {
    pub(crate) fn new() -> Self {
        Spin {
            last: Tyme::ZERO,
            looked: false,
            phase: Phase::Resting,
            left: 1,
            shy: SHY,
            rest: REST,
            vain: 0,
            dear: 0,
            windows: 0,
            began: Sample::default(),
            asleep: Sample::default(),
        }
    }

    /// Whether the wait that begins now is to look first, for at most `most`. `measure` is asked once a window; where it says nothing, nobody looks.
    #[inline]
    pub(crate) fn begin(
        &mut self,
        now: Tyme,
        most: Duration,
        measure: impl FnOnce() -> Option<Sample>,
    ) -> bool {
        let since = now.as_nanos().saturating_sub(self.last.as_nanos());
        self.last = now;
        let most = nanos(most);
        if since > most.saturating_mul(REACH) || most == 0 {
            self.shy = SHY;
        }
        let vain = core::mem::take(&mut self.looked) && since > most;
        if vain && self.is_in_vain() {
            return false;
        }
        if self.shy > 0 {
            self.shy -= 1;
            return false;
        }
        self.left -= 1;
        if self.left == 0 {
            self.turn_over(measure());
        }
        self.looked = matches!(self.phase, Phase::Warming | Phase::Looking);
        self.looked
    }

    /// Counts one that found nothing; whether it was one too many.
    #[inline(never)]
    fn is_in_vain(&mut self) -> bool {
        self.vain += 1;
        let gives_up = self.vain == VAIN;
        if gives_up {
            self.give_up();
        }
        gives_up
    }

    /// The phase, or its window, is over.
    #[inline(never)]
    fn turn_over(&mut self, sample: Option<Sample>) {
        let Some(sample) = sample else {
            (self.phase, self.left) = (Phase::Resting, REST_MOST);
            return;
        };
        let took = sample.since(self.began);
        (self.began, self.vain) = (sample, 0);
        match self.phase {
            Phase::Resting => (self.phase, self.left) = (Phase::Asleep, WINDOW),
            Phase::Asleep => {
                self.asleep = took;
                (self.phase, self.left) = (Phase::Warming, WARM);
            }
            Phase::Warming => {
                (self.phase, self.left) = (Phase::Looking, WINDOW);
                (self.dear, self.windows) = (0, 0);
            }
            Phase::Looking => {
                self.left = WINDOW;
                self.windows += 1;
                let pays = took.is_cheaper_than(self.asleep);
                if pays {
                    self.dear = 0;
                    self.rest = (self.rest / 2).max(REST);
                } else {
                    self.dear += 1;
                }
                // The first window is to say it at once.
                if self.dear == DEAR || (!pays && self.windows == 1) {
                    self.give_up();
                } else if self.windows == RUN {
                    self.phase = Phase::Asleep;
                }
            }
        }
    }

    fn give_up(&mut self) {
        (self.phase, self.left) = (Phase::Resting, self.rest);
        self.rest = self.rest.saturating_mul(4).min(REST_MOST);
        self.vain = 0;
    }
}

#[cfg(test)]
mod tests;
