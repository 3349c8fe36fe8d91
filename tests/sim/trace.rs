//! What is written down: file, difference, pcapng, timeline.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
#![allow(clippy::cast_possible_truncation, reason = "small numbers")]

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::Shutdown;

use crate::sim_util::*;
use tymist::net::Bind;
use tymist::sim::fault::{Effect, Rule};
use tymist::sim::trace::{Fate, Flags, What};
use tymist::sim::{Act, Cut, Op, Side, Trace};
use tymist::tyme::Tyme;

/// A run with something of everything.
fn story(last: &[u8]) -> Trace {
    let mut pair = Pair::traced();
    let (mut listener, mut dialled, mut accepted) = pair.connection();
    write_all(&mut dialled, b"GET / HTTP/1.0\r\n\r\n");
    pair.run(millis(5));
    drain(&mut accepted).unwrap();
    write_all(&mut accepted, &vec![b'x'; 50_000]);
    accepted.shutdown(Shutdown::Write).unwrap();
    pair.run(millis(5));
    drain(&mut dialled).unwrap();
    write_all(&mut dialled, last);
    drop(dialled);
    pair.run(millis(5));
    drop(accepted);
    pair.world.host(pair.server).note("served <one> & \"all\"");
    let mut refused = pair.dial(81);
    let mut client = pair.client_net.bind(&Bind::new(([0, 0, 0, 0], 0))).unwrap();
    let to = pair.target(53);
    client.send(b"anybody?", &to).unwrap();
    pair.run(millis(5));
    refused.connected().unwrap_err();
    pair.world.act(&Act::Partition(Cut::Isolate(pair.server)));
    let mut late = pair.dial(80);
    pair.run(SECOND + SECOND / 2);
    pair.world.act(&Act::Heal);
    pair.run(SECOND * 2);
    assert!(late.connected().unwrap());
    pair.world.rule(Rule::new("cut", Effect::Reset).on(&[Op::Read]).times(1));
    let mut last = listener.accept().unwrap();
    assert_eq!(read_error(&mut last), ErrorKind::ConnectionReset);
    pair.world.act(&Act::Crash(pair.client));
    pair.run(millis(5));
    pair.world.act(&Act::Restart(pair.client));
    pair.world.all_fired().unwrap();
    pair.world.trace()
}

#[test]
fn a_trace_comes_back_from_its_file() {
    let trace = story(b"bye");
    assert!(trace.len() > 60);
    let mut file = Vec::new();
    trace.write_to(&mut file).unwrap();
    let back = Trace::read_from(&file[..]).unwrap();
    assert_eq!(back, trace);
    assert_eq!((back.seed(), back.hash()), (1, trace.hash()));
    assert!(back.records().eq(trace.records()));
    assert_eq!(back.records().count() as u64, trace.len());
    let tymes: Vec<Tyme> = back.records().map(|record| record.tyme).collect();
    assert!(tymes.is_sorted());
}

