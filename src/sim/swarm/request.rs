//! What a swarm is asked for on its command line, and doing it.

use core::fmt;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::plan::{Plan, PlanError, Shape};
use super::reduce::{Found, Summary, reduce, sweep};
use super::run::{Moment, Report, Stage, run};
use crate::sim::{Tracing, World};
use crate::tyme::Tyme;

/// Messages drawn on a timeline at most.
const DRAWN: usize = 20_000;

/// Which seeds to live, and what to write down: the command line of a program around a scenario ([`Moment`]) of yours.
///
/// ```text
/// --seed SEED      live this one only: a number, a git hash, or a plan as a failure prints it, in quotes
/// --seeds N        live so many, from SEED (or else 0) on; 1000 where neither is given
/// --trace FILE     write down all that happened in the one that was lived alone, or that failed: as text,
/// --pcap FILE      as packets for Wireshark,
/// --timeline FILE  as a page for a browser
/// ```
///
/// A failure is [reduced](reduce), and printed with the command line that shows it again.
///
/// ```
/// use tymist::sim::swarm::{Moment, Request, Shape, Stage};
///
/// let nothing = |_: &mut Stage<'_>, _: Moment| Ok(());
///
/// // In a `main`: `Request::parse(std::env::args_os().skip(1))`, and `std::io::stdout()`.
/// let request = Request::parse(["--seed", "d5a6ca6", "--seeds", "20"])?;
/// let mut out = Vec::new();
/// assert!(request.live("cargo run --example my_swarm --", &Shape::default(), || nothing, &mut out)?);
/// assert!(String::from_utf8(out)?.contains("20 seeds from 224029862 on"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// `--seed`, as it was given.
    pub seed: Option<String>,
    /// `--seeds`.
    pub seeds: Option<u64>,
    /// `--trace`.
    pub trace: Option<PathBuf>,
    /// `--pcap`.
    pub pcap: Option<PathBuf>,
    /// `--timeline`.
    pub timeline: Option<PathBuf>,
    /// `--help` or `-h`: nothing is lived, the [usage](Request::USAGE) is printed.
    pub help: bool,
}

impl Request {
    /// All options in one line.
    pub const USAGE: &str =
        "[--seed NUMBER|HASH|'PLAN'] [--seeds N] [--trace FILE] [--pcap FILE] [--timeline FILE]";

    /// Reads the arguments of a command line, the program's own name left out. A value follows its option or an equals sign.
    ///
    /// # Errors
    /// At an argument that means nothing, or a value that is missing or none.
    pub fn parse<A: Into<OsString>>(
        args: impl IntoIterator<Item = A>,
    ) -> Result<Request, RequestError> {
        let mut request = Request::default();
        let mut args = args.into_iter().map(Into::into);
        while let Some(arg) = args.next() {
            let text = arg.to_string_lossy().into_owned();
            let wrong = || RequestError(format!("{text:?} is no option"));
            let (name, value) = match text.split_once('=') {
                // It would be another name, since the text has only what is like it.
                Some((name, _)) if arg.to_str().is_none() => {
                    let why = "is not UTF-8: leave the equals sign out";
                    return Err(RequestError(format!("the value of {name} {why}")));
                }
                Some((name, value)) => (name, Some(OsString::from(value))),
                None => (text.as_str(), None),
            };
            if matches!(name, "--help" | "-h") {
                request.help = true;
                continue;
            }
            if !["--seed", "--seeds", "--trace", "--pcap", "--timeline"].contains(&name) {
                return Err(wrong());
            }
            let missing = || RequestError(format!("{name} wants a value"));
            let value = value.or_else(|| args.next()).ok_or_else(missing)?;
            match name {
                "--seed" => request.seed = Some(value.to_string_lossy().into_owned()),
                "--seeds" => {
                    // With none of them every promise is kept.
                    let number = value.to_string_lossy().parse().ok().filter(|number| *number > 0);
                    let none = || RequestError(format!("--seeds {value:?} is no number from 1 on"));
                    request.seeds = Some(number.ok_or_else(none)?);
                }
                "--trace" => request.trace = Some(value.into()),
                "--pcap" => request.pcap = Some(value.into()),
                _ => request.timeline = Some(value.into()),
            }
        }
        Ok(request)
    }

