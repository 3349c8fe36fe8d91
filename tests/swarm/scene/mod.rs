//! Servers and callers on the hosts of a plan, with settings drawn from its seed. Shared by the test and by the example `swarm`.

mod call;
mod caller;
mod client;
mod closing;
mod dialling;
mod engine;
mod grams;
mod ledger;
mod relay;
mod service;
mod site;
mod speaker;
mod tally;
mod tls;
mod watch;

use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use tymist::doing::ServerDoer;
use tymist::net::{Addr, KeepAlive, Listen};
use tymist::sim::swarm::{Moment, Shape, Stage, What, draw_config, draw_gram_config};
use tymist::sim::{Act, Host, HostId, Rng, World};
use tymist::{Config, Layer, OverLimit, RxFull, Server, TxFull};

use caller::{Caller, Goal, Line};
use client::Client;
use grams::Grams;
use ledger::{Ledger, Route};
use relay::Relay;
use service::Service;
use site::{Site, without_ends};
use speaker::{ANSWERS, SPEAKS, Speaker, Talk, Whom};
use tally::Shakes;

pub(crate) use service::Bug;
use tls::Tls;

/// How a plan is lived again: with the features that this was built with, since they are a part of what a seed means.
pub(crate) const PROGRAM: &str = if cfg!(feature = "tls-test-provider") {
    "cargo run --release --features sim,tls-test-provider --example swarm --"
} else {
    "cargo run --release --features sim --example swarm --"
};

pub(crate) const PORT: u16 = 80;
/// Where forwarders listen.
const RELAYS: u16 = 81;
/// Calls that each caller must get done after healing.
const CALLS: u64 = 3;

/// Makes what runs on a host, at the start and after each crash; `None` where nothing of that kind does.
type Maker<P> = Option<Box<dyn Fn(&Host) -> P>>;

#[derive(Default)]
pub(crate) struct Scene {
    bug: Bug,
    ledger: Ledger,
    servers: Vec<HostId>,
    /// Those of them that forward to another one, too.
    relays: Vec<HostId>,
    clients: Vec<HostId>,
    goals: Vec<Rc<Goal>>,
    talks: Vec<Rc<Talk>>,
    grams: Option<Grams>,
    /// Its calls go over TLS.
    tls: bool,
    /// It ends by draining.
    drains: bool,
}

impl Scene {
    /// Its worlds. A long call gets through in the budget also in records of one byte, of which there is room for a few under way.
    pub(crate) fn shape() -> Shape {
        let mut shape = Shape::default();
        shape.budget = Duration::from_secs(2 * 3600);
        shape
    }

    /// The scenario.
    pub(crate) fn play(bug: Bug) -> impl FnMut(&mut Stage<'_>, Moment) -> Result<(), String> {
        let mut scene = Scene { bug, ..Scene::default() };
        move |stage, moment| {
            match moment {
                Moment::Start => scene.start(stage),
                Moment::Check => scene.ledger.check()?,
                Moment::Heal => scene.heal(stage),
                Moment::Done { .. } if scene.done() => {}
                Moment::Done { last: false } => return Err(String::new()),
                Moment::Done { last: true } => return Err(scene.missing(stage.world)),
                Moment::End => scene.end(stage),
                Moment::Left => scene.left(stage)?,
                _ => {}
            }
            Ok(())
        }
    }

    /// The books of all datagrams.
    fn grams(&mut self, stage: &Stage<'_>) -> Grams {
        let links = stage.plan.links.iter().map(|(_, _, link)| link);
        let others = stage.plan.faults.iter().filter_map(|fault| match &fault.what {
            What::Spell { begin: Act::Relink { link, .. }, .. } => Some(link),
            _ => None,
        });
        let doubles = links.chain(others).any(|link| link.duplicate > 0.0);
        let ledger = self.ledger.clone();
        self.grams.get_or_insert_with(|| Grams::new(ledger, 1 + u64::from(doubles))).clone()
    }

