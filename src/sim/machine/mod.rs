//! The machine room: all state of a world, behind one lock that is never contended.
//!
//! * here — hosts, their turns, and what they are told is ready
//! * `path` — the ways between hosts: what becomes of a packet
//! * `ports` — who holds which port of a host
//! * `socket` — making, finding and closing listeners; options
//! * `open` — TCP connections coming up
//! * `data` — TCP bytes, acknowledgements and windows
//! * `close` — FIN, RST, `TIME_WAIT`, and trying again
//! * `udp` — datagrams
//! * `act` — partitions, crashes and what else befalls a world

mod act;
mod close;
mod data;
mod open;
mod path;
mod ports;
mod socket;
mod tcp;
mod udp;

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use slab::Slab;

use self::path::{Packet, Path};
use self::ports::Ports;
use self::socket::Listening;
use self::tcp::Tcp;
use self::udp::Udp;
use super::queue::{Event, Queue};
use super::topology::{Cut, HostId, HostSpec, Link};
use super::trace::{Recorder, What};
use super::{Act, Errno, Key, Op, Rng, Stats, Step};
use crate::Wake;
use crate::net::{Readiness, Token};
use crate::tyme::{Tyme, Tymist, Tymth};

/// Readiness reports taken at one harvest; more wait for the next one, as with a real poller.
const HARVEST: usize = 1024;

pub(super) const READ: u8 = 1;
pub(super) const WRITE: u8 = 2;
pub(super) const END: u8 = 4;

/// What a host polls.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Listener(Key),
    Tcp(Key),
    Udp(Key),
}

/// Whether and as what a socket is polled, and what is to be reported.
#[derive(Debug, Default)]
struct Poll {
    token: Option<Token>,
    poller: u32,
    bits: u8,
    listed: bool,
}

/// One host's state. `up` and `epoch` tell whether what is addressed to it still finds it.
pub(super) struct Host {
    pub(super) spec: HostSpec,
    pub(super) addrs: Vec<IpAddr>,
    pub(super) tymth: Tymth,
    pub(super) up: bool,
    epoch: u32,
    turn_at: Option<Tyme>,
    turn_stamp: u32,
    free_at: Tyme,
    deadline: Option<Tyme>,
    alarm_at: Option<Tyme>,
    alarm_stamp: u32,
    ports: Ports,
    pub(super) sockets: usize,
}

/// One program's poller: what is ready and not yet harvested.
struct Poller {
    host: HostId,
    ready: VecDeque<Source>,
}

/// All of a world but its programs.
pub(super) struct Core {
    pub(super) seed: u64,
    tymist: Tymist,
    now: Tyme,
    queue: Queue,
    pub(super) hosts: Vec<Host>,
    pollers: Vec<Poller>,
    names: BTreeMap<String, HostId>,
    by_ip: BTreeMap<IpAddr, HostId>,
    default_link: Link,
    links: BTreeMap<(HostId, HostId), Link>,
    cuts: Vec<Cut>,
    clogs: Vec<(HostId, HostId)>,
    paths: Vec<Path>,
    path_index: BTreeMap<(HostId, HostId), u32>,
    packets: Slab<Packet>,
    tcps: Slab<Tcp>,
    listeners: Slab<Listening>,
    listening: BTreeMap<(HostId, u16), Vec<Key>>,
    /// Ends without a holder that wait for their peer's end, and until when.
    orphans: VecDeque<(Tyme, Key)>,
    udps: Slab<Udp>,
    stamp: u32,
    conns: u32,
    acts: Vec<Option<Act>>,
    unmet: Vec<String>,
    arena: BytesMut,
    rng: Rng,
    pub(super) recorder: Recorder,
    pub(super) stats: Stats,
}

/// The core, shared by the world and everything that a host holds.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<Core>>);

impl Shared {
    pub(super) fn new(core: Core) -> Self {
        Shared(Arc::new(Mutex::new(core)))
    }

    /// A panic elsewhere leaves nothing half done that would matter: it ends the run anyway.
    #[inline]
    pub(super) fn lock(&self) -> MutexGuard<'_, Core> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn downgrade(&self) -> std::sync::Weak<Mutex<Core>> {
        Arc::downgrade(&self.0)
    }

    pub(super) fn upgrade(weak: &std::sync::Weak<Mutex<Core>>) -> Option<Shared> {
        weak.upgrade().map(Shared)
    }
}

