//! The bytes of a record.
//!
//! Numbers are LEB128 (seven bits a byte, low ones first, the top bit set on all but the last); texts and payloads have their length
//! before them; an address is 4 or 6, its bytes, and for an end its port as a number. A record is its tyme in nanoseconds, the number
//! of its kind, and the fields in the order of [`What`].

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use super::record::{Fate, Flags, Timer, What, Why};
use crate::sim::{Errno, HostId, Op, Side};
use crate::tyme::Tyme;

pub(super) fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        #[expect(clippy::cast_possible_truncation, reason = "the low seven bits are meant")]
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    #[expect(clippy::cast_possible_truncation, reason = "below 0x80")]
    out.push(number as u8);
}

pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_ip(out: &mut Vec<u8>, ip: IpAddr) {
    match ip {
        IpAddr::V4(ip) => {
            out.push(4);
            out.extend_from_slice(&ip.octets());
        }
        IpAddr::V6(ip) => {
            out.push(6);
            out.extend_from_slice(&ip.octets());
        }
    }
}

fn put_end(out: &mut Vec<u8>, end: SocketAddr) {
    put_ip(out, end.ip());
    put(out, u64::from(end.port()));
}

fn put_fate(out: &mut Vec<u8>, fate: Fate) {
    match fate {
        Fate::Arrives(tyme) => {
            out.push(0);
            put(out, tyme.as_nanos());
        }
        Fate::Lost(why) => out.push(why_code(why)),
    }
}

fn why_code(why: Why) -> u8 {
    match why {
        Why::Cut => 1,
        Why::Chance => 2,
        Why::Queue => 3,
        Why::NoHost => 4,
        Why::Never => 5,
        Why::Down => 6,
        Why::Buffer => 7,
    }
}

fn why_of(code: u8) -> Option<Why> {
    Some(match code {
        1 => Why::Cut,
        2 => Why::Chance,
        3 => Why::Queue,
        4 => Why::NoHost,
        5 => Why::Never,
        6 => Why::Down,
        7 => Why::Buffer,
        _ => return None,
    })
}

fn put_opt(out: &mut Vec<u8>, number: Option<u32>) {
    put(out, number.map_or(0, |number| u64::from(number) + 1));
}

fn put_result(out: &mut Vec<u8>, result: Result<u64, Errno>) {
    match result {
        Ok(number) => {
            out.push(0);
            put(out, number);
        }
        // Linux's numbers are all below 256.
        Err(errno) => out.push(u8::try_from(errno.number()).unwrap_or(u8::MAX)),
    }
}

fn put_opt_host(out: &mut Vec<u8>, host: Option<HostId>) {
    put_opt(out, host.map(|host| host.0));
}

pub(super) fn encode(tyme: Tyme, what: &What, out: &mut Vec<u8>) {
    put(out, tyme.as_nanos());
    let kind = |out: &mut Vec<u8>, kind: u8, host: HostId| {
        out.push(kind);
        put(out, u64::from(host.0));
    };
    match what {
        What::Host { host, name, addrs } => {
            kind(out, 0, *host);
            put_bytes(out, name.as_bytes());
            put(out, addrs.len() as u64);
            addrs.iter().for_each(|&ip| put_ip(out, ip));
        }
        What::Turn { host } => kind(out, 1, *host),
        What::Call { host, op, on, result } => {
            kind(out, 2, *host);
            out.push(op.code());
            put(out, u64::from(*on));
            put_result(out, *result);
        }
        What::Conn { conn, from, to, dialler, target } => {
            kind(out, 3, *from);
            put(out, u64::from(*conn));
            put_opt_host(out, *to);
            put_end(out, *dialler);
            put_end(out, *target);
        }
        What::Segment { conn, side, flags, seq, ack, window, fate, data } => {
            out.push(4);
            put(out, u64::from(*conn));
            out.push(u8::from(*side == Side::Accepted) << 7 | flags.0 & 0x7f);
            put(out, *seq);
            put(out, *ack);
            put(out, u64::from(*window));
            put_fate(out, *fate);
            put_bytes(out, data);
        }
        What::Gram { from, to, source, target, fate, data } => {
            kind(out, 5, *from);
            put_opt_host(out, *to);
            put_end(out, *source);
            put_end(out, *target);
            put_fate(out, *fate);
            put_bytes(out, data);
        }
        What::Unreachable { from, to, source, target, fate } => {
            kind(out, 6, *from);
            put(out, u64::from(to.0));
            put_end(out, *source);
            put_end(out, *target);
            put_fate(out, *fate);
        }
        What::Fault { host, rule, op, effect } => {
            kind(out, 7, *host);
            put_bytes(out, rule.as_bytes());
            out.push(op.code());
            put_bytes(out, effect.as_bytes());
        }
        What::Act { text } => {
            out.push(8);
            put_bytes(out, text.as_bytes());
        }
        What::Note { host, text } => {
            kind(out, 9, *host);
            put_bytes(out, text.as_bytes());
        }
        What::Up { host, up } => {
            kind(out, 10, *host);
            out.push(u8::from(*up));
        }
        What::Held { from, to, conn } => {
            kind(out, 11, *from);
            put(out, u64::from(to.0));
            put_opt(out, *conn);
        }
        What::Dropped { from, to, conn, why } => {
            kind(out, 12, *from);
            put(out, u64::from(to.0));
            put_opt(out, *conn);
            out.push(why_code(*why));
        }
        What::Local { host, on, data } => {
            kind(out, 14, *host);
            put(out, u64::from(*on));
            put_bytes(out, data);
        }
        What::Timer { host, conn, timer } => {
            kind(out, 13, *host);
            put(out, u64::from(*conn));
            out.push(*timer as u8);
        }
    }
}