    /// Does what was asked for, and writes to `out` what came of it. `program` is how the program is called, for the command line that
    /// a failure is shown with. Returns whether nothing failed.
    ///
    /// # Errors
    /// A seed that is none, and what the file system says.
    pub fn live<S>(
        &self,
        program: &str,
        shape: &Shape,
        mut make: impl FnMut() -> S,
        out: &mut dyn Write,
    ) -> Result<bool, RequestError>
    where
        S: FnMut(&mut Stage<'_>, Moment) -> Result<(), String>,
    {
        if self.help {
            writeln!(out, "{program} {}", Self::USAGE)?;
            return Ok(true);
        }
        let plan = match &self.seed {
            Some(text) => Plan::parse(text, shape)?,
            None => Plan::draw(0, shape),
        };
        if self.seed.is_some() && self.seeds.is_none() {
            return self.live_one(&plan, program, make, out);
        }
        let count = self.seeds.unwrap_or(1000);
        let seeds = (0..count).map(|number| plan.seed.wrapping_add(number));
        match sweep(seeds, shape, &mut make) {
            Ok(summary) => {
                write_summary(out, plan.seed, &summary)?;
                Ok(true)
            }
            Err(found) => {
                self.write_found(out, program, &found)?;
                if self.tracing() == Tracing::Full {
                    self.watch(&found.reduced.plan, make(), out).1?;
                }
                Ok(false)
            }
        }
    }

    fn live_one<S>(
        &self,
        plan: &Plan,
        program: &str,
        mut make: impl FnMut() -> S,
        out: &mut dyn Write,
    ) -> Result<bool, RequestError>
    where
        S: FnMut(&mut Stage<'_>, Moment) -> Result<(), String>,
    {
        let (lived, written) = self.watch(plan, make(), out);
        let kept = match lived {
            Ok(report) => {
                let Report { hash, steps, done, stats } = report;
                writeln!(out, "plan {plan}: all done at {done}, {steps} steps, {stats:?}")?;
                writeln!(out, "hash: {hash:016x}")?;
                true
            }
            Err(failure) => {
                let reduced = reduce(plan, &failure, make);
                let found = Found { plan: plan.clone(), failure, reduced };
                self.write_found(out, program, &found)?;
                false
            }
        };
        written.map(|()| kept) // Last, so that what came of it is told all the same.
    }

    fn write_found(&self, out: &mut dyn Write, program: &str, found: &Found) -> io::Result<()> {
        write!(out, "{found}")?;
        writeln!(out, "the whole run again:\n    {}", found.plan.command(program))?;
        writeln!(out, "the least of it:\n    {}", found.reduced.plan.command(program))
    }

    fn tracing(&self) -> Tracing {
        let any = self.trace.is_some() || self.pcap.is_some() || self.timeline.is_some();
        if any { Tracing::Full } else { Tracing::Hash }
    }

    /// Lives one plan, and writes down what is to be: what came of either.
    fn watch<S>(
        &self,
        plan: &Plan,
        scenario: S,
        out: &mut dyn Write,
    ) -> (Result<Report, super::Failure>, Result<(), RequestError>)
    where
        S: FnMut(&mut Stage<'_>, Moment) -> Result<(), String>,
    {
        let mut written = Ok(());
        let result = run(plan, self.tracing(), scenario, |world| {
            written = self.write_down(world, out);
        });
        (result, written)
    }

    fn write_down(&self, world: &World, out: &mut dyn Write) -> Result<(), RequestError> {
        let trace = world.trace();
        let put = |path: &Path, write: &dyn Fn(&mut dyn Write) -> io::Result<()>| {
            let file = File::create(path).map(BufWriter::new);
            let written = file.and_then(|mut file| {
                write(&mut file)?;
                file.flush()
            });
            written.map_err(|error| RequestError(format!("{}: {error}", path.display())))
        };
        if let Some(path) = &self.trace {
            put(path, &|file| trace.records().try_for_each(|record| writeln!(file, "{record}")))?;
            writeln!(out, "trace: {} records in {}", trace.len(), path.display())?;
        }
        if let Some(path) = &self.pcap {
            put(path, &|file| trace.write_pcapng(file))?;
            writeln!(out, "packets: {}", path.display())?;
        }
        if let Some(path) = &self.timeline {
            put(path, &|file| trace.write_timeline(file, Tyme::ZERO, DRAWN))?;
            writeln!(out, "timeline: {}", path.display())?;
        }
        Ok(())
    }
}

fn write_summary(out: &mut dyn Write, first: u64, summary: &Summary) -> io::Result<()> {
    let Summary { seeds, steps, connections, bytes, grams, faults } = summary;
    writeln!(out, "{seeds} seeds from {first} on kept their promises: {steps} steps,")?;
    write!(out, "{connections} connections, {bytes} bytes, {grams} datagrams, ")?;
    writeln!(out, "{faults} calls that failed by rule")
}

/// What is wrong with a command line, or with what it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestError(String);

impl From<PlanError> for RequestError {
    fn from(error: PlanError) -> Self {
        RequestError(error.to_string())
    }
}

impl From<io::Error> for RequestError {
    fn from(error: io::Error) -> Self {
        RequestError(error.to_string())
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for RequestError {}
