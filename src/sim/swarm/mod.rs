//! Many worlds, each drawn from a seed, to find what nobody thought of.
//!
//! You say what programs run and what must hold, in a closure that is called at each [`Moment`]. From a seed, [`Plan::draw`] makes hosts, links and faults,
//! with random subsets of the faults switched off and the rest weighed wildly, since what is rare together is seldom tried otherwise. [`run`] lives it in
//! two phases: under faults, in which nothing may go *wrong*; then healed, in which everything must get *done* within a budget.
//! What fails is [reduced](reduce) to fewer hosts, fewer faults and a shorter time, and printed as a line that [`Plan::parse`] takes back;
//! [`Request`] is the command line for it.
//!
//! ```
//! use tymist::sim::swarm::{Moment, Shape, Stage, sweep};
//! use tymist::doing::{Echo, ServerDoer};
//! use tymist::Config;
//!
//! let scenario = |stage: &mut Stage<'_>, moment: Moment| {
//!     if moment == Moment::Start {
//!         for host in stage.servers() {
//!             stage.world.start(host, |host| {
//!                 let mut program = ServerDoer::on_host(host, Config::new(), Echo::new());
//!                 program.server.listen(([0, 0, 0, 0], 80)).expect("nobody has it");
//!                 program
//!             });
//!         }
//!     }
//!     Ok(())
//! };
//!
//! let found = sweep(0..20, &Shape::default(), || scenario);
//! assert!(found.is_ok());
//! ```

mod draw;
mod plan;
mod reduce;
mod request;
mod run;
mod seed;
mod settings;

pub use draw::draw_link;
pub use plan::{Fault, Place, Plan, PlanError, Role, Shape, What};
pub use reduce::{Found, Reduced, Summary, reduce, sweep};
pub use request::{Request, RequestError};
pub use run::{Failure, Kind, Moment, Report, Stage, run};
pub use seed::parse_seed;
pub use settings::{draw_config, draw_gram_config};