impl Core {
    pub(super) fn new(seed: u64, start: Tyme, link: Link, recorder: Recorder) -> Self {
        Core {
            seed,
            tymist: Tymist::starting_at(start),
            now: start,
            queue: Queue::default(),
            hosts: Vec::new(),
            pollers: Vec::new(),
            names: BTreeMap::new(),
            by_ip: BTreeMap::new(),
            default_link: link,
            links: BTreeMap::new(),
            cuts: Vec::new(),
            clogs: Vec::new(),
            paths: Vec::new(),
            path_index: BTreeMap::new(),
            packets: Slab::new(),
            tcps: Slab::new(),
            listeners: Slab::new(),
            listening: BTreeMap::new(),
            orphans: VecDeque::new(),
            udps: Slab::new(),
            stamp: 0,
            conns: 0,
            acts: Vec::new(),
            unmet: Vec::new(),
            arena: BytesMut::new(),
            rng: Rng::stream(seed, "wire"),
            recorder,
            stats: Stats::default(),
        }
    }

    pub(super) fn now(&self) -> Tyme {
        self.now
    }

    pub(super) fn tymth(&self) -> Tymth {
        self.tymist.tymth()
    }

    pub(super) fn host(&self, host: HostId) -> &Host {
        &self.hosts[host.index()]
    }

    fn host_mut(&mut self, host: HostId) -> &mut Host {
        &mut self.hosts[host.index()]
    }

    fn stamp(&mut self) -> u32 {
        self.stamp = self.stamp.wrapping_add(1);
        self.stamp
    }

    /// # Panics
    /// If one of the addresses or the name is taken.
    pub(super) fn add_host(&mut self, mut spec: HostSpec) -> HostId {
        let index = u32::try_from(self.hosts.len()).unwrap_or(u32::MAX);
        let id = HostId(index);
        let mut addrs = core::mem::take(&mut spec.addrs);
        if addrs.is_empty() {
            let [_, high, mid, low] = (index + 1).to_be_bytes();
            let six = std::net::Ipv6Addr::from((0xfd00_u128 << 112) | u128::from(index + 1));
            addrs.push(IpAddr::from([10, high, mid, low]));
            addrs.push(six.into());
        }
        for &ip in &addrs {
            let before = self.by_ip.insert(ip.to_canonical(), id);
            assert!(before.is_none(), "two hosts with the address {ip}");
        }
        let before = self.names.insert(spec.name.clone(), id);
        assert!(before.is_none(), "two hosts with the name {:?}", spec.name);
        self.record(&What::Host { host: id, name: spec.name.clone(), addrs: addrs.clone() });
        let (low, high) = spec.ephemeral_ports;
        let first = self.rng.between(low.into(), high.into());
        let first = u16::try_from(first).unwrap_or(low);
        self.hosts.push(Host {
            tymth: self.tymth().skewed(spec.ahead, spec.drift_ppb),
            spec,
            addrs,
            up: true,
            epoch: 0,
            turn_at: None,
            turn_stamp: 0,
            free_at: self.now,
            deadline: None,
            alarm_at: None,
            alarm_stamp: 0,
            ports: Ports::starting_at(first),
            sockets: 0,
        });
        id
    }

    pub(super) fn resolve(&self, name: &str) -> Vec<IpAddr> {
        let host = self.names.get(name);
        host.map(|&host| self.host(host).addrs.clone()).unwrap_or_default()
    }

    /// Another name for addresses of a host.
    pub(super) fn add_name(&mut self, name: String, host: HostId) -> bool {
        self.names.insert(name, host).is_none()
    }

    pub(super) fn find(&self, name: &str) -> Option<HostId> {
        self.names.get(name).copied()
    }

    #[inline]
    pub(super) fn record(&mut self, what: &What) {
        self.recorder.push(self.now, what);
    }

    #[inline]
    fn record_call<T>(
        &mut self,
        host: HostId,
        op: Op,
        on: u32,
        result: &Result<T, Errno>,
        count: impl FnOnce(&T) -> u64,
    ) {
        self.stats.calls += 1;
        if self.recorder.on() {
            let result = result.as_ref().map(count).map_err(|&errno| errno);
            self.record(&What::Call { host, op, on, result });
        }
    }

    // Time.

    pub(super) fn next_due(&self) -> Option<Tyme> {
        self.queue.next()
    }

    pub(super) fn set_tyme(&mut self, tyme: Tyme) {
        if tyme > self.now {
            self.now = tyme;
            // Never backwards: `tyme` is later than all that this clock was set to before.
            let _ = self.tymist.set(tyme);
        }
    }

