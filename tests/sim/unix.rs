//! Unix sockets in a simulated world: the same programs under faults, what a crash leaves behind, and who cannot reach whom.
#![allow(clippy::unwrap_used, reason = "a test says so by failing")]

use std::io::ErrorKind;
use std::time::Duration;

use crate::sim_util::path;
use tymist::doing::{DoError, Doer, Recur};
use tymist::net::{Addr, Bind, Dial, Listen};
use tymist::sim::fault::{Effect, Rule};
use tymist::sim::trace::What;
use tymist::sim::{Act, Errno, Host, Op, Tracing, World, WorldSpec};
use tymist::tyme::Tyme;
use tymist::{
    Backoff, Clients, Config, Connect, EndpointId, Event, GramConfig, GramEvent, Id, Peer, Server,
    Wake,
};

const CLIENTS: usize = 8;
const MESSAGE: usize = 150_000;
const GRAMS: u32 = 300;
const SERVICE: &str = "/run/echo";
const LETTERS: &str = "/run/letters";
/// When faults end.
const CALM: Tyme = Tyme::from_secs(5);

/// Streams and datagrams that come are sent back.
struct Echo {
    server: Server,
    letters: EndpointId,
}

impl Echo {
    fn new(host: &Host) -> Echo {
        let mut server = Server::with_net(Config::new(), host.net());
        server.wind(host.tymth());
        // After a crash the files are still there.
        let (mut listen, mut bind) = (Listen::new(path(SERVICE)), Bind::new(path(LETTERS)));
        (listen.file.replace_stale, bind.file.replace_stale) = (true, true);
        server.listen(listen).unwrap();
        let letters = server.bind(bind, GramConfig::new()).unwrap();
        Echo { server, letters }
    }

    fn turn(&mut self) {
        self.server.service();
        while let Some(event) = self.server.poll_event() {
            match event {
                Event::Received(id) | Event::Drained(id) => {
                    let remoter = self.server.remoter_mut(id).unwrap();
                    let mut data = remoter.take();
                    let _ = remoter.tx_bytes(&mut data);
                    remoter.unread(data);
                }
                Event::Gram(id, GramEvent::Received) => {
                    let endpoint = self.server.endpoint_mut(id).unwrap();
                    while let Some(gram) = endpoint.take() {
                        endpoint.tx_bytes(gram.data, gram.from).unwrap();
                    }
                }
                _ => {}
            }
        }
        self.server.service_sends();
    }
}

/// What a client still has to send, and to hear.
struct Call {
    id: Id,
    sent: usize,
    heard: usize,
}

/// Clients that send a message each, anew on each connection, until it has come back whole; and a peer that writes letters.
struct Callers {
    clients: Clients,
    calls: Vec<Call>,
    breaks: u32,
    peer: Peer,
    written: u32,
    answers: Vec<u32>,
    unsent: u32,
}

fn byte(at: usize) -> u8 {
    u8::try_from(at % 251).unwrap()
}

impl Callers {
    fn new(host: &Host) -> Callers {
        let mut clients = Clients::with_net(Config::new(), host.net());
        clients.wind(host.tymth());
        let mut connect = Connect::new(path(SERVICE));
        connect.reconnect = Some(Backoff::every(Duration::from_millis(20)));
        let call = |_| Call { id: clients.connect(connect.clone()).unwrap(), sent: 0, heard: 0 };
        let calls = (0..CLIENTS).map(call).collect();
        let mut peer = Peer::with_net(GramConfig::new(), host.net());
        peer.wind(host.tymth());
        let mut bind = Bind::new(path("/run/writer"));
        bind.file.replace_stale = true;
        peer.open(bind).unwrap();
        Callers { clients, calls, breaks: 0, peer, written: 0, answers: Vec::new(), unsent: 0 }
    }

