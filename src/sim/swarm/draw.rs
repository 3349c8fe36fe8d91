//! Drawing what is wildly different from seed to seed: hosts, links and faults. Settings are drawn in `settings`.

use core::time::Duration;

use super::plan::{Place, Shape, What};
use crate::sim::fault::{Effect, Rule};
use crate::sim::{Act, Cut, Errno, HostId, HostSpec, Link, Op, Rng, Side};
use crate::tyme::Tyme;

/// A number from 1 to about 2^`bits`, each order of magnitude as likely as the others.
pub(super) fn magnitude(rng: &mut Rng, bits: u64) -> u64 {
    let top = 1_u64 << rng.below(bits.clamp(1, 63));
    rng.between(top, 2 * top - 1)
}

pub(super) fn size(rng: &mut Rng, bits: u64) -> usize {
    usize::try_from(magnitude(rng, bits)).unwrap_or(usize::MAX)
}

pub(super) fn millis(rng: &mut Rng, bits: u64) -> Duration {
    Duration::from_micros(magnitude(rng, bits + 10))
}

/// A link: near or far, steady or not, broad or narrow; half of them are perfect. Latency is at most 200 ms, loss at most a third.
#[must_use]
pub fn draw_link(rng: &mut Rng) -> Link {
    let mut link = Link::new(Duration::from_micros(magnitude(rng, 18).min(200_000)));
    if rng.chance(0.33) {
        return link;
    }
    if rng.chance(0.5) {
        link.jitter = Duration::from_micros(magnitude(rng, 18));
    }
    if rng.chance(0.3) {
        // A byte at a time, each with its 54 bytes of headers, the longest call still gets through in a run's budget.
        link.bandwidth = Some((1000 + magnitude(rng, 24)).max(10_000));
        link.queue = 2000 + size(rng, 18);
    }
    if rng.chance(0.3) {
        link.loss = [0.001, 0.03, 0.3][rng.index(3)];
        link.duplicate = [0.0, 0.01, 0.3][rng.index(3)];
        link.reorder = [0.0, 0.01, 0.3][rng.index(3)];
    }
    link
}

pub(super) fn draw_host(rng: &mut Rng, name: String) -> HostSpec {
    let mut spec = HostSpec::new(name);
    if rng.chance(0.3) {
        spec.ahead = millis(rng, 20);
    }
    if rng.chance(0.3) {
        spec.drift_ppb = i32::try_from(rng.between(0, 400_000)).unwrap_or(0) - 200_000;
    }
    if rng.chance(0.3) {
        spec.turn = Duration::from_micros(magnitude(rng, 12));
    }
    if rng.chance(0.4) {
        spec.recv_buffer = 64 + size(rng, 16);
        spec.send_buffer = 64 + size(rng, 16);
    }
    if rng.chance(0.2) {
        spec.max_sockets = 4 + size(rng, 5);
    }
    spec
}

/// What of the weather there may be in one run; each kind is on in half of them.
struct Weather {
    kinds: Vec<fn(&mut Draw<'_>) -> Option<What>>,
}

struct Draw<'a> {
    rng: &'a mut Rng,
    shape: &'a Shape,
    places: &'a [Place],
    servers: &'a [HostId],
    hosts: &'a [HostId],
    safety: Duration,
    number: usize,
}

pub(super) fn draw_faults(
    rng: &mut Rng,
    shape: &Shape,
    places: &[Place],
    servers: &[HostId],
    hosts: &[HostId],
    safety: Duration,
) -> Vec<What> {
    let weather = Weather::draw(rng);
    let count = rng.below(shape.faults + 1);
    let mut faults = Vec::new();
    let mut draw = Draw { rng, shape, places, servers, hosts, safety, number: 0 };
    for number in 0..count {
        draw.number = usize::try_from(number).unwrap_or(0);
        let kind = draw.rng.pick(&weather.kinds).copied();
        faults.extend(kind.and_then(|kind| kind(&mut draw)));
    }
    faults
}

