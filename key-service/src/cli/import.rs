//! `key-service key import`: any number of lines, sent in batches that the service takes.

use std::io::{IsTerminal, Write as _};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use ureq::http::Method;

use super::client::Remote;
use super::outcome::{Failure, Outcome};
use super::output::{self, plain, print_line};

const HELP: &str = r#"A line holds either the key or its digest (base64url, made as the gateway makes it), and what else
there is to say:
  {"key": "old-key-in-clear", "user_id": "usr_a", "scopes": ["orders:read"], "expires_at": 1790000000}
  {"digest": "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0", "user_id": "usr_b", "status": "disabled"}
Further fields: id, tenant_id, environment, name, not_before, networks, hours, hint.
A byte order mark at the begin of the file and CRLF at the end of lines are taken.

Any number of lines is sent in batches. Without --partial all of them are checked first, and a wrong one keeps all
out. Importing again changes nothing: a key that is there already is left as it is, and reported as existing. So
after a break, run it again, or go on with the --from-line that is printed.

Exit code 1 where a line failed, also with --partial. Others: see key-service --help."#;

/// Lines of a batch at most: what the service writes in a small part of the time that a request has.
const MOST_LINES: usize = 500;
/// Bytes of a batch at most, below the 1 MiB that a body may have.
const MOST_BYTES: usize = 768 * 1024;

/// Which lines, and how.
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Arguments {
    /// File with a JSON object a line; - is standard input
    file: PathBuf,
    /// Import the lines that are right even though others are not
    #[arg(long)]
    partial: bool,
    /// Let the service check every line, and import none
    #[arg(long)]
    dry_run: bool,
    /// Take keys that have expired already; else their time is taken for a mistake
    #[arg(long)]
    allow_expired: bool,
    /// Pass over the lines before this one
    #[arg(long, value_name = "N", default_value = "1")]
    from_line: NonZeroUsize,
}

/// What is sent at once, with the numbers that its lines have in the file.
#[derive(Debug, PartialEq)]
struct Batch {
    numbers: Vec<usize>,
    body: Vec<u8>,
}

/// Imports, and prints what became of each line.
pub fn run(arguments: &Arguments, remote: &Remote) -> Outcome {
    let text = read(&arguments.file)?;
    let batches = batches(&text, arguments.from_line.get());
    if arguments.dry_run || !arguments.partial {
        let checked = check(arguments, remote, &batches)?;
        if arguments.dry_run || checked.failed > 0 {
            return checked.end();
        }
    }
    let mut report = Report::new(remote.json, false);
    for batch in &batches {
        let answer = send(arguments, remote, batch, false).map_err(|failure| {
            report.finish();
            stopped(failure, batch)
        })?;
        report.add(&answer, batch);
        report.progress(&batches);
    }
    report.end()
}

fn check(arguments: &Arguments, remote: &Remote, batches: &[Batch]) -> Result<Report, Failure> {
    let mut answers = Vec::new();
    let mut report = Report::new(remote.json, true);
    for batch in batches {
        let answer = send(arguments, remote, batch, true)?;
        report.count(&answer);
        report.progress(batches);
        answers.push(answer);
    }
    if arguments.dry_run || report.failed > 0 {
        for (answer, batch) in answers.iter().zip(batches) {
            report.print(answer, batch);
        }
    }
    report.erase_progress();
    Ok(report)
}

fn send(
    arguments: &Arguments,
    remote: &Remote,
    batch: &Batch,
    dry_run: bool,
) -> Result<Value, Failure> {
    if batch.body.is_empty() {
        let error = json!({"field": "", "message": format!("is longer than {MOST_BYTES} bytes")});
        let line = json!({"line": 1, "result": "failed", "errors": [error]});
        return Ok(json!({"imported": 0, "existing": 0, "failed": 1, "lines": [line]}));
    }
    let path = format!(
        "/keys/import?partial=true&dry_run={dry_run}&allow_expired={}",
        arguments.allow_expired
    );
    let content = ("application/x-ndjson", batch.body.clone());
    remote.send(&Method::POST, &path, Some(content))
}

fn stopped(failure: Failure, batch: &Batch) -> Failure {
    let first = batch.numbers.first().copied().unwrap_or(1);
    let more = format!(
        "\nStopped at line {first}: those before it are done. Go on with --from-line {first}, or run it again: \
         what is there already is left as it is"
    );
    failure.with(&more)
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let text = if file == Path::new("-") {
        let mut text = Vec::new();
        std::io::Read::read_to_end(&mut std::io::stdin().lock(), &mut text).map(|_| text)
    } else {
        std::fs::read(file)
    };
    text.map_err(|error| Failure::Usage(format!("cannot read {}: {error}", file.display())))
}

