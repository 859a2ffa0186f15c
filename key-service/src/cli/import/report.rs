//! What became of each line, as soon as it is known.

use std::io::{IsTerminal as _, Write as _};

use serde_json::Value;

use super::batch::Batch;
use super::converted::Converted;
use crate::cli::outcome::{Failure, Outcome};
use crate::cli::output::{self, plain, print_line};

/// What became of the lines so far.
pub struct Report<'c> {
    converted: &'c Converted,
    json: bool,
    dry_run: bool,
    begun: bool,
    progress: bool,
    seen: usize,
    imported: u64,
    existing: u64,
    /// Lines that are wrong.
    pub failed: u64,
}

impl<'c> Report<'c> {
    /// Of nothing so far.
    pub fn new(json: bool, dry_run: bool, converted: &'c Converted) -> Self {
        Self {
            converted,
            json,
            dry_run,
            begun: false,
            progress: std::io::stderr().is_terminal(),
            seen: 0,
            imported: 0,
            existing: 0,
            failed: 0,
        }
    }

    /// Takes note of an answer, and prints it.
    pub fn add(&mut self, answer: &Value, batch: &Batch) {
        self.count(answer);
        self.print(answer, batch);
    }

    /// Takes note of an answer.
    pub fn count(&mut self, answer: &Value) {
        let number = |name| answer.get(name).and_then(Value::as_u64).unwrap_or_default();
        self.imported += number("imported");
        self.existing += number("existing");
        self.failed += number("failed");
        self.seen += lines_of(answer).count();
    }

    /// A row or an entry a line, as soon as it is known: a long import shows what it does.
    pub fn print(&mut self, answer: &Value, batch: &Batch) {
        self.erase_progress();
        for line in lines_of(answer) {
            let place = line.get("line").and_then(Value::as_u64).unwrap_or(1);
            let place = usize::try_from(place).unwrap_or(1);
            let number = batch.numbers.get(place - 1).copied().unwrap_or(place);
            if self.json {
                let mut line = line.clone();
                if let Some(fields) = line.as_object_mut() {
                    fields.insert("line".to_owned(), number.into());
                    fields.extend(self.label(number).map(|of| ("of".to_owned(), of.into())));
                }
                let before = if self.begun { "," } else { "{\"lines\": [\n" };
                print_line(&format!("{before}{line}"));
            } else {
                if !self.begun {
                    print_line("    LINE  RESULT    ID                    REMARKS");
                }
                print_line(self.row(number, line).trim_end());
            }
            self.begun = true;
        }
    }

    /// What a line came from.
    fn label(&self, number: usize) -> Option<&'c str> {
        let label = self.converted.labels.get(number.checked_sub(1)?)?;
        (!label.is_empty()).then_some(label)
    }

    fn row(&self, number: usize, line: &Value) -> String {
        let text = |name: &str| line.get(name).and_then(Value::as_str).unwrap_or("-");
        let result = match text("result") {
            "imported" if self.dry_run => "right",
            result => result,
        };
        // The id of a check is of a key that is never made.
        let id = match result {
            "right" => "-",
            _ => text("id"),
        };
        let remarks = ["warnings", "errors"]
            .iter()
            .filter_map(|name| line.get(*name));
        let remarks = remarks.filter_map(Value::as_array).flatten().map(plain);
        let label = self.label(number).map(|of| format!("{of}:"));
        let label = label.filter(|_| result == "failed");
        let made = line
            .get("user_created")
            .map(|_| "its user is made".to_owned());
        let remarks = label.into_iter().chain(made).chain(remarks);
        let remarks = remarks.collect::<Vec<_>>().join(" ");
        format!(
            "{number:>8}  {result:<8}  {id:<20}  {}",
            remarks.trim_end_matches(';')
        )
    }

    /// Says how far it is, to who watches.
    pub fn progress(&self, batches: &[Batch]) {
        if self.progress {
            let all: usize = batches.iter().map(|batch| batch.numbers.len()).sum();
            let doing = if self.dry_run { "checked" } else { "imported" };
            let _ = write!(
                std::io::stderr(),
                "\r\x1b[K{} of {all} lines {doing}",
                self.seen
            );
        }
    }

    /// Takes back what [`Self::progress`] wrote.
    pub fn erase_progress(&self) {
        if self.progress {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }

    /// The sums, after the lines.
    pub fn finish(&mut self) {
        self.erase_progress();
        let left_out = &self.converted.left_out;
        let Self {
            imported,
            existing,
            failed,
            dry_run,
            ..
        } = self;
        if self.json {
            let begin = if self.begun { "]," } else { "{\"lines\": []," };
            print_line(&format!(
                "{begin}\n\"dry_run\": {dry_run}, \"imported\": {imported}, \"existing\": {existing}, \
                 \"failed\": {failed}, \"left_out\": {}}}",
                Value::from(left_out.as_slice())
            ));
            return;
        }
        for what in left_out {
            output::note(&format!("left out: {what}"));
        }
        output::note(&match dry_run {
            true => format!(
                "nothing is imported: {imported} right, {existing} there already, {failed} would fail"
            ),
            false => format!("{imported} imported, {existing} there already, {failed} failed"),
        });
    }

    /// The sums, and whether all lines were right.
    pub fn end(mut self) -> Outcome {
        self.finish();
        match self.failed {
            0 => Ok(()),
            failed => Err(Failure::Refused(format!(
                "{failed} of {} lines failed: see their remarks",
                self.seen
            ))),
        }
    }
}

fn lines_of(answer: &Value) -> impl Iterator<Item = &Value> {
    answer
        .get("lines")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}
