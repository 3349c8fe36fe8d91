//! A world of three hosts that talk TCP and datagrams with each other in all weathers, by IPv4 or IPv6, and over Unix sockets with themselves.
//!
//! What must hold, whatever the operations: every byte read is the byte sent, in order, once; an end comes only after all that was sent; a datagram
//! that arrives was sent to there, and comes twice at most; with nobody rude everything arrives in the end; nothing is left when all have gone;
//! and the same operations make the same run.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use tymist::net::{Addr, Bind, Datagram, Dial, KeepAlive, Listen, Listener};
use tymist::sim::fault::{Effect, Rule};
use tymist::sim::{Act, Cut, Errno, HostId, HostSpec, Link, Op as Call, World, WorldSpec};

use super::sim_util::ends::{End, Side};
use super::sim_util::token;

const HOSTS: usize = 3;
/// More would only make inputs slow.
const MOST: usize = 200;
const TCP: u16 = 80;
const UDP: u16 = 53;

#[derive(Arbitrary, Debug)]
enum Op {
    Dial { from: u8, to: u8 },
    Write { host: u8, end: u8, len: u16 },
    Read { host: u8, end: u8, len: u16 },
    Finish { host: u8, end: u8 },
    Drop { host: u8, end: u8, abort: bool },
    Deaf { host: u8, end: u8 },
    Gram { from: u8, to: u8, len: u16 },
    Grams { host: u8 },
    Talk { from: u8, len: u16 },
    Local { host: u8 },
    Run { micros: u16 },
    RunLong { millis: u8 },
    Cut { from: u8, to: u8, kind: u8 },
    Heal,
    Clog { from: u8, to: u8 },
    Unclog { from: u8, to: u8 },
    Relink { from: u8, to: u8, latency: u16, jitter: u16, loss: u8, bandwidth: u8 },
    Rule { effect: u8, size: u8, call: u8, nth: u8, times: u8 },
    Rude(Rude),
}

/// What ends connections, so that not everything arrives any more.
#[derive(Arbitrary, Debug)]
enum Rude {
    Crash(u8),
    Restart(u8),
    LoseListener(u8),
    Reset { nth: u8 },
    Fail { call: u8, errno: u8, nth: u8 },
}

/// Lists of operations on a world against the model; each list twice.
pub fn world(bytes: &[u8]) {
    assert_eq!(run(bytes), run(bytes), "the same operations, and another run");
}

/// The hash of the run.
fn run(bytes: &[u8]) -> u64 {
    let mut input = Unstructured::new(bytes);
    let Ok(setting) = <[u8; 4]>::arbitrary(&mut input) else { return 0 };
    let mut life = Life::new(setting);
    for _ in 0..MOST {
        if input.is_empty() {
            break;
        }
        let Ok(op) = Op::arbitrary(&mut input) else { break };
        life.apply(&op);
        life.harvest();
    }
    life.finish()
}

/// A host and what the model knows of it.
struct Place {
    id: HostId,
    side: Side,
    listener: Option<Box<dyn Listener>>,
    local: Option<Box<dyn Listener>>,
    grams: Option<Box<dyn Datagram>>,
    /// In connected mode, with the next host.
    talks: Option<Box<dyn Datagram>>,
    next: Addr,
    backlog: u32,
    waiting: bool,
    up: bool,
}

struct Life {
    world: World,
    places: Vec<Place>,
    sent_grams: Vec<SentGram>,
    /// Whether connections were ended before their time.
    rude: bool,
    rules: usize,
    /// Connections to themselves so far.
    locals: usize,
    setting: Setting,
}

/// How connections are made.
#[derive(Copy, Clone)]
struct Setting {
    v6: bool,
    keep_alive: Option<KeepAlive>,
    user_timeout: Option<Duration>,
}

impl Setting {
    fn new(bits: u8) -> Setting {
        let second = Duration::from_secs(1);
        let keep_alive = KeepAlive { idle: 2 * second, interval: second, retries: 2 };
        Setting {
            v6: bits & 1 > 0,
            keep_alive: (bits & 6 == 2).then_some(keep_alive),
            user_timeout: (bits & 6 == 4).then_some(3 * second),
        }
    }

