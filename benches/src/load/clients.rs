//! The echo load made by `Clients`: what is measured then is not the server but this end.

use std::net::Ipv4Addr;
use std::time::Duration;

use tymist::{Clients, Config, Connect, Event, Id};

use crate::Outcome;
use crate::load::{Load, Watch, check, source};
use crate::pattern::Pattern;

#[derive(Clone, Copy, Default)]
struct Talk {
    sent: u64,
    received: u64,
    /// Says one thing and is silent from then on.
    idle: bool,
}

struct Callers {
    clients: Clients,
    talks: Vec<Talk>,
    size: usize,
    /// Those that have had their first reply.
    up: usize,
    messages: u64,
}

/// Runs the load, announces its figures, and sees every last reply in.
pub fn run(load: &Load, port: u16, server: u32, pattern: &Pattern) -> Outcome<()> {
    let mut config = Config::new();
    config.timeouts.idle = Some(Duration::from_secs(3600));
    let mut clients = Clients::new(config);
    let mut talks = Vec::new();
    for index in 0..load.connections + load.idle {
        let mut connect = Connect::new((Ipv4Addr::LOCALHOST, port));
        connect.local = Some(source(index).into());
        let id = clients.connect(connect)?;
        debug_assert_eq!(id.index(), index);
        talks.push(Talk { idle: index >= load.connections, ..Talk::default() });
    }
    let mut callers = Callers { clients, talks, size: load.size, up: 0, messages: 0 };
    while callers.up < callers.talks.len() {
        callers.turn(Duration::from_secs(10), false, pattern)?;
    }
    let mut watch = Watch::new(load, server);
    while !watch.over(callers.messages)? {
        callers.turn(watch.left(), false, pattern)?;
    }
    while callers.talks.iter().any(|talk| talk.received < talk.sent) {
        callers.turn(Duration::from_secs(10), true, pattern)?;
    }
    Ok(())
}

impl Callers {
    fn turn(&mut self, wait: Duration, closing: bool, pattern: &Pattern) -> Outcome<()> {
        self.clients.wait(Some(wait));
        self.clients.service();
        while let Some(event) = self.clients.poll_event() {
            match event {
                Event::Connected(id) => self.send(id, pattern)?,
                Event::Received(id) => {
                    if self.receive(id, pattern)? && !closing && !self.talks[id.index()].idle {
                        self.send(id, pattern)?;
                    }
                }
                Event::Drained(_) => {}
                other => return Err(format!("{other:?}").into()),
            }
        }
        Ok(())
    }

    fn send(&mut self, id: Id, pattern: &Pattern) -> Outcome<()> {
        let talk = &mut self.talks[id.index()];
        let message = pattern.at(id.index(), talk.sent, self.size);
        talk.sent += self.size as u64;
        if self.clients.tx(id, message)? != self.size {
            return Err("no room for a message".into());
        }
        Ok(())
    }

    /// Checks what has come; whether that completes a reply.
    fn receive(&mut self, id: Id, pattern: &Pattern) -> Outcome<bool> {
        let talk = &mut self.talks[id.index()];
        let Some(remoter) = self.clients.remoter_mut(id) else { return Ok(false) };
        let data = remoter.rx();
        let len = data.len();
        check(data, pattern.at(id.index(), talk.received, len))?;
        remoter.consume(len);
        let first = talk.received < self.size as u64;
        talk.received += len as u64;
        let whole = talk.received == talk.sent;
        self.messages += u64::from(whole);
        self.up += usize::from(first && talk.received >= self.size as u64);
        Ok(whole)
    }
}