/// The lines from this one on, in batches. A line that is too long for any is one without a body.
fn batches(text: &[u8], from_line: usize) -> Vec<Batch> {
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    let mut batches: Vec<Batch> = Vec::new();
    let lines = text.split(|byte| *byte == b'\n').enumerate();
    for (index, line) in lines.skip(from_line - 1) {
        let (number, line) = (index + 1, line.trim_ascii());
        if line.is_empty() {
            continue;
        }
        let fits = |batch: &&mut Batch| {
            !batch.body.is_empty()
                && batch.numbers.len() < MOST_LINES
                && batch.body.len() + line.len() < MOST_BYTES
        };
        let too_long = line.len() >= MOST_BYTES;
        match batches.last_mut().filter(fits).filter(|_| !too_long) {
            Some(batch) => {
                batch.body.push(b'\n');
                batch.body.extend_from_slice(line);
                batch.numbers.push(number);
            }
            None => batches.push(Batch {
                numbers: vec![number],
                body: if too_long { Vec::new() } else { line.to_vec() },
            }),
        }
    }
    batches
}

/// What became of the lines so far.
struct Report {
    json: bool,
    dry_run: bool,
    begun: bool,
    progress: bool,
    seen: usize,
    imported: u64,
    existing: u64,
    failed: u64,
}

impl Report {
    fn new(json: bool, dry_run: bool) -> Self {
        Self {
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

    fn add(&mut self, answer: &Value, batch: &Batch) {
        self.count(answer);
        self.print(answer, batch);
    }

    fn count(&mut self, answer: &Value) {
        let number = |name| answer.get(name).and_then(Value::as_u64).unwrap_or_default();
        self.imported += number("imported");
        self.existing += number("existing");
        self.failed += number("failed");
        self.seen += lines_of(answer).count();
    }

    /// A row or an entry a line, as soon as it is known: a long import shows what it does.
    fn print(&mut self, answer: &Value, batch: &Batch) {
        self.erase_progress();
        for line in lines_of(answer) {
            let place = line.get("line").and_then(Value::as_u64).unwrap_or(1);
            let place = usize::try_from(place).unwrap_or(1);
            let number = batch.numbers.get(place - 1).copied().unwrap_or(place);
            if self.json {
                let mut line = line.clone();
                if let Some(fields) = line.as_object_mut() {
                    fields.insert("line".to_owned(), number.into());
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
        let remarks = remarks.collect::<Vec<_>>().join(" ");
        format!(
            "{number:>8}  {result:<8}  {id:<20}  {}",
            remarks.trim_end_matches(';')
        )
    }

    fn progress(&self, batches: &[Batch]) {
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

    fn erase_progress(&self) {
        if self.progress {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }

    /// The sums, after the lines.
    fn finish(&mut self) {
        self.erase_progress();
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
                 \"failed\": {failed}}}"
            ));
            return;
        }
        output::note(&match dry_run {
            true => format!(
                "nothing is imported: {imported} right, {existing} there already, {failed} would fail"
            ),
            false => format!("{imported} imported, {existing} there already, {failed} failed"),
        });
    }

    fn end(mut self) -> Outcome {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_their_numbers_in_batches() {
        let text = format!("\u{feff}{{}}\r\n\n{}", "{\"a\": 1}\n".repeat(MOST_LINES));
        let cut = batches(text.as_bytes(), 1);
        assert_eq!(cut.len(), 2);
        assert!(cut[0].body.starts_with(b"{}\n{\"a\": 1}\n"));
        assert_eq!(cut[0].numbers[..3], [1, 3, 4]);
        assert_eq!(cut[1].numbers, [MOST_LINES + 2]);
        assert_eq!(batches(text.as_bytes(), MOST_LINES + 2), cut[1..]);
        assert!(batches(text.as_bytes(), MOST_LINES + 3).is_empty());
        assert!(batches(b"", 1).is_empty());
    }

    #[test]
    fn no_batch_is_larger_than_the_service_takes() {
        let long = "x".repeat(MOST_BYTES / 2);
        let longest = "x".repeat(MOST_BYTES);
        let cut = batches(format!("{long}\n{long}\n{longest}\na\n").as_bytes(), 1);
        let sizes: Vec<usize> = cut.iter().map(|batch| batch.body.len()).collect();
        assert_eq!(sizes, [MOST_BYTES / 2, MOST_BYTES / 2, 0, 1]);
        assert_eq!(cut[2].numbers, [3]);
    }
}
