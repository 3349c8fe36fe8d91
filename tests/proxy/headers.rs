//! Headers, by the specification and by chance: whole, in pieces, too long, and anything at all.

use std::io::{ErrorKind, IoSlice};

use proptest::prelude::*;
use tymist::net::proxy::{Proxied, ProxyFailure, ProxyHeader, ProxyStream, ProxyVersion};
use tymist::net::{Addr, Stage, Stream};

use crate::tls_support::wire;

/// What a stream makes of these bytes, in pieces of so many: what was told, and what came behind it.
fn read_in(
    bytes: &[u8],
    piece: usize,
    max: usize,
) -> Result<Option<(Proxied, Vec<u8>)>, ProxyFailure> {
    let (mut far, near) = wire::duplex();
    let mut stream = ProxyStream::new(Box::new(near), max);
    let (mut stage, mut behind) = (Stage::Handshaking, Vec::new());
    for piece in bytes.chunks(piece.max(1)) {
        assert_eq!(far.write(&[IoSlice::new(piece)]).unwrap(), piece.len());
        while stage == Stage::Handshaking {
            match stream.advance() {
                Ok(next) => stage = next,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => {
                    let failure = ProxyFailure::of(&error).expect("another error");
                    let again = stream.advance().unwrap_err();
                    assert_eq!(ProxyFailure::of(&again), Some(failure), "and it stays so");
                    let read = stream.read(&mut [0; 9]).unwrap_err();
                    assert_eq!(ProxyFailure::of(&read), Some(failure));
                    return Err(failure);
                }
            }
        }
        let mut buf = [0; 7];
        if stage == Stage::Live {
            let error = loop {
                match stream.read(&mut buf) {
                    Ok(count) => behind.extend_from_slice(&buf[..count]),
                    Err(error) => break error,
                }
            };
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
        }
    }
    Ok(stream.proxied().cloned().map(|told| (told, behind)))
}

fn read(bytes: &[u8]) -> Result<Option<(Proxied, Vec<u8>)>, ProxyFailure> {
    read_in(bytes, usize::MAX, 4096)
}

#[track_caller]
fn told(bytes: &[u8]) -> Proxied {
    let (told, behind) = read(bytes).unwrap().expect("more is needed");
    assert_eq!(behind, b"", "more was left than there is");
    told
}

fn addr(text: &str) -> Addr {
    text.parse().unwrap()
}

/// A header of version 2 with these parts.
fn v2(version_command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let len = u16::try_from(body.len()).unwrap().to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[version_command, family][..], &len, body].concat()
}

const INET: [u8; 12] = [192, 0, 2, 1, 192, 0, 2, 2, 0x12, 0x67, 0x01, 0xbb];