    fn serve(&mut self, stage: &mut Stage<'_>, host: HostId, tls: Option<&Tls>) {
        let mut rng = stage.plan.rng(&format!("service {host:?}"));
        let mut config = draw_config(&mut rng);
        // At least room for one, or there is nothing to see.
        config.limits.remoters = config.limits.remoters.max(1);
        if has_few_sockets(stage, host) {
            // Idle are those who are gone. It holds for a connection as it was set when it came, so healing is too late for that.
            config.refreshable = true;
        }
        let piece = 1 << rng.between(0, 16);
        let mut listen = Listen::new(([0, 0, 0, 0], PORT));
        listen.backlog = [1024, u32::try_from(rng.below(4)).unwrap()][rng.index(2)];
        // A forwarder that comes to life again dials for all who have waited at once, and again and again at the same times.
        if self.servers.iter().any(|id| forwards(stage, *id)) {
            listen.backlog = 1024;
        }
        if has_few_sockets(stage, host) {
            // Who vanishes in a handshake, or in the queue, must not keep one of them for long; who is slow may take its time.
            let (idle, interval) = (Duration::from_secs(10), Duration::from_secs(5));
            listen.socket.keep_alive = Some(KeepAlive { idle, interval, retries: 9 });
        }
        let (ledger, bug, layer) = (self.ledger.clone(), self.bug, tls.map(Tls::layer));
        let gram_config = draw_gram_config(&mut rng);
        let (grams, own) = (self.grams(stage), v4(&stage.world.host(host), ANSWERS));
        let relay = self.relay(stage, host);
        let waits = stage.plan.rng(&format!("waits {host:?}")).chance(0.5);
        let neighbour = self.neighbour(stage, host, tls);
        let peers = if neighbour.is_some() { usize::MAX } else { stage.plan.places.len() };
        let shakes = Shakes { accepted: layer.is_some(), peers };
        stage.world.start(host, move |host| {
            let service = Service::new(config.clone(), ledger.clone(), shakes, bug, piece);
            let mut program = ServerDoer::on_host(host, config.clone(), service);
            open(&mut program.server, listen.clone(), layer.as_ref());
            if neighbour.is_some() {
                let mut local = Listen::new(local());
                // A crash leaves it behind.
                local.file.replace_stale = true;
                local.backlog = listen.backlog;
                open(&mut program.server, local, layer.as_ref());
            }
            let bound = program.server.bind(([0, 0, 0, 0], ANSWERS), gram_config.clone());
            program.service.answer(bound.unwrap(), own.clone(), grams.clone());
            let relay = relay.as_ref().map(|relay| relay(host));
            let neighbour = neighbour.as_ref().map(|neighbour| neighbour(host));
            Site { service: program, relay, neighbour, waits }
        });
    }

    /// What makes the forwarder of a server's host, in half of them; none where there are few sockets, since it takes two for each connection.
    fn relay(&mut self, stage: &Stage<'_>, host: HostId) -> Maker<ServerDoer<Relay>> {
        let mut rng = stage.plan.rng(&format!("relay {host:?}"));
        if !forwards(stage, host) {
            return None;
        }
        self.relays.push(host);
        let own = self.servers.iter().position(|id| *id == host).unwrap_or(0);
        let next = self.servers[(own + 1) % self.servers.len()];
        let to = v4(&stage.world.host(next), PORT);
        let mut config = without_ends(draw_config(&mut rng));
        config.seed = Some(rng.next_u64());
        config.limits.remoters = config.limits.remoters.max(2);
        let (ledger, bug) = (self.ledger.clone(), self.bug);
        Some(Box::new(move |host| {
            let relay = Relay::new(config.clone(), to.clone(), ledger.clone(), bug);
            let mut program = ServerDoer::on_host(host, config.clone(), relay);
            program.server.listen(([0, 0, 0, 0], RELAYS)).unwrap();
            program
        }))
    }

    /// What makes the caller on a server's own host, in half of those that have sockets for both ends.
    fn neighbour(&mut self, stage: &Stage<'_>, host: HostId, tls: Option<&Tls>) -> Maker<Caller> {
        let mut rng = stage.plan.rng(&format!("neighbour {host:?}"));
        if has_few_sockets(stage, host) || rng.chance(0.5) {
            return None;
        }
        let line = Line {
            addrs: vec![local()],
            name: None,
            port: 0,
            route: Route::Local,
            layer: tls.map(Tls::dial_layer),
            comes_again: rng.chance(0.5),
            waits: rng.chance(0.5),
        };
        let lanes = 1 + rng.below(3);
        Some(self.caller(line, lanes, rng))
    }

