//! An echo server as a host's program: the `Server` of the crate, serviced at each turn.

use tymist::doing::{DoError, Doer, Recur};
use tymist::sim::Host;
use tymist::tyme::Tyme;
use tymist::{Config, Event, Server, Wake};

use super::{Count, PORT};

pub(crate) struct EchoServer {
    server: Server,
    host: Host,
    count: Count,
}

impl EchoServer {
    pub(crate) fn new(host: &Host, count: Count) -> Self {
        let mut config = Config::new();
        config.timeouts.idle = Some(std::time::Duration::from_secs(300));
        let mut server = Server::with_net(config, host.net());
        server.wind(host.tymth());
        if let Err(error) = server.listen(([0, 0, 0, 0], PORT)) {
            host.note(error.to_string());
        }
        EchoServer { server, host: host.clone(), count }
    }

    fn on(&mut self, event: &Event) {
        match event {
            Event::Received(id) | Event::Drained(id) => {
                let Some(remoter) = self.server.remoter_mut(*id) else { return };
                let mut data = remoter.take();
                // An error says that the connection is closing: nobody is left to echo to.
                let _ = remoter.tx_bytes(&mut data);
                remoter.unread(data);
            }
            Event::Closed(id, reason) => self.host.note(format!("{id}: {reason}")),
            Event::ListenerLost { .. } => match self.server.reopen() {
                Ok(()) => self.count.borrow_mut().relistened += 1,
                Err(error) => self.host.note(error.to_string()),
            },
            _ => {}
        }
    }
}

impl Doer for EchoServer {
    fn recur(&mut self, _: Tyme) -> Result<Recur, DoError> {
        self.server.service();
        while let Some(event) = self.server.poll_event() {
            self.on(&event);
        }
        self.server.service_sends();
        Ok(Recur::Again)
    }

    fn wake(&self) -> Wake {
        self.server.wake()
    }
}
