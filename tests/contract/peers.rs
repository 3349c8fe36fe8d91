//! Datagrams through a `Peer`: the far side is the bare seam.

use std::io::ErrorKind;

use tymist::net::{Addr, Bind, Datagram};
use tymist::{GramConfig, GramError, GramEvent, GramsFull, Peer, RxGram};

use super::bed::{Bed, pattern};
use super::servers::Nothing;

struct Near {
    peer: Peer,
    log: Vec<GramEvent>,
}

impl Near {
    /// A peer, of which all that comes to it is known; with small limits in the tiny arm.
    fn new(bed: &mut Bed, to: Option<&Addr>, change: impl FnOnce(&mut GramConfig)) -> Near {
        let mut config = GramConfig::new();
        if bed.arm.tiny {
            (config.rx_grams, config.tx_grams, config.tick_grams) = (4, 4, 1);
        }
        change(&mut config);
        let net = std::mem::replace(&mut bed.near, Box::new(Nothing));
        let mut peer = Peer::with_net(config, net);
        let any = if bed.arm.sim || to.is_some() { [0, 0, 0, 0] } else { [127, 0, 0, 1] };
        let mut bind = Bind::new((any, 0));
        bind.peer = to.cloned();
        peer.open(bind).unwrap();
        Near { peer, log: Vec::new() }
    }

    fn tick(&mut self) {
        self.peer.service();
        self.log.extend(std::iter::from_fn(|| self.peer.poll_event()));
    }

    #[track_caller]
    fn take(&mut self, bed: &mut Bed) -> RxGram {
        bed.until("datagram", |_| {
            self.tick();
            self.peer.take()
        })
    }

    /// Sends and waits until it has arrived; who has sent it.
    #[track_caller]
    fn tell(&mut self, bed: &mut Bed, far: &mut Box<dyn Datagram>, data: &[u8]) -> Addr {
        let mut buf = vec![0; 65_536];
        self.peer.tx(data, far.local_addr()).unwrap();
        let gram = bed.until("arrival", |_| {
            self.tick();
            far.receive(&mut buf).ok()
        });
        assert_eq!((&buf[..gram.len], gram.truncated), (data, false));
        gram.from
    }
}

fn far(bed: &mut Bed) -> Box<dyn Datagram> {
    bed.far.bind(&Bind::new((bed.far_ip, 0))).unwrap()
}

pub(crate) fn send_and_take_whole_datagrams(mut bed: Bed) {
    let mut far = far(&mut bed);
    let mut near = Near::new(&mut bed, None, |_| ());
    for len in [5, 0, 1400, 20_000] {
        let data = pattern(len);
        let from = near.tell(&mut bed, &mut far, &data);
        assert_eq!(from.port(), near.peer.local_addr().port());
        far.send(&data, &from).unwrap();
        let gram = near.take(&mut bed);
        assert_eq!(
            (&gram.data[..], gram.truncated, &gram.from),
            (&data[..], false, far.local_addr())
        );
    }
    let counters = near.peer.counters();
    assert_eq!((counters.grams_in, counters.grams_out, counters.bytes_in), (4, 4, 21_405));
}

pub(crate) fn flag_what_was_cut(mut bed: Bed) {
    let mut far = far(&mut bed);
    let mut near = Near::new(&mut bed, None, |config| config.max_gram = 10);
    let from = near.tell(&mut bed, &mut far, b"hello");
    assert_eq!(near.peer.tx(&[0; 11], far.local_addr()), Err(GramError::TooLarge));
    for (len, kept) in [(11, 10), (10, 10), (100, 10), (9, 9)] {
        far.send(&pattern(len), &from).unwrap();
        let gram = near.take(&mut bed);
        assert_eq!((&gram.data[..], gram.truncated), (&pattern(len)[..kept], len > 10), "{len}");
    }
    assert_eq!(near.peer.counters().truncated, 2);
}

pub(crate) fn hear_that_nobody_listens_where_connected(mut bed: Bed) {
    let target = far(&mut bed).local_addr().clone();
    let mut near = Near::new(&mut bed, Some(&target), |_| ());
    near.peer.tx_peer(b"anybody there?").unwrap();
    let refused = |event: &GramEvent| {
        matches!(
            event,
            GramEvent::Unreachable { error, .. } if error.kind() == ErrorKind::ConnectionRefused
        )
    };
    bed.until("news", |_| {
        near.tick();
        near.log.iter().any(refused).then_some(())
    });
    assert!(near.peer.opened(), "it is no end of the socket");
}

pub(crate) fn cannot_send_more_than_the_protocol_allows(mut bed: Bed) {
    let mut far = far(&mut bed);
    let mut near = Near::new(&mut bed, None, |_| ());
    near.peer.tx(&[0; 65_508], far.local_addr()).unwrap();
    bed.until("the error", |_| {
        near.tick();
        let too_long = |event: &GramEvent| {
            matches!(
                event,
                GramEvent::Unsent { len: 65_508, error, .. } if error.errno() == Some(90)
            )
        };
        near.log.iter().any(too_long).then_some(())
    });
    near.tell(&mut bed, &mut far, b"what comes next goes out");
}

pub(crate) fn keep_to_their_queues(mut bed: Bed) {
    let mut far = far(&mut bed);
    for full in [GramsFull::DropNewest, GramsFull::DropOldest] {
        let mut other = Bed::new(bed.arm);
        let mut near = Near::new(&mut other, None, |config| {
            (config.rx_grams, config.rx_full, config.tx_grams) = (3, full, 2);
        });
        let mut end = self::far(&mut other);
        let from = near.tell(&mut other, &mut end, b"hello");
        let filled: Vec<_> = (0..3).map(|_| near.peer.tx(b"x", end.local_addr())).collect();
        assert_eq!(filled, [Ok(()), Ok(()), Err(GramError::Full)]);
        for number in 0..5 {
            end.send(&[number], &from).unwrap();
        }
        other.until("all five", |_| {
            near.tick();
            (near.peer.counters().grams_in == 5).then_some(())
        });
        let kept: Vec<u8> =
            std::iter::from_fn(|| near.peer.take()).map(|gram| gram.data[0]).collect();
        assert_eq!(kept, if full == GramsFull::DropNewest { [0, 1, 2] } else { [2, 3, 4] });
        assert_eq!((near.peer.counters().rx_dropped, near.peer.counters().tx_refused), (2, 1));
    }
    assert!(far.receive(&mut [0; 8]).is_err());
}

pub(crate) fn open_again_where_they_were(mut bed: Bed) {
    let mut far = far(&mut bed);
    let mut near = Near::new(&mut bed, None, |_| ());
    let from = near.tell(&mut bed, &mut far, b"before");
    near.peer.close();
    assert_eq!(near.peer.tx(b"closed", far.local_addr()), Err(GramError::Closed));
    near.peer.reopen().unwrap();
    assert_eq!(near.tell(&mut bed, &mut far, b"after"), from, "the same port");
    far.send(b"answer", &from).unwrap();
    assert_eq!(near.take(&mut bed).data, "answer");
}
