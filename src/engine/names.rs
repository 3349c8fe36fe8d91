//! Names on their way to addresses: asked for in order, a bounded number at once, answered whenever.
//!
//! Who wants the same name shares one look-up. What nobody wants any more gives its place back at once, whether it is ever answered or not.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;

use super::Engine;
use super::dial::MOST_ADDRS;
use crate::connect::Target;
use crate::error::CloseReason;
use crate::event::Event;
use crate::id::Id;
use crate::net::{Addr, Answer, Inbox, Lookup, Resolve, Wish};
use crate::remoter::{Dialled, Phase, Step};

/// Look-ups of an engine.
#[derive(Default)]
pub(crate) struct Names {
    /// Asked instead of the network.
    pub(crate) resolve: Option<Resolve>,
    /// From the first name on.
    inbox: Option<Arc<Inbox>>,
    /// Asked for and not answered, by host and port.
    asked: BTreeMap<(Arc<str>, u16), Asked>,
    /// Look-ups so far.
    count: u64,
    /// Who has no place among those yet, the first first; some may have closed meanwhile.
    waiting: VecDeque<Id>,
    /// How many of them have.
    gone: usize,
    /// The tick that `left` is about, and how many may still be asked for in it.
    tick: u32,
    left: usize,
}

/// A name that is being looked up.
struct Asked {
    /// Which look-up it is; answers to others come too late.
    number: u64,
    wish: Wish,
    /// Who wants to know, and in which of its rounds.
    askers: BTreeMap<Id, u32>,
}

/// Answered, given up, or dropped with the engine: nobody waits any more.
impl Drop for Asked {
    fn drop(&mut self) {
        self.wish.end();
    }
}

impl Names {
    /// Whether any name was ever asked for.
    #[inline]
    pub(super) fn is_used(&self) -> bool {
        self.inbox.is_some()
    }

    /// Whether there is something to do without news from elsewhere.
    pub(super) fn is_pending(&self, limit: usize) -> bool {
        self.has_answers() || (self.waiting.len() > self.gone && self.has_place(limit))
    }

    fn has_answers(&self) -> bool {
        self.inbox.as_ref().is_some_and(|inbox| !inbox.is_empty())
    }

    fn has_place(&self, limit: usize) -> bool {
        self.asked.len() < limit.max(1)
    }

    /// That one does not want to know any more; returns whether its look-up has ended with that.
    fn give_up(&mut self, name: &(Arc<str>, u16), id: Id) -> bool {
        let Some(asked) = self.asked.get_mut(name) else { return false };
        asked.askers.remove(&id);
        let ended = asked.askers.is_empty();
        if ended {
            self.asked.remove(name);
        }
        ended
    }
}

impl Dialled {
    fn name(&self) -> Option<(Arc<str>, u16)> {
        match &self.connect.to {
            Target::Name { host, port } => Some((Arc::clone(host), *port)),
            Target::Addrs(_) => None,
        }
    }

    /// The name it is to reach; empty where it is to reach addresses.
    pub(super) fn host(&self) -> Arc<str> {
        match &self.connect.to {
            Target::Name { host, .. } => Arc::clone(host),
            Target::Addrs(_) => "".into(),
        }
    }
}

/// The addresses of a name in the order in which they are tried: as they came, but families by turns (RFC 8305 section 4), so that
/// one family that does not work delays the other by one attempt only.
fn by_turns(addrs: Vec<Addr>) -> VecDeque<Addr> {
    let is_v6 = |addr: &Addr| addr.inet().is_some_and(|addr| addr.is_ipv6());
    let first = addrs.first().is_some_and(is_v6);
    let (same, other): (Vec<_>, Vec<_>) = addrs.into_iter().partition(|addr| is_v6(addr) == first);
    let (mut same, mut other) = (same.into_iter(), other.into_iter());
    let pairs = core::iter::from_fn(|| match (same.next(), other.next()) {
        (None, None) => None,
        (one, two) => Some(one.into_iter().chain(two)),
    });
    pairs.flatten().take(MOST_ADDRS).collect()
}

