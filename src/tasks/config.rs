//! What tasks may take, and what becomes of their panics.

/// Settings of [`Tasks`](super::Tasks): public fields, changed one by one. Connections, buffers and timeouts are the
/// [`Config`](crate::Config)'s of the server below.
///
/// ```
/// use tymist::tasks::{Panics, TaskConfig};
///
/// let mut config = TaskConfig::new();
/// config.tasks = 1000;
/// config.panics = Panics::Resume;
/// ```
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskConfig {
    /// Tasks at once. Default 1,048,576; each costs its future and about 250 bytes. Beyond it: [`spawn`](super::Handle::spawn) drops the future, and
    /// its [`JoinHandle`](super::JoinHandle) says so; [`try_spawn`](super::Handle::try_spawn) gives it back.
    pub tasks: usize,
    /// Polls of tasks per tick. Default 4096, about 1 ms of small ones. Beyond it: the next tick goes on with whose turn it is. Below 1 counts as 1.
    pub polls_per_tick: usize,
    /// Connections per listener that have come in (or shake hands) and that no `accept` has taken. Default 1024, under 600 bytes each and what they send.
    /// Beyond it: they wait in the accept deque and then in the kernel's backlog, until one is taken. Counts for listeners opened from then on; below 1 counts
    /// as 1.
    pub unaccepted: usize,
    /// Events for the owner that wait to be taken. Default 1024, 56 bytes each. Beyond it: the newest are dropped and counted.
    pub events: usize,
    /// What becomes of a panic in a task that nobody waits for.
    pub panics: Panics,
}

impl TaskConfig {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        TaskConfig {
            tasks: 1 << 20,
            polls_per_tick: 4096,
            unaccepted: 1024,
            events: 1024,
            panics: Panics::Keep,
        }
    }
}

impl Default for TaskConfig {
    fn default() -> Self {
        Self::new()
    }
}

/// What becomes of a panic in a task whose [`JoinHandle`](super::JoinHandle) is gone. (One that is there gets it.)
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Panics {
    /// That task ends, its streams are reset, and all others go on. The owner finds it in [`take_panic`](super::Tasks::take_panic). The default: one
    /// connection's mistake must not be everybody's.
    Keep,
    /// It goes on out of [`service`](super::Tasks::service), once that tick's other work is safe: for tests, in which an assertion must not fail unseen. The
    /// default of tasks on a host of a simulated world.
    Resume,
}

/// What the tasks have done so far.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskCounters {
    /// Tasks begun.
    pub spawned: u64,
    /// Tasks that came to their end.
    pub finished: u64,
    /// Tasks aborted, with those that were there when the whole was dropped.
    pub aborted: u64,
    /// Tasks that panicked.
    pub panicked: u64,
    /// Tasks refused at the limit.
    pub refused: u64,
    /// Polls.
    pub polls: u64,
    /// Ticks in which the budget of polls ended before the work did.
    pub budget: u64,
    /// Connections that ended before an `accept` took them.
    pub unaccepted: u64,
    /// Events for the owner that were dropped because too many waited.
    pub events_dropped: u64,
}
