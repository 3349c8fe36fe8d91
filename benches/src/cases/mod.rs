//! What is measured, one file per part.

mod check;
mod exchange;
mod forward;
pub mod idle_tick;
mod memory;
pub mod restart;

use crate::report::Report;
use crate::{Options, Outcome};

/// Idle connections in the cases that have them: the descriptors of a process end at 20,000 on many machines.
const CROWD: usize = 18_000;

/// Runs one part, adding to the report.
pub fn run(part: &str, options: &Options, report: &mut Report) -> Outcome<()> {
    match part {
        "all" => {
            let parts = [
                "check",
                "control",
                "echo64",
                "bulk",
                "churn",
                "hyper",
                "udp",
                "idle",
                "idle-tick",
                "memory",
                "forward",
                "threads",
                "restart",
            ];
            for part in parts {
                run(part, options, report)?;
            }
            return Ok(());
        }
        _ => println!("{part}:"),
    }
    match part {
        "check" => check::run(options),
        "control" => exchange::control(options, report),
        "echo64" => exchange::echo64(options, report),
        "bulk" => exchange::bulk(options, report),
        "churn" => exchange::churn(options, report),
        "hyper" => exchange::hyper(options, report),
        "udp" => exchange::udp(options, report),
        "clients" => exchange::clients(options, report),
        "idle" => exchange::idle(options, report),
        "idle-tick" => idle_tick::run(options, report),
        "memory" => memory::run(options, report),
        "forward" => forward::run(options, report),
        "threads" => exchange::threads(options, report),
        "restart" => restart::run(options, report),
        _ => Err(format!("no part named {part}; see --help").into()),
    }
}
