//! A [`Server`], or [`Tasks`], as the program of a host.

use super::Host;
use crate::config::Config;
use crate::doing::ServerDoer;
use crate::server::Server;
use crate::service::Service;
use crate::tasks::{Panics, TaskConfig, Tasks};

impl<S: Service> ServerDoer<S> {
    /// A server on `host`, wound to its clock, with nothing open yet.
    ///
    /// ```
    /// use tymist::Config;
    /// use tymist::doing::{Echo, ServerDoer};
    /// use tymist::sim::World;
    ///
    /// let mut world = World::new(1);
    /// world.add("echo", |host| {
    ///     let mut doer = ServerDoer::on_host(host, Config::new(), Echo::new());
    ///     doer.server.listen(([0, 0, 0, 0], 7)).expect("a fresh host has all its ports");
    ///     doer
    /// });
    /// ```
    #[must_use]
    pub fn on_host(host: &Host, config: Config, service: S) -> Self {
        let mut server = Server::with_net(config, host.net());
        server.wind(host.tymth());
        ServerDoer::new(server, service)
    }
}

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
