//! Starting the threads of a manager.

use core::time::Duration;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, PoisonError};
use std::thread;

use super::crew::{Crew, Order};
use super::engine::Job;
#[cfg(all(unix, feature = "systemd"))]
use super::herald::{Herald, Word};
use super::{Failure, Manager};
use crate::net::Addr;
#[cfg(all(unix, feature = "uds"))]
use crate::run::inherited::File;
#[cfg(all(unix, feature = "systemd"))]
use crate::run::systemd::Pulse;

impl<M: Send + 'static> Manager<M> {
    /// Starts it: returns when all engines listen and have their service. It can be started again once it has ended; counters begin anew, and inherited sockets
    /// are opened like others then.
    ///
    /// # Errors
    /// What the first engine that could not be started says; none is running then, and what went wrong with others meanwhile the next [`wait`](Manager::wait)
    /// says. [`Failure::Running`] if it runs already.
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
            crew.herald = self.notify.clone().map(Herald::new);
        }
        let crew = Arc::new(crew);
        *self.current.lock() = Arc::clone(&crew);
        #[cfg(all(unix, feature = "systemd"))]
        let pulse = self.notify.as_ref().and_then(|notify| {
            let watchdog =
                if self.succeeds() { notify.any_watchdog() } else { notify.own_watchdog() };
            Some(Pulse::of(watchdog?, self.engines))
        });
        // The files of inherited sockets stay if this fails: the next start needs them.
        #[cfg(all(unix, feature = "uds"))]
        let files: Vec<File> = {
            let inherited = self.entries.iter().flat_map(|entry| &entry.inherited);
            inherited.filter_map(|socket| socket.file().cloned()).collect()
        };
        #[cfg(all(unix, feature = "uds"))]
        files.iter().for_each(File::hold);
        let started = (0..self.engines).try_for_each(|engine| {
            self.start_one(
                engine,
                &crew,
                #[cfg(all(unix, feature = "systemd"))]
                pulse.clone(),
            )
        });
        if started.is_err() {
            crew.give(Order { within: Some(Duration::ZERO), handed_over: false });
            // Those that came up end at once. What else went wrong, `wait` tells.
            crew.outlast();
            self.join();
        }
        #[cfg(all(unix, feature = "uds"))]
        files.iter().for_each(File::release);
        for entry in &mut self.entries {
            entry.shared = None;
            if started.is_ok() {
                entry.inherited.clear();
            }
        }
        started?;
        #[cfg(all(unix, feature = "systemd"))]
        self.say_ready(&crew);
        Ok(())
    }

    /// Says so now, or lets the confirmation do it.
    #[cfg(all(unix, feature = "systemd"))]
    fn say_ready(&mut self, crew: &Arc<Crew>) {
        #[cfg(feature = "uds")]
        if let Some(words) = self.words.take() {
            let crew = Arc::clone(crew);
            let say = Box::new(move || crew.say(Word::Succeeded));
            return words.lock().unwrap_or_else(PoisonError::into_inner).push(say);
        }
        crew.say(Word::Ready);
    }

    /// Whether the start is that of a successor.
    #[cfg(all(unix, feature = "systemd"))]
    fn succeeds(&self) -> bool {
        #[cfg(feature = "uds")]
        return self.words.is_some();
        #[cfg(not(feature = "uds"))]
        false
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
            // Others may have failed as well: theirs stay to be looked at.
            let why = crew.take_failure_of(engine);
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
                let entry = self.entries.get_mut(held.entry);
                if let Some(entry) = entry.filter(|it| it.spec.addr.inet().is_none()) {
                    entry.shared = Some(held.into_listening());
                }
            }
        }
        let _ = crew;
        Ok(())
    }
}