    /// Does the next thing that is due by `limit`, if any; the clock then stands at its tyme.
    pub(super) fn step(&mut self, limit: Tyme) -> Option<Step> {
        loop {
            let (at, event) = self.queue.pop(limit)?;
            self.set_tyme(at);
            match event {
                Event::Arrive(packet) => {
                    self.arrive(packet);
                    return Some(Step::Packet);
                }
                Event::Retry(key, stamp) => {
                    if self.retry(key, stamp) {
                        return Some(Step::Timer);
                    }
                }
                Event::DelayedAck(key) => {
                    if self.delayed_ack(key) {
                        return Some(Step::Timer);
                    }
                }
                Event::KeepAlive(key) => {
                    if self.keep_alive(key) {
                        return Some(Step::Timer);
                    }
                }
                Event::Turn(host, stamp) => {
                    if self.begin_turn(HostId(host), stamp) {
                        return Some(Step::Turn(HostId(host)));
                    }
                }
                Event::Alarm(host, stamp) => self.alarm(HostId(host), stamp),
                Event::Nudge(host, epoch) => {
                    if self.hosts[host as usize].epoch == epoch {
                        self.schedule_turn(HostId(host), at);
                    }
                }
                Event::Act(index) => {
                    if let Some(act) = self.acts.get_mut(index as usize).and_then(Option::take) {
                        return Some(self.perform(&act));
                    }
                }
            }
        }
    }

    // Turns.

    fn begin_turn(&mut self, id: HostId, stamp: u32) -> bool {
        let now = self.now;
        let host = self.host_mut(id);
        if !host.up || host.turn_stamp != stamp || host.turn_at.is_none() {
            return false;
        }
        host.turn_at = None;
        if host.free_at > now {
            // It was paused since.
            let at = host.free_at;
            self.schedule_turn(id, at);
            return false;
        }
        host.free_at = now + host.spec.turn.max(Duration::from_nanos(1));
        self.stats.turns += 1;
        if self.recorder.on() {
            self.record(&What::Turn { host: id });
        }
        true
    }

    /// Gives the host a turn at `at`, or as soon after as it is free.
    pub(super) fn schedule_turn(&mut self, id: HostId, at: Tyme) {
        let now = self.now;
        let host = &mut self.hosts[id.index()];
        let at = at.max(now).max(host.free_at);
        if !host.up || host.turn_at.is_some_and(|turn| turn <= at) {
            return;
        }
        host.turn_stamp = host.turn_stamp.wrapping_add(1);
        host.turn_at = Some(at);
        self.queue.push(at, Event::Turn(id.0, host.turn_stamp));
    }

    /// Gives the host an extra turn at `at`, by the world's clock.
    pub(super) fn nudge(&mut self, id: HostId, at: Tyme) {
        let epoch = self.host(id).epoch;
        self.queue.push(at.max(self.now), Event::Nudge(id.0, epoch));
    }

    pub(super) fn set_wake(&mut self, id: HostId, wake: Wake) {
        let now = self.now;
        let host = self.host_mut(id);
        match wake {
            Wake::Now => self.schedule_turn(id, now),
            Wake::OnIo => host.deadline = None,
            Wake::At(tyme) => {
                let due = host.tymth.due(tyme);
                if due <= now {
                    host.deadline = None;
                    return self.schedule_turn(id, now);
                }
                host.deadline = (due != Tyme::NEVER).then_some(due);
                // One alarm is under way at a time; one that comes too early moves on by itself.
                if host.alarm_at.is_none_or(|alarm| due < alarm) {
                    self.set_alarm(id, due);
                }
            }
        }
    }

    fn set_alarm(&mut self, id: HostId, at: Tyme) {
        let host = &mut self.hosts[id.index()];
        if at == Tyme::NEVER {
            return;
        }
        host.alarm_stamp = host.alarm_stamp.wrapping_add(1);
        host.alarm_at = Some(at);
        self.queue.push(at, Event::Alarm(id.0, host.alarm_stamp));
    }

    fn alarm(&mut self, id: HostId, stamp: u32) {
        let now = self.now;
        let host = self.host_mut(id);
        if host.alarm_stamp != stamp {
            return;
        }
        host.alarm_at = None;
        match host.deadline {
            Some(due) if due <= now => {
                host.deadline = None;
                self.schedule_turn(id, now);
            }
            Some(due) => self.set_alarm(id, due),
            None => {}
        }
    }

    // Readiness.

