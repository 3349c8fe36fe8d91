//! For Wireshark and tshark.
//!
//! The file is pcapng (draft-ietf-opsawg-pcapng): one section header, one interface description per host (Ethernet, nanoseconds, its
//! name), one enhanced packet block per packet. Blocks are little-endian: type, length, body, options, length again, all padded to 4 bytes.
//! Headers within the packets are made by `etherparse`, which knows checksums. A host's MAC address is 02:00 and its number.
//! Faults, acts and notes are comments of the packet that follows them; what comes after the last packet, of a block of statistics at the end.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};

use etherparse::icmpv4::DestUnreachableHeader;
use etherparse::icmpv6::DestUnreachableCode;
use etherparse::{
    Icmpv4Type, Icmpv6Type, IpHeaders, PacketBuilder, PacketBuilderStep, TcpOptionElement,
};

use super::record::{Fate, Flags, What};
use super::{Record, Trace};
use crate::sim::{HostId, Side};
use crate::tyme::Tyme;

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;
const OPT_COMMENT: u16 = 1;
const OPT_IF_NAME: u16 = 2;
const OPT_IF_TSRESOL: u16 = 9;
const OPT_USERAPPL: u16 = 4;
const LINKTYPE_ETHERNET: u16 = 1;
const HOPS: u8 = 64;

pub(super) fn write(trace: &Trace, out: impl Write) -> io::Result<()> {
    let mut export = Export { out, conns: BTreeMap::new(), comments: Vec::new(), hosts: false };
    export.section(trace)?;
    // All interfaces first, so that a packet's number is its host's.
    for record in trace.records() {
        if let What::Host { name, .. } = &record.what {
            export.interface(name)?;
        }
    }
    let mut last = None;
    for record in trace.records() {
        export.record(&record)?;
        last = Some(record.tyme);
    }
    export.rest(last.unwrap_or(Tyme::ZERO))?;
    export.out.flush()
}

/// What later segments of a connection need from its beginning.
struct Conn {
    hosts: [Option<HostId>; 2],
    ends: [SocketAddr; 2],
    /// Each side's window scale (RFC 7323), from the window of its SYN.
    scales: [u8; 2],
}

struct Export<W> {
    out: W,
    conns: BTreeMap<u32, Conn>,
    comments: Vec<String>,
    /// Whether there is an interface.
    hosts: bool,
}

struct Tcp {
    flags: Flags,
    seq: u32,
    ack: u32,
    window: u16,
    /// In a SYN.
    scale: Option<u8>,
}

impl<W: Write> Export<W> {
    fn section(&mut self, trace: &Trace) -> io::Result<()> {
        let mut body = Vec::new();
        body.extend(0x1a2b_3c4d_u32.to_le_bytes());
        body.extend(1_u16.to_le_bytes());
        body.extend(0_u16.to_le_bytes());
        body.extend((-1_i64).to_le_bytes());
        option(&mut body, OPT_USERAPPL, b"tymist");
        let what = format!("seed {}, hash {:016x}", trace.seed(), trace.hash());
        text_option(&mut body, OPT_COMMENT, &what);
        option(&mut body, 0, b"");
        self.block(SECTION, &body)
    }

    fn interface(&mut self, name: &str) -> io::Result<()> {
        self.hosts = true;
        let mut body = Vec::new();
        body.extend(LINKTYPE_ETHERNET.to_le_bytes());
        body.extend(0_u16.to_le_bytes());
        body.extend(0_u32.to_le_bytes());
        text_option(&mut body, OPT_IF_NAME, name);
        option(&mut body, OPT_IF_TSRESOL, &[9]);
        option(&mut body, 0, b"");
        self.block(INTERFACE, &body)
    }

    fn block(&mut self, kind: u32, body: &[u8]) -> io::Result<()> {
        let length = u32::try_from(body.len() + 12).map_err(io::Error::other)?;
        self.out.write_all(&kind.to_le_bytes())?;
        self.out.write_all(&length.to_le_bytes())?;
        self.out.write_all(body)?;
        self.out.write_all(&length.to_le_bytes())
    }

