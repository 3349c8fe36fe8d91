//! What datagrams were sent and what has arrived of them: each one that was sent, whole or flagged as cut, from whom it says, and no oftener than the
//! network may have doubled it; and what an endpoint promises of its queues and counters.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::ErrorKind;
use std::rc::Rc;

use tymist::net::Addr;
use tymist::tyme::Tyme;
use tymist::{Endpoint, GramConfig, GramCounters, GramEvent, RxGram, Wake};

use super::ledger::{Ledger, Way, byte};
use super::speaker::SPEAKS;
use super::watch::wakes_after;

/// Bytes of a datagram that say which one it is.
const NAME: usize = 4;

struct Sent {
    from: Addr,
    to: Addr,
    len: usize,
    /// Where it has come, once for each time.
    came: Vec<Addr>,
    /// Which one it answers.
    answers: Option<u32>,
    answered: bool,
}

#[derive(Default)]
struct Books {
    sent: Vec<Sent>,
    /// Between two ends, of which the other may be a group: datagrams that were sent, and that came.
    between: BTreeMap<(Addr, Addr), (u64, u64)>,
    /// Where what is sent to the group may come.
    members: BTreeSet<Addr>,
    /// What each endpoint there ever was has counted.
    counters: Vec<GramCounters>,
}

/// Shared by all programs of a world.
#[derive(Clone)]
pub(crate) struct Grams {
    books: Rc<RefCell<Books>>,
    ledger: Ledger,
    /// How often one may arrive.
    copies: u64,
}

/// Of those who speak, some hear what is sent to all of them.
pub(crate) fn group() -> Addr {
    Addr::from(([239, 255, 0, 7], SPEAKS))
}

fn fill(name: u32, len: usize) -> Vec<u8> {
    let name_bytes = name.to_le_bytes();
    let rest = (NAME..len).map(|at| byte(name, Way::Up, at as u64));
    name_bytes.into_iter().take(len).chain(rest).collect()
}

impl Grams {
    pub(crate) fn new(ledger: Ledger, copies: u64) -> Self {
        Grams { books: Rc::default(), ledger, copies }
    }

    /// Makes a datagram; it counts as sent unless it is taken back.
    pub(crate) fn write(
        &self,
        from: &Addr,
        to: &Addr,
        len: usize,
        answers: Option<u32>,
    ) -> (u32, Vec<u8>) {
        let mut books = self.books.borrow_mut();
        let name = u32::try_from(books.sent.len()).unwrap();
        let (from, to) = (from.clone(), to.clone());
        books.between.entry((from.clone(), to.clone())).or_default().0 += 1;
        books.sent.push(Sent { from, to, len, came: Vec::new(), answers, answered: false });
        (name, fill(name, len))
    }

    /// It was not queued after all; it must be the last one that was made.
    pub(crate) fn take_back(&self) {
        let mut books = self.books.borrow_mut();
        if let Some(sent) = books.sent.pop() {
            books.between.entry((sent.from, sent.to)).or_default().0 -= 1;
        }
    }

    /// Takes in what came to `at`; which one it was, where it is long enough to say so and whole.
    pub(crate) fn read(&self, at: &Addr, gram: &RxGram) -> Option<u32> {
        let result = self.books.borrow_mut().read(at, gram, self.copies);
        result.unwrap_or_else(|what| {
            self.ledger.wrong(|| format!("datagram to {at} from {}: {what}", gram.from));
            None
        })
    }

    pub(crate) fn is_answered(&self, name: u32) -> bool {
        self.books.borrow().sent[name as usize].answered
    }

    /// This end has joined the group.
    pub(crate) fn joined(&self, at: &Addr) {
        self.books.borrow_mut().members.insert(at.clone());
    }

    /// A place for the counters of one endpoint's life.
    fn place(&self) -> usize {
        let mut books = self.books.borrow_mut();
        books.counters.push(GramCounters::default());
        books.counters.len() - 1
    }

    /// What all of them have sent, and taken in.
    pub(crate) fn totals(&self) -> (u64, u64) {
        let books = self.books.borrow();
        let sent = books.counters.iter().map(|it| it.grams_out).sum();
        (sent, books.counters.iter().map(|it| it.grams_in + it.strangers).sum())
    }
}

