//! Names on their way to addresses: asked for in order, a bounded number at once, answered whenever.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use super::Engine;
use super::dial::MOST_ADDRS;
use crate::connect::Target;
use crate::error::CloseReason;
use crate::event::Event;
use crate::id::Id;
use crate::net::{Addr, Answer, Inbox, Lookup, Resolve};
use crate::remoter::{Dialled, Phase, Step};

/// Look-ups of an engine.
#[derive(Default)]
pub(crate) struct Names {
    /// Asked instead of the network.
    pub(crate) resolve: Option<Resolve>,
    /// From the first name on.
    inbox: Option<Arc<Inbox>>,
    /// Asked for and not answered, whether anybody still wants to know or not.
    out: usize,
    waiting: VecDeque<Id>,
}

impl Names {
    pub(super) fn is_pending(&self) -> bool {
        self.out > 0 && self.inbox.as_ref().is_some_and(|inbox| !inbox.is_empty())
    }
}

impl Dialled {
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
        let limit = self.core.config.limits.lookups.max(1);
        let Some(dial) = self.slots.get_mut(id).and_then(|remoter| remoter.dial.as_mut()) else {
            return;
        };
        if self.names.out >= limit {
            if !core::mem::replace(&mut dial.waits_for_lookup, true) {
                self.names.waiting.push_back(id);
            }
            return;
        }
        let Target::Name { host, port } = &dial.connect.to else { return };
        let inbox = match &self.names.inbox {
            Some(inbox) => inbox,
            // Without a waker the answers are found in the ticks that come anyway.
            None => self.names.inbox.insert(Arc::new(Inbox::new(self.net.waker().ok()))),
        };
        let lookup = Lookup::new(Arc::clone(host), *port, (id, dial.ticket), inbox);
        self.names.out += 1;
        self.core.counters.lookups += 1;
        match &mut self.names.resolve {
            Some(resolve) => resolve(lookup),
            None => self.net.lookup(lookup),
        }
    }

    /// Takes the answers that have come, and asks for those who waited.
    pub(super) fn hear(&mut self) {
        // An answer may come at once and make room for the next one: as many rounds as there are names that waited.
        while self.names.is_pending() {
            let answers = self.names.inbox.as_ref().map(|inbox| inbox.take()).unwrap_or_default();
            self.names.out = self.names.out.saturating_sub(answers.len());
            for answer in answers {
                self.heed(answer);
            }
            self.ask_waiting();
        }
    }

    fn ask_waiting(&mut self) {
        while self.names.out < self.core.config.limits.lookups.max(1)
            && let Some(id) = self.names.waiting.pop_front()
        {
            let Some(remoter) = self.slots.get_mut(id) else { continue };
            let Some(dial) = &mut remoter.dial else { continue };
            dial.waits_for_lookup = false;
            if remoter.state.phase == Phase::Dialling && dial.step == Step::Looking {
                self.look_up(id);
            }
        }
    }

    /// Goes on with an answer, if somebody still waits for it.
    fn heed(&mut self, answer: Answer) {
        let Answer { id, ticket, result } = answer;
        let Some(remoter) = self.slots.get_mut(id) else { return };
        let waits = remoter.state.phase == Phase::Dialling;
        let Some(dial) = &mut remoter.dial else { return };
        if !waits || dial.step != Step::Looking || dial.ticket != ticket {
            return;
        }
        let why = match result {
            Ok(addrs) if !addrs.is_empty() => {
                dial.left = by_turns(addrs);
                dial.step = Step::Trying;
                return self.line_up(id);
            }
            Ok(_) => "the name has no address".into(),
            Err(why) => why,
        };
        let host = dial.host();
        self.core.counters.lookup_failures += 1;
        self.core.events.push(Event::Unresolved { id, host, why });
        self.cut(id, CloseReason::Connect(io::ErrorKind::NotFound));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail")]
    use super::*;

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

    #[test]
    fn a_name_with_hundreds_of_addresses_is_tried_at_sixteen() {
        let many: Vec<String> =
            (0..300).map(|n| format!("0.0.{}.{}:1", n / 200, n % 200)).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(turns(&many).len(), MOST_ADDRS);
    }
}
