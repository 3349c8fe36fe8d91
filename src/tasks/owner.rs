//! The owner of tasks: the server they are on, and what it is told. Its tick is in `tick`.

use core::any::Any;
use core::cell::{Ref, RefMut};
use core::fmt;
use std::collections::VecDeque;
use std::rc::Rc;

use super::config::{TaskConfig, TaskCounters};
use super::conn::Conn;
use super::desk::{Desk, Stage};
use super::handle::Handle;
use super::listener::TaskListener;
use super::queue::Key;
use super::shared::Shared;
use super::stream::TaskStream;
use super::table::resume;
use crate::event::Event;
use crate::id::{AcceptorId, Id};
use crate::net::{Descriptor, Waker as NetWaker};
use crate::server::Server;
use crate::tyme::Tymth;

/// A server and the tasks on it, driven by ticks; see the [module](super).
///
/// It is ticked as a [`Server`] is, and nests into other loops in the same way: [`service`](Tasks::service) does a tick, [`wake`](Tasks::wake) says when the
/// next is due, [`wait`](Tasks::wait) sleeps until then, [`poll_fd`](Tasks::poll_fd) is there for other loops' pollers. [`run_until`](Tasks::run_until) does
/// all that for a program that is one future.
///
/// Dropping it drops all tasks, and closes everything at once. It stays on its thread, with all that belongs to it.
pub struct Tasks {
    pub(super) shared: Rc<Shared>,
    /// Those whose turn is next; the rest of them is in the queue.
    pub(super) line: VecDeque<Key>,
    #[cfg(unix)]
    poll_fd: Option<Descriptor>,
}

impl Tasks {
    /// Tasks on the operating system's network, with nothing open.
    #[cfg(feature = "os")]
    #[must_use]
    pub fn new(config: crate::Config) -> Self {
        Self::with(Server::new(config), TaskConfig::new())
    }

    /// Tasks on a server of yours, which may be on any network, wound or not, with listeners and connections of its own. What is not the tasks' stays yours,
    /// and its events come out of [`poll_event`](Tasks::poll_event).
    #[must_use]
    pub fn with(server: Server, config: TaskConfig) -> Self {
        Tasks {
            shared: Shared::new(server, config),
            line: VecDeque::new(),
            #[cfg(unix)]
            poll_fd: None,
        }
    }

