//! Two hosts of a world with tasks on each, and tasks on loopback with a clock in the hand.

use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use tymist::net::Addr;
use tymist::sim::{HostId, World, WorldSpec};
use tymist::tasks::{Handle, TaskConfig, Tasks};
use tymist::tyme::{Tyme, Tymist};
use tymist::{Config, Server};

pub(crate) const PORT: u16 = 80;

pub(crate) fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// A world of a host `near` and a host `far`, 1 ms apart.
pub(crate) struct Pair {
    pub(crate) world: World,
    near: HostId,
    far: HostId,
    done: Rc<Cell<usize>>,
    mains: usize,
    pub(crate) config: Config,
}

impl Pair {
    pub(crate) fn new() -> Pair {
        Pair::with(WorldSpec::new(1))
    }

    pub(crate) fn with(spec: WorldSpec) -> Pair {
        let mut world = World::with(spec);
        let (far, near) = (world.add_host("far"), world.add_host("near"));
        Pair { world, near, far, done: Rc::default(), mains: 0, config: Config::new() }
    }

    /// Where the far host is.
    pub(crate) fn target(&self) -> Addr {
        Addr::from((self.world.host(self.far).addrs()[0], PORT))
    }

    fn start<F: Future<Output = ()> + 'static>(
        &mut self,
        host: HostId,
        main: impl FnOnce(Handle) -> F + 'static,
    ) {
        let (config, done) = (self.config.clone(), Rc::clone(&self.done));
        let mut main = Some(main);
        self.mains += 1;
        self.world.start(host, move |host| {
            let tasks = Tasks::on_host(host, config.clone());
            let handle = tasks.handle();
            let main = main.take().expect("no restart here")(handle.clone());
            let done = Rc::clone(&done);
            drop(handle.spawn(async move {
                main.await;
                done.set(done.get() + 1);
            }));
            tasks
        });
    }

    pub(crate) fn far<F: Future<Output = ()> + 'static>(
        &mut self,
        main: impl FnOnce(Handle) -> F + 'static,
    ) {
        self.start(self.far, main);
    }

    pub(crate) fn near<F: Future<Output = ()> + 'static>(
        &mut self,
        main: impl FnOnce(Handle, Addr) -> F + 'static,
    ) {
        let target = self.target();
        self.start(self.near, move |handle| main(handle, target));
    }

    pub(crate) fn tasks_at_far(&self) -> &Tasks {
        self.world.program(self.far).expect("it was started")
    }

    pub(crate) fn tasks_at_near(&self) -> &Tasks {
        self.world.program(self.near).expect("it was started")
    }

    pub(crate) fn far_mut(&mut self) -> &mut Tasks {
        self.world.program_mut(self.far).expect("it was started")
    }

    /// Runs until the mains of both are done.
    #[track_caller]
    pub(crate) fn run(&mut self) {
        let (done, mains) = (Rc::clone(&self.done), self.mains);
        let limit = self.world.tyme() + Duration::from_secs(3600);
        let all = self.world.run_while_not(limit, |_| done.get() == mains);
        assert!(all, "{} of {mains} came to their end", done.get());
    }

    /// The same, and then until nothing is left to do; nothing may be left behind.
    #[track_caller]
    pub(crate) fn run_out(&mut self) {
        self.run();
        self.world.run_for(Duration::from_secs(60));
        for tasks in [self.tasks_at_far(), self.tasks_at_near()] {
            assert!(tasks.is_empty(), "{} tasks are left", tasks.len());
            let server = tasks.server();
            assert_eq!((server.len(), server.dialling(), server.cxes()), (0, 0, 0));
            assert_eq!((server.buffered(), server.timers()), (0, 0));
        }
        for host in [self.far, self.near] {
            assert_eq!(self.world.sockets(host), 0, "sockets are left");
        }
    }
}

/// Tasks on loopback whose clock only the test advances.
pub(crate) struct Rig {
    pub(crate) tasks: Tasks,
    pub(crate) tymist: Tymist,
}

impl Rig {
    pub(crate) fn new() -> Rig {
        Rig::with(TaskConfig::new())
    }

    pub(crate) fn with(config: TaskConfig) -> Rig {
        Rig::on(Server::new(Config::new()), Tymist::new(), config)
    }

    /// On a clock that begins there.
    pub(crate) fn starting_at(tyme: Tyme) -> Rig {
        Rig::on(Server::new(Config::new()), Tymist::starting_at(tyme), TaskConfig::new())
    }

    /// On a server and a clock of the caller's.
    pub(crate) fn on(mut server: Server, tymist: Tymist, config: TaskConfig) -> Rig {
        server.wind(tymist.tymth());
        Rig { tasks: Tasks::with(server, config), tymist }
    }

    /// Ticks at the current tyme until `done` says so.
    #[track_caller]
    pub(crate) fn until(&mut self, mut done: impl FnMut(&mut Tasks) -> bool) {
        for _ in 0..2000 {
            if done(&mut self.tasks) {
                return;
            }
            self.tasks.wait(Some(millis(5)));
            self.tasks.service();
        }
        panic!("it has not come about");
    }

    pub(crate) fn at(&mut self, tyme: Tyme) {
        self.tymist.set(tyme).expect("forward");
        self.tasks.service();
    }
}

/// What happened, in order.
#[derive(Clone, Default)]
pub(crate) struct Log(Rc<std::cell::RefCell<Vec<String>>>);

impl Log {
    pub(crate) fn say(&self, what: impl Into<String>) {
        self.0.borrow_mut().push(what.into());
    }

    pub(crate) fn take(&self) -> Vec<String> {
        self.0.take()
    }
}
