//! A world: made, stepped, and asked.

mod host;

// In the order in which the page of `World` shows what they add to it.
mod spec;

mod map;

mod programs;

mod act;

mod time;

mod look;

use core::fmt;

pub use act::{Act, Unfired};
pub use host::Host;
pub use spec::WorldSpec;
pub use time::Step;

use self::programs::Seat;
use super::fault::Faults;
use super::machine::Shared;
use crate::tyme::Tymth;

/// Hosts, links and a clock, all from one seed.
///
/// Two ways to run programs. Give each host a [`Doer`](crate::doing::Doer) with [`start`](World::start), and the world enters it and gives it its turns;
/// or keep your own engines, take turns by [`next_turn`](World::next_turn), service the engine of that host, and tell what it wants by
/// [`set_wake`](World::set_wake). Both may be mixed. The [guide](crate::guide::simulation) has a whole program of the first kind; this is
/// one of the second:
///
/// ```
/// use tymist::sim::World;
/// use tymist::tyme::Tyme;
/// use tymist::{Client, Config, Connect, Event, Server};
///
/// let mut world = World::new(7);
/// let (there, here) = (world.add_host("there"), world.add_host("here"));
/// let mut server = Server::with_net(Config::new(), world.host(there).net());
/// server.wind(world.host(there).tymth());
/// server.listen(([0, 0, 0, 0], 7))?;
/// let mut client = Client::with_net(Config::new(), world.host(here).net(), Connect::to_name("there", 7));
/// client.wind(world.host(here).tymth());
/// client.reopen()?;
/// client.tx(b"hello")?;
///
/// world.set_wake(here, client.wake()); // the server waits for the network only
/// let mut heard = None;
/// while heard.is_none() {
///     let host = world.next_turn(Tyme::from_secs(1)).expect("it takes some milliseconds");
///     if host == there {
///         server.service();
///         while let Some(event) = server.poll_event() {
///             if let Event::Received(id) = event {
///                 heard = server.remoter_mut(id).map(|remoter| remoter.take());
///             }
///         }
///         world.set_wake(there, server.wake());
///     } else {
///         client.service();
///         client.clear_events();
///         world.set_wake(here, client.wake());
///     }
/// }
/// assert_eq!(heard.unwrap(), "hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A world is not for several threads; run one world per thread.
pub struct World {
    shared: Shared,
    faults: Faults,
    seats: Vec<Seat>,
    tymth: Tymth,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("seed", &self.seed())
            .field("tyme", &self.tyme())
            .field("hosts", &self.seats.len())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

/// Programs go first, while the machine they close their sockets in is still there.
impl Drop for World {
    fn drop(&mut self) {
        self.seats.iter_mut().for_each(Seat::crash);
    }
}