    /// What makes a caller, with its goal.
    fn caller(&mut self, line: Line, lanes: u64, mut rng: Rng) -> Box<dyn Fn(&Host) -> Caller> {
        let goal = Rc::new(Goal::default());
        goal.wanted.set(rng.between(1, 20));
        self.goals.push(Rc::clone(&goal));
        let mut config = draw_config(&mut rng);
        config.seed = Some(rng.next_u64());
        config.limits.remoters = config.limits.remoters.max(1);
        if line.comes_again {
            // A connection keeps this through all of its lives, and after healing each call must be done.
            config.tx_full = TxFull::Partial;
        }
        let (ledger, bug, tls) = (self.ledger.clone(), self.bug, self.tls);
        Box::new(move |host| {
            let mut rng = rng.clone();
            (0..goal.lives.get()).for_each(|_| _ = rng.next_u64());
            let (goal, ledger) = (Rc::clone(&goal), ledger.clone());
            let calm = goal.calm.get();
            let config = if calm { patient(&config, tls) } else { config.clone() };
            Caller::new(host, config, line.clone(), rng, ledger, goal, lanes, bug)
        })
    }

    fn call(&mut self, stage: &mut Stage<'_>, host: HostId, tls: Option<&Tls>) {
        let mut rng = stage.plan.rng(&format!("caller {host:?}"));
        let lanes = 1 + rng.below(4);
        let (mut server, mut port) = (self.servers[rng.index(self.servers.len())], PORT);
        let relayed = rng.chance(0.5);
        if let Some(relay) = rng.pick(&self.relays).copied().filter(|_| relayed) {
            (server, port) = (relay, RELAYS);
        }
        let mut line = draw_line(stage, server, port, &mut rng, tls);
        line.waits = stage.plan.rng(&format!("waits {host:?}")).chance(0.5);
        let caller = self.caller(line, lanes, rng);
        let speak = self.speak(stage, host);
        stage.world.start(host, move |host| {
            let speaker = speak.as_ref().map(|speak| speak(host));
            Client { caller: caller(host), speaker }
        });
    }

    /// What makes the datagram peer of a client's host, in half of them.
    fn speak(&mut self, stage: &Stage<'_>, host: HostId) -> Maker<Speaker> {
        let mut rng = stage.plan.rng(&format!("speaker {host:?}"));
        if rng.chance(0.5) {
            return None;
        }
        let servers: Vec<Addr> =
            self.servers.iter().map(|id| v4(&stage.world.host(*id), ANSWERS)).collect();
        let others = stage.plan.places.len();
        let others = stage.world.hosts().take(others).filter(|id| *id != host);
        let others = others.map(|id| v4(&stage.world.host(id), SPEAKS)).collect();
        let only = rng.chance(0.3).then(|| servers[rng.index(servers.len())].clone());
        let mut more = stage.plan.rng(&format!("speaker joins {host:?}"));
        let (joins, waits) = (only.is_none() && more.chance(0.7), more.chance(0.5));
        let whom = Whom { servers, others, only, joins, waits };
        let config = draw_gram_config(&mut rng);
        let (grams, ledger, bug) = (self.grams(stage), self.ledger.clone(), self.bug);
        let talk = Rc::new(Talk::default());
        self.talks.push(Rc::clone(&talk));
        let lives = Cell::new(0);
        Some(Box::new(move |host| {
            let mut rng = rng.clone();
            (0..lives.replace(lives.get() + 1)).for_each(|_| _ = rng.next_u64());
            let config = if talk.calm.get() { grams::calm() } else { config.clone() };
            let (grams, talk) = (grams.clone(), Rc::clone(&talk));
            Speaker::new(host, config, whom.clone(), rng, grams, ledger.clone(), talk, bug)
        }))
    }

    fn site<'a>(&self, world: &'a World, host: HostId) -> &'a Site {
        world.program(host).unwrap()
    }
}

/// Opens a server's port, with this around what comes in.
fn open(server: &mut Server, listen: Listen, layer: Option<&Layer>) {
    let opened = match layer {
        Some(layer) => server.listen_with(listen, Layer::clone(layer)),
        None => server.listen(listen),
    };
    opened.unwrap();
}

