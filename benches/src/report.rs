//! The table at the end: figures, ratios, and the goals beside them.

use std::fmt::Write as _;

use crate::rounds::{Ratio, Sample, Series, ratio};

/// What a figure should be.
#[derive(Copy, Clone, Debug)]
pub enum Goal {
    AtMost(f64),
    AtLeast(f64),
    Below(f64),
}

impl Goal {
    fn met(self, value: f64) -> bool {
        match self {
            Goal::AtMost(goal) => value <= goal,
            Goal::AtLeast(goal) => value >= goal,
            Goal::Below(goal) => value < goal,
        }
    }

    fn text(self, decimals: usize, unit: &str) -> String {
        match self {
            Goal::AtMost(goal) => format!("≤ {goal:.decimals$}{unit}"),
            Goal::AtLeast(goal) => format!("≥ {goal:.decimals$}{unit}"),
            Goal::Below(goal) => format!("< {goal:.decimals$}{unit}"),
        }
    }
}

/// Rows, in the order they were found.
#[derive(Debug, Default)]
pub struct Report(Vec<[String; 6]>);

impl Report {
    /// A plain figure with its goal.
    pub fn figure(&mut self, case: &str, what: &str, value: f64, unit: &str, goal: Option<Goal>) {
        let decimals = if value.abs() < 100.0 { 2 } else { 0 };
        let goal_decimals = if value.abs() < 10.0 { 2 } else { 0 };
        self.row([
            case.into(),
            what.into(),
            format!("{value:.decimals$}{unit}"),
            String::new(),
            goal.map_or_else(String::new, |goal| goal.text(goal_decimals, unit)),
            verdict(goal, value),
        ]);
    }

    /// Ratios of all servers in `series` to the first of them, and of ours to tokio and of tymist to all others, with the goals; what they have in common
    /// stands in the first row.
    pub fn ratios(
        &mut self,
        case: &str,
        what: &str,
        series: &[Series],
        figure: impl Fn(&Sample) -> f64 + Copy,
        format: impl Fn(f64) -> String,
        goal: impl Fn(&str, &str) -> Option<Goal>,
    ) {
        let mut values = String::new();
        for one in series {
            let comma = if values.is_empty() { "" } else { ", " };
            let _ = write!(values, "{comma}{} {}", one.name, format(one.median(figure)));
        }
        let mut pairs: Vec<(&Series, &Series)> =
            series.iter().skip(1).map(|over| (over, &series[0])).collect();
        if let Some(ours) = series.iter().skip(1).find(|one| one.name.starts_with("tymist")) {
            pairs.extend(
                series.iter().skip(1).filter(|one| one.name != ours.name).map(|one| (ours, one)),
            );
        }
        let named = |name: &str| series.iter().skip(1).find(|one| one.name == name);
        pairs.extend(named("tasks").zip(named("tokio")));
        let (mut case, mut what) = (case.to_owned(), what.to_owned());
        for (over, under) in pairs {
            let Ratio { median, least, most, quiet, rounds } = ratio(over, under, figure);
            let goal = goal(&over.name, &under.name);
            self.row([
                std::mem::take(&mut case),
                std::mem::take(&mut what),
                std::mem::take(&mut values),
                format!(
                    "{} ÷ {} = **{median:.3}** ({least:.3} to {most:.3}, {quiet}/{rounds})",
                    over.name, under.name
                ),
                goal.map_or_else(String::new, |goal| goal.text(2, "")),
                verdict(goal, median),
            ]);
        }
    }

    fn row(&mut self, row: [String; 6]) {
        println!(
            "  {}",
            row.iter().filter(|cell| !cell.is_empty()).cloned().collect::<Vec<_>>().join(" | ")
        );
        self.0.push(row);
    }

    /// Prints the whole as a Markdown table.
    pub fn print(&self) {
        println!("\n| case | figure | medians | ratio (least to most, quiet rounds) | goal | |");
        println!("|---|---|---|---|---|---|");
        for row in &self.0 {
            println!("| {} |", row.join(" | "));
        }
    }
}

fn verdict(goal: Option<Goal>, value: f64) -> String {
    goal.map_or("", |goal| if goal.met(value) { "met" } else { "missed" }).into()
}