impl Weather {
    fn draw(rng: &mut Rng) -> Weather {
        let all: [fn(&mut Draw<'_>) -> Option<What>; 15] = [
            |draw| Some(draw.short()),
            |draw| Some(draw.blocked()),
            |draw| Some(draw.failed_call()),
            |draw| Some(draw.failed_accept()),
            |draw| Some(draw.reset()),
            |draw| draw.false_end(),
            |draw| Some(draw.partition()),
            |draw| Some(draw.clog()),
            |draw| Some(draw.crash()),
            |draw| Some(draw.pause()),
            |draw| Some(draw.lost_listener()),
            |draw| Some(draw.other_link()),
            |draw| Some(draw.cut_gram()),
            |draw| Some(draw.failed_gram()),
            |draw| Some(draw.failed_lookup()),
        ];
        Weather { kinds: all.into_iter().filter(|_| rng.chance(0.5)).collect() }
    }
}

impl Draw<'_> {
    fn host(&mut self) -> HostId {
        self.hosts[self.rng.index(self.hosts.len())]
    }

    fn two(&mut self) -> (HostId, HostId) {
        let from = self.rng.index(self.hosts.len());
        let step = 1 + self.rng.index(self.hosts.len().saturating_sub(1));
        (self.hosts[from], self.hosts[(from + step) % self.hosts.len()])
    }

    /// A rule by this name, mostly on one host, some time on.
    fn rule(&mut self, name: &str, effect: Effect) -> Rule {
        let mut rule = Rule::new(format!("{name} {}", self.number), effect).optional();
        if self.rng.chance(0.6) {
            let place = &self.places[self.rng.index(self.places.len())];
            rule = rule.host(&place.spec.name);
        }
        self.guarded(rule)
    }

    /// Some rules are for one side, one port, a while, or one call only.
    fn guarded(&mut self, mut rule: Rule) -> Rule {
        if self.rng.chance(0.1) {
            rule = rule.side([Side::Dialled, Side::Accepted][self.rng.index(2)]);
        }
        if self.rng.chance(0.1) {
            // The one that servers listen on, or whatever may be behind it.
            rule = rule.port(self.shape.port.saturating_add([0, 0, 1][self.rng.index(3)]));
        }
        if self.rng.chance(0.1) {
            let safety = u64::try_from(self.safety.as_micros()).unwrap_or(u64::MAX);
            let from = Duration::from_micros(self.rng.below(safety));
            rule = rule.from(Tyme::ZERO + from);
            if self.rng.chance(0.7) {
                rule = rule.until(Tyme::ZERO + from + millis(self.rng, 14));
            }
        }
        if self.rng.chance(0.05) {
            rule = rule.nth(magnitude(self.rng, 8) - 1);
        }
        rule
    }

    fn likely(&mut self, rule: Rule) -> Rule {
        let chance = [0.001, 0.01, 0.1, 0.5][self.rng.index(4)];
        rule.chance(chance)
    }

    fn short(&mut self) -> What {
        let effect = Effect::Short(size(self.rng, 12));
        let rule = self.rule("short", effect);
        let rule = match self.rng.below(3) {
            0 => rule.on(&[Op::Read]),
            1 => rule.on(&[Op::Write]),
            _ => rule,
        };
        What::Rule(if self.rng.chance(0.5) { rule } else { self.likely(rule) })
    }

    fn blocked(&mut self) -> What {
        let effect = match self.rng.chance(0.5) {
            true => Effect::WouldBlock,
            false => Effect::Stall(millis(self.rng, 12)),
        };
        let rule = self.rule("blocked", effect);
        What::Rule(self.likely(rule))
    }

    fn failed_call(&mut self) -> What {
        let errnos = [
            (Errno::Econnreset, Op::Read),
            (Errno::Etimedout, Op::Read),
            (Errno::Eintr, Op::Read),
            (Errno::Epipe, Op::Write),
            (Errno::Enobufs, Op::Write),
            (Errno::Eintr, Op::Write),
            (Errno::Econnrefused, Op::Connected),
            (Errno::Eaddrnotavail, Op::Connect),
        ];
        let (errno, op) = errnos[self.rng.index(errnos.len())];
        let rule = self.rule("failed call", Effect::Fail(errno)).on(&[op]);
        let rule = rule.times(magnitude(self.rng, 4));
        What::Rule(self.likely(rule))
    }

