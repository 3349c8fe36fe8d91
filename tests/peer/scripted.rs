//! A network of which the test says what each call gives.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tymist::net::{Addr, Bind, Datagram, Gram, Listen, Listener, Net, Readiness, Token, Waker};
use tymist::tyme::{Tyme, Tymist};
use tymist::{Config, EndpointId, GramConfig, Peer, Server};

use super::Rig;

#[derive(Default)]
pub(super) struct State {
    /// What receives give, one after the other; then `WouldBlock`, or `for_ever`.
    pub(super) receives: VecDeque<io::Result<(Vec<u8>, Addr)>>,
    pub(super) for_ever: Option<i32>,
    /// What sends give; then all go through, or `sends_for_ever`.
    pub(super) sends: VecDeque<io::Error>,
    pub(super) sends_for_ever: Option<ErrorKind>,
    /// How many more sends go through before those.
    pub(super) room: usize,
    /// Who takes nothing.
    pub(super) full: Vec<Addr>,
    /// What several sends at once claim to have taken, in place of taking any.
    pub(super) claims: VecDeque<usize>,
    /// Receives of several at once bring several.
    pub(super) together: bool,
    /// What they claim beyond what there is: so many datagrams more than they were given buffers.
    pub(super) too_many: usize,
    /// How many buffers they were given, each time.
    pub(super) asked: Vec<usize>,
    pub(super) harvests: usize,
    /// Whether a harvest may be left out.
    pub(super) keeps_readiness: bool,
    /// What receives claim beyond what there is.
    pub(super) too_long: usize,
    pub(super) sent: Vec<(Vec<u8>, Addr)>,
    pub(super) receive_calls: usize,
    pub(super) send_calls: usize,
    ready: VecDeque<Readiness>,
    token: Option<Token>,
}

#[derive(Clone, Default)]
pub(super) struct Script(Arc<Mutex<State>>);

impl Script {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Reports that the socket has become ready.
    pub(super) fn ready(&self, readable: bool, writable: bool) {
        let mut state = self.lock();
        let token = state.token.unwrap();
        state.ready.push_back(Readiness { token, readable, writable, ending: false });
    }
}

impl Net for Script {
    fn now(&mut self) -> Tyme {
        Tyme::ZERO
    }

    fn listen(&mut self, _: &Listen) -> io::Result<Box<dyn Listener>> {
        Err(ErrorKind::Unsupported.into())
    }

    fn bind(&mut self, spec: &Bind) -> io::Result<Box<dyn Datagram>> {
        Ok(Box::new(Socket(self.clone(), spec.addr.clone())))
    }

    fn harvest(&mut self, _: Option<Duration>, ready: &mut Vec<Readiness>) -> io::Result<()> {
        let mut state = self.lock();
        state.harvests += 1;
        ready.extend(state.ready.drain(..));
        Ok(())
    }

    fn keeps_readiness(&self) -> bool {
        self.lock().keeps_readiness
    }

    fn waker(&mut self) -> io::Result<Waker> {
        Err(ErrorKind::Unsupported.into())
    }
}

struct Socket(Script, Addr);

impl Datagram for Socket {
    fn register(&mut self, token: Token) -> io::Result<()> {
        self.0.lock().token = Some(token);
        Ok(())
    }

    fn receive(&mut self, buf: &mut [u8]) -> io::Result<Gram> {
        let mut state = self.0.lock();
        state.receive_calls += 1;
        let (data, from) = match (state.receives.pop_front(), state.for_ever) {
            (Some(scripted), _) => scripted?,
            (None, Some(errno)) => return Err(io::Error::from_raw_os_error(errno)),
            (None, None) => return Err(ErrorKind::WouldBlock.into()),
        };
        let len = data.len().min(buf.len());
        buf[..len].copy_from_slice(&data[..len]);
        Ok(Gram { len: len + state.too_long, truncated: len < data.len(), from })
    }

    fn receive_many(&mut self, bufs: &mut [&mut [u8]], grams: &mut Vec<Gram>) -> io::Result<bool> {
        let together = {
            let mut state = self.0.lock();
            state.asked.push(bufs.len());
            state.together
        };
        let most = if together { bufs.len() } else { 1 };
        for (at, buf) in bufs.iter_mut().take(most).enumerate() {
            match self.receive(buf) {
                Ok(gram) => grams.push(gram),
                Err(error) if at == 0 => return Err(error),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                // As the kernel does: it is kept for the next call.
                Err(error) => {
                    self.0.lock().receives.push_front(Err(error));
                    return Ok(true);
                }
            }
        }
        for _ in 0..self.0.lock().too_many {
            grams.push(Gram { len: 7, truncated: false, from: friend() });
        }
        Ok(false)
    }

    fn send(&mut self, data: &[u8], to: &Addr) -> io::Result<()> {
        let mut state = self.0.lock();
        state.send_calls += 1;
        if let Some(error) = state.sends.pop_front() {
            return Err(error);
        }
        if state.full.contains(to) {
            return Err(ErrorKind::WouldBlock.into());
        }
        match (state.room.checked_sub(1), state.sends_for_ever) {
            (Some(room), _) => state.room = room,
            (None, Some(kind)) => return Err(kind.into()),
            (None, None) => {}
        }
        state.sent.push((data.to_vec(), to.clone()));
        Ok(())
    }

    fn send_many(&mut self, grams: &[(&[u8], &Addr)]) -> io::Result<usize> {
        if let Some(claimed) = self.0.lock().claims.pop_front() {
            return Ok(claimed);
        }
        let (data, to) = grams[0];
        self.send(data, to).map(|()| 1)
    }

    fn local_addr(&self) -> &Addr {
        &self.1
    }
}

pub(super) fn rig(change: impl FnOnce(&mut GramConfig)) -> (Rig, Script) {
    rig_on(Bind::new(([127, 0, 0, 1], 0)), change)
}

pub(super) fn rig_on(bind: Bind, change: impl FnOnce(&mut GramConfig)) -> (Rig, Script) {
    let script = Script::default();
    let mut config = GramConfig::new();
    change(&mut config);
    let mut rig = Rig::of(Peer::with_net(config, Box::new(script.clone())));
    rig.peer.open(bind).unwrap();
    (rig, script)
}

pub(super) fn friend() -> Addr {
    Addr::from(([192, 0, 2, 1], 0))
}

pub(super) fn texts(script: &Script) -> Vec<String> {
    script.lock().sent.iter().map(|(data, _)| String::from_utf8_lossy(data).into()).collect()
}

pub(super) fn server(change: impl FnOnce(&mut GramConfig)) -> (Server, EndpointId, Tymist, Script) {
    let script = Script::default();
    let tymist = Tymist::new();
    let mut server = Server::with_net(Config::new(), Box::new(script.clone()));
    server.wind(tymist.tymth());
    let mut config = GramConfig::new();
    change(&mut config);
    let id = server.bind(([127, 0, 0, 1], 0), config).unwrap();
    (server, id, tymist, script)
}
