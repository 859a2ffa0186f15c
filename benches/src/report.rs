//! Tables for people, JSON for programs.

use std::fs;
use std::path::Path;

use comfy_table::presets::{ASCII_MARKDOWN, UTF8_FULL_CONDENSED};
use comfy_table::{CellAlignment, Table, TableStyle};
use serde::Serialize;
use support::failure::Result;

use crate::compare::{Latency, Measured};
use crate::contenders::Contender;
use crate::goals::Goal;
use crate::machine::Machine;
use crate::statistics::Summary;

/// A table that can be written for a terminal and as Markdown.
#[derive(Debug)]
pub struct Sheet {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Sheet {
    /// An empty one.
    pub fn new(head: &[&str]) -> Self {
        Self {
            head: head.iter().map(|name| (*name).to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// For a terminal.
    pub fn text(&self) -> String {
        self.table(UTF8_FULL_CONDENSED).to_string()
    }

    /// For a page.
    pub fn markdown(&self) -> String {
        self.table(ASCII_MARKDOWN).to_string()
    }

    fn table(&self, style: TableStyle) -> Table {
        let mut table = Table::new();
        table
            .load_style(style)
            .set_header(&self.head)
            .add_rows(&self.rows);
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }
}

/// What was measured of each contender.
pub fn contenders(measured: &[Measured]) -> Sheet {
    let mut sheet = Sheet::new(&[
        "contender",
        "CPU, µs",
        "added (quartiles)",
        "times none",
        "requests/s",
        "rate/s",
        "p50, µs",
        "p99, µs",
        "p99.9, µs",
    ]);
    let none = measured
        .iter()
        .find(|measured| measured.contender == Contender::None);
    for one in measured {
        let latency = |part: fn(&Latency) -> f64| {
            let value = Summary::of(one.latency.iter().map(part)).median;
            number(value, 0)
        };
        let cpu = Summary::of(one.cpu_us.iter().copied());
        let added = added(one, none);
        sheet.row(vec![
            one.contender.description().to_owned(),
            number(cpu.median, 2),
            added.map_or(String::new(), |added| {
                format!(
                    "{:.2} ({:.2} to {:.2})",
                    added.median, added.lower_quartile, added.upper_quartile
                )
            }),
            none.map_or(String::new(), |none| {
                let ratios = crate::goals::ratios(&one.cpu_us, &none.cpu_us);
                number(Summary::of(ratios).median, 2)
            }),
            number(Summary::of(one.throughput.iter().copied()).median, 0),
            number(one.rate, 0),
            latency(|latency| latency.p50),
            latency(|latency| latency.p99),
            latency(|latency| latency.p999),
        ]);
    }
    sheet
}

/// What a contender adds to the processor time of a request without filter, in microseconds.
pub fn added(one: &Measured, none: Option<&Measured>) -> Option<Summary> {
    let none = none.filter(|none| none.contender != one.contender)?;
    let rounds = one.cpu_us.iter().zip(&none.cpu_us);
    Some(Summary::of(rounds.map(|(one, none)| one - none)))
}

/// Aims and what was reached.
pub fn goals(goals: &[Goal]) -> Sheet {
    let mut sheet = Sheet::new(&["aim", "at most", "reached (quartiles)", "met"]);
    for goal in goals {
        sheet.row(vec![
            goal.what.clone(),
            format!("{}", goal.limit),
            format!(
                "{:.2} ({:.2} to {:.2})",
                goal.value.median, goal.value.lower_quartile, goal.value.upper_quartile
            ),
            if goal.met { "yes" } else { "NO" }.to_owned(),
        ]);
    }
    sheet
}

/// A number of this many decimals; nothing where it is none.
pub fn number(value: f64, decimals: usize) -> String {
    if value.is_nan() {
        String::new()
    } else {
        format!("{value:.decimals$}")
    }
}

/// Prints a report, and writes it beside its data: `NAME.md` and `NAME.json`.
pub fn publish(
    folder: &Path,
    name: &str,
    machine: &Machine,
    sheets: &[Sheet],
    data: &impl Serialize,
) -> Result<()> {
    println!("{}", machine.line());
    let mut page = format!("{}\n", machine.line());
    for sheet in sheets {
        println!("{}", sheet.text());
        page.push_str(&format!("\n{}\n", sheet.markdown()));
    }
    fs::write(folder.join(format!("{name}.md")), page)?;
    let json = serde_json::to_string_pretty(data)?;
    fs::write(folder.join(format!("{name}.json")), json)?;
    println!("written to {}/{name}.{{md,json,svg}}", folder.display());
    Ok(())
}
