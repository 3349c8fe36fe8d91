//! Ours, as a user writes it, with every limit, timeout and counter on.

use std::time::Duration;

use tymist::net::Listen;
use tymist::run::Manager;
use tymist::{AcceptorId, Config, Event, Id, MinRate, Server, Service, Session};

use crate::Outcome;
use crate::servers::{BACKLOG, announce};

/// The server, one turn at a time.
pub struct TymistEcho {
    server: Server,
    acceptor: AcceptorId,
}

/// Runs until killed.
pub fn run(config: Config) -> Outcome<()> {
    let mut echo = TymistEcho::new(config)?;
    announce(echo.port()?);
    loop {
        echo.server.wait(None);
        echo.turn()?;
    }
}

/// The same on threads of a `Manager`, as callbacks.
struct Echo;

impl Service for Echo {
    fn received(&mut self, session: &mut Session<'_>) {
        let mut data = session.take();
        // Where the connection is over, so is the echo.
        let _ = session.tx_bytes(&mut data);
        if !data.is_empty() {
            session.unread(data);
        }
    }

    fn drained(&mut self, session: &mut Session<'_>) {
        self.received(session);
    }
}

/// Runs until killed.
pub fn run_threads(engines: usize) -> Outcome<()> {
    let mut manager = Manager::new(config(), |_, _| Ok(Echo));
    manager.threads(engines).listen(listen()?);
    manager.start()?;
    announce(manager.addrs()[0].port().ok_or("no address")?);
    manager.wait(None)?;
    Ok(())
}

fn listen() -> Outcome<Listen> {
    let mut listen: Listen = "127.0.0.1:0".parse()?;
    listen.backlog = BACKLOG.unsigned_abs();
    Ok(listen)
}

/// The default limits, all of them finite, and every timeout there is: long enough never to fire while we measure.
pub fn config() -> Config {
    const HOUR: Duration = Duration::from_secs(3600);
    let mut config = Config::new();
    let timeouts = &mut config.timeouts;
    timeouts.handshake = Some(Duration::from_secs(10));
    timeouts.first_byte = Some(HOUR);
    timeouts.idle = Some(HOUR);
    timeouts.lifetime = Some(24 * HOUR);
    timeouts.write_stall = Some(Duration::from_secs(30));
    timeouts.linger = Some(Duration::from_secs(5));
    timeouts.drain = Some(Duration::from_secs(30));
    timeouts.min_rate = Some(MinRate { bytes: 1, window: HOUR });
    config
}

/// The same without a look before sleep.
pub fn asleep() -> Config {
    let mut config = config();
    config.spin = Duration::ZERO;
    config
}

impl TymistEcho {
    pub fn new(config: Config) -> Outcome<Self> {
        let mut server = Server::new(config);
        let acceptor = server.listen(listen()?)?;
        Ok(TymistEcho { server, acceptor })
    }

    pub fn port(&self) -> Outcome<u16> {
        let addr = self.server.local_addr(self.acceptor).and_then(|addr| addr.inet());
        Ok(addr.ok_or("no address")?.port())
    }

    /// Sleeps until there is something to do, `limit` at most.
    pub fn wait(&mut self, limit: Duration) {
        self.server.wait(Some(limit));
    }

    /// One tick, and what it brought; returns whether it brought anything.
    pub fn turn(&mut self) -> Outcome<bool> {
        self.server.service();
        let mut any = false;
        while let Some(event) = self.server.poll_event() {
            any = true;
            match event {
                Event::Received(id) | Event::Drained(id) => self.echo(id),
                Event::Refused { .. } | Event::Expired(..) | Event::NetFailed { .. } => {
                    return Err(format!("{event:?}").into());
                }
                _ => {}
            }
        }
        Ok(any)
    }

    fn echo(&mut self, id: Id) {
        let Some(remoter) = self.server.remoter_mut(id) else { return };
        let mut data = remoter.take();
        // Where the connection is over, so is the echo.
        let _ = remoter.tx_bytes(&mut data);
        if !data.is_empty() {
            // What has no room now is tried again when the queue is `Drained`; at the cap of unread bytes reading pauses.
            remoter.unread(data);
        }
    }
}
