//! The machine room: all state of a world, behind one lock that is never contended.
//!
//! * here — what there is of all of it, and the one loop that does what is due
//! * `host` — names and addresses
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
mod host;
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
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use slab::Slab;

use self::host::Host;
use self::path::{Packet, Path};
pub(super) use self::poll::Source;
use self::poll::{END, Poll, Poller, READ, WRITE, bits};
use self::socket::Listening;
use self::tcp::Tcp;
use self::udp::Udp;
use self::unix::Unix;
use super::queue::{Event, Queue};
use super::topology::{Cut, HostId, Link};
use super::trace::{Recorder, What};
use super::{Act, Errno, Key, Op, Stats, Step};
use crate::tyme::{Tyme, Tymist, Tymth};

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

    pub(super) fn tymth(&self) -> Tymth {
        self.tymist.tymth()
    }

    fn stamp(&mut self) -> u32 {
        self.stamp = self.stamp.wrapping_add(1);
        self.stamp
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
                        self.schedule_turn(HostId(host));
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
}
