//! Calls on the network of one host, drawn at random, and what each of them says, in words that hold for any network.
#![allow(clippy::cast_possible_truncation, reason = "small numbers")]

use std::io::{self, ErrorKind, IoSlice};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown};
use std::path::PathBuf;
use std::time::Duration;

use tymist::net::{Addr, Bind, Datagram, Dial, Listen, Listener, Net, Stream};
use tymist::sim::{Errno, Rng};

use super::token;

/// How long the operating system may take for what is due at once.
const LATE: Duration = Duration::from_secs(2);

/// Where something is bound: a family, one address of it or all, a port of its own or that of another thing.
#[derive(Clone, Debug)]
pub struct Place {
    pub ip: IpAddr,
    pub port_of: Option<usize>,
    pub only_v6: Option<bool>,
    pub reuse_addr: bool,
    pub reuse_port: bool,
}

/// One call. Numbers name things in the order of their making.
#[derive(Clone, Debug)]
pub enum Call {
    Listen(Place),
    ListenAt { name: usize, replace: bool },
    Dial { to: usize, ip: IpAddr, from: Option<usize> },
    DialAt { name: usize, from: Option<usize> },
    Bind { place: Place, peer: Option<(usize, IpAddr)> },
    BindAt { name: Option<usize>, peer: Option<usize>, replace: bool },
    Accept(usize),
    Connected(usize),
    Read(usize, usize),
    Write(usize, usize),
    Shutdown(usize, Shutdown),
    Abort(usize),
    Receive(usize, usize),
    Send { by: usize, to: usize, ip: IpAddr, len: usize },
    SendAt { by: usize, name: usize, len: usize },
    Drop(usize),
}

pub enum Thing {
    Listener(Box<dyn Listener>),
    Stream(Box<dyn Stream>),
    Gram(Box<dyn Datagram>),
    Gone,
}

/// What is known of a thing's readiness from reports and from calls that would have blocked.
#[derive(Copy, Clone, Debug, Default)]
pub struct Known {
    pub readable: bool,
    pub writable: bool,
    pub ending: bool,
    /// Reported, and no call since.
    news: bool,
}

/// Room is not compared: a network need not speak of it before a write has found none.
impl PartialEq for Known {
    fn eq(&self, other: &Self) -> bool {
        (self.readable, self.ending) == (other.readable, other.ending)
    }
}

/// What a port is bound for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Protocol {
    Tcp,
    Udp,
}

/// What there is beside TCP and UDP over IPv4.
#[derive(Copy, Clone, Debug)]
pub struct Kinds {
    pub unix: bool,
    pub v6: bool,
}

impl Kinds {
    /// All that was compiled in.
    pub const ALL: Kinds = Kinds { unix: cfg!(feature = "uds"), v6: true };
}

/// A network under calls.
pub struct Lab {
    pub net: Box<dyn Net>,
    pub things: Vec<Thing>,
    pub known: Vec<Known>,
    /// Local ports, and the addresses that they are bound at.
    ports: Vec<Option<u16>>,
    ips: Vec<Option<IpAddr>>,
    /// For what the port was bound, if it was not only picked for a connection.
    protocols: Vec<Option<Protocol>>,
    dir: PathBuf,
    kinds: Kinds,
    /// Whether it takes time of its own until what was done shows.
    pub late: bool,
}

impl Lab {
    pub fn new(net: Box<dyn Net>, dir: impl Into<PathBuf>, kinds: Kinds, late: bool) -> Self {
        let (things, known, ports, ips, protocols) = Default::default();
        Lab { net, things, known, ports, ips, protocols, dir: dir.into(), kinds, late }
    }

    fn path(&self, name: usize) -> Addr {
        Addr::from(self.dir.join(name.to_string()))
    }

    fn at(&self, thing: usize, ip: IpAddr) -> Addr {
        Addr::from((ip, self.ports[thing].unwrap_or(9)))
    }

    /// An address in words that do not depend on which ports were free.
    fn show(&self, addr: &Addr, gram: bool) -> String {
        match addr.inet() {
            Some(inet) => {
                let is_it = |at: &usize| {
                    let udp = self.protocols[*at] == Some(Protocol::Udp);
                    self.ports[*at] == Some(inet.port()) && udp == gram
                };
                let whose = (0..self.ports.len()).rev().find(is_it);
                whose.map_or_else(|| format!("{}:?", inet.ip()), |at| format!("{}:{at}", inet.ip()))
            }
            None => addr.to_string().replace(&*self.dir.to_string_lossy(), "DIR"),
        }
    }