fn take_u8(rest: &mut &[u8]) -> Option<u8> {
    let (&first, tail) = rest.split_first()?;
    *rest = tail;
    Some(first)
}

fn take(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = take_u8(rest)?;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return None;
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn take_u32(rest: &mut &[u8]) -> Option<u32> {
    u32::try_from(take(rest)?).ok()
}

fn take_slice<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(len)?;
    *rest = tail;
    Some(head)
}

pub(super) fn take_bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(take(rest)?).ok()?;
    take_slice(rest, len)
}

fn take_text(rest: &mut &[u8]) -> Option<String> {
    String::from_utf8(take_bytes(rest)?.to_vec()).ok()
}

fn take_ip(rest: &mut &[u8]) -> Option<IpAddr> {
    match take_u8(rest)? {
        4 => <[u8; 4]>::try_from(take_slice(rest, 4)?).ok().map(IpAddr::from),
        6 => <[u8; 16]>::try_from(take_slice(rest, 16)?).ok().map(IpAddr::from),
        _ => None,
    }
}

fn take_end(rest: &mut &[u8]) -> Option<SocketAddr> {
    let ip = take_ip(rest)?;
    Some(SocketAddr::new(ip, u16::try_from(take(rest)?).ok()?))
}

fn take_fate(rest: &mut &[u8]) -> Option<Fate> {
    match take_u8(rest)? {
        0 => Some(Fate::Arrives(Tyme::from_nanos(take(rest)?))),
        code => why_of(code).map(Fate::Lost),
    }
}

fn take_result(rest: &mut &[u8]) -> Option<Result<u64, Errno>> {
    match take_u8(rest)? {
        0 => take(rest).map(Ok),
        errno => Errno::from_number(i32::from(errno)).map(Err),
    }
}

fn take_host(rest: &mut &[u8]) -> Option<HostId> {
    take_u32(rest).map(HostId)
}

fn take_opt(rest: &mut &[u8]) -> Option<Option<u32>> {
    let number = take(rest)?.checked_sub(1);
    number.map(u32::try_from).transpose().ok()
}

fn take_opt_host(rest: &mut &[u8]) -> Option<Option<HostId>> {
    Some(take_opt(rest)?.map(HostId))
}

fn take_timer(rest: &mut &[u8]) -> Option<Timer> {
    let all = [Timer::Retry, Timer::GiveUp, Timer::KeepAlive];
    all.get(usize::from(take_u8(rest)?)).copied()
}

