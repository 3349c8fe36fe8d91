//! Rounds: every variant once per round, in turn, so that what drifts drifts for all.

use std::time::Duration;

use crate::Outcome;
use crate::machine::await_quiet;

/// What one measurement found.
#[derive(Copy, Clone, Debug)]
pub struct Sample {
    /// Server CPU time per unit (message, byte, connection), in nanoseconds.
    pub cost: f64,
    /// The same of the load generator, which is what is measured where it is ours.
    pub own: f64,
    /// Units per second.
    pub rate: f64,
    /// Whether the machine was ours meanwhile.
    pub quiet: bool,
}

/// Samples of one variant, one per round.
#[derive(Clone, Debug)]
pub struct Series {
    pub name: String,
    pub samples: Vec<Sample>,
}

/// How often, in one case, measurements are taken again because the machine was busy, per sample that is due; and how long the
/// case waits, all in all, for it to become quiet.
const REPEATS: usize = 2;
const PATIENCE: Duration = Duration::from_secs(20);

/// Takes `rounds` samples of each variant, interleaved. A sample taken on a busy machine is taken again, within bounds; a variant
/// that never had its quiet keeps the last one, marked.
pub fn interleave(
    names: &[String],
    rounds: usize,
    mut measure: impl FnMut(usize) -> Outcome<Sample>,
) -> Outcome<Vec<Series>> {
    let mut all: Vec<Series> =
        names.iter().map(|name| Series { name: name.clone(), samples: Vec::new() }).collect();
    let mut patience = PATIENCE;
    let mut repeats = rounds * names.len() * REPEATS;
    for round in 0..rounds {
        for turn in 0..names.len() {
            // Each round begins with another variant, so that none always follows the same one.
            let index = (turn + round) % names.len();
            await_quiet(&mut patience);
            let mut sample = measure(index)?;
            for _ in 0..4 {
                if sample.quiet || repeats == 0 {
                    break;
                }
                repeats -= 1;
                await_quiet(&mut patience);
                sample = measure(index)?;
            }
            all[index].samples.push(sample);
        }
    }
    Ok(all)
}

/// A ratio over rounds.
#[derive(Copy, Clone, Debug)]
pub struct Ratio {
    pub median: f64,
    pub least: f64,
    pub most: f64,
    /// Rounds in which both sides had the machine to themselves.
    pub quiet: usize,
    pub rounds: usize,
}

/// Median of `over / under`, taken within rounds; of the quiet ones only, if there are three or more.
pub fn ratio(over: &Series, under: &Series, figure: impl Fn(&Sample) -> f64) -> Ratio {
    let pairs: Vec<(f64, bool)> = over
        .samples
        .iter()
        .zip(&under.samples)
        .map(|(a, b)| (figure(a) / figure(b), a.quiet && b.quiet))
        .collect();
    let quiet = pairs.iter().filter(|pair| pair.1).count();
    let mut values: Vec<f64> =
        pairs.iter().filter(|pair| pair.1 || quiet < 3).map(|pair| pair.0).collect();
    let middle = median(&mut values);
    Ratio {
        median: middle,
        least: values.first().copied().unwrap_or(f64::NAN),
        most: values.last().copied().unwrap_or(f64::NAN),
        quiet,
        rounds: pairs.len(),
    }
}

impl Series {
    /// Median of a figure over the rounds.
    pub fn median(&self, figure: impl Fn(&Sample) -> f64) -> f64 {
        median(&mut self.samples.iter().map(figure).collect::<Vec<_>>())
    }
}

/// Sorts `values` and gives the middle one, or the mean of the two in the middle.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[odd / 2],
        even => f64::midpoint(values[even / 2 - 1], values[even / 2]),
    }
}