    fn poll_mut(&mut self, source: Source) -> Option<(HostId, &mut Poll)> {
        match source {
            Source::Listener(key) => {
                let listening = self.listeners.get_mut(key.index())?;
                (listening.stamp == key.stamp).then_some((listening.host, &mut listening.poll))
            }
            Source::Tcp(key) => {
                let tcp = self.tcps.get_mut(key.index())?;
                (tcp.stamp == key.stamp).then_some((tcp.host, &mut tcp.poll))
            }
            Source::Udp(key) => {
                let udp = self.udps.get_mut(key.index())?;
                (udp.stamp == key.stamp).then_some((udp.host, &mut udp.poll))
            }
        }
    }

    /// A poller for one program of the host. 40 bytes, for the life of the world.
    pub(super) fn add_poller(&mut self, host: HostId) -> u32 {
        self.pollers.push(Poller { host, ready: VecDeque::new() });
        u32::try_from(self.pollers.len() - 1).unwrap_or(u32::MAX)
    }

    /// Reports that the source has become ready, at the next harvest of its poller, and gives the host a turn for it.
    fn notify(&mut self, source: Source, bits: u8) {
        let now = self.now;
        let Some((host, poll)) = self.poll_mut(source) else { return };
        if poll.token.is_none() || bits == 0 {
            return;
        }
        poll.bits |= bits;
        if !poll.listed {
            poll.listed = true;
            let poller = poll.poller as usize;
            self.pollers[poller].ready.push_back(source);
            self.schedule_turn(host, now);
        }
    }

    pub(super) fn register(
        &mut self,
        source: Source,
        poller: u32,
        token: Token,
    ) -> Result<(), Errno> {
        let (_, poll) = self.poll_mut(source).ok_or(Errno::Ebadf)?;
        poll.token = Some(token);
        poll.poller = poller;
        let bits = match source {
            Source::Listener(key) => self.listeners[key.index()].ready_bits(),
            Source::Tcp(key) => self.tcps[key.index()].ready_bits(),
            Source::Udp(key) => self.udps[key.index()].ready_bits(),
        };
        self.notify(source, bits);
        Ok(())
    }

    pub(super) fn harvest(&mut self, poller: u32, ready: &mut Vec<Readiness>) {
        let index = poller as usize;
        for _ in 0..HARVEST {
            let Some(source) = self.pollers[index].ready.pop_front() else { return };
            if let Some((_, poll)) = self.poll_mut(source) {
                let bits = core::mem::take(&mut poll.bits);
                poll.listed = false;
                if let Some(token) = poll.token {
                    ready.push(Readiness {
                        token,
                        readable: bits & (READ | END) != 0,
                        writable: bits & WRITE != 0,
                        ending: bits & END != 0,
                    });
                }
            }
        }
        if !self.pollers[index].ready.is_empty() {
            self.schedule_turn(self.pollers[index].host, self.now);
        }
    }

    /// The bytes of `bufs`, at most `limit` of them, in one piece. Small ones share a chunk.
    fn gather<'a>(&mut self, bufs: impl Iterator<Item = &'a [u8]>, limit: usize) -> Bytes {
        const CHUNK: usize = 65_536;
        if self.arena.capacity() < limit {
            self.arena = BytesMut::with_capacity(CHUNK.max(limit));
        }
        let mut left = limit;
        for buf in bufs {
            let part = &buf[..buf.len().min(left)];
            self.arena.extend_from_slice(part);
            left -= part.len();
            if left == 0 {
                break;
            }
        }
        self.arena.split().freeze()
    }

    /// How many connections without a holder linger.
    pub(super) fn lingering(&self, host: HostId) -> usize {
        let lingers =
            |tcp: &Tcp| tcp.host == host && tcp.is_orphan() && tcp.orphan_until > self.now;
        self.tcps.iter().filter(|(_, tcp)| lingers(tcp)).count()
    }

    /// The host that has this address, as seen from `from`.
    fn owner(&self, from: HostId, ip: IpAddr) -> Option<HostId> {
        let ip = ip.to_canonical();
        if ip.is_loopback() { Some(from) } else { self.by_ip.get(&ip).copied() }
    }

    /// An address of the host from which it reaches `target`.
    fn source_ip(&self, host: HostId, target: IpAddr) -> Result<IpAddr, Errno> {
        if target.is_loopback() {
            return Ok(target);
        }
        let addrs = &self.host(host).addrs;
        if addrs.contains(&target) {
            return Ok(target);
        }
        let same = addrs.iter().find(|ip| ip.is_ipv4() == target.is_ipv4());
        same.copied().ok_or(Errno::Enetunreach)
    }
}

/// The plain form of an end: an IPv4 address that IPv6 carries is the IPv4 address, and "any" as a target is the host itself.
fn plain(end: SocketAddr) -> SocketAddr {
    let ip = match end.ip().to_canonical() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::from(std::net::Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, end.port())
}
