//! Measures tymist side by side with a hand-written mio server and with tokio; see `README.md`.

mod cases;
mod load;
mod machine;
mod pattern;
mod process;
mod report;
mod rounds;
mod servers;

use std::error::Error;
use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use lexopt::Arg;
use lexopt::prelude::{Long, Short, Value, ValueExt as _};

use crate::servers::Kind;

/// What every part of this program may fail with.
type Outcome<T> = Result<T, Box<dyn Error>>;

const USAGE: &str = "\
versus: measures tymist against mio and tokio, side by side

    versus [PART ...] [--rounds N] [--millis N] [--servers A,B,...] [--here]

Parts: all (default), check, control, echo64, bulk, churn, hyper, udp, clients, idle, idle-tick, memory,
       forward, threads, restart
    --rounds N      rounds that count, per case (default 5)
    --millis N      length of one measurement (default 1500)
    --servers LIST  of mio, mio-again, mio-timed, tokio, tymist, tymist-asleep, tasks, threads-1, threads-2 (default mio,tokio,tymist,tasks)
    --here          stay in this network namespace instead of entering a new one";

/// What the user asked for.
#[derive(Clone, Debug)]
struct Options {
    parts: Vec<String>,
    rounds: usize,
    window: Duration,
    servers: Vec<Kind>,
    here: bool,
}

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let role = arguments.first().and_then(|first| first.to_str()).unwrap_or("");
    let result = match role {
        "server" => servers::main(&arguments[1..]),
        "load" => load::main(&arguments[1..]),
        "forwarder" => servers::forward::main(&arguments[1..]),
        "succeed" => cases::restart::succeed_main(&arguments[1..]),
        "tick" => cases::idle_tick::tick_main(&arguments[1..]),
        _ => conduct(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("versus: {error}");
            ExitCode::FAILURE
        }
    }
}

fn conduct(arguments: &[OsString]) -> Outcome<()> {
    let Some(options) = parse(arguments)? else {
        println!("{USAGE}");
        return Ok(());
    };
    if !options.here {
        machine::enter_namespace(arguments)?;
    }
    println!("{}", machine::describe());
    let mut report = report::Report::default();
    for part in &options.parts {
        cases::run(part, &options, &mut report)?;
    }
    report.print();
    Ok(())
}

fn parse(arguments: &[OsString]) -> Outcome<Option<Options>> {
    let mut options = Options {
        parts: Vec::new(),
        rounds: 5,
        window: Duration::from_millis(1500),
        servers: vec![Kind::Mio, Kind::Tokio, Kind::Tymist, Kind::Tasks],
        here: false,
    };
    let mut parser = lexopt::Parser::from_args(arguments.iter().cloned());
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Long("rounds") => options.rounds = parser.value()?.parse::<usize>()?.max(1),
            Long("millis") => {
                options.window = Duration::from_millis(parser.value()?.parse::<u64>()?.max(10));
            }
            Long("servers") => {
                let list = parser.value()?.string()?;
                options.servers =
                    list.split(',').map(str::parse).collect::<Result<Vec<Kind>, _>>()?;
            }
            Long("here") => options.here = true,
            Value(part) => options.parts.push(part.string()?),
            Arg::Short(_) | Arg::Long(_) => return Err(argument.unexpected().into()),
        }
    }
    if options.parts.is_empty() {
        options.parts.push("all".into());
    }
    Ok(Some(options))
}