    fn add(
        &mut self,
        mut thing: Thing,
        local: &Addr,
        bound: Option<Protocol>,
    ) -> io::Result<String> {
        let number = self.things.len();
        let at = token(number);
        match &mut thing {
            Thing::Listener(it) => it.register(at)?,
            Thing::Stream(it) => it.register(at)?,
            Thing::Gram(it) => it.register(at)?,
            Thing::Gone => {}
        }
        self.things.push(thing);
        self.known.push(Known::default());
        self.ports.push(local.port());
        self.ips.push(local.ip());
        self.protocols.push(bound);
        Ok(format!("thing {number}"))
    }

    /// Takes in what is reported; `wait`: and waits until something is, where time is the system's own.
    pub fn harvest(&mut self, wait: bool) {
        let mut ready = Vec::new();
        let limit = if wait { LATE } else { Duration::ZERO };
        self.net.harvest(Some(limit), &mut ready).unwrap();
        for ready in ready {
            let known = &mut self.known[ready.token.0];
            known.readable |= ready.readable;
            known.writable |= ready.writable;
            // Of datagram sockets that is an error, which is read like anything else.
            known.ending |= ready.ending && !matches!(self.things[ready.token.0], Thing::Gram(_));
            known.news |= ready.readable;
        }
    }

    /// Does it, and says what came of it.
    pub fn call(&mut self, call: &Call) -> String {
        // These may take the error that was reported.
        if let Call::Send { by: at, .. }
        | Call::SendAt { by: at, .. }
        | Call::Write(at, _)
        | Call::Connected(at) = call
        {
            self.known[*at].news = false;
        }
        match self.try_call(call) {
            Ok(text) => text,
            Err(error) => {
                let errno = error.raw_os_error().and_then(Errno::from_number);
                errno.map_or_else(|| format!("{:?}", error.kind()), |errno| errno.to_string())
            }
        }
    }