impl Books {
    fn read(&mut self, at: &Addr, gram: &RxGram, copies: u64) -> Result<Option<u32>, String> {
        let from = &gram.from;
        let group = self.members.contains(at).then(group);
        let to_us = |to: &Addr| to == at || group.as_ref() == Some(to);
        let to_all =
            group.as_ref().and_then(|group| self.between.get(&(from.clone(), group.clone())));
        let to_all = to_all.map_or(0, |(sent, _)| *sent);
        let (sent, came) = self.between.entry((from.clone(), at.clone())).or_default();
        *came += 1;
        let sent = *sent + to_all;
        if *came > sent * copies {
            return Err(format!("{came} came of {sent}"));
        }
        let len = gram.data.len();
        let Some(name) = gram.data.first_chunk::<NAME>() else {
            let fits = |it: &&Sent| {
                it.len >= len
                    && (it.len > len) == gram.truncated
                    && it.from == *from
                    && to_us(&it.to)
            };
            let found = self.sent.iter().find(fits);
            return found.map(|_| None).ok_or(format!("{len} bytes that nobody sent"));
        };
        let name = u32::from_le_bytes(*name);
        let Some(sent) = self.sent.get_mut(name as usize) else {
            return Err(format!("number {name}, which there never was"));
        };
        if sent.from != *from || !to_us(&sent.to) {
            return Err(format!("number {name} was from {} to {}", sent.from, sent.to));
        }
        if gram.truncated != (len < sent.len) || len > sent.len {
            return Err(format!("{len} bytes of {}, cut: {}", sent.len, gram.truncated));
        }
        if gram.data != fill(name, len) {
            return Err(format!("number {name} has other bytes than were sent"));
        }
        sent.came.push(at.clone());
        let times = sent.came.iter().filter(|it| *it == at).count() as u64;
        if times > copies {
            return Err(format!("number {name} came {times} times"));
        }
        if let (Some(answers), false) = (sent.answers, gram.truncated) {
            self.sent[answers as usize].answered = true;
        }
        Ok((!gram.truncated).then_some(name))
    }
}

/// What one endpoint promises, watched from outside.
pub(crate) struct GramWatch {
    grams: Grams,
    place: usize,
    queued: u64,
    taken: u64,
    cut: u64,
    unsent: u64,
    /// When those were queued that were not sent yet, as far as can be seen: the first is the first to go.
    waiting: VecDeque<Tyme>,
    /// Since when the network must have taken none: nothing has moved in this turn and the one before, in which none may have been tried.
    still_since: Tyme,
    was_empty: bool,
    moved: bool,
    /// Given up in this turn.
    stalled: usize,
    /// What it had done by the last turn.
    before: GramCounters,
}

impl GramWatch {
    pub(crate) fn new(grams: Grams) -> Self {
        let place = grams.place();
        GramWatch {
            grams,
            place,
            queued: 0,
            taken: 0,
            cut: 0,
            unsent: 0,
            waiting: VecDeque::new(),
            still_since: Tyme::ZERO,
            was_empty: true,
            moved: true,
            stalled: 0,
            before: GramCounters::default(),
        }
    }

    pub(crate) fn queued(&mut self, now: Tyme) {
        self.queued += 1;
        self.waiting.push_back(now);
    }

    pub(crate) fn took(&mut self, gram: &RxGram) {
        self.taken += 1;
        self.cut += u64::from(gram.truncated);
    }

    pub(crate) fn event(&mut self, event: &GramEvent, now: Tyme, config: &GramConfig) {
        match event {
            GramEvent::Unsent { error, .. } => {
                self.unsent += 1;
                if *error != ErrorKind::TimedOut.into() {
                    return;
                }
                // Some of those before it may have been sent in this turn.
                let since = self.waiting.get(self.stalled).copied();
                self.stalled += 1;
                if since.zip(config.stall).is_none_or(|(since, stall)| since + stall > now) {
                    self.grams
                        .ledger
                        .wrong(|| format!("{event:?} at {now}, waited since {since:?}"));
                }
            }
            GramEvent::Lost { .. } | GramEvent::NetFailed { .. } => {
                self.grams.ledger.wrong(|| format!("{event:?}, which nobody did"));
            }
            _ => {}
        }
    }