    /// What tasks have of it.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle::new(&self.shared)
    }

    // The server.

    /// The server below. While the guard lives, tasks' things can be neither used nor dropped on the spot: let it go before [`service`](Tasks::service).
    ///
    /// # Panics
    /// If a guard of [`server_mut`](Tasks::server_mut) was leaked, and from inside a `with_remoter` (of a stream) or its like, which has the server in hand; so
    /// do [`wake`](Tasks::wake), [`wait`](Tasks::wait), [`descriptor`](Tasks::descriptor) and [`poll_event`](Tasks::poll_event) there.
    #[must_use]
    pub fn server(&self) -> Ref<'_, Server> {
        Ref::map(self.shared.desk_cell().borrow(), |desk| &there(desk.as_deref()).server)
    }

    /// The server below, to open, close, drain or change something. While the guard lives, what is asked of a [`Handle`] is refused with `ResourceBusy`.
    ///
    /// # Panics
    /// If an earlier guard was leaked.
    pub fn server_mut(&mut self) -> RefMut<'_, Server> {
        RefMut::map(self.shared.desk_cell().borrow_mut(), |desk| {
            let desk = there_mut(desk.as_deref_mut());
            desk.watch_sockets = true;
            &mut desk.server
        })
    }

    /// Makes a live connection of the server's own one of the tasks': its events do not come to the owner any more. `None` if there is no such live connection,
    /// or tasks have it already. One that was dialled does not come again by itself from now on.
    pub fn adopt(&mut self, id: Id) -> Option<TaskStream> {
        let adopted = self.shared.change(|desk| {
            let live = desk.server.remoter(id).is_some_and(crate::Remoter::is_connected);
            let free = live && desk.entry(id).is_none();
            if free {
                desk.adopt(id, Stage::Held, true);
            }
            free
        });
        adopted.is_ok_and(|free| free).then(|| TaskStream::new(Conn::new(&self.shared, id)))
    }

    /// Makes a listener of the server's own one of the tasks', such as one that was handed over by a service manager. What has come in before and was told is
    /// the owner's still. `None` if there is no such acceptor, or tasks have it already.
    pub fn adopt_listener(&mut self, acceptor: AcceptorId) -> Option<TaskListener> {
        let adopted = self.shared.change(|desk| {
            let free =
                desk.server.acceptor(acceptor).is_some() && desk.listening(acceptor).is_none();
            free.then(|| TaskListener::new(&self.shared, desk, acceptor))
        });
        adopted.ok().flatten()
    }

    /// Winds the server and the tasks to a clock. Whatever runs in the server starts anew there, as [`Server::wind`] says; of each sleep, polled or not, and
    /// of each beat what was left lies ahead again.
    pub fn wind(&mut self, tymth: Tymth) {
        #[cfg(feature = "hyper")]
        self.shared.timers.wind(Some(tymth.clone()));
        self.server_mut().wind(tymth);
        let now = self.server().tyme();
        self.shared.timers.rebase(now);
    }

    /// Ends all tasks where they stand, and closes everything at once, as [`Server::close`] does. It can be used again.
    ///
    /// # Panics
    /// Once all is closed, with what the destructors of a task panicked with that nobody waits for, if [`TaskConfig::panics`] says so.
    pub fn close(&mut self) {
        let panic = self.shared.abort_all();
        self.server_mut().close();
        if let Some(panic) = panic {
            resume(panic);
        }
    }

    // Waking.

    /// A handle that ends [`wait`](Tasks::wait) from any thread. Takes one descriptor, once.
    ///
    /// # Errors
    /// If no descriptor is left.
    pub fn waker(&mut self) -> std::io::Result<NetWaker> {
        self.server_mut().waker()
    }

    /// A descriptor that polls as readable while the network has something, or a task was woken from elsewhere: put it into any other event loop, and there
    /// call [`service`](Tasks::service) when it is readable and when [`wake`](Tasks::wake) says so. `None` before anything was opened, and on networks that
    /// have none.
    #[cfg(unix)]
    pub fn poll_fd(&mut self) -> Option<std::os::fd::BorrowedFd<'_>> {
        use std::os::fd::AsFd;
        self.poll_fd = self.descriptor();
        self.poll_fd.as_ref().map(AsFd::as_fd)
    }

    /// The same as a handle of its own; see [`Server::descriptor`].
    #[must_use]
    pub fn descriptor(&self) -> Option<Descriptor> {
        self.get_nudge();
        self.server().descriptor()
    }

    /// Sees that wakers can end the owner's sleep, once there is anybody who could be woken.
    pub(super) fn get_nudge(&self) {
        if self.shared.queue.needs_nudge()
            && let Ok(Ok(nudge)) = self.shared.with_desk(|desk| desk.server.waker())
        {
            self.shared.queue.set_nudge(nudge);
        }
    }

    // What is told.

    /// Takes the next event that is not the tasks' own, oldest first: of the connections and endpoints that are the owner's, of listeners in trouble, refused
    /// and failed connections, certificates, draining. At most [`TaskConfig::events`] wait.
    pub fn poll_event(&mut self) -> Option<Event> {
        let mut desk = self.shared.desk_cell().borrow_mut();
        there_mut(desk.as_deref_mut()).events.pop_front()
    }

    /// Takes what a task panicked with that nobody waited for, oldest first. The first 16 are kept.
    pub fn take_panic(&mut self) -> Option<Box<dyn Any + Send>> {
        let mut panics = self.shared.panics.borrow_mut();
        (!panics.is_empty()).then(|| panics.remove(0))
    }

    /// What the tasks have done so far; the server has [counters](Server::counters) of its own.
    #[must_use]
    pub fn counters(&self) -> TaskCounters {
        self.shared.counters()
    }

    /// How many tasks there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.tasks()
    }

    /// Whether there is no task.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> TaskConfig {
        self.shared.config.get()
    }

    /// Changes the settings, from now on.
    pub fn set_config(&mut self, config: TaskConfig) {
        self.shared.config.set(config);
    }
}

/// The server is there as long as its owner is.
#[expect(clippy::expect_used, reason = "only the drop of `Tasks` takes it out")]
pub(super) fn there(desk: Option<&Desk>) -> &Desk {
    desk.expect("the owner is there")
}

#[expect(clippy::expect_used, reason = "only the drop of `Tasks` takes it out")]
pub(super) fn there_mut(desk: Option<&mut Desk>) -> &mut Desk {
    desk.expect("the owner is there")
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tasks")
            .field("tasks", &self.len())
            .field("tyme", &self.shared.timers.now())
            .finish_non_exhaustive()
    }
}
