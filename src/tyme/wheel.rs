//! All deadlines of an engine in one hierarchical timing wheel.

use core::cell::Cell;
use core::fmt;
use core::num::NonZeroU32;

use slab::Slab;

use super::Tyme;

/// Digits of a deadline: 6 bits each, so a level has 64 slots and 11 levels cover all of u64.
const BITS: u32 = 6;
const SLOTS: usize = 1 << BITS;
const SLOT_MASK: u64 = SLOTS as u64 - 1;
const LEVELS: usize = 11;
/// The list of those whose deadline is not later than `elapsed`; one past the last slot.
const LATE: usize = LEVELS * SLOTS;
/// End of a list.
const NIL: u32 = u32::MAX;

/// Names one armed deadline of a [`Wheel`]; stale once it fired or was cancelled.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Timer {
    index: u32,
    /// Which arming it is: the low half of `order` then. Never 0, so that an `Option<Timer>` is no larger.
    stamp: NonZeroU32,
}

#[derive(Copy, Clone)]
struct Entry<T> {
    deadline: Tyme,
    /// When it was last armed, in calls; breaks ties between equal deadlines.
    order: u64,
    /// Which arming of this slab place it is; tells a stale [`Timer`].
    stamp: NonZeroU32,
    prev: u32,
    next: u32,
    list: u16,
    payload: T,
}

/// A stamp comes again after 2^32 - 1 armings; only a handle kept that long, of the same place, would be taken for another.
fn stamp_of(order: u64) -> NonZeroU32 {
    let low = u32::try_from(order % u64::from(u32::MAX)).unwrap_or(0);
    NonZeroU32::MIN.saturating_add(low)
}

/// A set of deadlines, each with a payload, to the exact nanosecond.
///
/// Arm, cancel and re-arm are O(1). [`next`](Wheel::next) is O(1) unless the earliest deadline has just been
/// cancelled, moved or fired; then one slot is looked at, once: also O(1) where its deadlines came in ascending order,
/// as equal timeouts do, otherwise all of its entries. [`advance`](Wheel::advance)
/// touches what is due, plus each entry at most once per level (11) over its whole life. An entry takes
/// 32 bytes and its payload; the wheel itself 6 KiB.
///
/// ```
/// use tymist::tyme::{Tyme, Wheel};
///
/// let mut wheel = Wheel::new(Tyme::ZERO);
/// let ping = wheel.arm(Tyme::from_secs(5), "ping");
/// wheel.arm(Tyme::from_secs(9), "hang up");
/// assert!(wheel.rearm(ping, Tyme::from_secs(7)));
/// assert_eq!(wheel.next(), Some(Tyme::from_secs(7))); // a loop sleeps until then
/// let mut due = Vec::new();
/// wheel.advance(Tyme::from_secs(8), &mut due);
/// assert_eq!(due, [(Tyme::from_secs(7), "ping")]);
/// assert_eq!(wheel.cancel(ping), None); // it has fired
/// ```
///
/// The invariant: an entry stands at the level of the highest 6-bit digit in which its deadline differs from
/// `elapsed`. So all of a lower level come before all of a higher one, and within a level slots are in order.
pub struct Wheel<T> {
    entries: Slab<Entry<T>>,
    heads: [u32; LATE + 1],
    tails: [u32; LATE + 1],
    occupied: [u64; LEVELS],
    /// The lists whose deadlines ascend, so that the first is the earliest; of no meaning where a list is empty.
    ascending: [u64; LEVELS + 1],
    /// Where the digits of the deadlines are seen from: the last moment at which something was to be done.
    elapsed: Tyme,
    /// The latest moment advanced to.
    now: Tyme,
    /// Before this moment an advance has nothing to do: no slot begins, and nothing is due. It may be too early.
    quiet_until: Tyme,
    orders: u64,
    /// The earliest deadline, `None` when it must be looked for.
    earliest: Cell<Option<Tyme>>,
    /// Entries and lists touched so far: what tests measure instead of time.
    #[cfg(test)]
    steps: Cell<u64>,
}

impl<T: Copy> Wheel<T> {
    /// An empty wheel that stands at `now`.
    #[must_use]
    pub fn new(now: Tyme) -> Self {
        Wheel {
            entries: Slab::new(),
            heads: [NIL; LATE + 1],
            tails: [NIL; LATE + 1],
            occupied: [0; LEVELS],
            ascending: [0; LEVELS + 1],
            elapsed: now,
            now,
            quiet_until: Tyme::NEVER,
            orders: 0,
            earliest: Cell::new(None),
            #[cfg(test)]
            steps: Cell::new(0),
        }
    }

