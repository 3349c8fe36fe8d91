//! Whether a wait looks for a moment before it sleeps, learned from what it costs.
//!
//! To sleep until a message comes may cost more than to look for it: the core goes idle and must be woken, its caches have gone cold, and the peer waits for
//! all that. How much more depends on the machine and on the peer, so it is measured: a run of waits that sleep, then one of waits that look, each by the
//! thread's CPU time for what got done. Who looks goes on as long as that takes less. A try that does not pay is over once it has taken what sleeping would
//! have, and the next one is twice as far away. So where looking does not pay it costs some thousandths, and a wait that is not soon followed by another
//! one never looks at all.

use core::time::Duration;

use crate::tyme::{Tyme, nanos};

/// A wait is short if the next one begins within so many times what a look may take: asleep, it has the wake-ups of both sides in it.
const REACH: u64 = 3;
/// Short waits in a row before the first look after one that was not.
const SHY: u32 = 8;
/// Short waits that are measured together, and the least that must have come in by then: what else wakes an engine says nothing about the cost of that.
const WINDOW: u32 = 128;
const CALLS: u64 = 32;
/// Looks before those that are measured: both sides get used to the pace.
const WARM: u32 = 16;
/// Looks that find nothing, in one window, after which it is not worth going on.
const VAIN: u32 = 8;
/// Windows in a row that cost more than sleeping; a single one, or what it is cut into, may be somebody else's doing.
const DEAR: u32 = 3;
/// Windows of looking before what sleeping costs is measured again.
const RUN: u32 = 64;
/// Short waits without a try after one that failed, at first and at most.
const REST: u32 = 256;
const REST_MOST: u32 = 65_536;
/// The longest look, whatever is asked for.
const LONGEST: u64 = 1_000_000;

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

    /// What was done since `earlier`. An engine that went to another thread in between has a wrong time in that window.
    fn since(self, earlier: Sample) -> Self {
        Sample {
            cpu: self.cpu.saturating_sub(earlier.cpu),
            work: Work {
                calls: self.work.calls.saturating_sub(earlier.work.calls),
                bytes: self.work.bytes.saturating_sub(earlier.work.bytes),
            },
        }
    }

    /// Whether each call took less.
    fn takes_less_for_a_call(self, other: Sample) -> bool {
        u128::from(self.cpu) * u128::from(other.work.calls)
            < u128::from(other.cpu) * u128::from(self.work.calls)
    }

    /// Whether it took clearly less, an eighth at least, for each call, and for each byte: who looks takes what comes in smaller pieces. Who
    /// got nothing done never did.
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
    /// The time of all looks in the window.
    spent: u64,
    /// Where the window began.
    began: Sample,
    /// What the last window of sleeping took, and what is held against looking: the cheaper one of the last two. In one of them there may have been
    /// requests that were dear for other reasons, maybe on purpose.
    slept: Sample,
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
            spent: 0,
            began: Sample::default(),
            slept: Sample::default(),
            asleep: Sample::default(),
        }
    }

    /// How long the wait that begins now is to look first, at most `most`; zero: not at all. `measure` is asked once a window; where it says nothing, nobody
    /// looks.
    #[inline]
    pub(crate) fn begin(
        &mut self,
        now: Tyme,
        most: Duration,
        measure: impl FnOnce() -> Option<Sample>,
    ) -> Duration {
        let since = now.as_nanos().saturating_sub(self.last.as_nanos());
        self.last = now;
        let most = nanos(most).min(LONGEST);
        if since > most * REACH || most == 0 {
            self.shy = SHY;
        }
        if core::mem::take(&mut self.looked) {
            self.looked_for(since, most);
        }
        if self.shy > 0 {
            self.shy -= 1;
            return Duration::ZERO;
        }
        self.left -= 1;
        if self.left == 0 {
            self.turn_over(measure());
        }
        self.looked = matches!(self.phase, Phase::Warming | Phase::Looking);
        if self.looked { Duration::from_nanos(most) } else { Duration::ZERO }
    }

    /// Takes note of how a look went.
    #[inline(never)]
    fn looked_for(&mut self, since: u64, most: u64) {
        self.vain += u32::from(since > most);
        self.spent += since.min(most);
        if self.vain == VAIN {
            self.give_up();
        } else if self.spent > self.asleep.cpu {
            self.left = 1; // Sleeping takes no more for all of the window.
        }
    }

    /// The phase, or its window, is over.
    #[inline(never)]
    fn turn_over(&mut self, sample: Option<Sample>) {
        let Some(sample) = sample else {
            (self.phase, self.left) = (Phase::Resting, REST_MOST);
            return;
        };
        let took = sample.since(self.began);
        let overspent = self.spent > self.asleep.cpu;
        (self.began, self.vain, self.spent) = (sample, 0, 0);
        match self.phase {
            Phase::Resting => (self.phase, self.left) = (Phase::Asleep, WINDOW),
            Phase::Asleep => {
                let before = core::mem::replace(&mut self.slept, took);
                if took.work.calls < CALLS {
                    return self.give_up();
                }
                let was_less = before.work.calls >= CALLS && before.takes_less_for_a_call(took);
                self.asleep = if was_less { before } else { took };
                (self.phase, self.left) = (Phase::Warming, WARM);
            }
            Phase::Warming if overspent => self.give_up(),
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
        self.rest = (self.rest * 2).min(REST_MOST);
    }
}

#[cfg(test)]
mod tests;
