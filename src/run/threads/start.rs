//! Starting the threads of a manager.

use core::time::Duration;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, PoisonError};
use std::thread;

use super::crew::{Crew, Order};
use super::engine::Job;
#[cfg(all(unix, feature = "uds"))]
use super::listening::Entry;
use super::{Failure, Manager};
use crate::net::Addr;
#[cfg(all(unix, feature = "systemd"))]
use crate::run::systemd::Pulse;

impl<M: Send + 'static> Manager<M> {
    /// Starts it: returns when all engines listen and have their service. It can be started again once it has ended; counters begin anew, and inherited sockets
    /// are opened like others then.
    ///
    /// # Errors
    /// What the first engine that could not be started says; none is running then. [`Failure::Running`] if it runs already.
    pub fn start(&mut self) -> Result<(), Failure> {
        if self.is_running() {
            return Err(Failure::Running);
        }
        self.join();
        #[cfg_attr(
            not(all(unix, feature = "systemd")),
            expect(unused_mut, reason = "that sets something")
        )]
        let mut crew = Crew::new(self.engines);
        #[cfg(all(unix, feature = "systemd"))]
        {
            crew.notify = self.notify.clone();
        }
        let crew = Arc::new(crew);
        *self.current.lock() = Arc::clone(&crew);
        #[cfg(all(unix, feature = "systemd"))]
        let pulse = self.notify.as_ref().and_then(|notify| Pulse::of(notify, self.engines));
        for engine in 0..self.engines {
            let started = self.start_one(
                engine,
                &crew,
                #[cfg(all(unix, feature = "systemd"))]
                pulse.clone(),
            );
            if let Err(failure) = started {
                crew.give(Order { within: Some(Duration::ZERO), handed_over: false });
                // Those that came up end at once; what else may fail of them is of no account.
                let _ = crew.wait(None, false);
                self.join();
                return Err(failure);
            }
        }
        for entry in &mut self.entries {
            entry.inherited.clear();
        }
        #[cfg(all(unix, feature = "systemd"))]
        if let Some(notify) = &self.notify {
            // Nothing is lost but the word: the service manager acts on its absence.
            let _ = notify.ready();
        }
        Ok(())
    }

    fn start_one(
        &mut self,
        engine: usize,
        crew: &Arc<Crew>,
        #[cfg(all(unix, feature = "systemd"))] pulse: Option<Arc<Pulse>>,
    ) -> Result<(), Failure> {
        let thread = |error| Failure::Thread(Arc::new(error));
        let engines = self.engines;
        let openings = self.entries.iter_mut().map(|entry| entry.opening(engine, engines));
        let openings = openings.collect::<std::io::Result<Vec<_>>>().map_err(thread)?;
        let (up, is_up) = sync_channel(1);
        let job = Job {
            engine,
            crew: Arc::clone(crew),
            config: self.config.clone(),
            openings,
            mailbox: self.mailboxes[engine].clone(),
            capacity: self.capacity,
            stopper: self.stopper(),
            up,
            #[cfg(all(unix, feature = "systemd"))]
            pulse,
        };
        let run = Arc::clone(&self.run);
        crew.begins();
        #[expect(clippy::disallowed_methods, reason = "this room may start threads")]
        let spawned =
            thread::Builder::new().name(format!("tymist {engine}")).spawn(move || run(job));
        match spawned {
            Ok(handle) => {
                self.threads.get_mut().unwrap_or_else(PoisonError::into_inner).push(handle);
            }
            Err(error) => {
                crew.ends(engine, None);
                return Err(thread(error));
            }
        }
        let Ok(addrs) = is_up.recv() else {
            // It says why once it has ended.
            if let Some(handle) =
                self.threads.get_mut().unwrap_or_else(PoisonError::into_inner).pop()
            {
                let _ = handle.join();
            }
            let why = crew.take_failures().into_iter().next();
            return Err(why.unwrap_or_else(|| thread(std::io::Error::other("it ended at once"))));
        };
        if engine == 0 {
            self.first_is_up(crew, addrs).map_err(thread)?;
        }
        Ok(())
    }

    /// The others go where the first one is.
    fn first_is_up(&mut self, crew: &Crew, addrs: Vec<Addr>) -> std::io::Result<()> {
        for (entry, addr) in self.entries.iter_mut().zip(addrs) {
            entry.addr = Some(addr);
        }
        #[cfg(all(unix, feature = "uds"))]
        if self.engines > 1 {
            for held in crew.listeners()? {
                let is_it = |entry: &&mut Entry| entry.spec.addr == held.asked;
                let entry = self.entries.iter_mut().find(is_it);
                // A Unix socket cannot be opened twice.
                if let Some(entry) = entry.filter(|it| it.spec.addr.inet().is_none())
                    && entry.inherited.is_empty()
                {
                    entry.inherited.push(held.into_listening());
                }
            }
        }
        let _ = crew;
        Ok(())
    }
}