    fn failed_accept(&mut self) -> What {
        let errnos = [Errno::Emfile, Errno::Enfile, Errno::Enobufs, Errno::Econnaborted];
        let errno = errnos[self.rng.index(errnos.len())];
        let rule = self.rule("failed accept", Effect::Fail(errno)).on(&[Op::Accept]);
        let rule = rule.times(magnitude(self.rng, 4));
        What::Rule(if self.rng.chance(0.5) { rule } else { self.likely(rule) })
    }

    fn cut_gram(&mut self) -> What {
        let effect = Effect::Short(size(self.rng, 16));
        let rule = self.rule("cut datagram", effect).on(&[Op::Receive]);
        What::Rule(self.likely(rule))
    }

    fn failed_gram(&mut self) -> What {
        let calls = [
            (Effect::Fail(Errno::Enobufs), Op::Send),
            (Effect::Fail(Errno::Eintr), Op::Send),
            (Effect::Fail(Errno::Econnrefused), Op::Send),
            (Effect::Fail(Errno::Enetunreach), Op::Send),
            (Effect::Fail(Errno::Eintr), Op::Receive),
            (Effect::Fail(Errno::Econnrefused), Op::Receive),
            (Effect::Fail(Errno::Enobufs), Op::Receive),
            (Effect::Stall(millis(self.rng, 12)), Op::Send),
            (Effect::Stall(millis(self.rng, 12)), Op::Receive),
        ];
        let (effect, op) = calls[self.rng.index(calls.len())].clone();
        let rule = self.rule("failed datagram", effect).on(&[op]);
        What::Rule(self.likely(rule))
    }

    /// A name that is not found, or found late.
    fn failed_lookup(&mut self) -> What {
        let effect = match self.rng.chance(0.5) {
            true => Effect::Fail(Errno::Etimedout),
            false => Effect::Stall(millis(self.rng, 13)),
        };
        let rule = self.rule("failed look-up", effect).on(&[Op::Lookup]);
        What::Rule(if self.rng.chance(0.5) { rule } else { self.likely(rule) })
    }

    fn reset(&mut self) -> What {
        let after = magnitude(self.rng, 16);
        let rule = self.rule("reset", Effect::Reset).after(after);
        What::Rule(rule.times(magnitude(self.rng, 4)).conn(self.rng.below(6)))
    }

    fn false_end(&mut self) -> Option<What> {
        let after = magnitude(self.rng, 16);
        let conn = self.rng.below(6);
        let rule = self.rule("false end", Effect::Eof).after(after).conn(conn);
        self.shape.false_ends.then_some(What::Rule(rule))
    }

    /// Something that begins within the phase under faults and ends within it, or with it.
    fn spell(&mut self, begin: Act, end: Option<Act>) -> What {
        let safety = u64::try_from(self.safety.as_micros()).unwrap_or(u64::MAX);
        let at = self.rng.below(safety);
        let until = at.saturating_add(magnitude(self.rng, 24)).min(safety);
        let end = end.map(|end| (Duration::from_micros(until), end));
        What::Spell { at: Duration::from_micros(at), begin, end }
    }

    fn partition(&mut self) -> What {
        let (from, to) = self.two();
        let cut = match self.rng.below(4) {
            0 => Cut::draw(self.rng, self.hosts),
            1 => Cut::Isolate(from),
            2 => Cut::Pair(from, to),
            _ => Cut::OneWay { from, to },
        };
        self.spell(Act::Partition(cut), Some(Act::Heal))
    }

    fn clog(&mut self) -> What {
        let (from, to) = self.two();
        self.spell(Act::Clog { from, to }, Some(Act::Unclog { from, to }))
    }

    fn crash(&mut self) -> What {
        let host = self.host();
        self.spell(Act::Crash(host), Some(Act::Restart(host)))
    }

    fn pause(&mut self) -> What {
        let host = self.host();
        let time = millis(self.rng, 13);
        self.spell(Act::Pause(host, time), None)
    }

    fn lost_listener(&mut self) -> What {
        let host = self.servers[self.rng.index(self.servers.len())];
        self.spell(Act::LoseListener(host, self.shape.port), None)
    }

    fn other_link(&mut self) -> What {
        let (from, to) = self.two();
        let link = draw_link(self.rng);
        self.spell(Act::Relink { from, to, link }, None)
    }
}