    fn packet(&mut self, tyme: Tyme, host: HostId, frame: &[u8], fate: Fate) -> io::Result<()> {
        let mut body = Vec::with_capacity(frame.len() + 64);
        let length = u32::try_from(frame.len()).map_err(io::Error::other)?;
        body.extend(host.0.to_le_bytes());
        stamp(&mut body, tyme);
        body.extend(length.to_le_bytes());
        body.extend(length.to_le_bytes());
        body.extend_from_slice(frame);
        pad(&mut body);
        let mut comments = core::mem::take(&mut self.comments);
        if matches!(fate, Fate::Lost(_)) {
            comments.push(fate.to_string());
        }
        remarks(&mut body, &comments);
        self.block(ENHANCED_PACKET, &body)
    }

    /// Comments that no packet follows.
    fn rest(&mut self, tyme: Tyme) -> io::Result<()> {
        let comments = core::mem::take(&mut self.comments);
        if comments.is_empty() || !self.hosts {
            return Ok(());
        }
        let mut body = 0_u32.to_le_bytes().to_vec();
        stamp(&mut body, tyme);
        remarks(&mut body, &comments);
        self.block(STATISTICS, &body)
    }

    fn record(&mut self, record: &Record) -> io::Result<()> {
        match &record.what {
            What::Conn { conn, from, to, dialler, target } => {
                let hosts = [Some(*from), *to];
                let ends = [*dialler, *target];
                self.conns.insert(*conn, Conn { hosts, ends, scales: [0; 2] });
            }
            What::Segment { .. } => return self.segment(record),
            What::Gram { from, to, source, target, fate, data } => {
                let frame = udp(*from, *to, *source, *target, data)?;
                return self.packet(record.tyme, *from, &frame, *fate);
            }
            What::Unreachable { from, to, source, target, fate } => {
                let frame = unreachable(*from, *to, *source, *target)?;
                return self.packet(record.tyme, *from, &frame, *fate);
            }
            What::Fault { .. }
            | What::Act { .. }
            | What::Note { .. }
            | What::Held { .. }
            | What::Dropped { .. }
            | What::Timer { .. } => {
                self.comments.push(record.what.to_string());
            }
            // Wireshark knows no packets that are none.
            What::Host { .. }
            | What::Turn { .. }
            | What::Call { .. }
            | What::Local { .. }
            | What::Up { .. } => {}
        }
        Ok(())
    }

    fn segment(&mut self, record: &Record) -> io::Result<()> {
        let What::Segment { conn, side, flags, seq, ack, window, fate, data } = &record.what else {
            return Ok(());
        };
        let Some(known) = self.conns.get_mut(conn) else { return Ok(()) };
        let (own, other) = if *side == Side::Dialled { (0, 1) } else { (1, 0) };
        let Some(host) = known.hosts[own] else { return Ok(()) };
        let syn = flags.has(Flags::SYN);
        if syn {
            known.scales[own] = (0..=14).find(|&scale| *window >> scale <= 0xffff).unwrap_or(14);
        }
        let scale = known.scales[own];
        // Rounded up, so that what was sent is never beyond what was offered. A SYN's own window is not scaled.
        let shown = if syn { *window } else { window.div_ceil(1 << scale) };
        let header = Tcp {
            flags: *flags,
            seq: initial(*conn, *side).wrapping_add(low(*seq)),
            ack: initial(*conn, side.other()).wrapping_add(low(*ack)),
            window: u16::try_from(shown).unwrap_or(u16::MAX),
            scale: syn.then_some(scale),
        };
        let ends = (known.ends[own], known.ends[other]);
        let frame = tcp(host, known.hosts[other], ends, &header, data)?;
        self.packet(record.tyme, host, &frame, *fate)
    }
}

/// Sequence numbers wrap around (RFC 9293 section 3.4).
#[expect(clippy::cast_possible_truncation, reason = "modulo 2^32 is meant")]
fn low(number: u64) -> u32 {
    number as u32
}

/// A connection's initial sequence number: any will do, if it is always the same.
fn initial(conn: u32, side: Side) -> u32 {
    let number = conn.wrapping_mul(2).wrapping_add(u32::from(side == Side::Accepted));
    number.wrapping_mul(0x9e37_79b1)
}

/// A tyme, the high half first.
fn stamp(body: &mut Vec<u8>, tyme: Tyme) {
    let nanos = tyme.as_nanos();
    body.extend(((nanos >> 32) as u32).to_le_bytes());
    #[expect(clippy::cast_possible_truncation, reason = "the low half")]
    body.extend((nanos as u32).to_le_bytes());
}