    fn turn(&mut self) {
        self.clients.service();
        while let Some(event) = self.clients.poll_event() {
            let of = |id: Id| move |call: &&mut Call| call.id == id;
            match event {
                Event::Disconnected { id, .. } => {
                    let call = self.calls.iter_mut().find(of(id)).unwrap();
                    // What has come back has come back; of the rest nobody knows.
                    if call.heard < MESSAGE {
                        (call.sent, call.heard) = (0, 0);
                    }
                    self.breaks += 1;
                }
                Event::Received(id) => {
                    let data = self.clients.remoter_mut(id).unwrap().take();
                    let call = self.calls.iter_mut().find(of(id)).unwrap();
                    for got in &data[..] {
                        assert_eq!(*got, byte(call.heard), "at {}", call.heard);
                        call.heard += 1;
                    }
                }
                _ => {}
            }
        }
        let message: Vec<u8> = (0..MESSAGE).map(byte).collect();
        for call in &mut self.calls {
            let remoter = self.clients.remoter_mut(call.id).unwrap();
            if remoter.is_up() && call.sent < MESSAGE {
                call.sent += remoter.tx(&message[call.sent..]).unwrap();
            }
        }
        self.clients.service_sends();
        self.write_letters();
    }

    fn write_letters(&mut self) {
        self.peer.service();
        while let Some(event) = self.peer.poll_event() {
            match event {
                GramEvent::Unsent { .. } => self.unsent += 1,
                GramEvent::Received | GramEvent::Drained => {}
                other => panic!("{other:?}"),
            }
        }
        while let Some(gram) = self.peer.take() {
            assert_eq!(gram.from, path(LETTERS));
            self.answers.push(u32::from_be_bytes(gram.data[..].try_into().unwrap()));
        }
        while self.written < GRAMS
            && self.peer.tx(&self.written.to_be_bytes(), path(LETTERS)).is_ok()
        {
            self.written += 1;
        }
        self.peer.service_sends();
    }
}

/// All of it is one host's program, since no other could reach it.
struct Both(Echo, Callers);

impl Doer for Both {
    fn recur(&mut self, _: Tyme) -> Result<Recur, DoError> {
        self.0.turn();
        self.1.turn();
        Ok(Recur::Again)
    }

    fn wake(&self) -> Wake {
        let wakes = [self.0.server.wake(), self.1.clients.wake(), self.1.peer.wake()];
        wakes.into_iter().fold(Wake::OnIo, |one, other| match (one, other) {
            (Wake::Now, _) | (_, Wake::Now) => Wake::Now,
            (Wake::At(one), Wake::At(other)) => Wake::At(one.min(other)),
            (Wake::OnIo, wake) | (wake, Wake::OnIo) => wake,
        })
    }
}

/// The hash of a run in which all comes through in the end, and how many connections broke on the way.
fn run(seed: u64) -> (u64, u32) {
    let mut world = World::new(seed);
    let host = world.add("host", |host| Both(Echo::new(host), Callers::new(host)));
    let fault = |name: &'static str, effect| Rule::new(name, effect).until(CALM);
    world.rule(fault("dribble", Effect::Short(1000)).chance(0.5));
    world.rule(fault("reset", Effect::Reset).after(20_000).chance(0.03));
    world.rule(fault("lost", Effect::Fail(Errno::Econnreset)).on(&[Op::Read]).chance(0.03));
    world.rule(fault("later", Effect::WouldBlock).chance(0.1));
    world.rule(fault("no descriptors", Effect::Fail(Errno::Emfile)).on(&[Op::Accept]).chance(0.3));
    world.rule(fault("nobody", Effect::Fail(Errno::Econnrefused)).on(&[Op::Connect]).nth(1));
    world.rule(fault("not now", Effect::WouldBlock).on(&[Op::Send, Op::Receive]).chance(0.1));
    world.rule(fault("no room", Effect::Fail(Errno::Enobufs)).on(&[Op::Send]).chance(0.05));
    world.plan(Tyme::ZERO + Duration::from_millis(10), Act::Crash(host));
    world.plan(Tyme::ZERO + Duration::from_millis(30), Act::Restart(host));
    world.run_until(CALM + Duration::from_secs(10));
    world.all_fired().unwrap();
    let Both(echo, callers) = world.program::<Both>(host).unwrap();
    for call in &callers.calls {
        assert_eq!((call.sent, call.heard), (MESSAGE, MESSAGE));
    }
    assert_eq!(callers.answers, (0..GRAMS).collect::<Vec<_>>(), "none is lost, doubled, overtaken");
    assert_eq!((callers.unsent, callers.peer.tx_grams()), (0, 0));
    assert_eq!(echo.server.endpoint(echo.letters).unwrap().tx_grams(), 0);
    let held = 2 * CLIENTS + 3;
    assert_eq!(world.sockets(host), held, "both ends of each, a listener, two for letters");
    let (hash, breaks) = (world.hash(), callers.breaks);
    world.stop(host);
    assert_eq!(world.sockets(host), 0);
    (hash, breaks)
}