impl Engine {
    /// Asks for the addresses of a connection's name, or lets it wait for its turn.
    pub(super) fn look_up(&mut self, id: Id) {
        let limit = self.core.config.limits.lookups;
        let Some(dial) = self.slots.get_mut(id).and_then(|remoter| remoter.dial.as_mut()) else {
            return;
        };
        let Some(name) = dial.name() else { return };
        if let Some(asked) = self.names.asked.get_mut(&name) {
            asked.askers.insert(id, dial.ticket);
            return;
        }
        if !self.names.has_place(limit) {
            if !core::mem::replace(&mut dial.waits_for_lookup, true) {
                self.names.waiting.push_back(id);
            }
            return;
        }
        let inbox = self.names.inbox.get_or_insert_with(|| Arc::new(Inbox::new()));
        // Without a waker the answers are found in the ticks that come anyway; what was lacking for one may be there the next time.
        inbox.wake_by(|| self.net.waker().ok());
        self.names.count += 1;
        let (number, wish) = (self.names.count, Wish::new());
        let lookup = Lookup::new(name.clone(), number, wish.clone(), inbox);
        let askers = BTreeMap::from([(id, dial.ticket)]);
        self.names.asked.insert(name, Asked { number, wish, askers });
        self.core.counters.lookups += 1;
        match &mut self.names.resolve {
            Some(resolve) => resolve(lookup),
            None => self.net.lookup(lookup),
        }
    }

    /// Takes the answers that have come, and asks for those who waited: within a budget of names per tick, since an answer may come at once and make
    /// room for the next one.
    pub(super) fn take_answers(&mut self) {
        if self.names.tick != self.core.tick {
            self.names.tick = self.core.tick;
            self.names.left = self.core.config.limits.connects_per_tick.max(1);
        }
        let limit = self.core.config.limits.lookups;
        while self.names.is_pending(limit) {
            let answers = self.names.inbox.as_ref().map(|inbox| inbox.take()).unwrap_or_default();
            for answer in answers {
                self.on_answer(answer);
            }
            self.ask_waiting();
            if self.names.left == 0 {
                self.core.serviced.more |= self.names.is_pending(limit);
                break;
            }
        }
    }

    fn ask_waiting(&mut self) {
        while self.names.left > 0
            && self.names.has_place(self.core.config.limits.lookups)
            && let Some(id) = self.names.waiting.pop_front()
        {
            let Some(remoter) = self.slots.get_mut(id) else {
                self.names.gone = self.names.gone.saturating_sub(1);
                continue;
            };
            let Some(dial) = &mut remoter.dial else { continue };
            if remoter.state.phase == Phase::Closed {
                self.names.gone = self.names.gone.saturating_sub(1);
            }
            dial.waits_for_lookup = false;
            if remoter.state.phase == Phase::Dialling && dial.step == Step::Looking {
                self.names.left -= 1;
                self.look_up(id);
            }
        }
    }

    /// A round of this connection is over: whatever it wanted to know, it does not any more. Returns whether a look-up has ended with that.
    pub(super) fn stop_looking(&mut self, id: Id) -> bool {
        let dial = self.slots.get(id).and_then(|remoter| remoter.dial.as_ref());
        let looking = dial.filter(|dial| dial.step == Step::Looking);
        looking.and_then(|dial| dial.name()).is_some_and(|name| self.names.give_up(&name, id))
    }

    /// A connection has closed: if it waits here, its place in the line is empty. Lines that are more than half empty are closed up, so that behind a
    /// resolver that never answers nothing grows.
    pub(super) fn leave_lookup_line(&mut self, id: Id) {
        let dial = self.slots.get(id).and_then(|remoter| remoter.dial.as_ref());
        if !dial.is_some_and(|dial| dial.waits_for_lookup) {
            return;
        }
        self.names.gone += 1;
        if self.names.gone * 2 > self.names.waiting.len() {
            let slots = &self.slots;
            let open = |id: Id| slots.get(id).is_some_and(|it| it.state.phase != Phase::Closed);
            self.names.waiting.retain(|id| open(*id));
            self.names.gone = 0;
        }
    }

    /// Goes on with an answer: each that still waits for it.
    fn on_answer(&mut self, answer: Answer) {
        let Answer { name, number, result } = answer;
        if self.names.asked.get(&name).is_none_or(|asked| asked.number != number) {
            return;
        }
        let Some(mut asked) = self.names.asked.remove(&name) else { return };
        // Once, however many have asked.
        let failed = result.as_ref().map_or(true, Vec::is_empty);
        self.core.counters.lookup_failures += u64::from(failed);
        for (id, ticket) in core::mem::take(&mut asked.askers) {
            self.on_answer_for(id, ticket, &result);
        }
    }

