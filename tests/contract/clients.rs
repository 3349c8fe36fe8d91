//! The same through `Clients`: the far side is the bare seam.

use std::io::ErrorKind;
use std::net::Shutdown;
use std::time::Duration;

use tymist::net::{Addr, Listener};
use tymist::{Backoff, Clients, CloseReason, Config, Connect, Event, Id};

use super::bed::{Bed, End, pattern};
use super::servers::Nothing;

/// Clients on the near side, and what they have told.
struct Near {
    clients: Clients,
    log: Vec<Event>,
}

impl Near {
    fn new(bed: &mut Bed) -> Near {
        let mut config = Config::new();
        config.seed = Some(1);
        if bed.arm.tiny {
            let limits = &mut config.limits;
            (limits.rx_bytes, limits.tx_bytes, limits.scratch) = (64, 256, 33);
            (limits.remoter_tick_bytes, limits.tick_bytes) = (64, 100);
        }
        let net = std::mem::replace(&mut bed.near, Box::new(Nothing));
        Near { clients: Clients::with_net(config, net), log: Vec::new() }
    }

    fn tick(&mut self) {
        self.clients.service();
        self.log.extend(std::iter::from_fn(|| self.clients.poll_event()));
        self.clients.service_sends();
    }

    fn dial(&mut self, bed: &Bed, target: &Addr, again: bool) -> Id {
        let mut connect = Connect::new(target.clone());
        connect.layer = bed.client_layer();
        if bed.arm.tiny {
            (connect.socket.send_buffer, connect.socket.recv_buffer) = (Some(1), Some(1));
        }
        connect.reconnect = again.then(|| Backoff::every(Duration::from_millis(20)));
        self.clients.connect(connect).unwrap()
    }

    fn told(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        self.log.iter().filter(|event| wanted(event)).count()
    }

    fn connected(&self) -> usize {
        self.told(|event| matches!(event, Event::Connected(_)))
    }

    fn closed(&self, id: Id) -> Option<CloseReason> {
        self.log.iter().find_map(|event| match event {
            Event::Closed(of, reason) if *of == id => Some(*reason),
            _ => None,
        })
    }

    /// Both ends of the next connection that comes up.
    #[track_caller]
    fn meet(&mut self, bed: &mut Bed, listener: &mut Box<dyn Listener>) -> End {
        let before = self.connected();
        let mut far: Option<End> = None;
        bed.until("both to be up", |bed| {
            self.tick();
            if far.is_none() {
                far = bed.accept(listener).ok();
            }
            let live = far.as_mut().is_some_and(|far| far.pump().unwrap());
            (live && self.connected() > before).then_some(())
        });
        far.unwrap()
    }

    /// A connection, up.
    #[track_caller]
    fn connection(bed: &mut Bed) -> (Near, Id, End, Box<dyn Listener>) {
        let mut near = Near::new(bed);
        let mut listener = bed.listen();
        let id = near.dial(bed, &listener.local_addr().clone(), false);
        let far = near.meet(bed, &mut listener);
        (near, id, far, listener)
    }

    #[track_caller]
    fn until_closed(&mut self, bed: &mut Bed, id: Id) -> CloseReason {
        bed.until("close", |_| {
            self.tick();
            self.closed(id)
        })
    }

    fn is_empty(&self) -> bool {
        let clients = &self.clients;
        (clients.len(), clients.buffered(), clients.timers()) == (0, 0, 0)
    }
}

pub(crate) fn connects_and_names_both_ends(mut bed: Bed) {
    let (near, id, far, listener) = Near::connection(&mut bed);
    assert_eq!(near.log, [Event::Connected(id)]);
    let remoter = near.clients.remoter(id).unwrap();
    assert_eq!(remoter.ends(), Some((far.stream.peer_addr(), listener.local_addr())));
    assert_eq!((near.clients.connected(), near.clients.dialling()), (1, 0));
    let sizes = remoter.buffer_sizes().unwrap();
    assert!(sizes.recv > 0 && sizes.send > 0, "{sizes:?}");
}

pub(crate) fn is_refused_where_nobody_listens(mut bed: Bed) {
    let mut near = Near::new(&mut bed);
    let target = bed.listen().local_addr().clone();
    let id = near.dial(&bed, &target, false);
    let reason = near.until_closed(&mut bed, id);
    assert_eq!(reason, CloseReason::Connect(ErrorKind::ConnectionRefused));
    let failed = |event: &Event| matches!(event, Event::ConnectFailed { error: ErrorKind::ConnectionRefused, addr, .. } if *addr == target);
    assert_eq!((near.told(failed), near.log.len()), (1, 2), "{:?}", near.log);
    near.tick();
    assert!(near.is_empty() && near.clients.remoter(id).is_none());
}

pub(crate) fn half_closes_and_ends_clean(mut bed: Bed) {
    let (mut near, id, mut far, _listener) = Near::connection(&mut bed);
    assert_eq!(near.clients.tx(id, b"last words"), Ok(10));
    near.clients.remoter_mut(id).unwrap().shutdown_send();
    let mut got = Vec::new();
    bed.until("the end", |_| {
        near.tick();
        far.drain(64, &mut got).unwrap().then_some(())
    });
    assert_eq!(got, b"last words");
    // The other half goes on.
    assert_eq!(far.write(b"answer").unwrap(), 6);
    bed.until("the answer", |_| {
        near.tick();
        far.pump().unwrap();
        (near.clients.remoter(id).unwrap().rx() == b"answer").then_some(())
    });
    assert!(near.closed(id).is_none() && !near.log.contains(&Event::Eof(id)));
    far.stream.shutdown(Shutdown::Write).unwrap();
    bed.until("its end", |_| {
        near.tick();
        far.pump().unwrap();
        near.log.contains(&Event::Eof(id)).then_some(())
    });
    assert_eq!(near.clients.remoter_mut(id).unwrap().take(), &b"answer"[..]);
    assert_eq!(near.until_closed(&mut bed, id), CloseReason::Eof);
    near.tick();
    assert!(near.is_empty());
}