#[test]
fn all_comes_through_faults_and_the_same_seed_is_the_same_run() {
    let runs: Vec<_> = (1..=5).map(run).collect();
    assert_eq!(run(1), runs[0]);
    assert!(runs.iter().any(|(_, breaks)| *breaks > 0), "{runs:?}");
    let mut hashes: Vec<_> = runs.iter().map(|(hash, _)| *hash).collect();
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), 5, "another seed, another run");
}

#[test]
fn a_crash_leaves_files_behind_that_are_replaced_on_request() {
    let mut world = World::new(1);
    let host = world.add_host("host");
    let mut net = world.host(host).net();
    let (stream, gram, own) = (path("/run/s"), path("/run/g"), path("/run/own"));
    let name = Addr::abstract_name("name");
    let mut dial = Dial::new(stream.clone());
    dial.local = Some(own.clone());
    let held = (
        net.listen(&Listen::new(stream.clone())).unwrap(),
        net.listen(&Listen::new(name.clone())).unwrap(),
        net.connect(&dial).unwrap(),
        net.bind(&Bind::new(gram.clone())).unwrap(),
    );
    world.act(&Act::Crash(host));
    world.act(&Act::Restart(host));
    drop(held);
    assert_eq!(world.sockets(host), 0);
    net.listen(&Listen::new(name)).unwrap();
    for addr in [stream, gram, own] {
        let refused = net.connect(&Dial::new(addr.clone())).err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        let (mut listen, mut bind) = (Listen::new(addr.clone()), Bind::new(addr.clone()));
        let error = net.listen(&listen).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        assert!(error.to_string().contains("replace_stale"), "{error}");
        assert_eq!(net.bind(&bind).err().unwrap().kind(), ErrorKind::AlreadyExists);
        (listen.file.replace_stale, bind.file.replace_stale) = (true, true);
        let listener = net.listen(&listen).unwrap();
        assert_eq!(net.bind(&bind).err().unwrap().kind(), ErrorKind::AddrInUse, "a live one");
        drop(listener);
        // Gone with its socket, so there is nothing left to replace.
        net.bind(&Bind::new(addr)).unwrap();
    }
}

#[test]
fn a_host_reaches_nobody_elses_names() {
    let mut world = World::new(1);
    let (one, other) = (world.add_host("one"), world.add_host("other"));
    let (mut here, mut there) = (world.host(one).net(), world.host(other).net());
    let name = Addr::abstract_name("name");
    for addr in [path("/run/s"), name] {
        let _listener = here.listen(&Listen::new(addr.clone())).unwrap();
        assert!(here.connect(&Dial::new(addr.clone())).is_ok());
        assert!(there.connect(&Dial::new(addr.clone())).is_err());
        there.listen(&Listen::new(addr)).unwrap();
    }
}

