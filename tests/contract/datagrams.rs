//! Datagrams.

use std::io::ErrorKind;

use tymist::net::{Bind, Datagram};
use tymist::sim::Errno;

use super::bed::Bed;

fn pair(bed: &mut Bed) -> (Box<dyn Datagram>, Box<dyn Datagram>) {
    let wildcard = ([127, 0, 0, 1], 0);
    let near = if bed.arm.sim { Bind::new(([0, 0, 0, 0], 0)) } else { Bind::new(wildcard) };
    let near = bed.near.bind(&near).unwrap();
    let far = bed.far.bind(&Bind::new((bed.far_ip, 0))).unwrap();
    (near, far)
}

pub(crate) fn come_whole_and_from_somebody(mut bed: Bed) {
    let (mut near, mut far) = pair(&mut bed);
    let mut buf = [0; 2048];
    bed.arm.is(&far.receive(&mut buf).unwrap_err(), Errno::Eagain);
    for len in [5, 0, 1400] {
        let data: Vec<u8> = (0..len).map(|at| at as u8).collect();
        near.send(&data, far.local_addr()).unwrap();
        let gram = bed.until("datagram", |_| far.receive(&mut buf).ok());
        assert_eq!((gram.len, gram.truncated, &buf[..len]), (len, false, data.as_slice()));
        assert_eq!(gram.from.port(), near.local_addr().port());
        far.send(&buf[..len], &gram.from).unwrap();
        let back = bed.until("answer", |_| near.receive(&mut buf).ok());
        assert_eq!((back.len, &back.from), (len, far.local_addr()));
    }
}

pub(crate) fn are_cut_to_the_buffer(mut bed: Bed) {
    let (mut near, mut far) = pair(&mut bed);
    near.send(&[7; 100], far.local_addr()).unwrap();
    near.send(&[8; 9], far.local_addr()).unwrap();
    let mut buf = [0; 10];
    let gram = bed.until("datagram", |_| far.receive(&mut buf).ok());
    assert_eq!((gram.len, gram.truncated, buf), (10, true, [7; 10]));
    let gram = bed.until("the next", |_| far.receive(&mut buf).ok());
    // One that fills the buffer to the brim may count as cut: there are systems that do not tell.
    assert_eq!((gram.len, gram.truncated, &buf[..9]), (9, false, &[8; 9][..]));
}

pub(crate) fn say_that_nobody_listens_where_connected(mut bed: Bed) {
    let (near, far) = pair(&mut bed);
    let target = far.local_addr().clone();
    drop((near, far));
    let mut spec = Bind::new(([0, 0, 0, 0], 0));
    spec.peer = Some(target.clone());
    let mut near = bed.near.bind(&spec).unwrap();
    near.send(b"anybody there?", &target).unwrap();
    let error = bed.until("news", |_| {
        near.receive(&mut [0; 8]).err().filter(|error| error.kind() != ErrorKind::WouldBlock)
    });
    bed.arm.is(&error, Errno::Econnrefused);
}

pub(crate) fn cannot_be_longer_than_the_protocol_allows(mut bed: Bed) {
    let (mut near, mut far) = pair(&mut bed);
    let target = far.local_addr().clone();
    let error = near.send(&[0; 65_508], &target).unwrap_err();
    bed.arm.is(&error, Errno::Emsgsize);
    near.send(&[1; 20_000], &target).unwrap();
    let mut buf = vec![0; 65_536];
    assert_eq!(bed.until("datagram", |_| far.receive(&mut buf).ok()).len, 20_000);
}