    /// To be called at the end of each turn, which `most` may have come in at the most; what is sent is sent in so many ticks.
    pub(crate) fn turn_ends(
        &mut self,
        endpoint: &Endpoint,
        wake: Wake,
        now: Tyme,
        most: usize,
        ticks: u64,
    ) {
        let sent = self.waiting.len().saturating_sub(endpoint.tx_grams());
        self.waiting.drain(..sent);
        // Who wants a turn at once may not have tried.
        let moved = sent > 0 || self.was_empty || wake == Wake::Now;
        if std::mem::replace(&mut self.moved, moved) || moved {
            self.still_since = now;
        }
        self.was_empty = self.waiting.is_empty();
        self.stalled = 0;
        let counters = endpoint.counters();
        self.grams.books.borrow_mut().counters[self.place] = *counters;
        let looked =
            self.look(endpoint, wake, now).and_then(|()| self.budgets(endpoint, most, ticks));
        if let Err(what) = looked {
            self.grams.ledger.wrong(|| format!("{endpoint:?}: {what}; {counters:?}"));
        }
        self.before = *counters;
    }

    fn budgets(&self, endpoint: &Endpoint, most: usize, ticks: u64) -> Result<(), String> {
        let (now, before, config) = (endpoint.counters(), &self.before, endpoint.config());
        let grams = config.tick_grams.max(1) as u64;
        // One always goes, whatever its length.
        let bytes = config.tick_bytes.max(1) as u64 + 65_535;
        let came = now.grams_in + now.strangers - before.grams_in - before.strangers;
        let counts = [
            ("grams in", came, grams.min(most.max(1) as u64)),
            ("bytes in", now.bytes_in - before.bytes_in, bytes),
            ("grams out", now.grams_out - before.grams_out, grams.saturating_mul(ticks)),
            ("bytes out", now.bytes_out - before.bytes_out, bytes.saturating_mul(ticks)),
        ];
        match counts.iter().find(|(_, count, most)| count > most) {
            Some((name, count, most)) => Err(format!("{count} {name} of {most}")),
            None => Ok(()),
        }
    }

    fn look(&self, endpoint: &Endpoint, wake: Wake, now: Tyme) -> Result<(), String> {
        let (counters, config) = (endpoint.counters(), endpoint.config());
        let (rx, tx) = (endpoint.rx().len(), endpoint.tx_grams());
        within("rx", rx, endpoint.rx_bytes(), config.rx_grams, config.rx_bytes)?;
        within("tx", tx, endpoint.tx_queued(), config.tx_grams, config.tx_bytes)?;
        let sums = [
            ("received", counters.grams_in, self.taken + rx as u64 + counters.rx_dropped),
            ("queued", self.queued, counters.grams_out + counters.unsent + tx as u64),
        ];
        if let Some((name, one, other)) = sums.iter().find(|(_, one, other)| one != other) {
            return Err(format!("{name}: {one} is not {other}"));
        }
        if self.cut > counters.truncated || self.unsent > counters.unsent {
            return Err(format!("{} cut, {} unsent", self.cut, self.unsent));
        }
        let since = self.still_since;
        if let Some(stall) = config.stall.filter(|stall| !stall.is_zero() && tx > 0)
            && (since + stall <= now || wakes_after(wake, since + stall))
        {
            return Err(format!("{tx} wait since {since}, now {now}, wakes {wake:?}"));
        }
        Ok(())
    }
}

fn within(
    name: &str,
    grams: usize,
    bytes: usize,
    most: usize,
    most_bytes: usize,
) -> Result<(), String> {
    // One always fits.
    if grams > 1 && (grams > most || bytes > most_bytes) {
        return Err(format!("{name}: {grams} with {bytes} bytes"));
    }
    Ok(())
}

/// Settings under which all that is in the budget must arrive.
pub(crate) fn calm() -> GramConfig {
    GramConfig::new()
}
