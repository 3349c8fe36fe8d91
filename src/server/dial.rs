//! Connections that a server makes itself, as a proxy does.

use super::Server;
use crate::connect::Connect;
use crate::error::Gone;
use crate::event::Refusal;
use crate::id::Id;
use crate::net::Lookup;

/// # Connecting
impl Server {
    /// Makes a connection from here, beside those that come in: same tick, same limits and deadlines, same [`Remoter`](crate::Remoter), named by the
    /// id at once. What is queued on it waits until it is usable, which `Connected` tells; `Closed` comes last, also where none could be made.
    /// The next tick (or `wait`) begins with it; see [`Connect`] for all that can be set.
    ///
    /// It is not found by [`at`](Server::at), and does not count in [`Limits::remoters_per_ip`](crate::Limits::remoters_per_ip). A dialled one costs about
    /// 400 bytes more than one that came in.
    ///
    /// ```
    /// use tymist::{Config, Event, Server};
    ///
    /// let mut server = Server::new(Config::new());
    /// let acceptor = server.listen(([127, 0, 0, 1], 0))?;
    /// let own = server.local_addr(acceptor).cloned().unwrap();
    /// let id = server.connect(own)?; // to itself
    /// server.tx(id, b"hello")?;
    /// let mut greeted = false;
    /// while !greeted {
    ///     server.wait(None);
    ///     server.service();
    ///     while let Some(event) = server.poll_event() {
    ///         match event {
    ///             Event::Connected(other) => assert_eq!(other, id),
    ///             Event::Received(inbound) => greeted = server.remoter(inbound).unwrap().rx() == b"hello",
    ///             _ => {}
    ///         }
    ///     }
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Refusal::Remoters`] where `Limits::remoters` are there. What the network says comes as an event.
    pub fn connect(&mut self, connect: impl Into<Connect>) -> Result<Id, Refusal> {
        let mut connect = connect.into();
        if self.draining.is_some() {
            connect.reconnect = None;
        }
        self.engine.connect(connect)
    }

    /// Ends the dialled connection of this id, if it is up, with a `Disconnected`, and makes it anew as soon as that was taken; one that waits to be
    /// made again is made at once, and its back-off begins anew. One that was closed, but has not ended yet, comes again as it would have without, with
    /// nothing queued.
    ///
    /// # Errors
    /// [`Gone`] if the id names no connection that was dialled and has not closed.
    pub fn redial(&mut self, id: Id) -> Result<(), Gone> {
        self.engine.redial(id)
    }

    /// Looks names up by `resolve` instead of the network: it takes each [`Lookup`] and must return at once; the answer may come later and
    /// from anywhere.
    pub fn set_resolve(&mut self, resolve: impl FnMut(Lookup) + Send + 'static) {
        self.engine.names.resolve = Some(Box::new(resolve));
    }
}
