//! Finding a bug by seed, and making the run that shows it small.
//!
//!     cargo run --release --features sim --example sim_bug
//!     cargo run --release --features sim --example sim_bug -- --seed 41
//!
//! The service in `service.rs` has a bug that no plain test meets: it loses a byte where a read ends at an unlucky place. Here each seed draws a
//! plan (how many clients, how many messages, which faults); the first plan that shows a wrong byte is reduced, one part after another, as long as the
//! byte stays wrong. What is left names the cause.

mod caller;
#[path = "../common/cli.rs"]
mod cli;
mod plan;
mod service;

use std::cell::RefCell;
use std::fmt;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use cli::{Args, Result, print};
use plan::Plan;
use tymist::sim::{Tracing, World, WorldSpec};
use tymist::tyme::Tyme;

const USAGE: &str = "usage: sim_bug [--seed N] [--seeds N]";

/// The first wrong byte of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
struct WrongByte {
    at: Tyme,
    client: usize,
    /// Counted over all answers on the connection.
    offset: usize,
    wanted: u8,
    got: u8,
}

impl fmt::Display for WrongByte {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let WrongByte { at, client, offset, wanted, got } = self;
        write!(f, "byte {offset} to client {client} at {at}: {got:#04x} instead of {wanted:#04x}")
    }
}

/// Where the first wrong byte is put.
type Finding = Rc<RefCell<Option<WrongByte>>>;

/// Runs the plan until a byte is wrong or it is over: what was found, and the hash of the run.
fn run(seed: u64, plan: &Plan) -> (Option<WrongByte>, u64) {
    let mut spec = WorldSpec::new(seed);
    spec.tracing = Tracing::Hash;
    let mut world = World::with(spec);
    let finding = Finding::default();
    let server = world.add("server", service::Service::new);
    for (number, &messages) in plan.clients.iter().enumerate() {
        let finding = Rc::clone(&finding);
        world.add(format!("client-{number}"), move |host| {
            caller::Caller::new(host, number, messages, Rc::clone(&finding))
        });
    }
    plan.faults.iter().for_each(|fault| fault.put_into(&mut world, server));
    let limit = Tyme::ZERO + Duration::from_secs(600);
    world.run_while_not(limit, |_| finding.borrow().is_some());
    let found = finding.borrow_mut().take();
    (found, world.hash())
}

/// Makes a failing plan smaller as long as it fails, until no part can be left out; returns it with the number of runs this took.
fn reduce(seed: u64, mut plan: Plan) -> (Plan, usize) {
    let mut runs = 0;
    loop {
        let smaller = plan.smaller().into_iter().find(|smaller| {
            runs += 1;
            run(seed, smaller).0.is_some()
        });
        match smaller {
            Some(smaller) => plan = smaller,
            None => return (plan, runs),
        }
    }
}

fn main() -> ExitCode {
    cli::run(program)
}

fn program() -> Result<()> {
    let (mut first, mut count) = (1_u64, 1000_u64);
    let mut args = Args::new(USAGE);
    while let Some(option) = args.next()? {
        match &*option {
            "seed" => (first, count) = (args.value()?, 1),
            "seeds" => count = args.number(1..=u64::MAX)?,
            _ => return Err(args.unknown()),
        }
    }
    for seed in (0..count).map(|number| first.wrapping_add(number)) {
        let plan = Plan::draw(seed);
        let (Some(wrong), _) = run(seed, &plan) else { continue };
        print(format_args!("seed {seed}: {wrong}"))?;
        print(format_args!("the plan was: {plan}"))?;
        let (plan, runs) = reduce(seed, plan);
        print(format_args!("reduced in {runs} runs to: {plan}"))?;
        let (again, hash) = run(seed, &plan);
        let (Some(wrong), true) = (&again, run(seed, &plan) == (again.clone(), hash)) else {
            return Err("the reduced run cannot be repeated".into());
        };
        print(format_args!("first wrong byte: {wrong}"))?;
        print(format_args!("hash: {hash:016x}"))?;
        return Ok(());
    }
    print(format_args!("no wrong byte with {count} seeds from {first} on"))?;
    Ok(())
}
