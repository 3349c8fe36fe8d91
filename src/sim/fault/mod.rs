//! Rules that make calls fail, on simulated and on real networks alike.
//!
//! A [`Rule`] says *what* happens ([`Effect`]) and *when*: on which host, call, side, connection, from which byte on, at which
//! of the matching calls, in which span of tyme, how likely, how often. [`Faults`] holds the rules and a random stream of
//! their own. [`ChaosNet`] is the middleware that asks them at each call; a [`World`](super::World) puts it around the network of each
//! host, and you put it around any other [`Net`](crate::net::Net):
//!
//! ```
//! # #[cfg(feature = "os")] {
//! use tymist::net::os::OsNet;
//! use tymist::sim::fault::{ChaosNet, Effect, Faults, Rule};
//!
//! let faults = Faults::new(42);
//! faults.add(Rule::new("dribble", Effect::Short(1)).chance(0.1));
//! let net = ChaosNet::new(Box::new(OsNet::new()), faults.clone(), "server");
//! // … give `Box::new(net)` to a server, run it, and then:
//! assert_eq!(faults.unfired(), ["dribble"]);
//! # drop(net);
//! # }
//! ```

mod chaos;
mod handles;
mod rule;
mod stream;
mod way;

use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use chaos::ChaosNet;
pub(super) use chaos::Hooks;
pub use rule::{Effect, Rule};
use rule::{Site, Verdict};

use super::Rng;

/// A rule that fired: which, its name, and what it does.
type Hit = (usize, Arc<str>, Effect);

/// A set of rules, shared by all networks that go by them. Cheap to clone.
#[derive(Clone)]
pub struct Faults(Arc<Inner>);

struct Inner {
    /// Whether there is any rule in force: what is not wanted costs one load.
    armed: AtomicBool,
    state: Mutex<State>,
}

struct State {
    seed: u64,
    rules: Vec<Entry>,
}

struct Entry {
    rule: Rule,
    matched: u64,
    fired: u64,
    active: bool,
    /// Its own, so that leaving one rule out changes nothing for the others.
    rng: Rng,
}

impl Faults {
    /// No rules yet. Each will draw from a stream of its own of `seed`, by its name.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let state = State { seed, rules: Vec::new() };
        Faults(Arc::new(Inner { armed: AtomicBool::new(false), state: Mutex::new(state) }))
    }

    /// Adds a rule, in force at once. Where several rules fit a call, the one that was added first fires.
    pub fn add(&self, rule: Rule) {
        let mut state = self.lock();
        let namesakes = state.rules.iter().filter(|entry| entry.rule.name == rule.name).count();
        let rng = Rng::stream(state.seed, &format!("fault {namesakes} {}", rule.name));
        state.rules.push(Entry { rule, matched: 0, fired: 0, active: true, rng });
        self.0.armed.store(true, Ordering::Relaxed);
    }

    /// Ends all rules: no further faults, as for the phase in which a system must recover. What has fired stays counted.
    pub fn stop(&self) {
        self.0.armed.store(false, Ordering::Relaxed);
        self.lock().rules.iter_mut().for_each(|entry| entry.active = false);
    }

    /// The names of the rules that never fired and should have.
    #[must_use]
    pub fn unfired(&self) -> Vec<String> {
        let state = self.lock();
        let missed = state.rules.iter().filter(|entry| entry.fired == 0 && !entry.rule.optional);
        missed.map(|entry| entry.rule.name.to_string()).collect()
    }

    /// How often each rule has fired, in the order of adding.
    #[must_use]
    pub fn fired(&self) -> Vec<(String, u64)> {
        let state = self.lock();
        state.rules.iter().map(|entry| (entry.rule.name.to_string(), entry.fired)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[inline]
    fn armed(&self) -> bool {
        self.0.armed.load(Ordering::Relaxed)
    }

    /// What is to happen at this call.
    fn decide(&self, site: &Site<'_>) -> Verdict {
        let mut verdict = Verdict::FREE;
        let rules = &mut self.lock().rules;
        for (index, entry) in rules.iter_mut().enumerate().filter(|(_, entry)| entry.active) {
            let rule = &entry.rule;
            if !rule.fits(site) || rule.times.is_some_and(|times| entry.fired >= times) {
                continue;
            }
            if site.offset < rule.after {
                // So that the next call begins at the very byte.
                let left = usize::try_from(rule.after - site.offset).unwrap_or(usize::MAX);
                verdict.limit = verdict.limit.min(left);
                continue;
            }
            entry.matched += 1;
            if rule.nth.is_some_and(|nth| entry.matched - 1 != nth)
                || !entry.rng.chance(rule.probability)
            {
                continue;
            }
            entry.fired += 1;
            verdict.fault = Some((index, Arc::clone(&rule.name), rule.effect.clone()));
            break;
        }
        verdict
    }

    /// A fault turned out to have changed nothing.
    fn retract(&self, index: usize) {
        if let Some(entry) = self.lock().rules.get_mut(index) {
            entry.fired = entry.fired.saturating_sub(1);
        }
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.fired()).finish()
    }
}
