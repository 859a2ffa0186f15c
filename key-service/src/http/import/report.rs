//! What became of the lines of an import.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::refusal::{FieldError, Refusal};

/// What became of each line.
#[derive(Default, Serialize, ToSchema)]
pub struct ImportReport {
    /// Lines that became keys.
    pub imported: usize,
    /// Lines whose key was there already, and was left as it is.
    pub existing: usize,
    /// Lines that are wrong.
    pub failed: usize,
    pub lines: Vec<LineReport>,
}

/// What became of a line.
#[derive(Serialize, ToSchema)]
pub struct LineReport {
    /// Number of the line, from 1.
    pub line: usize,
    pub result: LineResult,
    /// Id of the key.
    pub id: Option<String>,
    /// Its user did not exist, and was made.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub user_created: bool,
    /// Why gateways will refuse the key although it was imported.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<&'static str>,
    /// What is wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum LineResult {
    Imported,
    Existing,
    Failed,
}

/// What became of a line that was not refused.
pub struct Done {
    pub result: LineResult,
    pub id: String,
    pub user_created: bool,
    pub warnings: Vec<&'static str>,
}

impl Done {
    pub fn existing(id: String) -> Self {
        Self {
            result: LineResult::Existing,
            id,
            user_created: false,
            warnings: Vec::new(),
        }
    }
}

impl ImportReport {
    pub fn add(&mut self, line: usize, outcome: Result<Done, Refusal>) {
        let report = match outcome {
            Ok(done) => LineReport {
                line,
                result: done.result,
                id: Some(done.id),
                user_created: done.user_created,
                warnings: done.warnings,
                errors: Vec::new(),
            },
            Err(refusal) => LineReport {
                line,
                result: LineResult::Failed,
                id: None,
                user_created: false,
                warnings: Vec::new(),
                errors: refusal.within(""),
            },
        };
        match report.result {
            LineResult::Imported => self.imported += 1,
            LineResult::Existing => self.existing += 1,
            LineResult::Failed => self.failed += 1,
        }
        self.lines.push(report);
    }

    /// The errors of all lines, with the line's number before the field.
    pub fn errors(self) -> Vec<FieldError> {
        let errors = self
            .lines
            .into_iter()
            .flat_map(|line| Refusal::Invalid(line.errors).within(&format!("line {}", line.line)));
        errors.collect()
    }
}
