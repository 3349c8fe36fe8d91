//! What all example programs share, those without sockets too: the command line, what they say, and how they end.
#![allow(dead_code, reason = "each example uses its part")]

use std::error::Error;
use std::ffi::OsString;
use std::fmt::Display;
use std::io::Write;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::process::{ExitCode, Termination};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use lexopt::{Arg, ValueExt};
use signal_hook::consts::{SIGINT, SIGTERM};

/// Descriptors that are wanted besides those of connections.
const OTHERS: usize = 16;

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Runs a program. An error is said in words, and makes the exit code 1.
pub(crate) fn run<T: Termination>(program: fn() -> Result<T>) -> ExitCode {
    match program() {
        Ok(done) => done.report(),
        Err(error) => {
            say(format_args!("error: {}", in_words(&*error)));
            ExitCode::FAILURE
        }
    }
}

/// An error with its sources, as far as it does not quote them itself.
fn in_words(error: &dyn Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !words.contains(&more) {
            words += &format!(": {more}");
        }
        source = error.source();
    }
    words
}

/// Prints a line on standard output, at once.
pub(crate) fn print(words: impl Display) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let done = writeln!(out, "{words}").and_then(|()| out.flush());
    done.map_err(|error| format!("standard output: {error}").into())
}

/// Says a line on standard error. It is left out where nobody can take it: who does not read it must not hold the program up.
pub(crate) fn say(words: impl Display) {
    let line = format!("{words}\n");
    if has_room() {
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
}

/// How many descriptors a program may have, where Linux tells.
fn descriptors() -> Option<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// A flag that SIGINT and SIGTERM set, for a program that never sleeps and looks at it now and then.
pub(crate) fn told_to_end() -> Result<Arc<AtomicBool>> {
    let told = Arc::default();
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&told))?;
    }
    Ok(told)
}

/// Whether standard error takes a line (a pipe: 4 KiB of it) without blocking.
#[cfg(unix)]
fn has_room() -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::io::Errno;
    let stderr = std::io::stderr();
    let mut polled = [PollFd::new(&stderr, PollFlags::OUT)];
    loop {
        match poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
            Err(Errno::INTR) => {} // A signal has come, which says nothing of room.
            asked => return asked.is_ok_and(|ready| ready > 0),
        }
    }
}

#[cfg(not(unix))]
fn has_room() -> bool {
    true
}

/// The command line, option by option. What is wrong with one is said with its name.
pub(crate) struct Args {
    parser: lexopt::Parser,
    usage: String,
    /// The last option, with its dashes.
    option: String,
}

impl Args {
    pub(crate) fn new(usage: impl Into<String>) -> Self {
        Args { parser: lexopt::Parser::from_env(), usage: usage.into(), option: String::new() }
    }

    /// The name of the next option. `--help` ends the program.
    pub(crate) fn next(&mut self) -> Result<Option<String>> {
        let next = match self.parser.next() {
            Ok(next) => next,
            Err(error) => return Err(self.refuse(error)),
        };
        let name = match next {
            None => return Ok(None),
            Some(Arg::Long("help") | Arg::Short('h')) => {
                print(&self.usage)?;
                std::process::exit(0);
            }
            Some(Arg::Long(name)) => name.to_owned(),
            Some(other) => {
                let error = other.unexpected();
                return Err(self.refuse(error));
            }
        };
        self.option = format!("--{name}");
        Ok(Some(name))
    }

    /// The error for an option that there is not.
    pub(crate) fn unknown(&self) -> Box<dyn Error> {
        self.refuse(format_args!("invalid option '{}'", self.option))
    }

    /// The error for a command line that does not do, with the usage.
    pub(crate) fn refuse(&self, why: impl Display) -> Box<dyn Error> {
        format!("{why}\n{}", self.usage).into()
    }

    /// The error for the value of the last option.
    pub(crate) fn refuse_value(&self, value: impl Display, why: impl Display) -> Box<dyn Error> {
        self.refuse(format_args!("{} {value}: {why}", self.option))
    }

    /// Refuses an option by which more descriptors are wanted, `each` for every one of `count`, than there may be.
    pub(crate) fn spare_descriptors(&self, option: &str, count: usize, each: usize) -> Result<()> {
        let Some(limit) = descriptors() else { return Ok(()) };
        let wanted = count.saturating_mul(each).saturating_add(OTHERS);
        if wanted <= limit {
            return Ok(());
        }
        Err(self.refuse(format_args!(
            "{option} {count}: this program may open {limit} descriptors (ulimit -n), and wants {wanted}"
        )))
    }

    fn raw(&mut self) -> Result<OsString> {
        self.parser.value().map_err(|error| self.refuse(error))
    }

    pub(crate) fn text(&mut self) -> Result<String> {
        let text = self.raw()?.string();
        text.map_err(|_| self.refuse(format_args!("{}: not UTF-8", self.option)))
    }

    pub(crate) fn path(&mut self) -> Result<PathBuf> {
        Ok(self.raw()?.into())
    }

    /// Names, separated by commas.
    pub(crate) fn list(&mut self) -> Result<Vec<String>> {
        Ok(self.text()?.split(',').map(str::to_owned).collect())
    }

    pub(crate) fn value<T: FromStr<Err: Display>>(&mut self) -> Result<T> {
        let text = self.text()?;
        text.parse().map_err(|error| self.refuse_value(&text, error))
    }

    pub(crate) fn number<T>(&mut self, range: RangeInclusive<T>) -> Result<T>
    where
        T: FromStr + PartialOrd + Display,
    {
        let (least, most) = (range.start(), range.end());
        self.number_in(&range, format_args!("a number from {least} to {most}"))
    }

    fn number_in<T>(&mut self, range: &RangeInclusive<T>, wanted: impl Display) -> Result<T>
    where
        T: FromStr + PartialOrd,
    {
        let text = self.text()?;
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| self.refuse_value(&text, format_args!("not {wanted}")))
    }

    /// How many at most: with none no program could live.
    pub(crate) fn count(&mut self) -> Result<usize> {
        self.number_in(&(1..=usize::MAX), "a number from 1 on")
    }

    pub(crate) fn port(&mut self) -> Result<u16> {
        self.number(0..=u16::MAX)
    }

    /// The port to connect to.
    pub(crate) fn target_port(&mut self) -> Result<u16> {
        self.number(1..=u16::MAX)
    }

    /// Seconds, as in `1.5`, that have to be some: from a millisecond to thirty years.
    pub(crate) fn secs(&mut self) -> Result<Duration> {
        let secs = self.number_in(&(0.001..=1e9), "seconds from 0.001 to 1e9")?;
        Ok(Duration::from_secs_f64(secs))
    }

    /// The same, or 0 for none.
    pub(crate) fn secs_or_none(&mut self) -> Result<Option<Duration>> {
        let text = self.text()?;
        match text.parse() {
            Ok(0.0) => Ok(None),
            Ok(secs @ 0.001..=1e9) => Ok(Some(Duration::from_secs_f64(secs))),
            _ => Err(self.refuse_value(&text, "not seconds from 0.001 to 1e9, or 0 for none")),
        }
    }
}