    /// Whether connections may be given up that fair weather would have mended.
    fn is_impatient(self) -> bool {
        self.keep_alive.is_some() || self.user_timeout.is_some()
    }

    fn any(self, port: u16) -> Addr {
        match self.v6 {
            true => Addr::from((std::net::Ipv6Addr::UNSPECIFIED, port)),
            false => Addr::from(([0, 0, 0, 0], port)),
        }
    }

    /// The host's address of the family that is spoken.
    fn ip(self, world: &World, host: HostId) -> std::net::IpAddr {
        let ips = world.host(host).addrs();
        ips.into_iter().find(|ip| ip.is_ipv6() == self.v6).unwrap()
    }
}

struct SentGram {
    to: usize,
    len: usize,
    copies: u8,
}

impl Life {
    fn new([seed, sizes, backlog, bits]: [u8; 4]) -> Life {
        let setting = Setting::new(bits);
        let mut world = World::with(WorldSpec::new(seed.into()));
        let ids = [0, 1, 2].map(|number: usize| {
            let mut spec = HostSpec::new(format!("host {number}"));
            let size = |bits: u8| [1, 10, 1000, 65_536][usize::from(bits & 3)];
            spec.recv_buffer = size(sizes >> number);
            spec.send_buffer = size(sizes >> (number + 3));
            world.add_host(spec)
        });
        let places = (0..HOSTS).map(|number| {
            let id = ids[number];
            let side = Side { net: world.host(id).net(), ends: Vec::new() };
            let mut place = Place {
                id,
                side,
                listener: None,
                local: None,
                grams: None,
                talks: None,
                next: Addr::from((setting.ip(&world, ids[(number + 1) % HOSTS]), UDP)),
                backlog: u32::from(backlog >> number & 3),
                waiting: false,
                up: true,
            };
            place.open(setting);
            place
        });
        let places = places.collect();
        let (sent_grams, rude) = (Vec::new(), setting.is_impatient());
        Life { world, places, sent_grams, rude, rules: 0, locals: 0, setting }
    }

    fn id(&self, number: u8) -> HostId {
        self.places[usize::from(number) % HOSTS].id
    }

    fn ip(&self, number: usize) -> std::net::IpAddr {
        self.setting.ip(&self.world, self.places[number].id)
    }