fn remarks(body: &mut Vec<u8>, comments: &[String]) {
    for comment in comments {
        text_option(body, OPT_COMMENT, comment);
    }
    if !comments.is_empty() {
        option(body, 0, b"");
    }
}

fn pad(body: &mut Vec<u8>) {
    body.resize(body.len().next_multiple_of(4), 0);
}

/// An option of UTF-8, which one that is too long is still when it was cut.
fn text_option(body: &mut Vec<u8>, code: u16, text: &str) {
    // Longer than any name or remark should be.
    let mut end = text.len().min(usize::from(u16::MAX));
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    option(body, code, &text.as_bytes()[..end]);
}

fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    body.extend(code.to_le_bytes());
    body.extend(u16::try_from(value.len()).unwrap_or(u16::MAX).to_le_bytes());
    body.extend_from_slice(value);
    pad(body);
}

fn mac(host: Option<HostId>) -> [u8; 6] {
    let [a, b, c, d] = host.map_or(u32::MAX, |host| host.0).to_be_bytes();
    [2, 0, a, b, c, d]
}

fn headers(
    from: HostId,
    to: Option<HostId>,
    source: IpAddr,
    target: IpAddr,
) -> io::Result<PacketBuilderStep<IpHeaders>> {
    let ethernet = PacketBuilder::ethernet2(mac(Some(from)), mac(to));
    match (source, target) {
        (IpAddr::V4(a), IpAddr::V4(b)) => Ok(ethernet.ipv4(a.octets(), b.octets(), HOPS)),
        (IpAddr::V6(a), IpAddr::V6(b)) => Ok(ethernet.ipv6(a.octets(), b.octets(), HOPS)),
        _ => Err(io::Error::other("a packet between two families of addresses")),
    }
}

fn tcp(
    host: HostId,
    to: Option<HostId>,
    (source, target): (SocketAddr, SocketAddr),
    header: &Tcp,
    data: &[u8],
) -> io::Result<Vec<u8>> {
    let builder = headers(host, to, source.ip(), target.ip())?;
    let mut step = builder.tcp(source.port(), target.port(), header.seq, header.window);
    if let Some(scale) = header.scale {
        let options =
            [TcpOptionElement::MaximumSegmentSize(1460), TcpOptionElement::WindowScale(scale)];
        step = step.options(&options).map_err(io::Error::other)?;
    }
    let has = |flags| header.flags.has(flags);
    step = if has(Flags::SYN) { step.syn() } else { step };
    step = if has(Flags::FIN) { step.fin() } else { step };
    step = if has(Flags::RST) { step.rst() } else { step };
    step = if has(Flags::PSH) { step.psh() } else { step };
    step = if has(Flags::ACK) { step.ack(header.ack) } else { step };
    let mut frame = Vec::with_capacity(step.size(data.len()));
    step.write(&mut frame, data).map_err(io::Error::other)?;
    Ok(frame)
}

fn udp(
    from: HostId,
    to: Option<HostId>,
    source: SocketAddr,
    target: SocketAddr,
    data: &[u8],
) -> io::Result<Vec<u8>> {
    let step = headers(from, to, source.ip(), target.ip())?.udp(source.port(), target.port());
    let mut frame = Vec::with_capacity(step.size(data.len()));
    step.write(&mut frame, data).map_err(io::Error::other)?;
    Ok(frame)
}

/// ICMP quotes the headers of the datagram that it is about (RFC 792, RFC 4443 section 3.1); what was in it is not known here.
fn unreachable(
    from: HostId,
    to: HostId,
    source: SocketAddr,
    target: SocketAddr,
) -> io::Result<Vec<u8>> {
    let quoted = udp(to, Some(from), source, target, b"")?;
    // Without the 14 bytes of Ethernet.
    let quoted = quoted.get(14..).unwrap_or_default();
    let builder = headers(from, Some(to), target.ip(), source.ip())?;
    let mut frame = Vec::new();
    if target.is_ipv4() {
        let kind = Icmpv4Type::DestinationUnreachable(DestUnreachableHeader::Port);
        builder.icmpv4(kind).write(&mut frame, quoted).map_err(io::Error::other)?;
    } else {
        let kind = Icmpv6Type::DestinationUnreachable(DestUnreachableCode::Port);
        builder.icmpv6(kind).write(&mut frame, quoted).map_err(io::Error::other)?;
    }
    Ok(frame)
}