#[test]
fn lines_of_version_1() {
    let four = told(b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\r\n");
    assert_eq!(four.source(), Some(&addr("192.0.2.1:4711")));
    assert_eq!(four.destination(), Some(&addr("192.0.2.2:443")));
    assert_eq!((four.version(), four.tlvs().count()), (ProxyVersion::V1, 0));
    let six = told(b"PROXY TCP6 2001:db8::1 ffff:f:f:f:f:f:f:ffff 65535 0\r\n");
    assert_eq!(six.source(), Some(&addr("[2001:db8::1]:65535")));
    assert_eq!(six.destination(), Some(&addr("[ffff:f:f:f:f:f:f:ffff]:0")));
    for unknown in ["PROXY UNKNOWN\r\n", "PROXY UNKNOWN ffff::1 whatever there  is\r\n"] {
        let said = told(unknown.as_bytes());
        assert_eq!((said.source(), said.destination()), (None, None), "{unknown}");
    }
    let longest = format!("PROXY UNKNOWN {}\r\n", "x".repeat(91));
    assert_eq!(longest.len(), 107);
    assert_eq!(told(longest.as_bytes()).source(), None);
}

#[test]
fn regression_what_follows_unknown_may_be_anything() {
    let lines = [
        &b"PROXY UNKNOWN \xff\xfe\r\n"[..],
        b"PROXY UNKNOWN a\nb\r\n",
        b"PROXY UNKNOWN a\rb\r\r\n",
        b"PROXY UNKNOWN \n\r\n",
    ];
    for line in lines {
        assert_eq!(told(line).source(), None, "{line:?}");
        assert_eq!(read_in(line, 1, 4096), read(line), "{line:?}");
    }
    // And it is bounded all the same.
    let endless = [&b"PROXY UNKNOWN "[..], &[b'\n'; 93]].concat();
    assert_eq!(read(&endless[..106]), Ok(None));
    assert_eq!(read(&endless), Err(ProxyFailure::TooLong));
    let torn = [&b"PROXY UNKNOWN "[..], &[b'\r'; 93], b"\n"].concat();
    assert_eq!(read(&torn), Err(ProxyFailure::TooLong), "a byte too late");
}

#[test]
fn lines_that_are_none() {
    let malformed = [
        "PROXY \r\n",
        "PROXY  TCP4 192.0.2.1 192.0.2.2 4711 443\r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 4711\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 4711 443 \r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 4711 443 5\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.256 4711 443\r\n",
        "PROXY TCP4 192.0.2.01 192.0.2.2 4711 443\r\n",
        "PROXY TCP4 2001:db8::1 2001:db8::2 4711 443\r\n",
        "PROXY TCP6 192.0.2.1 192.0.2.2 4711 443\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 04711 443\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 +4711 443\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 4711 65536\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 4711 \r\n",
        "PROXY tcp4 192.0.2.1 192.0.2.2 4711 443\r\n",
        "PROXY UDP4 192.0.2.1 192.0.2.2 4711 443\r\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY UNKNOWN\n",
        "PROXY UNKNOWN\r \r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\n",
        "PROXY TCP4 192.0.2.1\r 192.0.2.2 4711 443\r\n",
    ];
    for line in malformed {
        assert_eq!(read(line.as_bytes()), Err(ProxyFailure::Malformed), "{line:?}");
    }
    assert_eq!(read(b"PROXY TCP4 \xff\xfe 1 1 1\r\n"), Err(ProxyFailure::Malformed));
    for other in
        ["GET / HTTP/1.0\r\n", "proxy UNKNOWN\r\n", "PROXYUNKNOWN\r\n", "\r\n\r\nQUIT", "\n"]
    {
        assert_eq!(read(other.as_bytes()), Err(ProxyFailure::NotProxy), "{other:?}");
    }
    let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(92));
    assert_eq!(read(long.as_bytes()), Err(ProxyFailure::TooLong));
    assert_eq!(read(&long.as_bytes()[..106]), Ok(None), "it may still end");
    assert_eq!(read(&long.as_bytes()[..107]), Err(ProxyFailure::TooLong), "it cannot any more");
}

#[test]
fn headers_of_version_2() {
    let four = told(&v2(0x21, 0x11, &INET));
    assert_eq!(four.source(), Some(&addr("192.0.2.1:4711")));
    assert_eq!(four.destination(), Some(&addr("192.0.2.2:443")));
    let mut six = [0; 36];
    (six[0], six[15], six[16], six[31], six[33], six[35]) = (0x20, 1, 0x20, 2, 7, 8);
    let said = told(&v2(0x21, 0x21, &six));
    assert_eq!(said.source(), Some(&addr("[2000::1]:7")));
    assert_eq!(said.destination(), Some(&addr("[2000::2]:8")));
    // The proxy's own, whatever else it holds; and no family.
    for body in [&[][..], &INET, &[1; 300]] {
        assert_eq!(told(&v2(0x20, 0x11, body)).source(), None);
        assert_eq!(told(&v2(0x21, 0x00, body)).source(), None);
    }
    assert_eq!(told(&v2(0x21, 0x12, &INET)).source(), Some(&addr("192.0.2.1:4711")), "datagrams");
}

#[test]
fn regression_the_family_of_the_proxys_own_does_not_count() {
    for family in [0x13, 0x41, 0xff] {
        let said = told(&v2(0x20, family, &INET));
        assert_eq!((said.source(), said.tlvs().count()), (None, 0), "{family:x}");
    }
}

#[test]
fn names_of_unix_sockets() {
    let mut body = [0; 216];
    body[..9].copy_from_slice(b"/run/sock");
    body[109..112].copy_from_slice(b"abc");
    let said = told(&v2(0x21, 0x31, &body));
    assert_eq!(said.source(), Some(&Addr::from(std::path::Path::new("/run/sock"))));
    assert_eq!(said.destination(), Some(&Addr::abstract_name("abc")));
    assert_eq!(told(&v2(0x21, 0x31, &[0; 216])).source(), Some(&Addr::Unnamed));
    let full = told(&v2(0x21, 0x31, &[b'/'; 216]));
    assert_eq!(full.source().unwrap().to_string().len(), 108);
    assert_eq!(read(&v2(0x21, 0x31, &[0; 215])), Err(ProxyFailure::Malformed));
}

