//! What a seed means: hosts, links, faults and times, drawn before anything runs, so that parts of it can be left out.

use core::fmt;
use core::ops::RangeInclusive;
use core::time::Duration;

use super::draw::{draw_faults, draw_host, draw_link};
use super::seed::parse_seed;
use crate::sim::fault::Rule;
use crate::sim::{Act, HostId, HostSpec, Link, Rng};

/// Between which bounds plans are drawn.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Shape {
    /// Hosts that serve. Default 1 to 2.
    pub servers: RangeInclusive<u64>,
    /// Hosts that call. Default 1 to 5.
    pub clients: RangeInclusive<u64>,
    /// How long there are faults. Default 100 ms to 10 s, drawn by order of magnitude.
    pub safety: RangeInclusive<Duration>,
    /// In what time all must be done after healing. Default 10 minutes.
    pub budget: Duration,
    /// At most so many faults. Default 8.
    pub faults: u64,
    /// The port that servers listen on, for the fault of losing it. Default 80.
    pub port: u16,
    /// How many steps a run may take before it counts as spinning. Default 4 million.
    pub steps: u64,
    /// Whether reads may be told an end that the peer has not made ([`Effect::Eof`](crate::sim::fault::Effect::Eof)). Default off, as nothing
    /// but a count of bytes in your protocol could tell.
    pub false_ends: bool,
}

impl Default for Shape {
    fn default() -> Self {
        Shape {
            servers: 1..=2,
            clients: 1..=5,
            safety: Duration::from_millis(100)..=Duration::from_secs(10),
            budget: Duration::from_secs(600),
            faults: 8,
            port: 80,
            steps: 4_000_000,
            false_ends: false,
        }
    }
}

/// What a host is there for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// Serves; named `server0`, `server1`, …
    Server,
    /// Calls; named `client0`, `client1`, …
    Client,
}

/// A host of a plan.
#[derive(Clone, Debug)]
pub struct Place {
    /// What it is there for.
    pub role: Role,
    /// What it is like.
    pub spec: HostSpec,
    /// Whether a program runs on it. A host that was left out is there all the same, so that the others keep their ids and addresses.
    pub kept: bool,
}

/// A fault of a plan.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Its number in the plan as it was drawn.
    pub number: usize,
    /// What it does.
    pub what: What,
}

/// What a fault does.
#[derive(Clone, Debug)]
pub enum What {
    /// Makes calls fail until the world is healed.
    Rule(Rule),
    /// Befalls the world at the first time, and is undone at the second, both counted from the start.
    Spell {
        /// When it begins.
        at: Duration,
        /// What begins.
        begin: Act,
        /// What ends it, and when.
        end: Option<(Duration, Act)>,
    },
}

/// All that is drawn from a seed, or the part of it that is left.
///
/// Its text ([`Display`](fmt::Display)) is the seed alone, with whatever was left out behind it, such as `17 clients=0,2 faults=3 safety=1200us`.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed, for the world and for what a scenario draws.
    pub seed: u64,
    /// Servers first, then clients.
    pub places: Vec<Place>,
    /// Links that differ from a world's default: from, to, and what it is like both ways.
    pub links: Vec<(usize, usize, Link)>,
    /// Faults, in the order in which they were drawn.
    pub faults: Vec<Fault>,
    /// How long there are faults.
    pub safety: Duration,
    /// In what time all must be done after that.
    pub budget: Duration,
    /// See [`Shape::steps`].
    pub steps: u64,
    drawn: Drawn,
}

/// What there was before anything was left out.
#[derive(Clone, Debug)]
struct Drawn {
    faults: usize,
    safety: Duration,
}

impl Plan {
    /// What `seed` means within `shape`. The same for ever, as far as the two and this version of the crate are the same.
    #[must_use]
    pub fn draw(seed: u64, shape: &Shape) -> Plan {
        let mut rng = Rng::stream(seed, "swarm topology");
        let servers = rng.between(*shape.servers.start(), *shape.servers.end()).max(1);
        let clients = rng.between(*shape.clients.start(), *shape.clients.end());
        let mut places = Vec::new();
        for number in 0..servers {
            places.push(place(seed, Role::Server, format!("server{number}")));
        }
        for number in 0..clients {
            places.push(place(seed, Role::Client, format!("client{number}")));
        }
        let mut links = Vec::new();
        for to in 1..places.len() {
            for from in 0..to {
                let mut rng = Rng::stream(seed, &format!("swarm link {from} {to}"));
                links.push((from, to, draw_link(&mut rng)));
            }
        }
        let safety = draw_span(&mut rng, &shape.safety);
        let hosts: Vec<HostId> = ids(places.len()).collect();
        let servers = &hosts[..usize::try_from(servers).unwrap_or(1)];
        let mut rng = Rng::stream(seed, "swarm faults");
        let faults = draw_faults(&mut rng, shape, &places, servers, &hosts, safety);
        let faults: Vec<Fault> =
            faults.into_iter().enumerate().map(|(number, what)| Fault { number, what }).collect();
        let drawn = Drawn { faults: faults.len(), safety };
        let (budget, steps) = (shape.budget, shape.steps);
        Plan { seed, places, links, faults, safety, budget, steps, drawn }
    }