    fn try_call(&mut self, call: &Call) -> io::Result<String> {
        match *call {
            Call::Listen(ref place) => {
                let mut listen = Listen::new((
                    place.ip,
                    place.port_of.map_or(0, |at| self.ports[at].unwrap_or(9)),
                ));
                listen.only_v6 = place.only_v6;
                (listen.reuse_addr, listen.reuse_port) = (place.reuse_addr, place.reuse_port);
                self.listen(&listen)
            }
            Call::ListenAt { name, replace } => {
                let mut listen = Listen::new(self.path(name));
                listen.file.replace_stale = replace;
                self.listen(&listen)
            }
            Call::Dial { to, ip, from } => {
                let mut dial = Dial::new(self.at(to, ip));
                let any = if ip.is_ipv4() { IpAddr::from([0; 4]) } else { IpAddr::from([0; 16]) };
                dial.local = from.map(|from| self.at(from, any));
                self.dial(&dial)
            }
            Call::DialAt { name, from } => {
                let mut dial = Dial::new(self.path(name));
                dial.local = from.map(|from| self.path(from));
                self.dial(&dial)
            }
            Call::Bind { ref place, peer } => {
                let port = place.port_of.map_or(0, |at| self.ports[at].unwrap_or(9));
                let mut bind = Bind::new((place.ip, port));
                bind.only_v6 = place.only_v6;
                (bind.reuse_addr, bind.reuse_port) = (place.reuse_addr, place.reuse_port);
                bind.peer = peer.map(|(peer, ip)| self.at(peer, ip));
                self.bind(&bind)
            }
            Call::BindAt { name, peer, replace } => {
                let mut bind = Bind::new(name.map_or(Addr::Unnamed, |name| self.path(name)));
                bind.peer = peer.map(|peer| self.path(peer));
                bind.file.replace_stale = replace;
                self.bind(&bind)
            }
            Call::Accept(at) => {
                let Thing::Listener(listener) = &mut self.things[at] else { return gone() };
                let stream = listener.accept();
                self.blocked_reading(at, stream.as_ref().err());
                let stream = stream?;
                let (local, peer) = (stream.local_addr().clone(), stream.peer_addr().clone());
                let text = self.add(Thing::Stream(stream), &local, Some(Protocol::Tcp))?;
                Ok(format!("{text} at {} of {}", self.show(&local, false), self.show(&peer, false)))
            }
            Call::Connected(at) => {
                let Thing::Stream(stream) = &mut self.things[at] else { return gone() };
                stream.connected().map(|up| format!("up: {up}"))
            }
            Call::Read(at, len) => {
                let Thing::Stream(stream) = &mut self.things[at] else { return gone() };
                let mut buf = vec![0; len];
                let result = stream.read(&mut buf);
                self.blocked_reading(at, result.as_ref().err());
                result.map(|count| format!("{count}: {:?}", &buf[..count]))
            }
            Call::Write(at, len) => {
                let Thing::Stream(stream) = &mut self.things[at] else { return gone() };
                let data: Vec<u8> = (0..len).map(|byte| (byte ^ at) as u8).collect();
                let (one, two) = data.split_at(len / 3);
                let result = stream.write(&[IoSlice::new(one), IoSlice::new(two)]);
                if result.as_ref().err().is_some_and(|error| error.kind() == ErrorKind::WouldBlock)
                {
                    self.known[at].writable = false;
                } else {
                    assert!(
                        self.late || self.known[at].writable,
                        "thing {at} has room and was not reported"
                    );
                }
                result.map(|count| format!("{count} written"))
            }
            Call::Shutdown(at, how) => {
                let Thing::Stream(stream) = &mut self.things[at] else { return gone() };
                stream.shutdown(how).map(|()| "shut".to_string())
            }
            Call::Abort(at) => {
                let Thing::Stream(stream) = &mut self.things[at] else { return gone() };
                stream.set_abortive()?;
                self.things[at] = Thing::Gone;
                Ok("aborted".to_string())
            }
            Call::Receive(at, len) => {
                let Thing::Gram(gram) = &mut self.things[at] else { return gone() };
                let mut buf = vec![0; len];
                let result = gram.receive(&mut buf);
                self.blocked_reading(at, result.as_ref().err());
                let gram = result?;
                let from = self.show(&gram.from, true);
                // Of one that fills the buffer, not every network can tell.
                let whole = gram.len < len && !gram.truncated;
                Ok(format!("{:?} whole: {whole} from {from}", &buf[..gram.len]))
            }
            Call::Send { by, to, ip, len } => {
                let to = self.at(to, ip);
                self.send(by, &to, len)
            }
            Call::SendAt { by, name, len } => {
                let to = self.path(name);
                self.send(by, &to, len)
            }
            Call::Drop(at) => {
                self.things[at] = Thing::Gone;
                Ok("dropped".to_string())
            }
        }
    }

    fn listen(&mut self, listen: &Listen) -> io::Result<String> {
        let listener = self.net.listen(listen)?;
        let local = listener.local_addr().clone();
        self.add(Thing::Listener(listener), &local, Some(Protocol::Tcp))
    }

    fn dial(&mut self, dial: &Dial) -> io::Result<String> {
        let stream = self.net.connect(dial)?;
        let ends = (stream.local_addr().clone(), stream.peer_addr().clone());
        let text = self.add(
            Thing::Stream(stream),
            &ends.0,
            dial.local.is_some().then_some(Protocol::Tcp),
        )?;
        Ok(format!("{text} from {} to {}", self.show(&ends.0, false), self.show(&ends.1, false)))
    }

    fn bind(&mut self, bind: &Bind) -> io::Result<String> {
        let gram = self.net.bind(bind)?;
        let local = gram.local_addr().clone();
        let text = self.add(Thing::Gram(gram), &local, Some(Protocol::Udp))?;
        Ok(format!("{text} at {}", self.show(&local, true)))
    }

    fn send(&mut self, by: usize, to: &Addr, len: usize) -> io::Result<String> {
        let Thing::Gram(gram) = &mut self.things[by] else { return gone() };
        let data: Vec<u8> = (0..len).map(|byte| (byte ^ by) as u8).collect();
        gram.send(&data, to).map(|()| "sent".to_string())
    }