#[test]
fn fields_behind_the_addresses() {
    let fields = [&INET[..], &[0x01, 0, 2, b'h', b'2'], &[0x04, 0, 0], &[0xea, 0, 1, 9]].concat();
    let said = told(&v2(0x21, 0x11, &fields));
    let all: Vec<_> = said.tlvs().collect();
    assert_eq!(all, [(0x01, &b"h2"[..]), (0x04, &[]), (0xea, &[9])]);
    assert_eq!((said.tlv(0xea), said.tlv(0x30)), (Some(&[9][..]), None));
    for torn in [&[1][..], &[1, 0], &[1, 0, 1], &[1, 0xff, 0xff, 1], &[4, 0, 0, 1]] {
        let header = v2(0x21, 0x11, &[&INET, torn].concat());
        assert_eq!(read(&header), Err(ProxyFailure::Malformed), "{torn:?}");
    }
}

#[test]
fn a_checksum_is_minded() {
    // Of the whole header, with zeros in the place of the sum; a real HAProxy's is read in another test.
    let header = |sum: [u8; 4]| v2(0x21, 0x11, &[&INET[..], &[3, 0, 4], &sum].concat());
    let right = crc32c(&header([0; 4]));
    assert!(read(&header(right.to_be_bytes())).unwrap().is_some());
    for bit in 0..32 {
        let wrong = (right ^ (1 << bit)).to_be_bytes();
        assert_eq!(read(&header(wrong)), Err(ProxyFailure::BadChecksum));
    }
    let short = v2(0x21, 0x11, &[&INET[..], &[3, 0, 3, 1, 2, 3]].concat());
    assert_eq!(read(&short), Err(ProxyFailure::Malformed));
    let twice =
        v2(0x21, 0x11, &[&INET[..], &[3, 0, 4, 0, 0, 0, 0], &[3, 0, 4, 0, 0, 0, 0]].concat());
    assert!(read(&twice).is_err());
}

/// By a table, unlike the crate's own.
fn crc32c(bytes: &[u8]) -> u32 {
    let table: Vec<u32> = (0..256u32)
        .map(|byte| {
            (0..8)
                .fold(byte, |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 })
        })
        .collect();
    let crc = bytes
        .iter()
        .fold(u32::MAX, |crc, byte| (crc >> 8) ^ table[usize::from((crc as u8) ^ byte)]);
    !crc
}

#[test]
fn what_the_specification_does_not_have() {
    for (version_command, family) in
        [(0x11, 0x11), (0x31, 0x11), (0x22, 0x11), (0x2f, 0x11), (0x21, 0x41), (0x21, 0x13)]
    {
        let header = v2(version_command, family, &INET);
        assert_eq!(read(&header), Err(ProxyFailure::Unsupported), "{version_command:x} {family:x}");
    }
    assert_eq!(read(&v2(0x21, 0x11, &INET[..11])), Err(ProxyFailure::Malformed));
    assert_eq!(read(&v2(0x21, 0x21, &[0; 35])), Err(ProxyFailure::Malformed));
}

#[test]
fn a_header_is_bounded_before_it_has_come() {
    let header = v2(0x21, 0x11, &[&INET[..], &[4, 0x0f, 0xd1], &[0; 4049]].concat());
    assert_eq!(header.len(), 4096 - 16);
    assert!(read_in(&header, 100, 4096 - 16).unwrap().is_some());
    let announced = &header[..16];
    assert_eq!(
        read_in(announced, 100, 4096 - 17),
        Err(ProxyFailure::TooLong),
        "by its length alone"
    );
    assert_eq!(read_in(announced, 100, 4096 - 16), Ok(None));
}

#[test]
fn an_end_in_the_middle_is_told() {
    let header = v2(0x21, 0x11, &INET);
    for len in 0..header.len() {
        let (mut far, near) = wire::duplex();
        let mut stream = ProxyStream::new(Box::new(near), 4096);
        if len > 0 {
            far.write(&[IoSlice::new(&header[..len])]).unwrap();
        }
        far.shutdown(std::net::Shutdown::Write).unwrap();
        let error = loop {
            match stream.advance() {
                Ok(stage) => assert_eq!(stage, Stage::Handshaking),
                Err(error) => break error,
            }
        };
        assert_eq!(ProxyFailure::of(&error), Some(ProxyFailure::Eof), "after {len} bytes");
    }
}

fn any_addr() -> impl Strategy<Value = Addr> {
    let four = (any::<[u8; 4]>(), any::<u16>()).prop_map(|(ip, port)| Addr::from((ip, port)));
    let six = (any::<[u16; 8]>(), any::<u16>()).prop_map(|(ip, port)| Addr::from((ip, port)));
    prop_oneof![four, six]
}

