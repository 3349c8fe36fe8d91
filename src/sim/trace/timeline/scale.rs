//! Where a tyme is on the page.

use core::time::Duration;

use super::{LONGEST, Record, arrival, moments};
use crate::tyme::Tyme;

/// Pixels of one unit.
const UNIT: f64 = 110.0;
/// Pixels left of the first moment, beside the names.
const MARGIN: f64 = 30.0;

/// Maps tyme to pixels: linear between neighbouring moments, with long silences cut short.
pub(super) struct Scale {
    /// Each moment and its place, in order.
    places: Vec<(Tyme, f64)>,
    /// Where a silence was cut: the place of the cut, and how long the silence is.
    pub(super) breaks: Vec<(f64, Duration)>,
}

impl Scale {
    pub(super) fn new(records: &[Record]) -> Scale {
        let mut flights: Vec<Duration> = records
            .iter()
            .filter_map(|record| arrival(&record.what)?.checked_since(record.tyme))
            .filter(|flight| !flight.is_zero())
            .collect();
        flights.sort_unstable();
        let unit = flights.get(flights.len() / 2).copied().unwrap_or(Duration::from_millis(1));
        let mut places: Vec<(Tyme, f64)> = Vec::new();
        let mut breaks = Vec::new();
        let mut x = MARGIN;
        for tyme in moments(records) {
            if let Some(&(before, _)) = places.last() {
                let gap = tyme - before;
                let units = gap.as_secs_f64() / unit.as_secs_f64();
                if units > LONGEST {
                    breaks.push((x + UNIT * LONGEST / 2.0, gap));
                }
                // At least a little, so that what comes later is seen to.
                x += UNIT * units.clamp(0.02, LONGEST);
            }
            places.push((tyme, x));
        }
        Scale { places, breaks }
    }

    pub(super) fn width(&self) -> f64 {
        self.places.last().map_or(MARGIN, |(_, x)| *x) + 160.0
    }

    pub(super) fn x(&self, tyme: Tyme) -> f64 {
        let at = self.places.partition_point(|(moment, _)| *moment < tyme);
        match (at.checked_sub(1).and_then(|before| self.places.get(before)), self.places.get(at)) {
            (_, Some((moment, x))) if *moment == tyme => *x,
            (Some((before, low)), Some((after, high))) => {
                let part = (tyme - *before).as_secs_f64() / (*after - *before).as_secs_f64();
                low + (high - low) * part
            }
            (None, Some(_)) => 0.0,
            (_, None) => self.width(),
        }
    }

    /// Moments that are far enough apart to be labelled.
    pub(super) fn ticks(&self) -> Vec<(Tyme, f64)> {
        let mut ticks: Vec<(Tyme, f64)> = Vec::new();
        for &(tyme, x) in &self.places {
            if ticks.last().is_none_or(|(_, last)| x - last >= 120.0) {
                ticks.push((tyme, x));
            }
        }
        ticks
    }
}
