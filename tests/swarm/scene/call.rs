//! One call as it is meant to go, and how far it has come.

use std::time::Duration;

use tymist::Remoter;
use tymist::sim::Rng;

use super::ledger::{Ledger, Route, Way, pattern};
use super::service::{CLOSES, ECHO, HALF, HEAD};

pub(crate) struct Call {
    pub(crate) number: u32,
    mode: u8,
    up: u64,
    down: u64,
    bite: usize,
    pub(crate) pace: Duration,
    pub(crate) patience: Duration,
    /// Bytes, both ways together, after which it hangs up.
    rude: Option<u64>,
    pub(crate) abortive: bool,
    /// Out of patience it asks for a new connection.
    pub(crate) reopens: bool,
    /// It speaks before its connection is there.
    pub(crate) early: bool,
    /// It began when there were no faults any more.
    pub(crate) calm: bool,
    sent: u64,
    got: u64,
    ended: bool,
}

impl Call {
    pub(crate) fn draw(rng: &mut Rng, ledger: &Ledger, calm: bool, route: Route) -> Call {
        let len = |rng: &mut Rng| {
            let bits = rng.below(if calm { 9 } else { 15 });
            if rng.chance(0.1) { 0 } else { rng.between(1 << bits, 2 << bits) }
        };
        let mut mode = [0, ECHO][rng.index(2)];
        mode |= [0, CLOSES][rng.index(2)] | [0, HALF][rng.index(2)];
        let up = len(rng);
        let down = if mode & ECHO > 0 { up } else { len(rng) };
        Call {
            number: ledger.open(route),
            mode,
            up,
            down,
            // In a hundred bites at most.
            bite: usize::try_from((1 << rng.between(0, 14)).max(up.max(down) / 100)).unwrap(),
            pace: match rng.below(if calm { 2 } else { 4 }) {
                0 | 1 => Duration::ZERO,
                _ => Duration::from_micros(1 << rng.between(4, 18)),
            },
            patience: match calm {
                true => Duration::from_secs(300),
                false => Duration::from_millis(1 << rng.between(6, 14)),
            },
            rude: (!calm && rng.chance(0.2)).then(|| 1 << rng.below(15)),
            abortive: rng.chance(0.5),
            reopens: rng.chance(0.5),
            early: rng.chance(0.5),
            calm,
            sent: 0,
            got: 0,
            ended: false,
        }
    }

    fn total(&self) -> u64 {
        self.up + HEAD as u64
    }

    /// Bytes said and heard, and whether all is said.
    pub(crate) fn progress(&self) -> (u64, u64, bool) {
        (self.sent, self.got, self.ended)
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.got == self.down && self.sent == self.total()
    }

    pub(crate) fn is_rude(&self) -> bool {
        self.rude.is_some_and(|after| self.sent + self.got >= after)
    }

    fn head(&self) -> [u8; HEAD] {
        let mut head = [0; HEAD];
        head[..4].copy_from_slice(&self.number.to_be_bytes());
        head[4] = self.mode;
        head[5..9].copy_from_slice(&u32::try_from(self.up).unwrap().to_be_bytes());
        head[9..].copy_from_slice(&u32::try_from(self.down).unwrap().to_be_bytes());
        head
    }

    /// Says and hears a bite, or all there is. What is said before the connection is `up` waits for it.
    pub(crate) fn exchange(&mut self, remoter: &mut Remoter, ledger: &Ledger, up: bool) {
        self.say(remoter, ledger);
        let most = if self.pace > Duration::ZERO { self.bite } else { usize::MAX };
        let data = remoter.take_first(most);
        self.heard(&data, ledger);
        let enough = self.mode & HALF > 0 || self.got == self.down;
        if self.sent == self.total() && enough && !self.ended && (up || self.early) {
            remoter.shutdown_send();
            ledger.finish(self.number, Way::Up);
            self.ended = true;
        }
    }

    fn say(&mut self, remoter: &mut Remoter, ledger: &Ledger) {
        while self.sent < self.total() {
            let bite = (self.bite as u64).min(self.total() - self.sent);
            let from = self.sent.saturating_sub(HEAD as u64);
            let mut data = self.head()[(self.sent as usize).min(HEAD)..].to_vec();
            data.truncate(bite as usize);
            data.extend(pattern(self.number, Way::Up, from, bite - data.len() as u64));
            let Ok(count) = remoter.tx(&data) else { return };
            let body = (self.sent + count as u64).saturating_sub(HEAD as u64) - from;
            ledger.sent(self.number, Way::Up, body as usize);
            self.sent += count as u64;
            if self.pace > Duration::ZERO || count < data.len() {
                return;
            }
        }
    }

    pub(crate) fn heard(&mut self, data: &[u8], ledger: &Ledger) {
        let as_way = if self.mode & ECHO > 0 { Way::Up } else { Way::Down };
        ledger.got(self.number, Way::Down, as_way, data);
        self.got += data.len() as u64;
    }
}