    fn end(&mut self, host: u8, end: u8) -> Option<&mut End> {
        let place = &mut self.places[usize::from(host) % HOSTS];
        let count = place.side.ends.len();
        place.side.ends.get_mut(usize::from(end).checked_rem(count)?)
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Dial { from, to } => self.dial(from, to),
            Op::Write { host, end, len } => {
                if let Some(end) = self.end(host, end) {
                    end.write((len % 4096).max(1).into());
                }
            }
            Op::Read { host, end, len } => {
                if let Some(end) = self.end(host, end) {
                    end.read(len.max(1).into());
                }
            }
            Op::Finish { host, end } => {
                if let Some(end) = self.end(host, end) {
                    end.finish();
                }
            }
            Op::Drop { host, end, abort } => {
                self.rude = true;
                let stream = self.end(host, end).and_then(|end| end.stream.take());
                if let Some(mut stream) = stream
                    && abort
                {
                    stream.set_abortive().unwrap();
                }
            }
            Op::Deaf { host, end } => {
                self.rude = true;
                if let Some(end) = self.end(host, end) {
                    end.turn_away();
                }
            }
            Op::Gram { from, to, len } => {
                let (from, to) = (usize::from(from) % HOSTS, usize::from(to) % HOSTS);
                let target = Addr::from((self.ip(to), UDP));
                self.gram(from, to, len.into(), |place| Some((place.grams.as_mut()?, target)));
            }
            Op::Talk { from, len } => {
                let from = usize::from(from) % HOSTS;
                self.gram(from, (from + 1) % HOSTS, len.into(), |place| {
                    Some((place.talks.as_mut()?, place.next.clone()))
                });
            }
            Op::Local { host } => self.dial_locally(usize::from(host) % HOSTS),
            Op::Grams { host } => self.grams(usize::from(host) % HOSTS),
            Op::Run { micros } => {
                self.world.run_for(Duration::from_micros(micros.into()));
            }
            Op::RunLong { millis } => {
                self.world.run_for(Duration::from_millis(millis.into()));
            }
            Op::Rule { effect, size, call, nth, times } => {
                self.rule(effect, size, call, nth, times);
            }
            Op::Rude(ref rude) => {
                self.rude = true;
                self.be_rude(rude);
            }
            _ => self.weather(op),
        }
    }

    fn weather(&mut self, op: &Op) {
        let act = match *op {
            Op::Cut { from, to, kind } => {
                let (from, to) = (self.id(from), self.id(to));
                Act::Partition(match kind % 4 {
                    0 => Cut::Pair(from, to),
                    1 => Cut::OneWay { from, to },
                    2 => Cut::Isolate(from),
                    _ => Cut::Split(vec![from, to]),
                })
            }
            Op::Clog { from, to } => Act::Clog { from: self.id(from), to: self.id(to) },
            Op::Unclog { from, to } => Act::Unclog { from: self.id(from), to: self.id(to) },
            Op::Relink { from, to, latency, jitter, loss, bandwidth } => {
                let mut link = Link::new(Duration::from_micros(latency.into()));
                link.jitter = Duration::from_micros(jitter.into());
                link.loss = f64::from(loss % 128) / 256.0;
                link.duplicate = f64::from(loss / 128) / 2.0;
                link.reorder = link.loss;
                link.bandwidth = [None, Some(20_000), Some(1_000_000)][usize::from(bandwidth % 3)];
                Act::Relink { from: self.id(from), to: self.id(to), link }
            }
            _ => Act::Heal,
        };
        self.world.act(&act);
    }

    fn dial(&mut self, from: u8, to: u8) {
        let target = Addr::from((self.ip(usize::from(to) % HOSTS), TCP));
        let place = &mut self.places[usize::from(from) % HOSTS];
        if !place.up {
            return;
        }
        let mut dial = Dial::new(target);
        dial.socket.keep_alive = self.setting.keep_alive;
        dial.socket.user_timeout = self.setting.user_timeout;
        let stream = place.side.net.connect(&dial).unwrap();
        place.side.add(stream, true);
    }

    /// Each with a name of its own, so that both ends can be told from others.
    fn dial_locally(&mut self, host: usize) {
        let place = &mut self.places[host];
        if !place.up {
            return;
        }
        let mut dial = Dial::new(local());
        self.locals += 1;
        dial.local = Some(Addr::from(std::path::PathBuf::from(format!("caller {}", self.locals))));
        match place.side.net.connect(&dial) {
            Ok(stream) => place.side.add(stream, true),
            // There is no room for more, and nobody waits for it.
            Err(error) => assert_eq!(error.kind(), ErrorKind::ResourceBusy),
        }
    }

    /// The first four bytes of a datagram are its number.
    fn gram(
        &mut self,
        from: usize,
        to: usize,
        len: usize,
        socket: impl FnOnce(&mut Place) -> Option<(&mut Box<dyn Datagram>, Addr)>,
    ) {
        let len = len.clamp(4, 65_507);
        let number = u32::try_from(self.sent_grams.len()).unwrap();
        let Some((socket, target)) = socket(&mut self.places[from]) else { return };
        let mut data = vec![number.to_be_bytes()[3]; len];
        data[..4].copy_from_slice(&number.to_be_bytes());
        match socket.send(&data, &target) {
            Ok(()) => self.sent_grams.push(SentGram { to, len, copies: 0 }),
            // In connected mode it is told that nobody was there for one before.
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionRefused),
        }
    }

    fn grams(&mut self, host: usize) {
        let Some(socket) = &mut self.places[host].grams else { return };
        let mut buf = [0; 2048];
        while let Ok(gram) = socket.receive(&mut buf) {
            let (number, rest) = buf[..gram.len].split_first_chunk().unwrap();
            let number = u32::from_be_bytes(*number);
            let sent = &mut self.sent_grams[usize::try_from(number).unwrap()];
            sent.copies += 1;
            assert!(sent.copies <= 2, "datagram {number} came {} times", sent.copies);
            assert_eq!((sent.to, sent.len.min(2048)), (host, gram.len));
            assert_eq!(gram.truncated, sent.len > 2048);
            assert!(rest.iter().all(|&byte| byte == number.to_be_bytes()[3]));
        }
    }

    fn rule(&mut self, effect: u8, size: u8, call: u8, nth: u8, times: u8) {
        let calls = [Call::Read, Call::Write, Call::Accept, Call::Read];
        let effect = match effect % 3 {
            0 => Effect::Short(usize::from(size).max(1)),
            1 => Effect::WouldBlock,
            _ => Effect::Stall(Duration::from_millis(size.into())),
        };
        let rule = Rule::new(format!("rule {}", self.rules), effect).optional();
        let rule = rule.on(&[calls[usize::from(call % 4)]]).times(u64::from(times % 20));
        self.rules += 1;
        self.world.rule(if nth < 128 { rule.nth(nth.into()) } else { rule.chance(0.5) });
    }

    fn be_rude(&mut self, rude: &Rude) {
        let calls = [Call::Read, Call::Write, Call::Accept];
        match *rude {
            Rude::Crash(host) => {
                let place = &mut self.places[usize::from(host) % HOSTS];
                place.crash();
                self.world.act(&Act::Crash(place.id));
            }
            Rude::Restart(host) => {
                let place = &mut self.places[usize::from(host) % HOSTS];
                self.world.act(&Act::Restart(place.id));
                if !place.up {
                    place.up = true;
                    place.open(self.setting);
                }
            }
            Rude::LoseListener(host) => self.world.act(&Act::LoseListener(self.id(host), TCP)),
            Rude::Reset { nth } => {
                let rule = Rule::new("reset", Effect::Reset).optional();
                self.world.rule(rule.nth(nth.into()));
            }
            Rude::Fail { call, errno, nth } => {
                let errnos = [Errno::Econnaborted, Errno::Emfile, Errno::Eio, Errno::Eproto];
                let effect = Effect::Fail(errnos[usize::from(errno % 4)]);
                let rule = Rule::new("fail", effect).on(&[calls[usize::from(call % 3)]]);
                self.world.rule(rule.nth(nth.into()).optional());
            }
        }
    }

    fn harvest(&mut self) {
        for place in &mut self.places {
            place.harvest();
        }
        self.check();
    }

    /// Both ends of each connection. Pairs of addresses that were used again are left out.
    fn pairs(&self) -> impl Iterator<Item = (&End, &End)> {
        let mut pairs: BTreeMap<&str, [Vec<&End>; 2]> = BTreeMap::new();
        for end in self.places.iter().flat_map(|place| &place.side.ends) {
            pairs.entry(&end.name).or_default()[usize::from(end.caller)].push(end);
        }
        pairs.into_values().filter_map(|[accepted, callers]| match (&callers[..], &accepted[..]) {
            (&[dialled], &[accepted]) => Some((dialled, accepted)),
            _ => None,
        })
    }

    fn check(&self) {
        for (dialled, accepted) in self.pairs() {
            for (one, other) in [(dialled, accepted), (accepted, dialled)] {
                assert!(one.got <= other.sent, "more than was sent");
                if one.ended && !one.deaf {
                    assert!(other.finished || other.stream.is_none(), "an end that nobody made");
                    assert_eq!(one.got, other.sent, "an end before the end");
                }
            }
        }
    }

    /// Fair weather; all say the last word and hear the other's; all go. The hash of it all.
    fn finish(mut self) -> u64 {
        self.world.faults().stop();
        self.world.act(&Act::Heal);
        for from in 0..HOSTS {
            for to in 0..HOSTS {
                let (from, to) = (self.places[from].id, self.places[to].id);
                self.world.act(&Act::Unclog { from, to });
                self.world.act(&Act::Relink { from, to, link: Link::default() });
            }
        }
        self.wind_up();
        if !self.rude {
            for place in &self.places {
                for end in place.side.ends.iter().filter(|end| !self.was_crowded_out(end)) {
                    assert_eq!(end.failed, None, "port {}", end.port);
                    assert!(end.ended && end.finished, "port {} is stuck", end.port);
                }
            }
        }
        for host in 0..HOSTS {
            self.grams(host);
            self.places[host].crash();
        }
        // Longer than the patience of retransmissions.
        self.world.run_for(Duration::from_secs(1000));
        for place in &self.places {
            assert_eq!(self.world.sockets(place.id), 0);
            assert_eq!(self.world.lingering(place.id), 0);
        }
        assert_eq!(self.world.next_due(), None, "something never ends");
        self.world.hash()
    }

    /// Whether this caller never got into an accept queue that was full whenever it tried: after a minute it is given up, as on Linux.
    fn was_crowded_out(&self, end: &End) -> bool {
        let accepted = |other: &End| !other.caller && other.name == end.name;
        end.caller
            && matches!(end.failed, Some(ErrorKind::ConnectionReset | ErrorKind::TimedOut))
            && self.world.stats().backlog_drops > 0
            && !self.places.iter().flat_map(|place| &place.side.ends).any(accepted)
    }

    fn wind_up(&mut self) {
        let until = self.world.tyme() + Duration::from_secs(600);
        for _ in 0..1_000_000 {
            self.harvest();
            let mut open = false;
            let mut more = false;
            for place in &mut self.places {
                for end in &mut place.side.ends {
                    end.finish();
                    for _ in 0..10 {
                        end.read(10_000);
                    }
                    let here = end.stream.is_some();
                    open |= here && !(end.finished && end.ended);
                    // Nothing is looked at but what is reported: whatever is missed is stuck.
                    more |= here && end.up && end.readable && !end.ended;
                }
                more |= place.waiting;
            }
            if !open && !more {
                return;
            }
            if !more && self.world.next_turn(until).is_none() {
                return;
            }
        }
        panic!("there is always something reported, and nothing moves");
    }
}

