//! The same through a `Server`.

use std::io::ErrorKind;
use std::net::Shutdown;
use std::sync::Arc;

use tymist::{CloseReason, Config, Event, Id, Server};

use super::bed::{Bed, End, pattern};

/// A server on the far side, and what it has told.
struct Far {
    server: Server,
    log: Vec<Event>,
    echo: bool,
    pending: Vec<(Id, bytes::Bytes)>,
}

impl Far {
    fn tick(&mut self) {
        self.server.service();
        while let Some(event) = self.server.poll_event() {
            if let Event::Received(id) = event
                && self.echo
                && let Some(remoter) = self.server.remoter_mut(id)
            {
                self.pending.push((id, remoter.take()));
            }
            self.log.push(event);
        }
        for (id, data) in &mut self.pending {
            if let Some(remoter) = self.server.remoter_mut(*id) {
                let _ = remoter.tx_bytes(data);
            }
        }
        self.pending.retain(|(_, data)| !data.is_empty());
        self.server.service_sends();
    }

    fn closed(&self) -> Option<CloseReason> {
        self.log.iter().find_map(|event| match event {
            Event::Closed(_, reason) => Some(*reason),
            _ => None,
        })
    }
}

/// A server that listens, and one caller.
fn served(bed: &mut Bed, change: impl FnOnce(&mut Config)) -> (Far, tymist::net::Addr) {
    let mut config = Config::new();
    if bed.arm.tiny {
        let limits = &mut config.limits;
        (limits.rx_bytes, limits.tx_bytes, limits.scratch) = (16, 16, 7);
        (limits.remoter_tick_bytes, limits.tick_bytes) = (64, 100);
    }
    change(&mut config);
    let net = std::mem::replace(&mut bed.far, Box::new(Nothing));
    let mut server = Server::with_net(config, net);
    let acceptor = match bed.server_tls() {
        Some(tls) => server
            .listen_with((bed.far_ip, 0), Arc::new(move |stream| Box::new(tls.accept(stream)))),
        None => server.listen((bed.far_ip, 0)),
    };
    let target = server.local_addr(acceptor.unwrap()).unwrap().clone();
    (Far { server, log: Vec::new(), echo: false, pending: Vec::new() }, target)
}

fn caller(bed: &mut Bed, far: &mut Far, target: &tymist::net::Addr) -> End {
    let mut near = bed.dial(target).unwrap();
    bed.until("live", |_| {
        far.tick();
        (near.stream.connected().unwrap() && near.pump().unwrap()).then_some(())
    });
    near
}

pub(crate) fn echoes_and_ends_clean(mut bed: Bed) {
    let (mut far, target) = served(&mut bed, |_| ());
    far.echo = true;
    let mut near = caller(&mut bed, &mut far, &target);
    let data = pattern(if bed.arm.tiny { 2000 } else { 50_000 });
    let (bite, mut sent, mut got) = (bed.bite(), 0, Vec::new());
    bed.until("echo", |_| {
        while sent < data.len()
            && let Ok(count) = near.write(&data[sent..(sent + bite).min(data.len())])
        {
            sent += count;
        }
        near.pump().unwrap();
        far.tick();
        assert!(!near.drain(bite, &mut got).unwrap());
        (got.len() == data.len()).then_some(())
    });
    assert!(got == data);
    near.stream.shutdown(Shutdown::Write).unwrap();
    let reason = bed.until("close", |_| {
        far.tick();
        far.closed()
    });
    assert_eq!(reason, CloseReason::Eof);
    assert!(far.log.iter().any(|event| matches!(event, Event::Eof(_))));
    assert!(bed.until("end", |_| near.drain(64, &mut got).unwrap().then_some(true)));
    far.tick();
    assert_eq!((far.server.len(), far.server.buffered(), far.server.timers()), (0, 0, 0));
}

pub(crate) fn tells_of_a_reset(mut bed: Bed) {
    let (mut far, target) = served(&mut bed, |_| ());
    let mut near = caller(&mut bed, &mut far, &target);
    bed.until("accepted", |_| {
        far.tick();
        (far.server.len() == 1).then_some(())
    });
    near.stream.set_abortive().unwrap();
    drop(near);
    let reason = bed.until("close", |_| {
        far.tick();
        far.closed()
    });
    assert_eq!(reason, CloseReason::Reset);
    assert!(!far.log.iter().any(|event| matches!(event, Event::Eof(_))), "{:?}", far.log);
}

pub(crate) fn refuses_beyond_its_limit(mut bed: Bed) {
    let (mut far, target) = served(&mut bed, |config| config.limits.remoters = 1);
    let _first = caller(&mut bed, &mut far, &target);
    let mut second = bed.dial(&target).unwrap();
    bed.until("refusal", |_| {
        far.tick();
        far.log.iter().any(|event| matches!(event, Event::Refused { .. })).then_some(())
    });
    let gone = bed.until("to notice", |bed| {
        let up = match second.stream.connected() {
            Ok(up) => up,
            Err(error) => return Some(error.kind()),
        };
        if bed.arm.tls {
            return second.pump().err().map(|error| error.kind());
        }
        let read = if up { second.stream.read(&mut [0; 8]) } else { return None };
        match read {
            Ok(0) => Some(ErrorKind::UnexpectedEof),
            Ok(_) => panic!("bytes from nobody"),
            Err(error) => Some(error.kind()).filter(|kind| *kind != ErrorKind::WouldBlock),
        }
    });
    assert!(
        matches!(
            gone,
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
        ),
        "{gone}"
    );
    assert_eq!(far.server.len(), 1);
}

pub(crate) fn closes_after_all_is_sent(mut bed: Bed) {
    let (mut far, target) = served(&mut bed, |config| config.limits.tx_bytes = 1 << 20);
    let mut near = caller(&mut bed, &mut far, &target);
    let id = bed.until("accepted", |_| {
        far.tick();
        far.server.ixes().first().copied()
    });
    let data = pattern(200_000);
    assert_eq!(far.server.tx(id, &data), Ok(200_000));
    far.server.remoter_mut(id).unwrap().close();
    let mut got = Vec::new();
    bed.until("all and the end", |_| {
        far.tick();
        near.drain(16 * 1024, &mut got).unwrap().then_some(())
    });
    assert!(got == data);
    near.stream.shutdown(Shutdown::Write).unwrap();
    let reason = bed.until("close", |_| {
        far.tick();
        far.closed()
    });
    assert_eq!(reason, CloseReason::Local);
}

/// Stands where the network was that a server has.
pub(crate) struct Nothing;

impl tymist::net::Net for Nothing {
    fn now(&mut self) -> tymist::tyme::Tyme {
        tymist::tyme::Tyme::ZERO
    }

    fn listen(
        &mut self,
        _: &tymist::net::Listen,
    ) -> std::io::Result<Box<dyn tymist::net::Listener>> {
        Err(ErrorKind::Unsupported.into())
    }

    fn harvest(
        &mut self,
        _: Option<std::time::Duration>,
        _: &mut Vec<tymist::net::Readiness>,
    ) -> std::io::Result<()> {
        Ok(())
    }

    fn waker(&mut self) -> std::io::Result<tymist::net::Waker> {
        Err(ErrorKind::Unsupported.into())
    }
}
