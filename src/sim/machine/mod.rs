//! The machine room: all state of a world, behind one lock that is never contended.
//!
//! * here — hosts, names, and the one loop that does what is due
//! * `turn` — when a host gets a turn
//! * `poll` — what a program is told is ready
//! * `path` — the ways between hosts: what becomes of a packet
//! * `ports` — who holds which port of a host
//! * `socket` — making, finding and closing listeners; options
//! * `open` — TCP connections coming up
//! * `data` — TCP bytes, acknowledgements and windows
//! * `close` — FIN, RST, `TIME_WAIT`
//! * `retry` — trying again what did not get through
//! * `udp` — datagrams
//! * `group` — datagrams for many
//! * `unix` — Unix sockets, within a host
//! * `act` — partitions, crashes and what else befalls a world

mod act;
mod close;
mod data;
mod group;
mod open;
mod path;
mod poll;
mod ports;
mod retry;
mod socket;
mod tcp;
mod turn;
mod udp;
mod unix;

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use slab::Slab;

use self::path::{Packet, Path};
pub(super) use self::poll::Source;
use self::poll::{END, Poll, Poller, READ, WRITE};
use self::ports::Ports;
use self::socket::Listening;
use self::tcp::Tcp;
use self::udp::Udp;
use self::unix::Unix;
use super::queue::{Event, Queue};
use super::topology::{Cut, HostId, HostSpec, Link};
use super::trace::{Recorder, What};
use super::{Act, Errno, Key, Op, Rng, Stats, Step};
use crate::tyme::{Tyme, Tymist, Tymth};

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
    /// Alarms under way, the latest first; see `set_alarm`.
    alarms: Vec<Tyme>,
    /// Networks made since it came up.
    nets: u32,
    ports: Ports,
    pub(super) sockets: usize,
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
    unix: Unix,
    stamp: u32,
    conns: u32,
    acts: Vec<Option<Act>>,
    unmet: Vec<String>,
    arena: BytesMut,
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
            default_link: link.bounded(),
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
            unix: Unix::default(),
            stamp: 0,
            conns: 0,
            acts: Vec::new(),
            unmet: Vec::new(),
            arena: BytesMut::new(),
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
    pub(super) fn add_host(&mut self, spec: HostSpec) -> HostId {
        let mut spec = spec.bounded();
        let index = u32::try_from(self.hosts.len()).unwrap_or(u32::MAX);
        let id = HostId(index);
        let mut addrs = core::mem::take(&mut spec.addrs);
        if addrs.is_empty() {
            let [_, high, mid, low] = (index + 1).to_be_bytes();
            let six = std::net::Ipv6Addr::from((0xfd00_u128 << 112) | u128::from(index + 1));
            addrs.push(IpAddr::from([10, high, mid, low]));
            addrs.push(six.into());
        }
        // Looked at first, so that a panic leaves nothing half done.
        let taken = addrs.iter().find(|ip| self.by_ip.contains_key(ip));
        assert!(taken.is_none(), "two hosts with the address {taken:?}");
        let name = folded(&spec.name);
        assert!(!self.names.contains_key(&name), "two hosts with the name {:?}", spec.name);
        self.names.insert(name, id);
        for &ip in &addrs {
            let before = self.by_ip.insert(ip, id);
            assert!(before.is_none(), "the address {ip} twice");
        }
        self.record(&What::Host { host: id, name: spec.name.clone(), addrs: addrs.clone() });
        let (low, high) = spec.ephemeral_ports;
        let mut rng = Rng::stream(self.seed, &format!("ports {}", spec.name));
        let first = rng.between(low.into(), high.into());
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
            alarms: Vec::new(),
            nets: 0,
            ports: Ports::starting_at(first),
            sockets: 0,
        });
        id
    }

    pub(super) fn resolve(&self, name: &str) -> Vec<IpAddr> {
        let host = self.names.get(&folded(name));
        host.map(|&host| self.host(host).addrs.clone()).unwrap_or_default()
    }

    /// Another name for addresses of a host.
    pub(super) fn add_name(&mut self, name: &str, host: HostId) -> bool {
        self.names.insert(folded(name), host).is_none()
    }

    pub(super) fn find(&self, name: &str) -> Option<HostId> {
        self.names.get(&folded(name)).copied()
    }

    /// As [`resolve`](Core::resolve), asked by a program.
    pub(super) fn look_up(&mut self, host: HostId, name: &str) -> Vec<IpAddr> {
        let ips = self.resolve(name);
        self.record_call(host, Op::Lookup, 0, &Ok(()), |()| ips.len() as u64);
        ips
    }

    /// What another network of the host draws from: neither other hosts nor their networks have a part in it.
    pub(super) fn engine_seed(&mut self, id: HostId) -> u64 {
        let seed = self.seed;
        let host = self.host_mut(id);
        host.nets += 1;
        let name = format!("engine {} {} {}", host.nets, host.epoch, host.spec.name);
        Rng::stream(seed, &name).next_u64()
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
                Event::Alarm(host) => self.alarm(HostId(host)),
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

    /// To whom a packet from this address goes that is for `to`: from a loopback address to nobody but the host itself (RFC 1122 section 3.2.1.3). As on
    /// Linux, that is an error with IPv4, and a packet lost with IPv6.
    fn route(
        &self,
        host: HostId,
        source: IpAddr,
        to: Option<HostId>,
    ) -> Result<Option<HostId>, Errno> {
        match source {
            _ if to == Some(host) || !source.is_loopback() => Ok(to),
            IpAddr::V4(_) => Err(Errno::Einval),
            IpAddr::V6(_) => Ok(None),
        }
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

/// A name as it is compared (RFC 4343): small letters, and no dot at the end.
fn folded(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
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
