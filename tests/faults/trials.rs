//! Every trial, one after the other.

use comfy_table::Table;
use comfy_table::presets::ASCII_MARKDOWN;
use std::io::Write;
use std::time::Duration;
use support::failure::{Failure, Result};
use support::fault_trials::{Engine, Pace, RECOVERED, Report, Stock, Trial, trials};

/// Which of them.
#[derive(clap::Args)]
pub struct Arguments {
    /// Where the key service keeps its records
    #[arg(long, value_enum, default_value = "sqlite", value_name = "ENGINE")]
    database: Engine,
    /// Only trials whose name contains this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
}

/// How often a replica, and PostgreSQL, is killed under writes.
const MOMENTS: usize = 100;

/// The longest that any request may take: `key_service.timeout`, a tick, and what a busy machine adds.
const SLOWEST: Duration = Duration::from_millis(500 + 100 + 400);

/// Runs them and prints a table. False where a promise was broken.
pub async fn run(arguments: Arguments) -> Result<bool> {
    let chosen: Vec<_> = trials(arguments.database)
        .into_iter()
        .filter(|trial| {
            arguments
                .only
                .as_ref()
                .is_none_or(|only| trial.name.contains(only.as_str()))
        })
        .collect();
    if chosen.is_empty() {
        let all = trials(arguments.database);
        let names: Vec<&str> = all.iter().map(|trial| trial.name).collect();
        return Err(Failure::new(format!(
            "--only fits no trial; there are: {}",
            names.join(", ")
        )));
    }
    let pace = Pace {
        before: Duration::from_millis(1500),
        fault: Duration::from_secs(4),
        every: Duration::from_millis(8),
        moments: MOMENTS,
    };
    println!("making a database");
    let mut stock = Stock::make_on(arguments.database, 40_000).await?;
    let mut reports = Vec::new();
    for (number, trial) in chosen.iter().enumerate() {
        print!("{} of {}: {} ... ", number + 1, chosen.len(), trial.name);
        std::io::stdout().flush()?;
        let mut report = trial.run(&mut stock, &pace).await?;
        report.broken.extend(too_late(trial, &report));
        println!(
            "{}",
            if report.broken.is_empty() {
                "ok"
            } else {
                "BROKEN"
            }
        );
        if report.acknowledged > 0 {
            let count = report.acknowledged;
            println!("    {count} acknowledged writes were looked for in the end");
        }
        for broken in &report.broken {
            println!("    {broken}");
        }
        reports.push(report);
    }
    println!("\n{}\n", table(&reports));
    println!(
        "recovered: from the end of the fault until the last request was sent that was refused because of it; \
         at most {} s.\nobeyed: from then, or from the revocation, until the last answer that let the revoked \
         key through; at most as long, or as a long poll where its answer was swallowed.\nlost: no whole answer; must be 0. left: the client hung up.",
        RECOVERED.as_secs()
    );
    let broken = reports
        .iter()
        .filter(|report| !report.broken.is_empty())
        .count();
    println!("{} trials, {broken} with a broken promise", reports.len());
    Ok(broken == 0)
}

fn too_late(trial: &Trial, report: &Report) -> Vec<String> {
    let bounds = [
        ("recovered", report.recovered, RECOVERED),
        ("obeyed", report.obeyed, trial.obeyed()),
        ("slowest", report.slowest, SLOWEST),
    ];
    bounds
        .into_iter()
        .filter(|(_, took, most)| took > most)
        .map(|(what, took, most)| format!("{what} after {took:.1?}, more than {most:.1?}"))
        .collect()
}

fn table(reports: &[Report]) -> Table {
    let millis = |duration: Duration| format!("{} ms", duration.as_millis());
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header([
        "fault",
        "sent",
        "allowed",
        "key_unknown",
        "key_revoked",
        "503 unavailable",
        "503 overloaded",
        "lost",
        "left",
        "slowest",
        "median 503",
        "recovered",
        "obeyed",
        "promises",
    ]);
    for report in reports {
        let count = |code| report.refused(code).to_string();
        table.add_row([
            report.name.to_owned(),
            report.sent.to_string(),
            report.allowed.to_string(),
            count("key_unknown"),
            count("key_revoked"),
            count("key_service_unavailable"),
            count("overloaded"),
            report.lost.to_string(),
            report.left.to_string(),
            millis(report.slowest),
            report.unavailable.map_or_else(|| "-".to_owned(), millis),
            millis(report.recovered),
            millis(report.obeyed),
            if report.broken.is_empty() {
                "kept".to_owned()
            } else {
                "BROKEN".to_owned()
            },
        ]);
    }
    table
}