    /// How many deadlines are armed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is armed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Arms a deadline. One that is not in the future fires at the next [`advance`](Wheel::advance).
    ///
    /// # Panics
    /// With more than 4 billion armed at once.
    pub fn arm(&mut self, deadline: Tyme, payload: T) -> Timer {
        let was_empty = self.entries.is_empty();
        let order = self.bump();
        let stamp = stamp_of(order);
        let entry = Entry { deadline, order, stamp, prev: NIL, next: NIL, list: 0, payload };
        let index = u32::try_from(self.entries.insert(entry)).unwrap_or(NIL);
        assert!(index != NIL, "more than 2^32 - 1 timers armed");
        self.link(index);
        if was_empty || self.earliest.get().is_some_and(|earliest| deadline < earliest) {
            self.earliest.set(Some(deadline));
        }
        Timer { index, stamp }
    }

    /// Moves an armed deadline; returns whether `timer` was still armed.
    pub fn rearm(&mut self, timer: Timer, deadline: Tyme) -> bool {
        if !self.armed(timer) {
            return false;
        }
        let old = self.entries[timer.index as usize].deadline;
        self.unlink(timer.index);
        let order = self.bump();
        let entry = &mut self.entries[timer.index as usize];
        entry.deadline = deadline;
        entry.order = order;
        self.link(timer.index);
        match self.earliest.get() {
            Some(earliest) if deadline <= earliest => self.earliest.set(Some(deadline)),
            Some(earliest) if old == earliest => self.earliest.set(None),
            _ => {}
        }
        true
    }

    /// Cancels an armed deadline and returns its payload; `None` if it had fired or been cancelled.
    pub fn cancel(&mut self, timer: Timer) -> Option<T> {
        if !self.armed(timer) {
            return None;
        }
        self.unlink(timer.index);
        let entry = self.entries.remove(timer.index as usize);
        self.forget_earliest(entry.deadline);
        Some(entry.payload)
    }

    /// The deadline of `timer`, if it is still armed.
    #[must_use]
    pub fn deadline(&self, timer: Timer) -> Option<Tyme> {
        self.armed(timer).then(|| self.entries[timer.index as usize].deadline)
    }

    /// The earliest armed deadline, exactly; it may already have passed.
    #[must_use]
    #[inline]
    pub fn next(&self) -> Option<Tyme> {
        self.earliest.get().or_else(|| self.look_for_earliest())
    }

    #[inline(never)]
    fn look_for_earliest(&self) -> Option<Tyme> {
        if !self.entries.is_empty() {
            self.earliest.set(self.find_earliest());
        }
        self.earliest.get()
    }

    /// Fires all deadlines up to and including `now`: appends them to `due`, ordered by deadline and, where
    /// equal, by when they were armed. An earlier `now` than before counts as the same.
    #[inline]
    pub fn advance(&mut self, now: Tyme, due: &mut Vec<(Tyme, T)>) {
        self.now = now.max(self.now);
        if self.now >= self.quiet_until {
            self.go_on(due);
        }
    }

    /// Fires what is due by now, and splits the slots on the way, or the invariant would not hold from there.
    #[inline(never)]
    fn go_on(&mut self, due: &mut Vec<(Tyme, T)>) {
        let now = self.now;
        let mut fired: Vec<(Tyme, u64, T)> = Vec::new();
        self.quiet_until = Tyme::NEVER;
        self.empty_list(LATE, now, &mut fired);
        while let Some((list, start)) = self.first_slot().filter(|&(_, start)| start <= now) {
            self.elapsed = start;
            self.empty_list(list, now, &mut fired);
        }
        self.elapsed = now;
        self.quiet_until = self.first_slot().map_or(Tyme::NEVER, |(_, start)| start);
        if !fired.is_empty() {
            self.earliest.set(None);
        }
        fired.sort_unstable_by_key(|&(deadline, order, _)| (deadline, order));
        due.extend(fired.into_iter().map(|(deadline, _, payload)| (deadline, payload)));
    }