    /// A call that takes something in shows whether the reports were true.
    fn blocked_reading(&mut self, at: usize, error: Option<&io::Error>) {
        let known = &mut self.known[at];
        if error.is_some_and(|error| error.kind() == ErrorKind::WouldBlock) {
            assert!(self.late || !known.news, "thing {at} was reported and has nothing");
            known.readable = false;
        } else if !self.late {
            assert!(known.readable, "thing {at} has something and was not reported");
        }
        known.news = false;
    }

    /// Whether a port can be asked for by address. For all of IPv4, Linux also looks at IPv6 sockets with an address of their own, but not the other way
    /// round; a world does neither. And it is to be a port that was bound for the same protocol: another may be in use by others on this machine.
    fn can_ask(&self, protocol: Protocol, ip: IpAddr, port_of: usize) -> bool {
        if self.protocols[port_of] != Some(protocol) {
            return false;
        }
        let strange = |at: &usize| {
            self.ports[*at] == self.ports[port_of]
                && self.ips[*at]
                    .is_some_and(|ip| !ip.is_unspecified() && ip.to_canonical().is_ipv6())
        };
        let wide = ip.is_ipv4() && ip.is_unspecified();
        !wide || !(0..self.things.len()).any(|at| strange(&at))
    }

    /// Whether Linux may forget an IPv4 listener on this port: where two of `[::]` share by `SO_REUSEPORT`, the second is taken as wide as the first, which may
    /// have been for IPv6 alone.
    fn is_forgotten(&self, ip: IpAddr, port_of: usize) -> bool {
        let held = (0..self.things.len()).filter(|&at| self.ports[at] == self.ports[port_of]);
        let mut held = held.filter_map(|at| self.ips[at]);
        ip.is_ipv6() && ip.is_unspecified() && held.any(|ip| ip.to_canonical().is_ipv4())
    }

    /// Those of a kind that are still there.
    fn those(&self, kind: fn(&Thing) -> bool) -> Vec<usize> {
        (0..self.things.len()).filter(|&at| kind(&self.things[at])).collect()
    }

    pub fn open(&self) -> usize {
        self.those(|thing| !matches!(thing, Thing::Gone)).len()
    }
}

fn gone<T>() -> io::Result<T> {
    Err(ErrorKind::NotFound.into())
}

