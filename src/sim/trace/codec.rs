//! The bytes of a record: its tyme in nanoseconds, the number of its kind, and the fields in the order of [`What`].

use bytes::Bytes;

use super::fields::{
    put, put_bytes, put_end, put_fate, put_host, put_ip, put_opt, put_opt_host, put_result,
    put_timer, put_why, take, take_bytes, take_end, take_fate, take_host, take_ip, take_opt,
    take_opt_host, take_result, take_text, take_timer, take_u8, take_u32, take_why,
};
use super::record::{Flags, What};
use crate::sim::{HostId, Op, Side};
use crate::tyme::Tyme;

pub(super) fn encode(tyme: Tyme, what: &What, out: &mut Vec<u8>) {
    put(out, tyme.as_nanos());
    let kind = |out: &mut Vec<u8>, kind: u8, host: HostId| {
        out.push(kind);
        put_host(out, host);
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
            put_host(out, *to);
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
            put_host(out, *to);
            put_opt(out, *conn);
        }
        What::Dropped { from, to, conn, why } => {
            kind(out, 12, *from);
            put_host(out, *to);
            put_opt(out, *conn);
            put_why(out, *why);
        }
        What::Timer { host, conn, timer } => {
            kind(out, 13, *host);
            put(out, u64::from(*conn));
            put_timer(out, *timer);
        }
        What::Local { host, on, data } => {
            kind(out, 14, *host);
            put(out, u64::from(*on));
            put_bytes(out, data);
        }
    }
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
            why: take_why(rest)?,
        },
        13 => {
            What::Timer { host: take_host(rest)?, conn: take_u32(rest)?, timer: take_timer(rest)? }
        }
        14 => What::Local {
            host: take_host(rest)?,
            on: take_u32(rest)?,
            data: Bytes::copy_from_slice(take_bytes(rest)?),
        },
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
    use std::net::SocketAddr;

    use super::super::record::{Fate, Timer, Why};
    use super::*;
    use crate::sim::Errno;

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
