//! The same through `Clients`, to a `Server`.

use std::time::Duration;

use tymist::{Backoff, Clients, CloseReason, Config, Connect, Event, Id};

use super::bed::{Bed, pattern};
use super::servers::{Far, Nothing, served, small};

/// Clients on the near side, and what they have told.
struct Near {
    clients: Clients,
    log: Vec<Event>,
}

impl Near {
    fn new(bed: &mut Bed) -> Near {
        let mut config = Config::new();
        small(bed, &mut config);
        let net = std::mem::replace(&mut bed.near, Box::new(Nothing));
        Near { clients: Clients::with_net(config, net), log: Vec::new() }
    }

    fn tick(&mut self) {
        self.clients.service();
        while let Some(event) = self.clients.poll_event() {
            self.log.push(event);
        }
        self.clients.service_sends();
    }

    /// How often it has come up.
    fn ups(&self) -> usize {
        self.log.iter().filter(|event| matches!(event, Event::Connected(_))).count()
    }
}

fn way(bed: &Bed, far: &Far) -> Connect {
    let connect = Connect::new(&far.target);
    match bed.client_tls() {
        Some(tls) => connect.with_tls(&tls, "server.test").unwrap(),
        None => connect,
    }
}

/// Ticks both until `done`.
#[track_caller]
fn until<T>(
    bed: &mut Bed,
    near: &mut Near,
    far: &mut Far,
    what: &str,
    mut done: impl FnMut(&mut Near, &mut Far) -> Option<T>,
) -> T {
    bed.until(what, |_| {
        near.tick();
        far.tick();
        done(near, far)
    })
}

pub(crate) fn dial_and_are_answered(mut bed: Bed) {
    let mut far = served(&mut bed, |_| ());
    far.echo = true;
    let mut near = Near::new(&mut bed);
    let id = near.clients.connect(way(&bed, &far)).unwrap();
    let data = pattern(if bed.arm.tiny { 2000 } else { 50_000 });
    let (mut sent, mut got) = (0, Vec::new());
    until(&mut bed, &mut near, &mut far, "the echo", |near, _| {
        let remoter = near.clients.remoter_mut(id).unwrap();
        sent += remoter.tx(&data[sent..]).unwrap();
        got.extend(remoter.take());
        (got.len() == data.len()).then_some(())
    });
    assert!(got == data, "the bytes changed on the way");
    let remoter = near.clients.remoter_mut(id).unwrap();
    assert_eq!(remoter.tls().is_some(), bed.arm.tls);
    assert_eq!(remoter.peer_addr(), &far.target);
    remoter.close();
    let closed = Event::Closed(id, CloseReason::Local);
    until(&mut bed, &mut near, &mut far, "both ends", |near, far| {
        (near.log.last() == Some(&closed)).then(|| far.closed()).flatten()
    });
    assert_eq!(far.closed(), Some(CloseReason::Eof));
    assert_eq!(near.ups(), 1);
    near.tick();
    assert_eq!((near.clients.len(), near.clients.buffered(), near.clients.timers()), (0, 0, 0));
}

/// Aborts at the far end what is there.
fn abort(far: &mut Far) -> Option<Id> {
    let id = *far.server.ixes().first()?;
    far.server.remoter_mut(id)?.abort();
    Some(id)
}

pub(crate) fn come_again_after_a_reset(mut bed: Bed) {
    let mut far = served(&mut bed, |_| ());
    let mut near = Near::new(&mut bed);
    let mut connect = way(&bed, &far);
    connect.reconnect = Some(Backoff::every(Duration::from_millis(1)));
    let id = near.clients.connect(connect).unwrap();
    for round in 1..=3 {
        until(&mut bed, &mut near, &mut far, "a connection", |near, far| {
            (near.ups() == round && far.server.len() == 1).then_some(())
        });
        abort(&mut far).unwrap();
        until(&mut bed, &mut near, &mut far, "its end", |near, _| {
            let reset = |event: &&Event| {
                matches!(event, Event::Disconnected { reason: CloseReason::Reset, .. })
            };
            (near.log.iter().filter(reset).count() == round).then_some(())
        });
    }
    near.clients.remoter_mut(id).unwrap().abort();
    until(&mut bed, &mut near, &mut far, "the end", |near, _| {
        (near.log.last() == Some(&Event::Closed(id, CloseReason::Aborted))).then_some(())
    });
}
