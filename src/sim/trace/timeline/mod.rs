//! A page to look at: hosts as lanes, tyme across, messages as arrows.
//!
//! One HTML file with one SVG and no script. Tyme is linear with breaks: the unit is the median time that packets are under way, and a
//! silence of more than [`LONGEST`] units is cut to that and labelled. What is under the pointer says what it is.

mod draw;
mod scale;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use self::draw::Page;
use self::scale::Scale;
use super::record::{Fate, Flags, What};
use super::{Record, Trace};
use crate::sim::{Errno, HostId, Op, Side};
use crate::tyme::Tyme;

/// Longest silence that is drawn to scale, in units.
const LONGEST: f64 = 3.0;

pub(super) fn write(trace: &Trace, out: impl Write, from: Tyme, limit: usize) -> io::Result<()> {
    let scene = Scene::gather(trace, from, limit);
    let mut page = Page::new(out, &scene);
    page.head(trace)?;
    scene.shown.iter().try_for_each(|record| page.record(record))?;
    page.tail()
}

/// What is to be drawn.
struct Scene {
    hosts: Vec<String>,
    conns: BTreeMap<u32, [Option<HostId>; 2]>,
    shown: Vec<Record>,
    /// Records of interest before and after those that are shown.
    left_out: (u64, u64),
    /// When hosts were down.
    down: Vec<(HostId, Tyme, Tyme)>,
    /// Packets that piled up at the end of a clogged way: from where to where, of which connection, and when.
    held: BTreeSet<(HostId, HostId, Option<u32>, Tyme)>,
    scale: Scale,
}

impl Scene {
    fn gather(trace: &Trace, from: Tyme, limit: usize) -> Scene {
        let mut hosts = Vec::new();
        let mut conns = BTreeMap::new();
        let mut shown: Vec<Record> = Vec::new();
        let mut left_out = (0, 0);
        let mut down: Vec<(HostId, Tyme, Tyme)> = Vec::new();
        let mut held = BTreeSet::new();
        for record in trace.records() {
            match &record.what {
                What::Host { name, .. } => hosts.push(name.clone()),
                What::Conn { conn, from, to, .. } => {
                    conns.insert(*conn, [Some(*from), *to]);
                }
                What::Up { host, up: false } => down.push((*host, record.tyme, Tyme::NEVER)),
                What::Up { host, up: true } => {
                    let last = down.iter_mut().rev().find(|(it, ..)| it == host);
                    if let Some((_, _, until)) = last {
                        *until = record.tyme;
                    }
                }
                What::Held { from, to, conn } => {
                    held.insert((*from, *to, *conn, record.tyme));
                }
                _ => {}
            }
            if !is_drawn(&record.what) {
                continue;
            }
            if record.tyme < from {
                left_out.0 += 1;
            } else if shown.len() >= limit {
                left_out.1 += 1;
            } else {
                shown.push(record);
            }
        }
        let scale = Scale::new(&shown);
        Scene { hosts, conns, shown, left_out, down, held, scale }
    }

    /// Whether a packet that gets to this host at this tyme piles up there.
    fn is_held(&self, what: &What, from: HostId, to: Option<HostId>, at: Tyme) -> bool {
        let conn = match what {
            What::Segment { conn, .. } => Some(*conn),
            _ => None,
        };
        to.is_some_and(|to| self.held.contains(&(from, to, conn, at)))
    }

    /// From where to where a packet goes.
    fn way(&self, what: &What) -> Option<(HostId, Option<HostId>)> {
        match what {
            What::Segment { conn, side, .. } => {
                let [dialler, target] = self.conns.get(conn).copied()?;
                match side {
                    Side::Dialled => Some((dialler?, target)),
                    Side::Accepted => Some((target?, dialler)),
                }
            }
            What::Gram { from, to, .. } => Some((*from, *to)),
            What::Unreachable { from, to, .. } => Some((*from, Some(*to))),
            _ => None,
        }
    }
}

/// Turns, harvests and calls that only move bytes would hide the rest.
fn is_drawn(what: &What) -> bool {
    match what {
        What::Call { op, result: Ok(_), .. } => matches!(
            op,
            Op::Listen | Op::Connect | Op::Accept | Op::Close | Op::Abort | Op::Bind | Op::Shutdown
        ),
        What::Call { result: Err(errno), .. } => *errno != Errno::Eagain,
        What::Turn { .. } | What::Host { .. } | What::Conn { .. } | What::Local { .. } => false,
        _ => true,
    }
}

fn arrival(what: &What) -> Option<Tyme> {
    match what {
        What::Segment { fate, .. } | What::Gram { fate, .. } | What::Unreachable { fate, .. } => {
            match fate {
                Fate::Arrives(tyme) => Some(*tyme),
                Fate::Lost(_) => None,
            }
        }
        _ => None,
    }
}

/// The class of an arrow, for its colour.
fn class(what: &What) -> &'static str {
    match what {
        What::Segment { flags, .. } if flags.has(Flags::RST) => "rst",
        What::Segment { flags, .. } if flags.has(Flags::SYN) => "syn",
        What::Segment { flags, .. } if flags.has(Flags::FIN) => "fin",
        What::Segment { data, .. } if data.is_empty() => "ack",
        What::Segment { .. } => "data",
        What::Unreachable { .. } => "rst",
        _ => "gram",
    }
}

/// The tymes that have a place of their own.
fn moments(records: &[Record]) -> BTreeSet<Tyme> {
    records.iter().flat_map(|record| [Some(record.tyme), arrival(&record.what)]).flatten().collect()
}
