//! How many reports one harvest takes.

use core::time::Duration;

use crate::tyme::Tyme;

/// At most so many in one system call; more wait in the kernel for the next one. 12 KiB.
pub(super) const MANY: usize = 1024;
/// For who is back at once.
pub(super) const FEW: usize = 64;
/// Who is back in this time and as much for each report of the last harvest is back at once. A read, an answer and what the kernel does for them take about
/// half of that; and a loop of a thousand ticks a second is slower.
const AT_ONCE: Duration = Duration::from_micros(200);
const PER_REPORT: Duration = Duration::from_micros(8);

/// Who is back at once gets few: what is read is then still in the processor's caches, the kernel's part of it too, when it is answered, and its peers
/// begin on their answers while the next ones are read. Who has a frame to draw between two ticks gets many, or it would fall behind.
#[derive(Debug, Default)]
pub(super) struct Portion {
    /// When the last harvest was over, and what it took.
    last: Option<(Tyme, usize)>,
}

impl Portion {
    /// Whether the harvest that begins now is to take few.
    #[inline]
    pub(super) fn is_small(&self, now: Tyme) -> bool {
        self.last.is_some_and(|(at, taken)| {
            let reports = u32::try_from(taken).unwrap_or(u32::MAX);
            now - at <= AT_ONCE + PER_REPORT.saturating_mul(reports)
        })
    }

    #[inline]
    pub(super) fn took(&mut self, at: Tyme, taken: usize) {
        self.last = Some((at, taken));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_the_first_time_or_a_nanosecond_too_late_is_not_back_at_once() {
        let at = Tyme::ZERO + Duration::from_secs(1);
        assert!(!Portion::default().is_small(at));
        for (taken, back) in [(0, 200), (1, 208), (64, 712), (1024, 8392)] {
            let mut portion = Portion::default();
            portion.took(at, taken);
            let last = at + Duration::from_micros(back);
            assert!(portion.is_small(at) && portion.is_small(last), "{taken}");
            assert!(!portion.is_small(last + Duration::from_nanos(1)), "{taken}");
        }
    }
}