/// As a header tells it beside another: all IPv6 if one of the two is.
fn as_told(addr: &Addr, beside: &Addr) -> Addr {
    let (ip, port) = (addr.ip().unwrap(), addr.port().unwrap());
    match (ip, beside.ip().unwrap()) {
        (std::net::IpAddr::V4(ip), std::net::IpAddr::V6(_)) => (ip.to_ipv6_mapped(), port).into(),
        _ => (ip, port).into(),
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        source in any_addr(), destination in any_addr(), second in any::<bool>(),
        kind in 0x20u8.., value in prop::collection::vec(any::<u8>(), 0..300),
        behind in prop::collection::vec(any::<u8>(), 0..50), piece in 1usize..200,
    ) {
        let version = if second { ProxyVersion::V2 } else { ProxyVersion::V1 };
        let mut header = ProxyHeader::new(version, &source, &destination);
        match header.clone().with_tlv(kind, &value) {
            Ok(with) => header = with,
            Err(_) => prop_assert!(!second, "only version 1 has no fields"),
        }
        let bytes = [header.as_bytes(), &behind].concat();
        let (told, rest) = read_in(&bytes, piece, 4096).unwrap().unwrap();
        prop_assert_eq!(told.source().cloned(), Some(as_told(&source, &destination)));
        prop_assert_eq!(told.destination().cloned(), Some(as_told(&destination, &source)));
        prop_assert_eq!(told.version(), version);
        prop_assert_eq!(told.tlv(kind), second.then_some(&value[..]));
        prop_assert_eq!(rest, behind);
        prop_assert!(version == ProxyVersion::V2 || header.as_bytes().len() <= 107);
    }

    #[test]
    fn pieces_make_no_difference_and_nothing_panics(
        start in prop::sample::select(vec![
            b"".to_vec(), b"PROXY ".to_vec(), b"PROXY TCP4 1.2.3.4 ".to_vec(), b"\r\n\r\n\0\r\nQUIT\n".to_vec(),
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0".to_vec(), b"\r\n\r\n\0\r\nQUIT\n\x21\x31\0\xd8".to_vec(),
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x20\x01\x02\x03\x04\x01\x02\x03\x04\0\x01\0\x01".to_vec(),
        ]),
        noise in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(b" 0123456789.:\r\nTCP".to_vec())], 0..400),
        piece in 1usize..60, max in 16usize..600,
    ) {
        let bytes = [start, noise].concat();
        let whole = read_in(&bytes, usize::MAX, max);
        prop_assert_eq!(read_in(&bytes, piece, max), whole.clone());
        prop_assert_eq!(read_in(&bytes, 1, max), whole);
    }

    #[test]
    fn a_changed_header_is_told_or_differs(at in 0usize..28, flip in 1u8..) {
        let mut header = v2(0x21, 0x11, &INET);
        let honest = told(&header);
        header[at] ^= flip;
        if let Ok(Some((said, _))) = read(&header) {
            prop_assert!(said != honest || at == 13, "byte {at} does not count");
        }
    }
}

#[test]
fn what_a_header_cannot_say_is_unknown() {
    let (inet, path) = (addr("192.0.2.1:1"), Addr::from(std::path::Path::new("/run/sock")));
    let said = |version, source: &Addr, destination: &Addr| {
        let header = ProxyHeader::new(version, source, destination);
        told(header.as_bytes()).source().cloned()
    };
    assert_eq!(said(ProxyVersion::V1, &path, &path), None);
    assert_eq!(said(ProxyVersion::V2, &path, &Addr::Unnamed), Some(path.clone()));
    assert_eq!(said(ProxyVersion::V2, &path, &inet), None);
    let long = Addr::from(std::path::Path::new(&"x".repeat(109)));
    assert_eq!(said(ProxyVersion::V2, &long, &path), None);
    assert_eq!(ProxyHeader::local(ProxyVersion::V1).as_bytes(), b"PROXY UNKNOWN\r\n");
    assert_eq!(ProxyHeader::local(ProxyVersion::V2).as_bytes(), v2(0x20, 0, &[]));
    let header = ProxyHeader::new(ProxyVersion::V2, &inet, &inet);
    assert!(header.clone().with_tlv(4, &[0; 65_521]).is_err(), "one byte too many");
    assert_eq!(header.with_tlv(4, &[0; 65_520]).unwrap().as_bytes().len(), 16 + 65_535);
}