/// Where a service listens for callers on its own host.
fn local() -> Addr {
    Addr::from(std::path::Path::new("service"))
}

fn has_few_sockets(stage: &Stage<'_>, host: HostId) -> bool {
    stage.plan.places[host.index()].spec.max_sockets < 1000
}

/// Whether a server's host has a forwarder.
fn forwards(stage: &Stage<'_>, host: HostId) -> bool {
    !has_few_sockets(stage, host) && stage.plan.rng(&format!("forwards {host:?}")).chance(0.5)
}

/// The IPv4 address of a host, with this port.
fn v4(host: &Host, port: u16) -> Addr {
    Addr::from((host.addrs().into_iter().find(IpAddr::is_ipv4).unwrap(), port))
}

/// Ways to one service: some of them lead nowhere, the last address does.
fn draw_line(
    stage: &Stage<'_>,
    server: HostId,
    port: u16,
    rng: &mut Rng,
    tls: Option<&Tls>,
) -> Line {
    let host = stage.world.host(server);
    let mut ips = host.addrs();
    // The service listens on IPv4 only; nobody has the first address, if it is there.
    ips.sort_by_key(IpAddr::is_ipv4);
    if rng.chance(0.3) {
        ips.insert(0, IpAddr::from([192, 0, 2, 1]));
    }
    let addrs = ips.into_iter().map(|ip| Addr::from((ip, port))).collect();
    let comes_again = rng.chance(0.5);
    let (name, layer) = (Some(host.name()), tls.map(Tls::dial_layer));
    let route = if port == RELAYS { Route::Relayed } else { Route::Direct };
    Line { addrs, name, port, route, layer, comes_again, waits: false }
}

/// Settings under which every call must succeed in the end.
fn calm(config: &Config, tls: bool) -> Config {
    let mut calm = config.clone();
    let whole = Config::new();
    calm.timeouts = whole.timeouts.clone();
    calm.timeouts.connect = Some(Duration::from_secs(100));
    calm.timeouts.handshake = Some(Duration::from_secs(300));
    // The last word of a TLS caller may be long on its way through a forwarder that moves a byte a tick.
    calm.timeouts.linger = Some(Duration::from_secs(250));
    calm.timeouts.idle = Some(Duration::from_secs(250));
    calm.limits.remoters = whole.limits.remoters;
    calm.limits.remoters_per_ip = whole.limits.remoters_per_ip;
    calm.limits.handshakes = whole.limits.handshakes;
    calm.limits.handshakes_per_ip = whole.limits.handshakes_per_ip;
    if tls {
        // A record for each byte or two takes longer than a run may over a link on which little is under way at once.
        calm.limits.remoter_tick_bytes = calm.limits.remoter_tick_bytes.max(16);
    }
    // What one slow call has unread must not be all the room that others wait for.
    calm.limits.buffered = whole.limits.buffered;
    (calm.rx_full, calm.tx_full) = (RxFull::Pause, TxFull::Partial);
    calm.over_limit = OverLimit::Wait;
    calm
}

/// The same for callers, who may have to wait until a server has got rid of those who are gone.
fn patient(config: &Config, tls: bool) -> Config {
    let mut calm = calm(config, tls);
    (calm.timeouts.idle, calm.timeouts.write_stall) = (None, None);
    calm
}

impl Scene {
    fn start(&mut self, stage: &mut Stage<'_>) {
        let tls = Tls::draw(stage);
        self.tls = tls.is_some();
        self.servers = stage.servers();
        for host in self.servers.clone() {
            self.serve(stage, host, tls.as_ref());
        }
        self.clients = stage.clients();
        for host in self.clients.clone() {
            self.call(stage, host, tls.as_ref());
        }
    }

    fn heal(&self, stage: &mut Stage<'_>) {
        let tls = self.tls;
        for &host in &self.servers {
            let small = has_few_sockets(stage, host);
            let site: &mut Site = stage.world.program_mut(host).unwrap();
            site.heal(small, |config| calm(config, tls), |config| patient(config, tls));
        }
        for &host in &self.clients {
            if let Some(client) = stage.world.program_mut::<Client>(host) {
                let config = patient(client.caller.clients.config(), tls);
                client.caller.heal(config);
                client.speaker.iter_mut().for_each(Speaker::heal);
            }
        }
        for goal in &self.goals {
            goal.wanted.set(goal.done.get() + CALLS);
            goal.calm.set(true);
        }
        self.talks.iter().for_each(|talk| talk.calm.set(true));
    }

