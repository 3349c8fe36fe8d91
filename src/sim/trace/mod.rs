//! What happened, record by record, with a running hash.
//!
//! * [`record`](self) — [`Record`], [`What`], and how they read as text
//! * `codec` — their bytes, in memory and in a file; `fields` — what these are made of
//! * `diff` — where two runs part
//! * `pcapng` — for Wireshark
//! * `timeline` — a page to look at
//!
//! The hash is a chain: XXH3-64 of the bytes of a record, seeded with the hash of all before it, from 0. Two runs whose hashes are
//! equal did the same things at the same tymes in the same order.

mod codec;
mod diff;
mod fields;
mod pcapng;
mod record;
mod timeline;

use std::io::{self, Read, Write};

use twox_hash::XxHash3_64;

pub use diff::Difference;
pub use record::{Fate, Flags, Record, Timer, What, Why};

use crate::tyme::Tyme;

/// How much a world writes down.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Tracing {
    /// Nothing; [`World::hash`](super::World::hash) is then 0.
    Off,
    /// Only the running hash: about 40 ns a record.
    #[default]
    Hash,
    /// Everything: in memory, about 20 bytes a record and all payload, without bound.
    Full,
    /// The hash of everything, and the last so many bytes of records at most, at least half of them once there are more; hosts are kept aside. For runs too
    /// long to be kept whole. Connections that began before are nameless in it, so the exports leave their packets out.
    Last(usize),
}

/// The writing end, inside a world.
#[derive(Debug)]
pub(super) struct Recorder {
    mode: Tracing,
    /// What is kept for good: everything, or only the hosts.
    log: Log,
    /// The last two stretches of what is not kept for good.
    recent: [Log; 2],
    scratch: Vec<u8>,
    count: u64,
    hash: u64,
}

/// Records in a row.
#[derive(Debug, Default)]
struct Log {
    bytes: Vec<u8>,
    count: u64,
}

impl Log {
    fn put(&mut self, record: &[u8]) {
        fields::put_bytes(&mut self.bytes, record);
        self.count += 1;
    }
}

impl Recorder {
    pub(super) fn new(mode: Tracing) -> Self {
        let (log, recent) = Default::default();
        Recorder { mode, log, recent, scratch: Vec::new(), count: 0, hash: 0 }
    }

    #[inline]
    pub(super) fn on(&self) -> bool {
        self.mode != Tracing::Off
    }

    pub(super) fn push(&mut self, tyme: Tyme, what: &What) {
        if !self.on() {
            return;
        }
        self.scratch.clear();
        codec::encode(tyme, what, &mut self.scratch);
        self.count += 1;
        self.hash = XxHash3_64::oneshot_with_seed(self.hash, &self.scratch);
        match self.mode {
            Tracing::Off | Tracing::Hash => {}
            Tracing::Last(limit) if !matches!(what, What::Host { .. }) => {
                let [older, newer] = &mut self.recent;
                let size = fields::framed(self.scratch.len());
                // What is too large by itself is left out, and nothing else for it.
                if size > limit / 2 {
                    return;
                }
                if newer.bytes.len() + size > limit / 2 {
                    core::mem::swap(older, newer);
                    newer.bytes.clear();
                    newer.count = 0;
                }
                newer.put(&self.scratch);
            }
            Tracing::Full | Tracing::Last(_) => self.log.put(&self.scratch),
        }
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn trace(&self, seed: u64) -> Trace {
        let all = || core::iter::once(&self.log).chain(&self.recent);
        let log = all().flat_map(|log| &log.bytes).copied().collect();
        Trace { seed, log, count: all().map(|log| log.count).sum(), hash: self.hash }
    }
}

/// A run written down.
///
/// Equal traces are equal runs.
#[derive(Clone, PartialEq, Eq)]
pub struct Trace {
    seed: u64,
    log: Vec<u8>,
    count: u64,
    hash: u64,
}

/// First bytes of a trace file; the digit is the version.
const MAGIC: &[u8; 8] = b"TYMTRC1\n";

impl Trace {
    /// The seed of the run.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The hash of the run; of a trace that was read from a file, of what is in it.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// How many records there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.count
    }

    /// Whether nothing was written down.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The records, in order; decoded one by one.
    pub fn records(&self) -> impl Iterator<Item = Record> {
        let mut rest = self.log.as_slice();
        let mut index = 0;
        core::iter::from_fn(move || {
            let body = fields::take_bytes(&mut rest)?;
            let (tyme, what) = codec::decode(body)?;
            index += 1;
            Some(Record { index: index - 1, tyme, what })
        })
    }

    /// Where this run and another part. Of runs of which only the hash was kept: whether they do.
    #[must_use]
    pub fn first_difference(&self, other: &Trace) -> Option<Difference> {
        diff::first(self, other)
    }

    /// Writes it down: 8 bytes of magic, the seed (8 bytes, little-endian), then the records, each with its length before it.
    ///
    /// # Errors
    /// What `out` says.
    pub fn write_to(&self, mut out: impl Write) -> io::Result<()> {
        out.write_all(MAGIC)?;
        out.write_all(&self.seed.to_le_bytes())?;
        out.write_all(&self.log)
    }

    /// Reads back what [`write_to`](Trace::write_to) wrote. All records are looked at, so a trace that was read can be relied on.
    ///
    /// # Errors
    /// What `input` says; [`InvalidData`](io::ErrorKind::InvalidData) for bytes that are no trace, naming the place.
    pub fn read_from(mut input: impl Read) -> io::Result<Trace> {
        let bad = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
        let mut magic = [0; 8];
        let mut seed = [0; 8];
        input.read_exact(&mut magic)?;
        if magic != *MAGIC {
            return Err(bad("not a trace of this version".into()));
        }
        input.read_exact(&mut seed)?;
        let mut log = Vec::new();
        input.read_to_end(&mut log)?;
        let (mut count, mut hash) = (0, 0);
        let mut rest = log.as_slice();
        while !rest.is_empty() {
            let at = log.len() - rest.len() + 16;
            let body = fields::take_bytes(&mut rest);
            let Some(body) = body.filter(|body| codec::decode(body).is_some()) else {
                return Err(bad(format!("record {count} at byte {at} is damaged")));
            };
            count += 1;
            hash = XxHash3_64::oneshot_with_seed(hash, body);
        }
        Ok(Trace { seed: u64::from_le_bytes(seed), log, count, hash })
    }

    /// Writes the packets as a pcapng file, which Wireshark and tshark open: Ethernet, IP and TCP or UDP headers are made up so that
    /// handshakes, sequence numbers and checksums are right, each host is an interface, and lost packets and faults carry comments.
    ///
    /// Packets stand where their sender sent them. Time is tyme, from 1970 on.
    ///
    /// # Errors
    /// What `out` says.
    pub fn write_pcapng(&self, out: impl Write) -> io::Result<()> {
        pcapng::write(self, out)
    }

    /// Draws the run as one page of HTML with one SVG in it: hosts as lanes, tyme across, messages as arrows.
    ///
    /// Long silences are cut short and labelled. At most `limit` records from `from` on are drawn, and the page says what is left out.
    ///
    /// # Errors
    /// What `out` says.
    pub fn write_timeline(&self, out: impl Write, from: Tyme, limit: usize) -> io::Result<()> {
        timeline::write(self, out, from, limit)
    }
}

impl core::fmt::Debug for Trace {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Trace")
            .field("seed", &self.seed)
            .field("records", &self.count)
            .field("hash", &format_args!("{:016x}", self.hash))
            .finish()
    }
}
