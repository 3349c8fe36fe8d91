//! Tasks as a doer, and so as a host's program.

use super::Tasks;
#[cfg(feature = "sim")]
use super::{Panics, TaskConfig};
#[cfg(feature = "sim")]
use crate::config::Config;
use crate::doing::{DoError, Doer, Recur};
use crate::event::Wake;
use crate::net::Descriptor;
#[cfg(feature = "sim")]
use crate::server::Server;
#[cfg(feature = "sim")]
use crate::sim::Host;
use crate::tyme::{Tyme, Tymth};

#[cfg(feature = "sim")]
impl Tasks {
    /// Tasks on a host of a simulated world, wound to its clock, as the host's program. A panic of a task that nobody waits for goes on out of the run
    /// ([`Panics::Resume`]).
    ///
    /// ```
    /// use std::time::Duration;
    /// use tymist::Config;
    /// use tymist::sim::World;
    /// use tymist::tasks::Tasks;
    ///
    /// let mut world = World::new(7);
    /// world.add("server", |host| {
    ///     let tasks = Tasks::on_host(host, Config::new());
    ///     let handle = tasks.handle();
    ///     handle.clone().spawn(async move {
    ///         let mut listener = handle.listen(([0, 0, 0, 0], 80)).expect("a fresh host");
    ///         while let Ok(mut stream) = listener.accept().await {
    ///             let _ = stream.write_all(b"hello").await;
    ///         }
    ///     });
    ///     tasks
    /// });
    /// let target = world.resolve("server")[0];
    /// let client = world.add("client", move |host| {
    ///     let tasks = Tasks::on_host(host, Config::new());
    ///     let handle = tasks.handle();
    ///     handle.clone().spawn(async move {
    ///         let mut stream = handle.connect((target, 80)).await.expect("it listens");
    ///         let mut greeting = [0; 5];
    ///         stream.read_exact(&mut greeting).await.expect("all of it comes");
    ///         assert_eq!(&greeting, b"hello");
    ///     });
    ///     tasks
    /// });
    /// world.run_for(Duration::from_secs(1));
    /// assert_eq!(world.program::<Tasks>(client).unwrap().counters().finished, 1);
    /// ```
    #[must_use]
    pub fn on_host(host: &Host, config: Config) -> Self {
        let mut server = Server::with_net(config, host.net());
        server.wind(host.tymth());
        Tasks::with(server, TaskConfig { panics: Panics::Resume, ..TaskConfig::new() })
    }
}

/// Winds it; a turn is a tick; [closes](Tasks::close). It is never done by itself, as a listener never is: whoever has it takes it out once its tasks are done.
impl Doer for Tasks {
    fn enter(&mut self, tymth: &Tymth) -> Result<(), DoError> {
        self.wind(tymth.clone());
        Ok(())
    }

    fn recur(&mut self, _: Tyme) -> Result<Recur, DoError> {
        self.service();
        Ok(Recur::Again)
    }

    fn exit(&mut self) -> Result<(), DoError> {
        self.close();
        Ok(())
    }

    fn wake(&self) -> Wake {
        Tasks::wake(self)
    }

    fn descriptors(&self, into: &mut Vec<Descriptor>) {
        into.extend(self.descriptor());
    }
}
