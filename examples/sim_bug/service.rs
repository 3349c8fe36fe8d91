//! A service with a bug: each message comes back with its bytes turned over.
//!
//! A message is its length in two bytes, high one first, and then so many bytes.

use std::collections::BTreeMap;

use tymist::doing::{DoError, Doer, Recur};
use tymist::sim::Host;
use tymist::tyme::Tyme;
use tymist::{Config, Event, Id, Server, Wake};

pub(crate) const PORT: u16 = 9000;
pub(crate) const HEADER: usize = 2;

pub(crate) struct Service {
    server: Server,
    /// What has come of the next message on each connection.
    partial: BTreeMap<Id, Vec<u8>>,
}

impl Service {
    pub(crate) fn new(host: &Host) -> Self {
        let mut server = Server::with_net(Config::new(), host.net());
        server.wind(host.tymth());
        if let Err(error) = server.listen(([0, 0, 0, 0], PORT)) {
            host.note(error.to_string());
        }
        Service { server, partial: BTreeMap::new() }
    }

    fn received(&mut self, id: Id) {
        let Some(remoter) = self.server.remoter_mut(id) else { return };
        let mut data = self.partial.remove(&id).unwrap_or_default();
        data.extend_from_slice(&remoter.take());
        let mut rest = &data[..];
        while let [high, low, body @ ..] = rest
            && let len = usize::from(u16::from_be_bytes([*high, *low]))
            && body.len() >= len
        {
            let turned: Vec<u8> = body[..len].iter().map(|byte| !byte).collect();
            // Few and short: they never fill the queue.
            let _ = remoter.tx(&rest[..HEADER]);
            let _ = remoter.tx(&turned);
            rest = &body[len..];
        }
        // The bug: half a header is a beginning, too.
        if rest.len() >= HEADER {
            self.partial.insert(id, rest.to_vec());
        }
    }
}

impl Doer for Service {
    fn recur(&mut self, _: Tyme) -> Result<Recur, DoError> {
        self.server.service();
        while let Some(event) = self.server.poll_event() {
            match event {
                Event::Received(id) => self.received(id),
                Event::Closed(id, _) => drop(self.partial.remove(&id)),
                _ => {}
            }
        }
        self.server.service_sends();
        Ok(Recur::Again)
    }

    fn wake(&self) -> Wake {
        self.server.wake()
    }
}
