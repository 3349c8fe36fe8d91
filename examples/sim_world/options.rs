//! The command line.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use lexopt::prelude::*;

use super::Result;

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
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("seed") => options.seed = parser.value()?.parse()?,
            Long("hosts") => options.hosts = parser.value()?.parse()?,
            Long("hours") => {
                let hours: f64 = parser.value()?.parse()?;
                options.time = Duration::try_from_secs_f64(hours * 3600.0)
                    .map_err(|error| format!("{hours} hours: {error}"))?;
            }
            Long("faults") => options.faults = parser.value()?.parse()?,
            Long("trace") => options.trace = Some(parser.value()?.into()),
            Long("pcap") => options.pcap = Some(parser.value()?.into()),
            Long("timeline") => options.timeline = Some(parser.value()?.into()),
            Long("help") | Short('h') => {
                println!("{USAGE}");
                std::process::exit(0);
            }
            other => return Err(format!("{}\n{USAGE}", other.unexpected()).into()),
        }
    }
    if !(2..=10_000).contains(&options.hosts) {
        return Err(format!("from 2 to 10000 hosts, not {}", options.hosts).into());
    }
    Ok(options)
}
