//! The command line.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::cli::{Args, Result};

const USAGE: &str = "usage: sim_world [--seed N] [--hosts N] [--hours H] [--faults none|light|heavy] \
                     [--trace FILE] [--pcap FILE] [--timeline FILE]";

pub(crate) struct Options {
    pub(crate) seed: u64,
    pub(crate) hosts: usize,
    pub(crate) time: Duration,
    pub(crate) faults: Level,
    pub(crate) trace: Option<PathBuf>,
    pub(crate) pcap: Option<PathBuf>,
    pub(crate) timeline: Option<PathBuf>,
}

/// How bad the weather is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    None,
    Light,
    Heavy,
}

impl FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "none" | "0" => Ok(Level::None),
            "light" | "1" => Ok(Level::Light),
            "heavy" | "2" => Ok(Level::Heavy),
            other => Err(format!("{other:?} is none of none, light, heavy")),
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::None => "none",
            Level::Light => "light",
            Level::Heavy => "heavy",
        })
    }
}

pub(crate) fn parse() -> Result<Options> {
    let mut options = Options {
        seed: 1,
        hosts: 8,
        time: Duration::from_secs(3600),
        faults: Level::Light,
        trace: None,
        pcap: None,
        timeline: None,
    };
    let mut args = Args::new(USAGE);
    while let Some(option) = args.next()? {
        match &*option {
            "seed" => options.seed = args.value()?,
            "hosts" => options.hosts = args.number(2..=10_000)?,
            "hours" => {
                let hours: f64 = args.number(0.0..=100_000.0)?;
                options.time = Duration::from_secs_f64(hours * 3600.0);
            }
            "faults" => options.faults = args.value()?,
            "trace" => options.trace = Some(args.path()?),
            "pcap" => options.pcap = Some(args.path()?),
            "timeline" => options.timeline = Some(args.path()?),
            _ => return Err(args.unknown()),
        }
    }
    Ok(options)
}
