//! What a host gives its program: the seam, on top of the world's machine.

use core::time::Duration;
use std::io::{self, IoSlice};
use std::net::{IpAddr, Shutdown, SocketAddr};

use super::machine::{Shared, Source};
use super::{HostId, Key, unix};
use crate::net::{
    Addr, Bind, BufferSizes, Datagram, Dial, Gram, GramOption, Listen, Listener, Lookup, Net,
    Readiness, Stream, Token, Waker,
};
use crate::tyme::{Tyme, Tymth};

/// The network as one host sees it.
pub(super) struct SimNet {
    shared: Shared,
    host: HostId,
    poller: u32,
    /// What an engine on it draws from.
    seed: u64,
    tymth: Tymth,
}

impl SimNet {
    pub(super) fn new(shared: Shared, host: HostId) -> Self {
        let mut core = shared.lock();
        let tymth = core.host(host).tymth.clone();
        let poller = core.add_poller(host);
        let seed = core.engine_seed(host);
        drop(core);
        SimNet { shared, host, poller, seed, tymth }
    }
}

fn inet(addr: &Addr) -> io::Result<SocketAddr> {
    addr.inet().ok_or_else(|| {
        io::Error::new(io::ErrorKind::Unsupported, format!("{addr} is no internet address"))
    })
}

/// Whether it is the unspecified address, by which a caller means its own host.
fn is_this_host(ip: IpAddr) -> bool {
    ip.to_canonical().is_unspecified()
}

impl Net for SimNet {
    fn now(&mut self) -> Tyme {
        self.tymth.tyme()
    }

    fn listen(&mut self, spec: &Listen) -> io::Result<Box<dyn Listener>> {
        if unix::is_unix(&spec.addr) {
            return unix::listen(&self.shared, self.poller, self.host, spec);
        }
        let addr = inet(&spec.addr)?;
        let (key, local) = self.shared.lock().listen(self.host, spec, addr)?;
        Ok(Box::new(SimListener {
            shared: self.shared.clone(),
            poller: self.poller,
            key,
            local: local.into(),
        }))
    }

    fn connect(&mut self, spec: &Dial) -> io::Result<Box<dyn Stream>> {
        if unix::is_unix(&spec.addr) {
            return unix::connect(&self.shared, self.poller, self.host, spec);
        }
        let target = inet(&spec.addr)?;
        let local = spec.local.as_ref().map(inet).transpose()?;
        let (key, local, remote) = self.shared.lock().connect(self.host, spec, target, local)?;
        Ok(Box::new(SimStream {
            shared: self.shared.clone(),
            poller: self.poller,
            key,
            local: local.into(),
            peer: spec.addr.clone(),
            met: is_this_host(target.ip()).then(|| remote.into()),
        }))
    }

    fn bind(&mut self, spec: &Bind) -> io::Result<Box<dyn Datagram>> {
        if unix::is_unix(&spec.addr) {
            return unix::bind(&self.shared, self.poller, self.host, spec);
        }
        let addr = inet(&spec.addr)?;
        let peer = spec.peer.as_ref().map(inet).transpose()?;
        let (key, local) = self.shared.lock().bind(self.host, spec, addr, peer)?;
        Ok(Box::new(SimDatagram {
            shared: self.shared.clone(),
            poller: self.poller,
            key,
            local: local.into(),
            named: spec.peer.clone().filter(|peer| peer.ip().is_some_and(is_this_host)),
        }))
    }

    /// Takes no tyme.
    fn lookup(&mut self, lookup: Lookup) {
        let ips = self.shared.lock().look_up(self.host, lookup.host());
        let port = lookup.port();
        lookup.answer(Ok(ips.into_iter().map(|ip| Addr::from((ip, port))).collect()));
    }

    fn seed(&mut self) -> u64 {
        self.seed
    }

    /// Never waits: in a world time passes between turns, not in them.
    fn harvest(&mut self, wait: Option<Duration>, ready: &mut Vec<Readiness>) -> io::Result<()> {
        let _ = wait;
        self.shared.lock().harvest(self.poller, ready);
        Ok(())
    }

    /// Gives the host a turn. From another thread the tyme of that turn is not reproducible.
    fn waker(&mut self) -> io::Result<Waker> {
        let (shared, host) = (self.shared.downgrade(), self.host);
        Ok(Waker::new(move || {
            if let Some(shared) = Shared::upgrade(&shared) {
                shared.lock().schedule_turn(host);
            }
            Ok(())
        }))
    }
}