/// Calls are on the record under the number of the connection, or of the socket; and a wake-up is a turn at the same tyme.
#[test]
fn calls_are_recorded_and_take_no_tyme() {
    let mut spec = WorldSpec::new(1);
    spec.tracing = Tracing::Full;
    let mut world = World::with(spec);
    let host = world.add_host("host");
    let mut net = world.host(host).net();
    let mut listener = net.listen(&Listen::new(path("/run/s"))).unwrap();
    let mut near = net.connect(&Dial::new(path("/run/s"))).unwrap();
    let mut far = listener.accept().unwrap();
    far.register(tymist::net::Token(7)).unwrap();
    world.run_for(Duration::from_millis(1));
    net.harvest(None, &mut Vec::new()).unwrap();
    near.write(&[std::io::IoSlice::new(b"hello")]).unwrap();
    assert_eq!(world.next_due(), Some(world.tyme()), "a turn, now");
    let mut ready = Vec::new();
    net.harvest(None, &mut ready).unwrap();
    assert_eq!(ready.iter().map(|it| (it.token.0, it.readable)).collect::<Vec<_>>(), [(7, true)]);
    assert_eq!(far.read(&mut [0; 64]).unwrap(), 5);
    near.shutdown(std::net::Shutdown::Write).unwrap();
    drop((near, far, listener));
    drop(net.bind(&Bind::new(path("/run/d"))).unwrap());
    let trace = world.trace();
    let calls: Vec<_> = trace
        .records()
        .filter_map(|record| match record.what {
            What::Call { op, on, result, .. } => Some((op, on, result)),
            _ => None,
        })
        .collect();
    let passed = trace.records().find_map(|record| match record.what {
        What::Local { host: of, on, data } => Some((of, on, data)),
        _ => None,
    });
    assert_eq!(passed, Some((host, 0, "hello".into())));
    let mut file = Vec::new();
    trace.write_to(&mut file).unwrap();
    assert_eq!(tymist::sim::Trace::read_from(&file[..]).unwrap().hash(), trace.hash());
    let Some((Op::Listen, 0, Ok(number))) = calls.first().copied() else { panic!("{calls:?}") };
    let number = u32::try_from(number).unwrap();
    let letters = calls.last().unwrap().1;
    assert_eq!(
        calls[1..],
        [
            (Op::Connect, 0, Ok(0)),
            (Op::Accept, number, Ok(0)),
            (Op::Write, 0, Ok(5)),
            (Op::Read, 0, Ok(5)),
            (Op::Shutdown, 0, Ok(1)),
            (Op::Close, 0, Ok(0)),
            (Op::Close, 0, Ok(0)),
            (Op::Close, number, Ok(0)),
            (Op::Bind, 0, Ok(letters.into())),
            (Op::Close, letters, Ok(0)),
        ]
    );
    assert_eq!(world.sockets(host), 0);
}

/// Its peer is told of no reset, as there is none between Unix sockets; what `EAGAIN` says of a full backlog is on the record.
#[test]
fn a_rule_that_resets_ends_the_other_side() {
    let mut world = World::new(1);
    let host = world.add_host("host");
    world.rule(Rule::new("reset", Effect::Reset).on(&[Op::Write]).nth(0));
    let mut net = world.host(host).net();
    let mut listener = net.listen(&Listen::new(path("/run/s"))).unwrap();
    let mut near = net.connect(&Dial::new(path("/run/s"))).unwrap();
    let mut far = listener.accept().unwrap();
    let error = near.write(&[std::io::IoSlice::new(b"hello")]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(far.read(&mut [0; 64]).unwrap(), 0);
    world.all_fired().unwrap();
}

/// Also by a server in a world; see the test of that name on the system's network.
#[test]
fn regression_a_reset_after_the_peers_end_was_never_noticed() {
    let mut world = World::new(1);
    let host = world.add_host("host");
    let mut config = Config::new();
    config.half_open = true;
    let mut server = Server::with_net(config, world.host(host).net());
    server.wind(world.host(host).tymth());
    server.listen(Listen::new(path("/run/s"))).unwrap();
    let mut net = world.host(host).net();
    let mut far = net.connect(&Dial::new(path("/run/s"))).unwrap();
    server.service();
    let Some(Event::Accepted(id)) = server.poll_event() else { panic!("it came in") };
    server.tx(id, b"never read").unwrap();
    far.shutdown(std::net::Shutdown::Write).unwrap();
    server.service();
    assert_eq!(server.poll_event(), Some(Event::Eof(id)));
    drop(far);
    server.service();
    assert_eq!(server.poll_event(), Some(Event::Closed(id, tymist::CloseReason::Reset)));
}

#[test]
#[cfg(all(unix, feature = "uds"))]
fn credentials_are_the_hosts_and_descriptors_stay() {
    let mut world = World::new(1);
    world.add_host("first");
    let host = world.add_host("second");
    let mut net = world.host(host).net();
    let mut listener = net.listen(&Listen::new(path("/run/s"))).unwrap();
    let mut near = net.connect(&Dial::new(path("/run/s"))).unwrap();
    let _far = listener.accept().unwrap();
    // Through the middleware that rules are in.
    let them = near.peer_credentials().unwrap();
    assert_eq!((them.pid, them.uid, them.gid), (Some(2), 1000, 1000));
    assert!(near.files().is_none());
}
