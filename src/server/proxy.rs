//! Acceptors behind a load balancer.

use super::Server;
use crate::id::AcceptorId;
use crate::net::proxy::ProxyProtocol;

/// # Behind a load balancer
impl Server {
    /// Makes that acceptor, plain or with TLS, expect a PROXY header in front of what it admits from now on; `None`: no more. Returns whether there is such an
    /// acceptor. [`net::proxy`](crate::net::proxy) says what holds then.
    ///
    /// ```
    /// use std::io::Write;
    /// use std::net::TcpStream;
    /// use tymist::{Config, Event, Server};
    ///
    /// let mut server = Server::new(Config::new());
    /// let acceptor = server.listen(([127, 0, 0, 1], 0))?;
    /// server.set_proxy_protocol(acceptor, Some("127.0.0.0/8".parse()?));
    /// let addr = server.local_addr(acceptor).and_then(|addr| addr.inet()).unwrap();
    ///
    /// let mut balancer = TcpStream::connect(addr)?;
    /// balancer.write_all(b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\r\nhello")?;
    /// let id = loop {
    ///     server.wait(None);
    ///     server.service();
    ///     if let Some(Event::Accepted(id)) = server.poll_event() {
    ///         break id;
    ///     }
    /// };
    /// let remoter = server.remoter(id).unwrap();
    /// assert_eq!(remoter.peer_addr(), &([192, 0, 2, 1], 4711).into());
    /// assert_eq!(remoter.proxied().unwrap().proxy_addr().inet(), Some(balancer.local_addr()?));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_proxy_protocol(&mut self, id: AcceptorId, proxy: Option<ProxyProtocol>) -> bool {
        let found = self.acceptor_mut(id);
        found.map(|acceptor| acceptor.proxy = proxy).is_some()
    }
}
