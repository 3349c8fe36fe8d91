//! Servers and callers on the hosts of a plan, with settings drawn from its seed. Shared by the test and by the example `swarm`.

mod call;
mod caller;
mod dialling;
mod ledger;
mod service;
mod tls;
mod watch;

use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use tymist::net::{Addr, Listen};
use tymist::sim::swarm::{Scenario, Stage, draw_config};
use tymist::sim::{HostId, Program as _, Rng, ServerProgram, World};
use tymist::{Config, OverLimit, RxFull, TxFull};

use caller::{Caller, Goal, Line};
use ledger::Ledger;
use service::Service;

pub(crate) use service::Bug;
use tls::Tls;

/// How a plan is lived again: with the features that this was built with, since they are a part of what a seed means.
pub(crate) const PROGRAM: &str = if cfg!(feature = "tls-test-provider") {
    "cargo run --release --features sim,tls-test-provider --example swarm --"
} else {
    "cargo run --release --features sim --example swarm --"
};

pub(crate) const PORT: u16 = 80;
/// Calls that each caller must get done after healing.
const CALLS: u64 = 3;

#[derive(Default)]
pub(crate) struct Scene {
    bug: Bug,
    ledger: Ledger,
    servers: Vec<HostId>,
    clients: Vec<HostId>,
    goals: Vec<Rc<Goal>>,
}

impl Scene {
    pub(crate) fn new(bug: Bug) -> Self {
        Scene { bug, ..Scene::default() }
    }

    fn serve(&self, stage: &mut Stage<'_>, host: HostId, tls: Option<&Tls>) {
        let mut rng = stage.plan.rng(&format!("service {host:?}"));
        let mut config = draw_config(&mut rng);
        // At least room for one, or there is nothing to see.
        config.limits.remoters = config.limits.remoters.max(1);
        let piece = 1 << rng.between(0, 16);
        let mut listen = Listen::new(([0, 0, 0, 0], PORT));
        listen.backlog = [1024, u32::try_from(rng.below(4)).unwrap()][rng.index(2)];
        let (ledger, bug, layer) = (self.ledger.clone(), self.bug, tls.map(Tls::layer));
        stage.world.start(host, move |host| {
            let service = Service::new(config.clone(), ledger.clone(), bug, piece);
            let mut program = ServerProgram::new(host, config.clone(), service);
            match &layer {
                Some(layer) => program.server.listen_with(listen.clone(), layer.clone()).unwrap(),
                None => program.server.listen(listen.clone()).unwrap(),
            };
            program
        });
    }

    fn call(&self, stage: &mut Stage<'_>, host: HostId, tls: Option<&Tls>) -> Rc<Goal> {
        let goal = Rc::new(Goal::default());
        let mut rng = stage.plan.rng(&format!("caller {host:?}"));
        goal.wanted.set(rng.between(1, 20));
        let lanes = 1 + rng.below(4);
        let server = self.servers[rng.index(self.servers.len())];
        let line = draw_line(stage, server, &mut rng, tls);
        let mut config = draw_config(&mut rng);
        config.seed = Some(rng.next_u64());
        config.limits.remoters = config.limits.remoters.max(1);
        if line.comes_again {
            // A connection keeps this through all of its lives, and after healing each call must be done.
            config.tx_full = TxFull::Partial;
        }
        let (ledger, goal_too, bug) = (self.ledger.clone(), Rc::clone(&goal), self.bug);
        let plan_rng = stage.plan.rng(&format!("calls {host:?}"));
        stage.world.start(host, move |host| {
            let mut rng = plan_rng.clone();
            (0..goal_too.lives.get()).for_each(|_| _ = rng.next_u64());
            let (goal, ledger) = (Rc::clone(&goal_too), ledger.clone());
            let config = if goal.calm.get() { patient(&config) } else { config.clone() };
            Caller::new(host, config, line.clone(), rng, ledger, goal, lanes, bug)
        });
        goal
    }

    fn service<'a>(&self, world: &'a World, host: HostId) -> &'a ServerProgram<Service> {
        world.program(host).unwrap()
    }
}

/// Ways to one service: some of them lead nowhere, the last address does.
fn draw_line(stage: &Stage<'_>, server: HostId, rng: &mut Rng, tls: Option<&Tls>) -> Line {
    let host = stage.world.host(server);
    let mut ips = host.addrs();
    // The service listens on IPv4 only; nobody has the first address, if it is there.
    ips.sort_by_key(IpAddr::is_ipv4);
    if rng.chance(0.3) {
        ips.insert(0, IpAddr::from([192, 0, 2, 1]));
    }
    let addrs = ips.into_iter().map(|ip| Addr::from((ip, PORT))).collect();
    let comes_again = rng.chance(0.5);
    Line { addrs, name: host.name(), port: PORT, layer: tls.map(Tls::dial_layer), comes_again }
}