impl Place {
    fn open(&mut self, setting: Setting) {
        let mut listen = Listen::new(setting.any(TCP));
        listen.backlog = self.backlog;
        let mut listener = self.side.net.listen(&listen).unwrap();
        listener.register(token(usize::MAX)).unwrap();
        self.listener = Some(listener);
        let mut listen = Listen::new(local());
        listen.backlog = self.backlog;
        let mut listener = self.side.net.listen(&listen).unwrap();
        listener.register(token(usize::MAX)).unwrap();
        self.local = Some(listener);
        self.grams = Some(self.side.net.bind(&Bind::new(setting.any(UDP))).unwrap());
        let mut bind = Bind::new(setting.any(0));
        bind.peer = Some(self.next.clone());
        self.talks = Some(self.side.net.bind(&bind).unwrap());
    }

    /// Lets go of all it holds.
    fn crash(&mut self) {
        self.up = false;
        self.waiting = false;
        (self.listener, self.local) = (None, None);
        (self.grams, self.talks) = (None, None);
        self.side.ends.iter_mut().for_each(|end| end.stream = None);
    }

    fn harvest(&mut self) {
        self.waiting |= self.side.harvest();
        if !self.waiting {
            return;
        }
        self.waiting = false;
        for listener in [&mut self.listener, &mut self.local] {
            match listener.as_mut().map(|listener| listener.accept()) {
                Some(Ok(stream)) => {
                    self.waiting = true;
                    self.side.add(stream, false);
                }
                // It does not listen any more.
                Some(Err(error)) if error.raw_os_error() == Some(Errno::Einval.number()) => {
                    *listener = None;
                }
                Some(Err(error)) => self.waiting |= error.kind() != ErrorKind::WouldBlock,
                None => {}
            }
        }
    }
}

/// Where each host listens for its own.
fn local() -> Addr {
    Addr::from(std::path::PathBuf::from("local"))
}
