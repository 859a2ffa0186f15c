//! Figures beside their goals.

use comfy_table::Table;
use comfy_table::presets::ASCII_MARKDOWN;
use std::fmt;

/// What was measured and what was wanted.
#[derive(Default)]
pub struct Goals(Vec<Goal>);

struct Goal {
    what: String,
    unit: &'static str,
    seen: f64,
    most: Option<f64>,
}

impl Goals {
    /// Adds a figure that should be at most so much.
    pub fn at_most(&mut self, what: impl Into<String>, seen: f64, most: f64, unit: &'static str) {
        self.0.push(Goal {
            what: what.into(),
            unit,
            seen,
            most: Some(most),
        });
    }

    /// Adds a figure that has no goal.
    pub fn seen(&mut self, what: impl Into<String>, seen: f64, unit: &'static str) {
        self.0.push(Goal {
            what: what.into(),
            unit,
            seen,
            most: None,
        });
    }

    /// Whether every goal was reached.
    pub fn are_met(&self) -> bool {
        self.0.iter().all(Goal::is_met)
    }
}

impl Goal {
    fn is_met(&self) -> bool {
        self.most.is_none_or(|most| self.seen <= most)
    }
}

impl fmt::Display for Goals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_style(ASCII_MARKDOWN);
        table.set_header(["figure", "measured", "goal, at most", "reached"]);
        for goal in &self.0 {
            table.add_row([
                goal.what.clone(),
                format!("{:.1} {}", goal.seen, goal.unit),
                goal.most
                    .map_or_else(|| "-".to_owned(), |most| format!("{most} {}", goal.unit)),
                match (goal.most, goal.is_met()) {
                    (None, _) => "-",
                    (Some(_), true) => "yes",
                    (Some(_), false) => "NO",
                }
                .to_owned(),
            ]);
        }
        write!(f, "{table}")
    }
}

/// The value below which this share of the sorted values lies.
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let index = (last as f64 * share).round() as usize;
    sorted.get(index).copied().unwrap_or(f64::NAN)
}