/// Draws the next call that makes sense.
pub fn draw(lab: &Lab, dice: &mut Rng) -> Call {
    let listeners = lab.those(|thing| matches!(thing, Thing::Listener(_)));
    let streams = lab.those(|thing| matches!(thing, Thing::Stream(_)));
    let grams = lab.those(|thing| matches!(thing, Thing::Gram(_)));
    let ported: Vec<usize> = (0..lab.things.len()).filter(|&at| lab.ports[at].is_some()).collect();
    let Kinds { unix, v6 } = lab.kinds;
    let shared = |dice: &mut Rng, most: u64| {
        let recent = ported.len().saturating_sub(8);
        dice.chance(1.0 / most as f64)
            .then(|| ported.get(recent + dice.index(ported.len() - recent)).copied())
            .flatten()
    };
    let place = |protocol: Protocol, dice: &mut Rng| {
        let ips: [IpAddr; 5] = [
            Ipv4Addr::UNSPECIFIED.into(),
            Ipv4Addr::LOCALHOST.into(),
            Ipv4Addr::new(127, 0, 0, 2).into(),
            Ipv6Addr::UNSPECIFIED.into(),
            Ipv6Addr::LOCALHOST.into(),
        ];
        let ip = ips[dice.index(if v6 { 5 } else { 3 })];
        let only_v6 = if ip.is_ipv6() && dice.chance(0.7) { Some(dice.chance(0.5)) } else { None };
        let port_of = shared(dice, 3).filter(|&at| lab.can_ask(protocol, ip, at));
        let (reuse_addr, reuse_port) = (dice.chance(0.6), dice.chance(0.3));
        let reuse_port = reuse_port && !port_of.is_some_and(|at| lab.is_forgotten(ip, at));
        Place { ip, port_of, only_v6, reuse_addr, reuse_port }
    };
    let target = |dice: &mut Rng| {
        let mapped = Ipv4Addr::LOCALHOST.to_ipv6_mapped();
        let often: [IpAddr; 3] =
            [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into(), mapped.into()];
        let seldom: [IpAddr; 3] = [
            Ipv4Addr::UNSPECIFIED.into(),
            Ipv4Addr::new(127, 0, 0, 2).into(),
            Ipv6Addr::UNSPECIFIED.into(),
        ];
        match dice.chance(0.8) {
            true => often[dice.index(if v6 { 3 } else { 1 })],
            false => seldom[dice.index(if v6 { 3 } else { 2 })],
        }
    };
    let pick =
        |from: &[usize], dice: &mut Rng| (!from.is_empty()).then(|| from[dice.index(from.len())]);
    // Those that are of use, most of the time.
    let likely =
        |from: &[usize], dice: &mut Rng| if dice.chance(0.8) { pick(from, dice) } else { None };
    let (inet, named): (Vec<usize>, Vec<usize>) =
        grams.iter().partition(|&&at| lab.ports[at].is_some());
    let alive: Vec<usize> = streams.iter().copied().filter(|&at| !lab.known[at].ending).collect();
    let ending: Vec<usize> = streams.iter().copied().filter(|&at| lab.known[at].ending).collect();
    let stream = |dice: &mut Rng| likely(&alive, dice).or_else(|| pick(&streams, dice));
    let how = |dice: &mut Rng| [Shutdown::Read, Shutdown::Write, Shutdown::Both][dice.index(3)];
    loop {
        let call = match dice.below(100) {
            0..4 => Some(Call::Listen(place(Protocol::Tcp, dice))),
            4..7 if unix => Some(Call::ListenAt { name: dice.index(3), replace: dice.chance(0.7) }),
            7..16 => likely(&listeners, dice).or_else(|| shared(dice, 1)).map(|to| {
                // A connection to itself, which TCP knows and a world does not, is left out.
                let ip = target(dice);
                let any = if ip.is_ipv4() { IpAddr::from([0; 4]) } else { IpAddr::from([0; 16]) };
                let from = shared(dice, 6).filter(|&from| {
                    lab.ports[from] != lab.ports[to] && lab.can_ask(Protocol::Tcp, any, from)
                });
                Call::Dial { to, ip, from }
            }),
            16..20 if unix => {
                let from = dice.chance(0.3).then(|| 7 + dice.index(2));
                Some(Call::DialAt { name: dice.index(4), from })
            }
            20..26 => {
                let peer = dice.chance(0.4).then(|| shared(dice, 1)).flatten();
                let peer = peer.map(|peer| (peer, target(dice)));
                Some(Call::Bind { place: place(Protocol::Udp, dice), peer })
            }
            26..30 if unix => {
                let name = dice.chance(0.7).then(|| 4 + dice.index(3));
                let peer = dice.chance(0.4).then(|| 4 + dice.index(3));
                Some(Call::BindAt { name, peer, replace: dice.chance(0.7) })
            }
            30..40 => pick(&listeners, dice).map(Call::Accept),
            // What only this call tells is of those that have ended.
            40..42 => pick(&ending, dice).or_else(|| stream(dice)).map(Call::Connected),
            42..55 => stream(dice).map(|at| Call::Read(at, dice.between(1, 200) as usize)),
            55..66 => stream(dice).map(|at| Call::Write(at, dice.between(1, 150) as usize)),
            66..69 => stream(dice).map(|at| Call::Shutdown(at, how(dice))),
            69 => pick(&streams, dice).map(Call::Abort),
            70..80 => pick(&grams, dice).map(|at| Call::Receive(at, dice.between(0, 100) as usize)),
            80..88 => match (pick(&inet, dice), likely(&inet, dice).or_else(|| shared(dice, 1))) {
                (Some(by), Some(to)) => {
                    Some(Call::Send { by, to, ip: target(dice), len: dice.below(100) as usize })
                }
                _ => None,
            },
            88..93 if unix => pick(&named, dice).map(|by| Call::SendAt {
                by,
                name: 4 + dice.index(4),
                len: dice.below(100) as usize,
            }),
            93..98 => {
                let all = lab.those(|thing| !matches!(thing, Thing::Gone));
                if all.len() < 6 { None } else { pick(&all, dice).map(Call::Drop) }
            }
            _ => None,
        };
        if let Some(call) = call {
            return call;
        }
    }
}