#[test]
fn damaged_files_are_refused_and_cuts_never_panic() {
    let mut file = Vec::new();
    story(b"bye").write_to(&mut file).unwrap();
    for cut in (0..file.len()).step_by(7) {
        // Cut between two records it is a shorter trace; anywhere else an error.
        if let Ok(shorter) = Trace::read_from(&file[..cut]) {
            assert!(shorter.records().count() as u64 == shorter.len());
        }
    }
    let error = Trace::read_from(&b"not a trace at all"[..]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    file.truncate(file.len() - 1);
    let error = Trace::read_from(&file[..]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert!(error.to_string().contains("record"), "{error}");
    // A record that claims to be longer than the file.
    let mut huge = file[..16].to_vec();
    huge.extend([0xff; 9]);
    assert!(Trace::read_from(&huge[..]).is_err());
}

#[test]
fn the_first_difference_is_found() {
    let (one, same, other) = (story(b"bye"), story(b"bye"), story(b"bya"));
    assert_eq!(one.first_difference(&same), None);
    assert_ne!(one.hash(), other.hash());
    let difference = one.first_difference(&other).unwrap();
    let (left, right) = (difference.left.clone().unwrap(), difference.right.clone().unwrap());
    assert_eq!((left.index, right.index), (difference.index, difference.index));
    for (record, bytes) in [(&left, b"bye"), (&right, b"bya")] {
        let What::Segment { data, side: Side::Dialled, .. } = &record.what else {
            panic!("{difference}");
        };
        assert_eq!(&data[..], bytes);
    }
    assert!(difference.to_string().contains("part at record"), "{difference}");
    let mut file = Vec::new();
    one.write_to(&mut file).unwrap();
    let shorter = {
        let whole: Vec<_> = one.records().collect();
        let mut pair = Pair::traced();
        pair.run(SECOND);
        assert!(whole.len() > 2);
        pair.world.trace()
    };
    let end = one.first_difference(&shorter).unwrap();
    assert_eq!((end.index, end.right), (shorter.len(), None));
}

#[test]
fn calls_faults_acts_and_packets_are_all_in_it() {
    let trace = story(b"bye");
    let count = |wanted: fn(&What) -> bool| trace.records().filter(|r| wanted(&r.what)).count();
    assert_eq!(count(|what| matches!(what, What::Host { .. })), 2);
    assert_eq!(count(|what| matches!(what, What::Conn { .. })), 3);
    assert_eq!(count(|what| matches!(what, What::Fault { .. })), 1);
    assert_eq!(count(|what| matches!(what, What::Act { .. })), 4);
    assert_eq!(count(|what| matches!(what, What::Up { .. })), 2);
    assert_eq!(count(|what| matches!(what, What::Note { .. })), 1);
    assert_eq!(count(|what| matches!(what, What::Unreachable { .. })), 1);
    assert!(count(|what| matches!(what, What::Call { op: Op::Read, .. })) > 3);
    let lost = |what: &What| matches!(what, What::Segment { fate: Fate::Lost(_), .. });
    assert_eq!(count(lost), 2, "two SYNs at the partition");
}

/// Blocks of a pcapng file: type and body.
pub(crate) fn blocks(file: &[u8]) -> Vec<(u32, &[u8])> {
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    let mut blocks = Vec::new();
    let mut at = 0;
    while at < file.len() {
        let len = word(at + 4) as usize;
        assert_eq!(len % 4, 0);
        assert_eq!(word(at + len - 4) as usize, len, "both lengths");
        blocks.push((word(at), &file[at + 8..at + len - 4]));
        at += len;
    }
    blocks
}

pub(crate) fn checksum(parts: &[&[u8]]) -> u16 {
    let bytes = parts.concat();
    let mut sum: u32 = bytes
        .chunks(2)
        .map(|two| u32::from(two[0]) << 8 | u32::from(two.get(1).copied().unwrap_or(0)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

#[test]
fn pcapng_has_right_blocks_checksums_and_sequence_numbers() {
    let trace = story(b"bye");
    let mut file = Vec::new();
    trace.write_pcapng(&mut file).unwrap();
    let blocks = blocks(&file);
    assert_eq!(blocks[0].0, 0x0a0d_0d0a);
    assert_eq!(blocks.iter().filter(|(kind, _)| *kind == 1).count(), 2, "an interface per host");
    let packets: Vec<&[u8]> =
        blocks.iter().filter(|(kind, _)| *kind == 6).map(|(_, body)| *body).collect();
    let sent = |what: &What| {
        matches!(what, What::Segment { .. } | What::Gram { .. } | What::Unreachable { .. })
    };
    assert_eq!(packets.len(), trace.records().filter(|record| sent(&record.what)).count());
    let mut next: BTreeMap<(u16, u16), u32> = BTreeMap::new();
    let mut streams: BTreeMap<(u16, u16), Vec<u8>> = BTreeMap::new();
    for body in packets {
        let len = u32::from_le_bytes(body[12..16].try_into().unwrap()) as usize;
        let ip = &body[20 + 14..20 + len];
        assert_eq!(checksum(&[&ip[..20]]), 0xffff, "IP checksum");
        let (proto, payload) = (ip[9], &ip[20..]);
        assert_eq!(usize::from(u16::from_be_bytes([ip[2], ip[3]])), ip.len());
        let length = (payload.len() as u32).to_be_bytes();
        if proto == 1 {
            assert_eq!(checksum(&[payload]), 0xffff, "ICMP checksum");
            continue;
        }
        let pseudo = [&ip[12..20], &[0, proto], &length[2..]].concat();
        assert_eq!(checksum(&[&pseudo, payload]), 0xffff, "checksum of protocol {proto}");
        if proto != 6 {
            continue;
        }
        let word = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
        let port = |at: usize| u16::from_be_bytes([payload[at], payload[at + 1]]);
        let (way, flags) = ((port(0), port(2)), Flags(payload[13]));
        let data = &payload[usize::from(payload[12] >> 4) * 4..];
        let seq = word(4);
        let window = u16::from_be_bytes([payload[14], payload[15]]);
        if flags.has(Flags::SYN) {
            // 65,536 bytes: cut in the SYN, halved (scale 1) from then on.
            assert_eq!((window, &payload[24..27]), (65_535, &[3, 3, 1][..]));
            next.insert(way, seq.wrapping_add(1));
            continue;
        }
        if !flags.has(Flags::RST) {
            assert!(window <= 32_768);
            assert_eq!(next[&way], seq, "no gap, no overlap");
            let end = seq.wrapping_add(data.len() as u32 + u32::from(flags.has(Flags::FIN)));
            next.insert(way, end);
            let there = next[&(way.1, way.0)];
            assert!(there.wrapping_sub(word(8)) < 1 << 20, "acknowledges what was sent");
        }
        streams.entry(way).or_default().extend(data);
    }
    let mut contents: Vec<(usize, &[u8])> =
        streams.values().map(|data| (data.len(), &data[..data.len().min(3)])).collect();
    contents.sort_unstable();
    assert!(contents.contains(&(50_000, b"xxx")), "{contents:?}");
    assert!(contents.contains(&(18 + 3, b"GET")), "{contents:?}");
}

#[test]
fn the_timeline_is_one_page_that_shows_it_all() {
    let trace = story(b"bye");
    let mut page = Vec::new();
    trace.write_timeline(&mut page, Tyme::ZERO, 10_000).unwrap();
    let page = String::from_utf8(page).unwrap();
    for wanted in ["server", "client", "cut: reset", "Partition", "ECONNREFUSED", "Crash"] {
        assert!(page.contains(wanted), "{wanted}");
    }
    assert!(page.contains("served &lt;one&gt; &amp; &quot;all&quot;"));
    assert!(!page.contains("http://") || !page.contains("src="), "nothing is fetched");
    let segments = trace.records().filter(|r| matches!(r.what, What::Segment { .. })).count();
    assert!(page.matches("class=\"arrow").count() >= segments);
    for tag in ["g", "svg", "path", "text", "title"] {
        let open =
            page.matches(&format!("<{tag} ")).count() + page.matches(&format!("<{tag}>")).count();
        let closed = page.matches(&format!("</{tag}>")).count();
        assert!(closed <= open && (open == closed || tag == "path"), "{tag}: {open}, {closed}");
    }
    let mut part = Vec::new();
    trace.write_timeline(&mut part, at_millis(6), 5).unwrap();
    let part = String::from_utf8(part).unwrap();
    assert!(part.contains("5 drawn") && part.contains("left out: "), "says what is left out");
    assert!(part.len() < page.len() / 2);
}

/// Writes the story's files where `TYMIST_STORY` says, to look at them with other tools.
#[test]
fn story_files_can_be_written_out() {
    let trace = story(b"bye");
    let Some(dir) = std::env::var_os("TYMIST_STORY") else { return };
    let dir = std::path::PathBuf::from(dir);
    let create = |name: &str| std::fs::File::create(dir.join(name)).unwrap();
    trace.write_to(create("story.trace")).unwrap();
    trace.write_pcapng(std::io::BufWriter::new(create("story.pcapng"))).unwrap();
    let page = std::io::BufWriter::new(create("story.html"));
    trace.write_timeline(page, Tyme::ZERO, 10_000).unwrap();
}
