//! Many worlds, each drawn from a seed, to find what nobody thought of.
//!
//! You say what programs run and what must hold, as a [`Scenario`]. From a seed, [`Plan::draw`] makes hosts, links and faults, with random
//! subsets of the faults switched off and the rest weighed wildly, since what is rare together is seldom tried otherwise. [`run`] lives it in
//! two phases: under faults, in which nothing may go *wrong*; then healed, in which everything must get *done* within a budget.
//! What fails is [reduced](reduce) to fewer hosts, fewer faults and a shorter time, and printed as a line that [`Plan::parse`] takes back.
//!
//! ```
//! use tymist::sim::swarm::{Scenario, Shape, Stage, sweep};
//! use tymist::doing::{Handler, ServerDoer};
//! use tymist::{Config, Event, Server};
//!
//! struct Idle;
//!
//! impl Scenario for Idle {
//!     fn start(&mut self, stage: &mut Stage<'_>) {
//!         for host in stage.servers() {
//!             stage.world.start(host, |host| {
//!                 let mut program = ServerDoer::on_host(host, Config::new(), |_: &mut Server, _: Event| {});
//!                 program.server.listen(([0, 0, 0, 0], 80)).expect("nobody has it");
//!                 program
//!             });
//!         }
//!     }
//! }
//!
//! let found = sweep(0..20, &Shape::default(), || Idle);
//! assert!(found.is_ok());
//! ```

mod draw;
mod plan;
mod reduce;
mod run;
mod seed;

pub use draw::{draw_config, draw_link};
pub use plan::{Fault, Place, Plan, PlanError, Role, Shape, What};
pub use reduce::{Found, Reduced, Summary, reduce, sweep};
pub use run::{Failure, Kind, Report, Scenario, Stage, run};
pub use seed::parse_seed;