    fn on_answer_for(&mut self, id: Id, ticket: u32, result: &Result<Vec<Addr>, Arc<str>>) {
        let Some(remoter) = self.slots.get_mut(id) else { return };
        let waits = remoter.state.phase == Phase::Dialling;
        let Some(dial) = &mut remoter.dial else { return };
        if !waits || dial.step != Step::Looking || dial.ticket != ticket {
            return;
        }
        let why = match result {
            Ok(addrs) if !addrs.is_empty() => {
                dial.left = by_turns(addrs.clone());
                dial.step = Step::Trying;
                return self.enqueue_dial(id);
            }
            Ok(_) => "the name has no address".into(),
            Err(why) => Arc::clone(why),
        };
        let host = dial.host();
        self.core.events.push(Event::Unresolved { id, host, why });
        self.cut(id, CloseReason::Connect(io::ErrorKind::NotFound.into()));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail")]
    use core::time::Duration;
    use std::sync::Mutex;

    use super::*;
    use crate::config::Config;
    use crate::connect::Connect;
    use crate::net::{Listen, Listener, Net, Readiness, Waker};
    use crate::tyme::Tyme;

    fn turns(addrs: &[&str]) -> Vec<String> {
        let addrs = addrs.iter().map(|addr| addr.parse().unwrap()).collect();
        by_turns(addrs).iter().map(|addr| addr.ip().unwrap().to_string()).collect()
    }

    #[test]
    fn families_take_turns_and_the_resolvers_first_choice_stays_first() {
        assert_eq!(
            turns(&["[::1]:1", "[::2]:1", "[::3]:1", "0.0.0.4:1", "0.0.0.5:1"]),
            ["::1", "0.0.0.4", "::2", "0.0.0.5", "::3"]
        );
        assert_eq!(turns(&["0.0.0.4:1", "[::1]:1", "0.0.0.5:1"]), ["0.0.0.4", "::1", "0.0.0.5"]);
        assert_eq!(turns(&["0.0.0.4:1", "0.0.0.5:1"]), ["0.0.0.4", "0.0.0.5"]);
        assert_eq!(turns(&[]).len(), 0);
    }

    /// A network with nobody in it.
    struct Nobody;

    impl Net for Nobody {
        fn now(&mut self) -> Tyme {
            Tyme::ZERO
        }
        fn listen(&mut self, _: &Listen) -> io::Result<Box<dyn Listener>> {
            Err(io::ErrorKind::Unsupported.into())
        }
        fn harvest(&mut self, _: Option<Duration>, _: &mut Vec<Readiness>) -> io::Result<()> {
            Ok(())
        }
        fn waker(&mut self) -> io::Result<Waker> {
            Ok(Waker::new(|| Ok(())))
        }
    }

    #[test]
    fn behind_a_resolver_that_never_answers_nothing_grows() {
        let mut config = Config::new();
        config.limits.lookups = 2;
        let mut engine = Engine::new(config, Box::new(Nobody));
        let kept = Arc::new(Mutex::new(Vec::new()));
        let keep = Arc::clone(&kept);
        engine.names.resolve = Some(Box::new(move |lookup| keep.lock().unwrap().push(lookup)));
        // Three for whom it is asked or who stay in line through all of it.
        let stay: Vec<Id> =
            (1..4).map(|port| engine.connect(Connect::to_name("stays", port)).unwrap()).collect();
        engine.begin_tick();
        engine.dial();
        for round in 0..1000 {
            let ids: Vec<Id> = (0..100)
                .map(|port| engine.connect(Connect::to_name("nobody", port)).unwrap())
                .collect();
            engine.dial();
            assert_eq!(engine.names.asked.len(), 2);
            for id in ids {
                engine.cut(id, CloseReason::Local);
            }
            while engine.poll_event(|_, _| {}).is_some() {}
            engine.forget_closed();
            assert!(engine.names.waiting.len() <= 3, "{round}: {}", engine.names.waiting.len());
            assert_eq!(kept.lock().unwrap().len(), 2);
        }
        assert_eq!((engine.slots.len(), engine.dialling()), (3, 3));
        for id in stay {
            engine.cut(id, CloseReason::Local);
        }
        assert_eq!((engine.names.asked.len(), engine.names.waiting.len()), (0, 0));
        assert!(kept.lock().unwrap().iter().all(|lookup| !lookup.is_wanted()));
    }

    #[test]
    fn a_name_with_hundreds_of_addresses_is_tried_at_sixteen() {
        let many: Vec<String> =
            (0..300).map(|n| format!("0.0.{}.{}:1", n / 200, n % 200)).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(turns(&many).len(), MOST_ADDRS);
    }
}