    /// Takes all of a list: what is due goes to `fired`, the rest to the place it has seen from `elapsed`.
    fn empty_list(&mut self, list: usize, now: Tyme, fired: &mut Vec<(Tyme, u64, T)>) {
        let mut index = self.heads[list];
        self.heads[list] = NIL;
        self.tails[list] = NIL;
        self.step();
        if list != LATE {
            self.occupied[list / SLOTS] &= !(1 << (list % SLOTS));
        }
        while index != NIL {
            self.step();
            let next = self.entries[index as usize].next;
            if self.entries[index as usize].deadline <= now {
                let entry = self.entries.remove(index as usize);
                fired.push((entry.deadline, entry.order, entry.payload));
            } else {
                self.link(index);
            }
            index = next;
        }
    }

    /// The first occupied slot and where it begins.
    fn first_slot(&self) -> Option<(usize, Tyme)> {
        let level = self.occupied.iter().position(|&slots| slots != 0)?;
        let slot = self.occupied[level].trailing_zeros();
        let shift = BITS * u32::try_from(level).unwrap_or(0);
        let above = u64::MAX.checked_shl(shift + BITS).unwrap_or(0);
        let start = (self.elapsed.as_nanos() & above) | (u64::from(slot) << shift);
        Some((level * SLOTS + slot as usize, Tyme::from_nanos(start)))
    }

    fn find_earliest(&self) -> Option<Tyme> {
        let list = if self.heads[LATE] == NIL { self.first_slot()?.0 } else { LATE };
        let mut index = self.heads[list];
        self.step();
        if self.ascending[list / SLOTS] & 1 << (list % SLOTS) != 0 {
            return Some(self.entries[index as usize].deadline);
        }
        let mut earliest = Tyme::NEVER;
        while index != NIL {
            self.step();
            let entry = &self.entries[index as usize];
            earliest = earliest.min(entry.deadline);
            index = entry.next;
        }
        Some(earliest)
    }

    fn forget_earliest(&mut self, gone: Tyme) {
        if self.earliest.get() == Some(gone) {
            self.earliest.set(None);
        }
    }

    fn armed(&self, timer: Timer) -> bool {
        self.entries.get(timer.index as usize).is_some_and(|entry| entry.stamp == timer.stamp)
    }

    /// Counts one thing touched, in tests.
    fn step(&self) {
        #[cfg(test)]
        self.steps.set(self.steps.get() + 1);
    }

    fn bump(&mut self) -> u64 {
        self.orders += 1;
        self.orders
    }

    /// The list where the deadline belongs, and when there is something to do about it.
    fn list_of(&self, deadline: Tyme) -> (usize, Tyme) {
        if deadline <= self.elapsed {
            return (LATE, Tyme::ZERO);
        }
        let differ = deadline.as_nanos() ^ self.elapsed.as_nanos();
        let level = differ.ilog2() / BITS;
        let slots = deadline.as_nanos() >> (level * BITS);
        let start = Tyme::from_nanos(slots << (level * BITS));
        (level as usize * SLOTS + (slots & SLOT_MASK) as usize, start)
    }

    /// Appends the entry to the list where its deadline belongs.
    fn link(&mut self, index: u32) {
        let deadline = self.entries[index as usize].deadline;
        let (list, start) = self.list_of(deadline);
        self.quiet_until = self.quiet_until.min(start);
        let tail = self.tails[list];
        let entry = &mut self.entries[index as usize];
        entry.list = u16::try_from(list).unwrap_or(u16::MAX);
        entry.prev = tail;
        entry.next = NIL;
        let ascending = &mut self.ascending[list / SLOTS];
        match tail {
            NIL => {
                self.heads[list] = index;
                *ascending |= 1 << (list % SLOTS);
            }
            tail => {
                let last = &mut self.entries[tail as usize];
                last.next = index;
                if deadline < last.deadline {
                    *ascending &= !(1 << (list % SLOTS));
                }
            }
        }
        self.tails[list] = index;
        if list != LATE {
            self.occupied[list / SLOTS] |= 1 << (list % SLOTS);
        }
    }

    fn unlink(&mut self, index: u32) {
        let Entry { prev, next, list, .. } = self.entries[index as usize];
        let list = usize::from(list);
        match prev {
            NIL => self.heads[list] = next,
            prev => self.entries[prev as usize].next = next,
        }
        match next {
            NIL => self.tails[list] = prev,
            next => self.entries[next as usize].prev = prev,
        }
        if self.heads[list] == NIL && list != LATE {
            self.occupied[list / SLOTS] &= !(1 << (list % SLOTS));
        }
    }
}

impl<T> fmt::Debug for Wheel<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wheel")
            .field("len", &self.entries.len())
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
