//! Servers and callers on the hosts of a plan, with settings drawn from its seed.

use std::rc::Rc;
use std::time::Duration;

use tymist::doing::{Doer as _, ServerDoer};
use tymist::net::{Addr, Listen};
use tymist::sim::swarm::{Scenario, Stage, draw_config};
use tymist::sim::{HostId, World};
use tymist::{Config, OverLimit, RxFull, TxFull};

use super::caller::{Caller, Goal, Wrap};
use super::ledger::Ledger;
use super::service::{Bug, Service};
use super::tls::Tls;

pub(crate) const PORT: u16 = 80;
/// Calls that each caller must get done after healing.
const CALLS: u64 = 3;

#[derive(Default)]
pub(crate) struct Scene {
    bug: Bug,
    ledger: Ledger,
    servers: Vec<HostId>,
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
            let mut program = ServerDoer::on_host(host, config.clone(), service);
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
        let target = Addr::from((stage.world.host(server).addrs()[0], PORT));
        let wrap: Option<Wrap> = tls.map(Tls::wrap);
        let (ledger, goal_too) = (self.ledger.clone(), Rc::clone(&goal));
        let plan_rng = stage.plan.rng(&format!("calls {host:?}"));
        stage.world.start(host, move |host| {
            let mut rng = plan_rng.clone();
            (0..goal_too.lives.get()).for_each(|_| _ = rng.next_u64());
            let goal = Rc::clone(&goal_too);
            Caller::new(host, target.clone(), wrap.clone(), rng, ledger.clone(), goal, lanes)
        });
        goal
    }

    fn service<'a>(&self, world: &'a World, host: HostId) -> &'a ServerDoer<Service> {
        world.program(host).unwrap()
    }
}

/// Settings under which every call must succeed in the end.
fn calm(config: &Config) -> Config {
    let mut calm = config.clone();
    let whole = Config::new();
    calm.timeouts = whole.timeouts.clone();
    calm.timeouts.handshake = Some(Duration::from_secs(300));
    calm.timeouts.idle = Some(Duration::from_secs(100));
    calm.limits.remoters = whole.limits.remoters;
    calm.limits.remoters_per_ip = whole.limits.remoters_per_ip;
    calm.limits.handshakes = whole.limits.handshakes;
    (calm.rx_full, calm.tx_full) = (RxFull::Pause, TxFull::Partial);
    calm.over_limit = OverLimit::Wait;
    calm
}

impl Scenario for Scene {
    fn start(&mut self, stage: &mut Stage<'_>) {
        let tls = Tls::draw(stage);
        self.servers = stage.servers();
        for host in self.servers.clone() {
            self.serve(stage, host, tls.as_ref());
        }
        for host in stage.clients() {
            let goal = self.call(stage, host, tls.as_ref());
            self.goals.push(goal);
        }
    }

    fn check(&mut self, _: &World) -> Result<(), String> {
        self.ledger.check()
    }

    fn heal(&mut self, stage: &mut Stage<'_>) {
        for &host in &self.servers {
            let program: &mut ServerDoer<Service> = stage.world.program_mut(host).unwrap();
            let config = calm(program.server.config());
            program.handler.heal(&mut program.server, config);
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
        text
    }

    fn end(&mut self, stage: &mut Stage<'_>) {
        for host in stage.clients() {
            stage.world.stop(host);
        }
        for &host in &self.servers {
            let program: &mut ServerDoer<Service> = stage.world.program_mut(host).unwrap();
            program.server.close();
            let now = stage.world.tyme();
            let program: &mut ServerDoer<Service> = stage.world.program_mut(host).unwrap();
            // Takes what close has told, and a tick more to forget it.
            let _ = program.recur(now);
            let _ = program.recur(now);
        }
    }

    fn left(&mut self, world: &World) -> Result<(), String> {
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