pub(crate) fn is_told_of_a_reset(mut bed: Bed) {
    let (mut near, id, mut far, _listener) = Near::connection(&mut bed);
    far.stream.set_abortive().unwrap();
    drop(far);
    assert_eq!(near.until_closed(&mut bed, id), CloseReason::Reset);
    assert!(!near.log.contains(&Event::Eof(id)), "{:?}", near.log);
}

pub(crate) fn aborts_as_a_reset_to_the_other_side(mut bed: Bed) {
    let (mut near, id, mut far, _listener) = Near::connection(&mut bed);
    near.clients.remoter_mut(id).unwrap().abort();
    assert_eq!(near.until_closed(&mut bed, id), CloseReason::Aborted);
    let (_, end) = bed.rest(&mut far);
    bed.arm.is(&end.unwrap_err(), tymist::sim::Errno::Econnreset);
}

pub(crate) fn moves_bytes_both_ways_in_pieces(mut bed: Bed) {
    let (mut near, id, mut far, _listener) = Near::connection(&mut bed);
    let data = pattern(if bed.arm.tiny { 3000 } else { 100_000 });
    let bite = bed.bite();
    let (mut said, mut heard) = (0, Vec::new());
    let (mut answered, mut got) = (0, Vec::new());
    bed.until("all of it back", |_| {
        near.tick();
        said += near.clients.tx(id, &data[said..]).unwrap();
        assert!(!far.drain(bite, &mut heard).unwrap());
        while answered < heard.len()
            && let Ok(count) = far.write(&heard[answered..(answered + bite).min(heard.len())])
        {
            answered += count;
        }
        far.pump().unwrap();
        got.extend(near.clients.remoter_mut(id).unwrap().take());
        (got.len() == data.len()).then_some(())
    });
    assert!(heard == data && got == data);
}

pub(crate) fn is_held_back_and_told_of_room(mut bed: Bed) {
    let (mut near, id, mut far, _listener) = Near::connection(&mut bed);
    let piece = pattern(64 * 1024);
    let (mut sent, mut blocked) = (0, 0);
    bed.until("back pressure", |_| {
        // Some rounds of the network's are many ticks.
        for _ in 0..50 {
            let count = near.clients.tx(id, &piece[sent % 1000..]).unwrap();
            (sent, blocked) = (sent + count, if count > 0 { 0 } else { blocked + 1 });
            assert!(sent < 64 << 20, "no end to it");
            near.tick();
        }
        (blocked > 1000).then_some(())
    });
    let limit = near.clients.config().limits.tx_bytes;
    assert_eq!(near.clients.remoter(id).unwrap().tx_len(), limit, "as much as is allowed, no more");
    near.log.clear();
    let mut got = Vec::new();
    bed.until("all of it", |_| {
        for _ in 0..50 {
            near.tick();
            far.drain(16 * 1024, &mut got).unwrap();
        }
        (got.len() == sent).then_some(())
    });
    bed.until("word of the room", |_| {
        near.tick();
        near.log.contains(&Event::Drained(id)).then_some(())
    });
}

pub(crate) fn wait_for_a_full_backlog(mut bed: Bed) {
    let mut near = Near::new(&mut bed);
    let mut listener = bed.listen_on(0, 1).unwrap();
    let target = listener.local_addr().clone();
    let ids: Vec<Id> = (0..6)
        .map(|_| {
            let id = near.dial(&bed, &target, false);
            for _ in 0..6 {
                near.tick();
                bed.settle();
            }
            id
        })
        .collect();
    let up = ids.iter().filter(|id| near.clients.remoter(**id).unwrap().is_up()).count();
    assert_eq!(up, 2, "the queue holds one more than the backlog");
    let mut taken: Vec<End> = Vec::new();
    bed.until("all to be up", |bed| {
        near.tick();
        taken.extend(bed.accept(&mut listener).ok());
        taken.iter_mut().for_each(|far| _ = far.pump().unwrap());
        (near.connected() == 6).then_some(())
    });
}

pub(crate) fn come_again_to_a_port_that_is_used_again(mut bed: Bed) {
    let mut near = Near::new(&mut bed);
    let mut listener = bed.listen();
    let target = listener.local_addr().clone();
    let id = near.dial(&bed, &target, true);
    let mut far = near.meet(&mut bed, &mut listener);
    far.stream.set_abortive().unwrap();
    drop((far, listener));
    bed.until("a try that is refused", |_| {
        near.tick();
        (near.told(|event| matches!(event, Event::ConnectFailed { .. })) > 0).then_some(())
    });
    let mut listener = bed.listen_on(target.port().unwrap(), 8).unwrap();
    assert_eq!(near.clients.tx(id, b"again"), Ok(5));
    let mut far = near.meet(&mut bed, &mut listener);
    let mut got = Vec::new();
    bed.until("what had waited", |_| {
        near.tick();
        far.drain(64, &mut got).unwrap();
        (got == b"again").then_some(())
    });
    assert_eq!((near.connected(), near.closed(id)), (2, None));
}
