//! The bytes of the fields that records are made of: numbers, texts, addresses, and what else they have in common.
//!
//! Numbers are LEB128 (seven bits a byte, low ones first, the top bit set on all but the last); texts and payloads have their length
//! before them; an address is 4 or 6, its bytes, and for an end its port as a number. What takes gives `None` where the bytes are none of that.

use std::net::{IpAddr, SocketAddr};

use super::record::{Fate, Timer, Why};
use crate::sim::{Errno, HostId};
use crate::tyme::Tyme;

/// In the order in which they are declared, so that each has the number that it has there.
const WHYS: [Why; 7] =
    [Why::Cut, Why::Chance, Why::Queue, Why::NoHost, Why::Never, Why::Down, Why::Buffer];
const TIMERS: [Timer; 3] = [Timer::Retry, Timer::GiveUp, Timer::KeepAlive];

pub(super) fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        #[expect(clippy::cast_possible_truncation, reason = "the low seven bits are meant")]
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    #[expect(clippy::cast_possible_truncation, reason = "below 0x80")]
    out.push(number as u8);
}

pub(super) fn take(rest: &mut &[u8]) -> Option<u64> {
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

pub(super) fn take_u8(rest: &mut &[u8]) -> Option<u8> {
    let (&first, tail) = rest.split_first()?;
    *rest = tail;
    Some(first)
}

pub(super) fn take_u32(rest: &mut &[u8]) -> Option<u32> {
    u32::try_from(take(rest)?).ok()
}

pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// How many bytes that makes of so many.
pub(super) fn framed(len: usize) -> usize {
    let digits = len.max(1).ilog2() / 7 + 1;
    len + digits as usize
}

pub(super) fn take_bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(take(rest)?).ok()?;
    take_slice(rest, len)
}

fn take_slice<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(len)?;
    *rest = tail;
    Some(head)
}

pub(super) fn take_text(rest: &mut &[u8]) -> Option<String> {
    String::from_utf8(take_bytes(rest)?.to_vec()).ok()
}

pub(super) fn put_opt(out: &mut Vec<u8>, number: Option<u32>) {
    put(out, number.map_or(0, |number| u64::from(number) + 1));
}

pub(super) fn take_opt(rest: &mut &[u8]) -> Option<Option<u32>> {
    let number = take(rest)?.checked_sub(1);
    number.map(u32::try_from).transpose().ok()
}

pub(super) fn put_ip(out: &mut Vec<u8>, ip: IpAddr) {
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

pub(super) fn take_ip(rest: &mut &[u8]) -> Option<IpAddr> {
    match take_u8(rest)? {
        4 => <[u8; 4]>::try_from(take_slice(rest, 4)?).ok().map(IpAddr::from),
        6 => <[u8; 16]>::try_from(take_slice(rest, 16)?).ok().map(IpAddr::from),
        _ => None,
    }
}

pub(super) fn put_end(out: &mut Vec<u8>, end: SocketAddr) {
    put_ip(out, end.ip());
    put(out, u64::from(end.port()));
}

pub(super) fn take_end(rest: &mut &[u8]) -> Option<SocketAddr> {
    let ip = take_ip(rest)?;
    Some(SocketAddr::new(ip, u16::try_from(take(rest)?).ok()?))
}

pub(super) fn put_host(out: &mut Vec<u8>, host: HostId) {
    put(out, u64::from(host.0));
}

pub(super) fn take_host(rest: &mut &[u8]) -> Option<HostId> {
    take_u32(rest).map(HostId)
}

pub(super) fn put_opt_host(out: &mut Vec<u8>, host: Option<HostId>) {
    put_opt(out, host.map(|host| host.0));
}

pub(super) fn take_opt_host(rest: &mut &[u8]) -> Option<Option<HostId>> {
    Some(take_opt(rest)?.map(HostId))
}

/// From 1 on: 0 is the packet that arrives.
pub(super) fn put_why(out: &mut Vec<u8>, why: Why) {
    out.push(1 + why as u8);
}

fn why_of(code: u8) -> Option<Why> {
    WHYS.get(usize::from(code.checked_sub(1)?)).copied()
}

pub(super) fn take_why(rest: &mut &[u8]) -> Option<Why> {
    why_of(take_u8(rest)?)
}

pub(super) fn put_fate(out: &mut Vec<u8>, fate: Fate) {
    match fate {
        Fate::Arrives(tyme) => {
            out.push(0);
            put(out, tyme.as_nanos());
        }
        Fate::Lost(why) => put_why(out, why),
    }
}

pub(super) fn take_fate(rest: &mut &[u8]) -> Option<Fate> {
    match take_u8(rest)? {
        0 => Some(Fate::Arrives(Tyme::from_nanos(take(rest)?))),
        code => why_of(code).map(Fate::Lost),
    }
}

pub(super) fn put_result(out: &mut Vec<u8>, result: Result<u64, Errno>) {
    match result {
        Ok(number) => {
            out.push(0);
            put(out, number);
        }
        // Linux's numbers are all below 256.
        Err(errno) => out.push(u8::try_from(errno.number()).unwrap_or(u8::MAX)),
    }
}

pub(super) fn take_result(rest: &mut &[u8]) -> Option<Result<u64, Errno>> {
    match take_u8(rest)? {
        0 => take(rest).map(Ok),
        errno => Errno::from_number(i32::from(errno)).map(Err),
    }
}

pub(super) fn put_timer(out: &mut Vec<u8>, timer: Timer) {
    out.push(timer as u8);
}

pub(super) fn take_timer(rest: &mut &[u8]) -> Option<Timer> {
    TIMERS.get(usize::from(take_u8(rest)?)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_and_timer_comes_back_and_no_other_number_does() {
        let mut out = Vec::new();
        for fate in WHYS.map(Fate::Lost).into_iter().chain([Fate::Arrives(Tyme::from_secs(7))]) {
            out.clear();
            put_fate(&mut out, fate);
            assert_eq!(take_fate(&mut &out[..]), Some(fate));
        }
        for timer in TIMERS {
            out.clear();
            put_timer(&mut out, timer);
            assert_eq!(take_timer(&mut &out[..]), Some(timer));
        }
        assert_eq!((take_fate(&mut &[8][..]), take_timer(&mut &[3][..])), (None, None));
        assert_eq!(take_why(&mut &[0][..]), None, "a packet that arrives has no reason");
    }

    #[test]
    fn numbers_end_where_64_bits_do() {
        let mut out = Vec::new();
        for number in [0, 0x7f, 0x80, 0x3fff, 0x4000, u64::MAX] {
            out.clear();
            put(&mut out, number);
            assert_eq!(take(&mut &out[..]), Some(number));
        }
        assert_eq!(out.len(), 10);
        out[9] = 2;
        assert_eq!(take(&mut &out[..]), None, "a 65th bit");
        out[9] = 0x81;
        assert_eq!(take(&mut &out[..]), None, "an eleventh byte");
    }
}