    /// Reads back what a plan prints, or any [seed](parse_seed).
    ///
    /// # Errors
    /// At what cannot be read.
    pub fn parse(text: &str, shape: &Shape) -> Result<Plan, PlanError> {
        let mut words = text.split_whitespace();
        let seed = words.next().and_then(parse_seed).ok_or_else(|| PlanError(text.into()))?;
        let mut plan = Plan::draw(seed, shape);
        for word in words {
            plan.leave(word).ok_or_else(|| PlanError(word.into()))?;
        }
        Ok(plan)
    }

    /// The command line of `program` (with its arguments so far) that lives it again, as a [`Request`](super::Request) reads it.
    #[must_use]
    pub fn command(&self, program: &str) -> String {
        let text = self.to_string();
        let quote = if text.contains(' ') { "'" } else { "" };
        format!("{program} --seed {quote}{text}{quote}")
    }

    fn leave(&mut self, word: &str) -> Option<()> {
        let (name, value) = word.split_once('=')?;
        if name == "safety" {
            self.shorten(Duration::from_micros(value.strip_suffix("us")?.parse().ok()?));
            return Some(());
        }
        let numbers = value.split(',').filter(|number| !number.is_empty());
        let numbers: Vec<usize> =
            numbers.map(|number| number.parse().ok()).collect::<Option<_>>()?;
        match name {
            "servers" => self.keep(Role::Server, |number| numbers.contains(&number)),
            "clients" => self.keep(Role::Client, |number| numbers.contains(&number)),
            "faults" => self.faults.retain(|fault| numbers.contains(&fault.number)),
            _ => return None,
        }
        Some(())
    }

    /// Leaves out the hosts of this role of which `keep` says no, by their numbers.
    pub fn keep(&mut self, role: Role, keep: impl Fn(usize) -> bool) {
        let places = self.places.iter_mut().filter(|place| place.role == role);
        for (number, place) in places.enumerate() {
            place.kept &= keep(number);
        }
    }

    /// The numbers, among those of their role, of the hosts that are kept.
    #[must_use]
    pub fn kept(&self, role: Role) -> Vec<usize> {
        let places = self.places.iter().filter(|place| place.role == role);
        places.enumerate().filter(|(_, place)| place.kept).map(|(number, _)| number).collect()
    }

    /// Shortens the phase under faults to this, in whole microseconds, and leaves out what would begin later.
    pub fn shorten(&mut self, safety: Duration) {
        let micros = u64::try_from(safety.as_micros()).unwrap_or(u64::MAX).max(1);
        self.safety = self.safety.min(Duration::from_micros(micros));
        let safety = self.safety;
        self.faults.retain(|fault| match &fault.what {
            What::Spell { at, .. } => *at < safety,
            What::Rule(_) => true,
        });
    }

    /// The ids that the kept hosts of this role have in the world.
    #[must_use]
    pub fn hosts(&self, role: Role) -> Vec<HostId> {
        let places = ids(self.places.len()).zip(&self.places);
        places.filter(|(_, it)| it.role == role && it.kept).map(|(id, _)| id).collect()
    }

    /// A stream of random numbers of the plan's seed, for whatever `name` says. Take one per host, so that leaving out one host changes nothing for
    /// the others.
    #[must_use]
    pub fn rng(&self, name: &str) -> Rng {
        Rng::stream(self.seed, name)
    }
}

fn ids(count: usize) -> impl Iterator<Item = HostId> {
    (0..u32::try_from(count).unwrap_or(u32::MAX)).map(HostId)
}

fn place(seed: u64, role: Role, name: String) -> Place {
    let mut rng = Rng::stream(seed, &format!("swarm {name}"));
    Place { role, spec: draw_host(&mut rng, name), kept: true }
}

/// A time within bounds, each order of magnitude as likely as the others.
fn draw_span(rng: &mut Rng, bounds: &RangeInclusive<Duration>) -> Duration {
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1);
    let (low, high) = (micros(*bounds.start()), micros(*bounds.end()));
    let doublings = u64::from((high / low).max(1).ilog2());
    let least = low << rng.between(0, doublings);
    Duration::from_micros(rng.between(least, least.saturating_mul(2)).clamp(low, high))
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.seed)?;
        let list = |numbers: Vec<usize>| {
            let words: Vec<String> = numbers.iter().map(ToString::to_string).collect();
            words.join(",")
        };
        for (role, name) in [(Role::Server, "servers"), (Role::Client, "clients")] {
            let kept = self.kept(role);
            if kept.len() < self.places.iter().filter(|place| place.role == role).count() {
                write!(f, " {name}={}", list(kept))?;
            }
        }
        if self.faults.len() < self.drawn.faults {
            let kept = self.faults.iter().map(|fault| fault.number).collect();
            write!(f, " faults={}", list(kept))?;
        }
        if self.safety < self.drawn.safety {
            write!(f, " safety={}us", self.safety.as_micros())?;
        }
        Ok(())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Rule(rule) => write!(f, "{}: {rule:?}", self.number),
            What::Spell { at, begin, end } => {
                write!(f, "{}: at {at:?} {begin:?}", self.number)?;
                match end {
                    Some((until, act)) => write!(f, ", at {until:?} {act:?}"),
                    None => Ok(()),
                }
            }
        }
    }
}

/// A word of a plan that means nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanError(String);

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no part of a plan", self.0)
    }
}

impl std::error::Error for PlanError {}