struct SimListener {
    shared: Shared,
    poller: u32,
    key: Key,
    local: Addr,
}

impl Listener for SimListener {
    fn register(&mut self, token: Token) -> io::Result<()> {
        Ok(self.shared.lock().register(Source::Listener(self.key), self.poller, token)?)
    }

    fn accept(&mut self) -> io::Result<Box<dyn Stream>> {
        let taken = self.shared.lock().accept(self.key)?;
        Ok(Box::new(SimStream {
            shared: self.shared.clone(),
            poller: self.poller,
            key: taken.key,
            local: taken.local.into(),
            peer: taken.remote.into(),
            met: None,
        }))
    }

    fn local_addr(&self) -> &Addr {
        &self.local
    }

    fn buffer_sizes(&self) -> io::Result<BufferSizes> {
        Ok(self.shared.lock().listener_sizes(self.key)?)
    }
}

impl Drop for SimNet {
    fn drop(&mut self) {
        self.shared.lock().close_poller(self.poller);
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        self.shared.lock().close_listener(self.key);
    }
}

struct SimStream {
    shared: Shared,
    poller: u32,
    key: Key,
    local: Addr,
    peer: Addr,
    /// Who the peer is once it is up, where the unspecified address was dialled: one of the host's own.
    met: Option<Addr>,
}

impl Stream for SimStream {
    fn register(&mut self, token: Token) -> io::Result<()> {
        Ok(self.shared.lock().register(Source::Tcp(self.key), self.poller, token)?)
    }

    fn connected(&mut self) -> io::Result<bool> {
        let up = self.shared.lock().connected(self.key)?;
        if up && let Some(met) = self.met.take() {
            self.peer = met;
        }
        Ok(up)
    }

    #[inline]
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(self.shared.lock().read(self.key, buf)?)
    }

    fn short_read_drains(&self) -> bool {
        true
    }

    #[inline]
    fn write(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(self.shared.lock().write(self.key, bufs)?)
    }

    fn shutdown(&mut self, how: Shutdown) -> io::Result<()> {
        Ok(self.shared.lock().shutdown(self.key, how)?)
    }

    fn set_abortive(&mut self) -> io::Result<()> {
        Ok(self.shared.lock().set_abortive(self.key)?)
    }

    fn local_addr(&self) -> &Addr {
        &self.local
    }

    fn peer_addr(&self) -> &Addr {
        &self.peer
    }

    fn buffer_sizes(&self) -> io::Result<BufferSizes> {
        Ok(self.shared.lock().stream_sizes(self.key)?)
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        self.shared.lock().close_stream(self.key);
    }
}

struct SimDatagram {
    shared: Shared,
    poller: u32,
    key: Key,
    local: Addr,
    /// The only sender, where it was named by the unspecified address: so it is called.
    named: Option<Addr>,
}

impl Datagram for SimDatagram {
    fn register(&mut self, token: Token) -> io::Result<()> {
        Ok(self.shared.lock().register(Source::Udp(self.key), self.poller, token)?)
    }

    fn receive(&mut self, buf: &mut [u8]) -> io::Result<Gram> {
        let gram = self.shared.lock().receive(self.key, buf)?;
        let from = self.named.clone().unwrap_or_else(|| gram.from.into());
        Ok(Gram { len: gram.len, truncated: gram.truncated, from })
    }

    fn send(&mut self, data: &[u8], to: &Addr) -> io::Result<()> {
        let to = inet(to)?;
        Ok(self.shared.lock().send_gram(self.key, data, to)?)
    }

    fn local_addr(&self) -> &Addr {
        &self.local
    }

    /// A world binds and connects in one step.
    fn refuses_strangers(&self) -> bool {
        true
    }

    fn set_option(&mut self, option: GramOption) -> io::Result<()> {
        Ok(self.shared.lock().set_gram_option(self.key, option)?)
    }

    fn buffer_sizes(&self) -> io::Result<BufferSizes> {
        Ok(self.shared.lock().gram_sizes(self.key)?)
    }
}

impl Drop for SimDatagram {
    fn drop(&mut self) {
        self.shared.lock().close_gram(self.key);
    }
}