    fn done(&self) -> bool {
        self.goals.iter().all(|goal| goal.done.get() >= goal.wanted.get())
            && self.talks.iter().all(|talk| talk.is_done())
    }

    fn missing(&self, world: &World) -> String {
        let goals: Vec<_> = self.goals.iter().map(|it| (it.done.get(), it.wanted.get())).collect();
        let talks: Vec<_> = self.talks.iter().map(|it| it.answered.get()).collect();
        let mut text = format!("calls done and wanted: {goals:?}, datagrams answered: {talks:?}");
        for &host in &self.servers {
            let site = self.site(world, host);
            let server = &site.service.server;
            let state = (server.len(), server.cxes(), server.axes(), server.buffered());
            let (wake, limits) = (server.wake(), &server.config().limits);
            text += &format!(
                "\n  {host:?}: live, shaking, waiting, buffered {state:?}, {wake:?}, {limits:?}"
            );
            server.remoters().for_each(|it| text += &format!("\n    {it:?}"));
            if let Some(relay) = &site.relay {
                text += &format!("\n    forwards: {:?}", relay.server.config().limits);
                relay.server.remoters().for_each(|it| text += &format!("\n    {it:?}"));
            }
            if let Some(neighbour) = &site.neighbour {
                text += &format!("\n    neighbour: {}", neighbour.state());
            }
        }
        for &host in &self.clients {
            if let Some(client) = world.program::<Client>(host) {
                let peer = client.speaker.as_ref().map(|it| (&it.peer, it.peer.counters()));
                text += &format!("\n  {host:?}: {}\n    {peer:?}", client.caller.state());
            }
        }
        text
    }

    fn end(&mut self, stage: &mut Stage<'_>) {
        self.drains = stage.plan.rng("drains").chance(0.3);
        if self.drains {
            return self.drain(stage);
        }
        for &host in &self.clients {
            // Some end as they should, the others are just dropped.
            if stage.plan.rng(&format!("end {host:?}")).chance(0.5) {
                let client: &mut Client = stage.world.program_mut(host).unwrap();
                client.close();
            } else {
                stage.world.stop(host);
            }
        }
        self.close_servers(stage);
    }

    fn close_servers(&self, stage: &mut Stage<'_>) {
        for &host in &self.servers {
            let now = stage.world.tyme();
            let site: &mut Site = stage.world.program_mut(host).unwrap();
            site.close(now);
        }
    }

    /// Callers go on while servers drain; that has an end within the second that is left.
    fn drain(&self, stage: &mut Stage<'_>) {
        for &host in &self.clients {
            let client: &mut Client = stage.world.program_mut(host).unwrap();
            client.caller.outlast();
        }
        for &host in &self.servers {
            let mut rng = stage.plan.rng(&format!("drain {host:?}"));
            let within = Duration::from_micros(1 << rng.between(0, 19));
            let site: &mut Site = stage.world.program_mut(host).unwrap();
            site.drain(within);
        }
    }

    fn left(&self, stage: &mut Stage<'_>) -> Result<(), String> {
        if self.drains {
            for &host in &self.servers {
                if let Some(draining) = self.site(stage.world, host).draining() {
                    return Err(format!("{draining:?} at {}", stage.world.tyme()));
                }
            }
            for &host in &self.clients {
                let client: &mut Client = stage.world.program_mut(host).unwrap();
                client.close();
            }
            self.close_servers(stage);
            self.ledger.check()?;
        }
        let world = &*stage.world;
        for &host in &self.clients {
            if let Some(client) = world.program::<Client>(host) {
                client.caller.watch.left(&client.caller.clients)?;
            }
        }
        if let Some(grams) = &self.grams {
            let ((sent, came), stats) = (grams.totals(), world.stats());
            if sent != stats.grams || came > stats.grams_delivered {
                return Err(format!("of {stats:?} {sent} datagrams sent and {came} come"));
            }
        }
        for &host in &self.servers {
            self.site(world, host).left()?;
        }
        Ok(())
    }
}