/// Settings under which every call must succeed in the end.
fn calm(config: &Config) -> Config {
    let mut calm = config.clone();
    let whole = Config::new();
    calm.timeouts = whole.timeouts.clone();
    calm.timeouts.connect = Some(Duration::from_secs(100));
    calm.timeouts.handshake = Some(Duration::from_secs(300));
    calm.timeouts.idle = Some(Duration::from_secs(100));
    calm.limits.remoters = whole.limits.remoters;
    calm.limits.remoters_per_ip = whole.limits.remoters_per_ip;
    calm.limits.handshakes = whole.limits.handshakes;
    calm.limits.handshakes_per_ip = whole.limits.handshakes_per_ip;
    (calm.rx_full, calm.tx_full) = (RxFull::Pause, TxFull::Partial);
    calm.over_limit = OverLimit::Wait;
    calm
}

/// The same for callers, who may have to wait until a server has got rid of those who are gone.
fn patient(config: &Config) -> Config {
    let mut calm = calm(config);
    calm.timeouts.idle = None;
    calm
}

impl Scenario for Scene {
    fn start(&mut self, stage: &mut Stage<'_>) {
        let tls = Tls::draw(stage);
        self.servers = stage.servers();
        for host in self.servers.clone() {
            self.serve(stage, host, tls.as_ref());
        }
        self.clients = stage.clients();
        for host in self.clients.clone() {
            let goal = self.call(stage, host, tls.as_ref());
            self.goals.push(goal);
        }
    }

    fn check(&mut self, _: &World) -> Result<(), String> {
        self.ledger.check()
    }

    fn heal(&mut self, stage: &mut Stage<'_>) {
        for &host in &self.servers {
            let program: &mut ServerProgram<Service> = stage.world.program_mut(host).unwrap();
            let config = calm(program.server.config());
            program.handler.heal(&mut program.server, config);
        }
        for &host in &self.clients {
            if let Some(caller) = stage.world.program_mut::<Caller>(host) {
                let config = patient(caller.clients.config());
                caller.heal(config);
            }
        }
        for goal in &self.goals {
            goal.wanted.set(goal.done.get() + CALLS);
            goal.calm.set(true);
        }
    }

    fn done(&self, _: &World) -> bool {
        self.goals.iter().all(|goal| goal.done.get() >= goal.wanted.get())
    }

    fn missing(&self, world: &World) -> String {
        let goals: Vec<_> = self.goals.iter().map(|it| (it.done.get(), it.wanted.get())).collect();
        let mut text = format!("calls done and wanted: {goals:?}");
        for &host in &self.servers {
            let server = &self.service(world, host).server;
            let state = (server.len(), server.cxes(), server.axes(), server.buffered());
            let (wake, limits) = (server.wake(), &server.config().limits);
            text += &format!(
                "\n  {host:?}: live, shaking, waiting, buffered {state:?}, {wake:?}, {limits:?}"
            );
            server.remoters().for_each(|it| text += &format!("\n    {it:?}"));
        }
        for &host in &self.clients {
            if let Some(caller) = world.program::<Caller>(host) {
                text += &format!("\n  {host:?}: {}", caller.state());
            }
        }
        text
    }

    fn end(&mut self, stage: &mut Stage<'_>) {
        for &host in &self.clients {
            // Some end as they should, the others are just dropped.
            if stage.plan.rng(&format!("end {host:?}")).chance(0.5) {
                let caller: &mut Caller = stage.world.program_mut(host).unwrap();
                caller.close();
            } else {
                stage.world.stop(host);
            }
        }
        for &host in &self.servers {
            let program: &mut ServerProgram<Service> = stage.world.program_mut(host).unwrap();
            program.server.close();
            let now = stage.world.tyme();
            let program: &mut ServerProgram<Service> = stage.world.program_mut(host).unwrap();
            // Takes what close has told, and a tick more to forget it.
            program.turn(now);
            program.turn(now);
        }
    }

    fn left(&mut self, world: &World) -> Result<(), String> {
        for &host in &self.clients {
            if let Some(caller) = world.program::<Caller>(host) {
                caller.watch.left(&caller.clients)?;
            }
        }
        for &host in &self.servers {
            let program = self.service(world, host);
            program.handler.watch.left(&program.server)?;
            match program.handler.talks() {
                0 => {}
                talks => return Err(format!("{talks} talks about connections that are gone")),
            }
        }
        Ok(())
    }
}