/// `None` if the bytes are no record, or more than one.
pub(super) fn decode(mut body: &[u8]) -> Option<(Tyme, What)> {
    let rest = &mut body;
    let tyme = Tyme::from_nanos(take(rest)?);
    let what = match take_u8(rest)? {
        0 => {
            let (host, name) = (take_host(rest)?, take_text(rest)?);
            let count = take(rest)?;
            let addrs = (0..count).map(|_| take_ip(rest)).collect::<Option<_>>()?;
            What::Host { host, name, addrs }
        }
        1 => What::Turn { host: take_host(rest)? },
        2 => What::Call {
            host: take_host(rest)?,
            op: Op::from_code(take_u8(rest)?)?,
            on: take_u32(rest)?,
            result: take_result(rest)?,
        },
        3 => {
            let from = take_host(rest)?;
            let conn = take_u32(rest)?;
            let to = take_opt_host(rest)?;
            What::Conn { conn, from, to, dialler: take_end(rest)?, target: take_end(rest)? }
        }
        4 => decode_segment(rest)?,
        5 => What::Gram {
            from: take_host(rest)?,
            to: take_opt_host(rest)?,
            source: take_end(rest)?,
            target: take_end(rest)?,
            fate: take_fate(rest)?,
            data: Bytes::copy_from_slice(take_bytes(rest)?),
        },
        6 => What::Unreachable {
            from: take_host(rest)?,
            to: take_host(rest)?,
            source: take_end(rest)?,
            target: take_end(rest)?,
            fate: take_fate(rest)?,
        },
        7 => What::Fault {
            host: take_host(rest)?,
            rule: take_text(rest)?,
            op: Op::from_code(take_u8(rest)?)?,
            effect: take_text(rest)?,
        },
        8 => What::Act { text: take_text(rest)? },
        9 => What::Note { host: take_host(rest)?, text: take_text(rest)? },
        10 => What::Up {
            host: take_host(rest)?,
            up: match take_u8(rest)? {
                0 => false,
                1 => true,
                _ => return None,
            },
        },
        11 => What::Held { from: take_host(rest)?, to: take_host(rest)?, conn: take_opt(rest)? },
        12 => What::Dropped {
            from: take_host(rest)?,
            to: take_host(rest)?,
            conn: take_opt(rest)?,
            why: why_of(take_u8(rest)?)?,
        },
        14 => What::Local {
            host: take_host(rest)?,
            on: take_u32(rest)?,
            data: Bytes::copy_from_slice(take_bytes(rest)?),
        },
        13 => {
            What::Timer { host: take_host(rest)?, conn: take_u32(rest)?, timer: take_timer(rest)? }
        }
        _ => return None,
    };
    rest.is_empty().then_some((tyme, what))
}

fn decode_segment(rest: &mut &[u8]) -> Option<What> {
    let conn = take_u32(rest)?;
    let bits = take_u8(rest)?;
    Some(What::Segment {
        conn,
        side: if bits & 0x80 == 0 { Side::Dialled } else { Side::Accepted },
        flags: Flags(bits & 0x7f),
        seq: take(rest)?,
        ack: take(rest)?,
        window: take_u32(rest)?,
        fate: take_fate(rest)?,
        data: Bytes::copy_from_slice(take_bytes(rest)?),
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn samples() -> Vec<What> {
        let (a, b) = (HostId(0), HostId(300));
        let v4: SocketAddr = "10.0.0.1:80".parse().unwrap();
        let v6: SocketAddr = "[fd00::1]:65535".parse().unwrap();
        let data = Bytes::from_static(b"payload");
        let fate = Fate::Arrives(Tyme::from_secs(7));
        vec![
            What::Host { host: b, name: "höst".into(), addrs: vec![v4.ip(), v6.ip()] },
            What::Turn { host: a },
            What::Call { host: a, op: Op::Read, on: 1 << 20, result: Ok(1 << 40) },
            What::Call { host: a, op: Op::Harvest, on: 0, result: Err(Errno::Ehostunreach) },
            What::Conn { conn: 5, from: a, to: None, dialler: v4, target: v6 },
            What::Conn { conn: 5, from: a, to: Some(b), dialler: v6, target: v4 },
            What::Segment {
                conn: 9,
                side: Side::Accepted,
                flags: Flags::ACK.with(Flags::FIN),
                seq: u64::MAX,
                ack: 0,
                window: u32::MAX,
                fate: Fate::Lost(Why::Queue),
                data: data.clone(),
            },
            What::Local { host: b, on: 300, data: data.clone() },
            What::Gram { from: a, to: Some(b), source: v4, target: v4, fate, data },
            What::Unreachable { from: a, to: b, source: v4, target: v6, fate },
            What::Fault { host: a, rule: "r".into(), op: Op::Accept, effect: "EMFILE".into() },
            What::Act { text: "crash".into() },
            What::Note { host: b, text: String::new() },
            What::Up { host: b, up: true },
            What::Held { from: a, to: b, conn: Some(u32::MAX) },
            What::Dropped { from: a, to: b, conn: None, why: Why::Buffer },
            What::Timer { host: b, conn: 7, timer: Timer::KeepAlive },
        ]
    }

    #[test]
    fn every_kind_comes_back_and_no_cut_or_longer_one_does() {
        for what in samples() {
            let mut body = Vec::new();
            encode(Tyme::from_secs(3), &what, &mut body);
            assert_eq!(decode(&body), Some((Tyme::from_secs(3), what.clone())));
            for cut in 0..body.len() {
                assert_eq!(decode(&body[..cut]), None, "{what} cut to {cut}");
            }
            body.push(0);
            assert_eq!(decode(&body), None);
        }
    }
}
