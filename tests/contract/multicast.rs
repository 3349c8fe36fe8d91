//! Multicast: on the loopback interface of the operating system, over the network of a world.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr};

use tymist::net::{Addr, Bind, Datagram, GramOption, Interface};
use tymist::sim::Errno;

use super::bed::Bed;

struct Pair {
    near: Box<dyn Datagram>,
    far: Box<dyn Datagram>,
    group: IpAddr,
    at: Interface,
}

fn pair(bed: &mut Bed, group: u8) -> Pair {
    let (at, here) = match bed.arm.sim {
        true => (Interface::Any, Ipv4Addr::UNSPECIFIED),
        false => (Interface::Addr(Ipv4Addr::LOCALHOST), Ipv4Addr::LOCALHOST),
    };
    let mut near = bed.near.bind(&Bind::new((here, 0))).unwrap();
    near.set_option(GramOption::MulticastInterface(at)).unwrap();
    let far = bed.far.bind(&Bind::new((Ipv4Addr::UNSPECIFIED, 0))).unwrap();
    Pair { near, far, group: IpAddr::from([239, 255, 78, group]), at }
}

impl Pair {
    /// Sends to the group, and a marker after it to the receiver alone; whether that one got the first.
    #[track_caller]
    fn comes_through(&mut self, bed: &mut Bed) -> bool {
        let port = self.far.local_addr().port().unwrap();
        self.near.send(b"all", &Addr::from((self.group, port))).unwrap();
        self.near.send(b"you", &Addr::from((bed.far_ip, port))).unwrap();
        let mut next = || {
            let mut buf = [0; 8];
            let gram = bed.until("datagram", |_| self.far.receive(&mut buf).ok());
            assert_eq!(gram.from.port(), self.near.local_addr().port());
            buf[..gram.len].to_vec()
        };
        match &next()[..] {
            b"you" => false,
            first => {
                assert_eq!((first, &next()[..]), (&b"all"[..], &b"you"[..]));
                true
            }
        }
    }
}

pub(crate) fn comes_to_members_only(mut bed: Bed) {
    let mut pair = pair(&mut bed, 1);
    let (group, at) = (pair.group, pair.at);
    assert!(!pair.comes_through(&mut bed), "not joined");
    pair.far.set_option(GramOption::Join(group, at)).unwrap();
    assert!(pair.comes_through(&mut bed));
    pair.group = IpAddr::from([239, 255, 78, 2]);
    assert!(!pair.comes_through(&mut bed), "another group");
    pair.group = group;
    pair.far.set_option(GramOption::Leave(group, at)).unwrap();
    assert!(!pair.comes_through(&mut bed), "left");
}

pub(crate) fn refuses_what_cannot_be(mut bed: Bed) {
    let mut pair = pair(&mut bed, 3);
    let (group, at) = (pair.group, pair.at);
    let nobody = IpAddr::from([127, 0, 0, 1]);
    let nowhere = Interface::Addr(Ipv4Addr::new(192, 0, 2, 77));
    let six: IpAddr = "ff01::77:3".parse().unwrap();
    let named = Interface::Addr(Ipv4Addr::LOCALHOST);
    for (option, errno) in [
        (GramOption::Join(nobody, at), Errno::Einval),
        (GramOption::Leave(group, at), Errno::Eaddrnotavail),
        (GramOption::Join(group, nowhere), Errno::Enodev),
        (GramOption::Join(six, Interface::Any), Errno::Enoprotoopt),
        (GramOption::MulticastTtl(256), Errno::Einval),
        (GramOption::Ttl(0), Errno::Einval),
    ] {
        bed.arm.is(&pair.far.set_option(option).unwrap_err(), errno);
    }
    // There is no call to the system that could say so.
    for option in
        [GramOption::Join(six, named), GramOption::MulticastInterface(Interface::Index(1))]
    {
        let error = pair.far.set_option(option).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{option:?}");
    }
    pair.far.set_option(GramOption::Join(group, at)).unwrap();
    let twice = pair.far.set_option(GramOption::Join(group, at)).unwrap_err();
    bed.arm.is(&twice, Errno::Eaddrinuse);
    for option in [
        GramOption::Broadcast(true),
        GramOption::Ttl(255),
        GramOption::MulticastTtl(0),
        GramOption::MulticastLoop(false),
    ] {
        pair.far.set_option(option).unwrap();
    }
    let sizes = pair.far.buffer_sizes().unwrap();
    assert!(sizes.recv > 0 && sizes.send > 0, "{sizes:?}");
}

/// IPv6 by itself takes none on Linux, but to the IPv4 addresses that its socket sends to as well there is no such thing: a world took it.
pub(crate) fn regression_no_hops_are_refused_over_ipv6_too(mut bed: Bed) {
    if !cfg!(any(target_os = "linux", target_os = "android")) {
        return;
    }
    let mut six = bed.near.bind(&"[::]:0".parse().unwrap()).unwrap();
    for hops in [0, 256] {
        bed.arm.is(&six.set_option(GramOption::Ttl(hops)).unwrap_err(), Errno::Einval);
    }
    six.set_option(GramOption::Ttl(1)).unwrap();
    six.set_option(GramOption::MulticastTtl(0)).unwrap();
}
