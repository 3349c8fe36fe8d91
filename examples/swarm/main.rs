//! This crate's own swarm, by hand: worlds of servers, callers, forwarders and datagram peers, each drawn from a seed.
//!
//!     cargo run --release --features sim --example swarm                       # a thousand seeds
//!     cargo run --release --features sim --example swarm -- --seeds 20000      # more of them
//!     cargo run --release --features sim --example swarm -- --seed 17          # one, and its hash
//!     cargo run --release --features sim --example swarm -- --seed 'PLAN'      # one that has failed, as it was printed
//!     cargo run --release --features sim --example swarm -- --seed "$(git rev-parse HEAD)" --seeds 20
//!
//! `--trace FILE`, `--pcap FILE` and `--timeline FILE` write down what happened in it. For a swarm of your own put your own
//! scenario, a closure that is called at each [`Moment`](tymist::sim::swarm::Moment), in the place of `Scene::play`; the rest of this file stays as it is.
#![allow(clippy::unwrap_used, reason = "a scene that is not as it should be is a failure")]
#![allow(clippy::cast_possible_truncation, reason = "small numbers")]

#[path = "../common/cli.rs"]
mod cli;
#[allow(dead_code, reason = "planted mistakes are the test's")]
#[path = "../../tests/swarm/scene/mod.rs"]
mod scene;

use std::process::ExitCode;

use scene::{Bug, PROGRAM, Scene};
use tymist::sim::swarm::Request;

fn main() -> ExitCode {
    cli::run(program)
}

fn program() -> cli::Result<ExitCode> {
    let request = Request::parse(std::env::args_os().skip(1));
    let request =
        request.map_err(|error| format!("{error}\nusage: {PROGRAM} {}", Request::USAGE))?;
    let make = || Scene::play(Bug::None);
    let kept = request.live(PROGRAM, &Scene::shape(), make, &mut std::io::stdout())?;
    Ok(if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
