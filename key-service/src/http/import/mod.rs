//! `POST /admin/v1/keys/import`: keys that exist elsewhere, a JSON object a line.

use axum::extract::{Request, State};
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;

mod check;

use check::{Planned, check};

use super::app::{Actor, App};
use super::body::{Query, bytes, media_type, parse};
use super::problem::Problem;
use crate::domain::audit::Action;
use crate::domain::credential::{Credential, DIGEST, Digest, Digester};
use crate::domain::input::rules::{Switch, Text, any, object};
use crate::domain::input::{input, read};
use crate::domain::key::{Expired, Key, KeyImport, KeyStatus, KeyTerms};
use crate::domain::refusal::{FieldError, Refusal};
use crate::domain::tenant::Tenant;
use crate::domain::text::{ID, LINE};
use crate::domain::time::now;
use crate::domain::user::User;
use crate::store::{StoreError, Urgency, Write};

/// The path, whose requests take as long as their lines do.
pub const PATH: &str = "/admin/v1/keys/import";

/// Lines that are written at once, unless something more urgent waits: then it goes after the next line.
const PART: usize = 100;

input! {
    /// How to import.
    ImportQuery {
        /// Import the lines that are right even though others are not. Default false: all or none.
        partial: bool = or_default(Switch),
        /// Say what would become of each line, and write nothing. Default false.
        dry_run: bool = or_default(Switch),
        /// Take keys that have expired already. Default false: their time is taken for a mistake.
        allow_expired: bool = or_default(Switch),
    }
}

input! {
    /// A key that exists elsewhere. Either `key` or `digest` must be there.
    ImportLine {
        /// The key in clear. It is not stored.
        key: Option<Credential> = optional(FOREIGN),
        /// Its digest, made as the gateway makes it.
        digest: Option<Digest> = optional(DIGEST),
        /// What people find it by again, where only its digest is given.
        hint: Option<String> = optional(LINE),
        /// Its owner; missing is an orphan.
        user_id: Option<String> = optional(ID),
        /// `active` where it is missing.
        status: Option<KeyStatus> = optional(KeyStatus::RULE),
        /// All else.
        terms: KeyTerms = inline(object::<KeyTerms>()),
    }
}

/// A key in clear that was made elsewhere.
const FOREIGN: Text<Credential> = Text {
    parse: Credential::foreign,
    bounds: any,
};

/// What became of each line.
#[derive(Default, Serialize, ToSchema)]
pub struct ImportReport {
    /// Lines that became keys.
    imported: usize,
    /// Lines whose key was there already, and was left as it is.
    existing: usize,
    /// Lines that are wrong.
    failed: usize,
    lines: Vec<LineReport>,
}

/// What became of a line.
#[derive(Serialize, ToSchema)]
struct LineReport {
    /// Number of the line, from 1.
    line: usize,
    result: LineResult,
    /// Id of the key.
    id: Option<String>,
    /// Why gateways will refuse the key although it was imported.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<&'static str>,
    /// What is wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
}

#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum LineResult {
    Imported,
    Existing,
    Failed,
}

/// Imports existing keys, in clear or by digest, one JSON object a line: `key` or `digest`
/// (base64url, made as the gateway makes it), and the fields of a new key, `status` and `hint`.
/// Sending the same lines again changes nothing. All lines are checked first; then they are written in parts
/// of at most 100, so that nobody else waits for them: where that fails in between, the parts before it stay, and the
/// same lines can be sent again.
#[utoipa::path(
    post, path = "/admin/v1/keys/import", tag = "keys", params(ImportQuery),
    request_body(content = String, content_type = "application/x-ndjson"),
    responses(
        (status = 200, body = ImportReport),
        (status = 400, description = "A line is wrong, and nothing was imported", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Another write, made meanwhile, forbids a line: lines before it were imported", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn import(
    State(app): State<App>,
    Query(manner): Query<ImportQuery>,
    Extension(actor): Extension<Actor>,
    request: Request,
) -> Result<Json<ImportReport>, Problem> {
    let expired = match manner.allow_expired {
        true => Expired::Take,
        false => Expired::Refuse,
    };
    let media = media_type(request.headers());
    if media.is_some_and(|media| {
        !["application/x-ndjson", "application/ndjson"].contains(&media.as_str())
    }) {
        return Err(Problem::unsupported_media_type("application/x-ndjson"));
    }
    let body = bytes(request, &app).await?;
    if body.trim_ascii().is_empty() {
        let message = "the body holds no line: send a JSON object a line";
        return Err(Problem::invalid(vec![FieldError::new("", message)]));
    }
    // What some editors begin a file with is no part of the first line.
    let text = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&body);
    let lines: Vec<(usize, Result<KeyImport, Refusal>)> = text
        .split(|byte| *byte == b'\n')
        .enumerate()
        .filter(|(_, line)| !line.trim_ascii().is_empty())
        .map(|(index, line)| (index + 1, read_line(line, &app.settings.digester)))
        .collect();
    if !manner.partial {
        check(&app.store, &lines, expired).await?;
    }
    let mut report = ImportReport::default();
    let mut planned = Planned::default();
    let mut lines = lines.into_iter().peekable();
    while lines.peek().is_some() {
        let mut write = app.store.write_as(Urgency::Import, &actor.0, now()).await?;
        for (number, line) in lines.by_ref().take(PART) {
            let outcome = match line {
                Ok(line) => match planned.outcome(&line) {
                    Some(outcome) => outcome,
                    None => {
                        let digest = line.digest.clone();
                        let outcome = import_line(&mut write, line, expired).await?;
                        if manner.dry_run {
                            planned.add(&digest, &outcome);
                        }
                        outcome
                    }
                },
                Err(refusal) => Err(refusal),
            };
            if let (Err(refusal), false) = (&outcome, manner.partial) {
                return Err(overtaken(number, refusal.clone()));
            }
            report.add(number, outcome);
            if write.is_waited_for() {
                break;
            }
        }
        if !manner.dry_run {
            write.commit().await?;
        }
    }
    Ok(Json(report))
}

/// The answer where what was checked is not true any more.
fn overtaken(number: usize, refusal: Refusal) -> Problem {
    let why: Vec<String> = refusal
        .within(&format!("line {number}"))
        .into_iter()
        .map(|error| format!("{} {}", error.field, error.message))
        .collect();
    Problem::conflict(format!(
        "Another write came between: {}. Lines before that were imported; correct it, and send all lines again.",
        why.join("; ")
    ))
}

fn id_taken() -> Refusal {
    Refusal::field("id", "another key has this id")
}

/// Refused where the key is there already, under an id that is not the one of the line.
fn other_id(line: &KeyImport, there: &str) -> Option<Refusal> {
    let id = line.terms.id.as_deref()?;
    (id != there).then(|| Refusal::field("id", format!("the key is there already, as {there}")))
}

/// What became of a line that was not refused.
struct Done {
    result: LineResult,
    id: String,
    warnings: Vec<&'static str>,
}

impl Done {
    fn existing(id: String) -> Self {
        Self {
            result: LineResult::Existing,
            id,
            warnings: Vec::new(),
        }
    }
}

async fn import_line(
    write: &mut Write,
    line: KeyImport,
    expired: Expired,
) -> Result<Result<Done, Refusal>, StoreError> {
    if let Some(there) = write.key_by_digest(&line.digest).await? {
        return Ok(match other_id(&line, &there.id) {
            Some(refusal) => Err(refusal),
            None => Ok(Done::existing(there.id)),
        });
    }
    if let Some(id) = &line.terms.id
        && write.by_id::<Key>(id).await?.is_some()
    {
        return Ok(Err(id_taken()));
    }
    let owner = match &line.user_id {
        Some(id) => write.by_id::<User>(id).await?,
        None => None,
    };
    let key = Key::import(line, expired, owner.as_ref(), write.now());
    let key = match key {
        Ok(key) => write.put(Action::Import, None, key).await?,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let warnings = warnings(write, &key, owner.as_ref()).await?;
    Ok(Ok(Done {
        result: LineResult::Imported,
        id: key.id,
        warnings,
    }))
}

async fn warnings(
    write: &mut Write,
    key: &Key,
    owner: Option<&User>,
) -> Result<Vec<&'static str>, StoreError> {
    let mut warnings = Vec::new();
    match owner {
        None if key.user_id.is_none() => warnings.push("the key has no user"),
        None => warnings.push("there is no user of this id"),
        Some(owner) if owner.tenant_id != key.tenant_id => {
            warnings.push("its user belongs to another tenant")
        }
        Some(_) => {}
    }
    if let Some(tenant) = &key.tenant_id
        && write.by_id::<Tenant>(tenant).await?.is_none()
    {
        warnings.push("there is no tenant of this id");
    }
    Ok(warnings)
}

impl ImportReport {
    fn add(&mut self, line: usize, outcome: Result<Done, Refusal>) {
        let report = match outcome {
            Ok(done) => LineReport {
                line,
                result: done.result,
                id: Some(done.id),
                warnings: done.warnings,
                errors: Vec::new(),
            },
            Err(refusal) => LineReport {
                line,
                result: LineResult::Failed,
                id: None,
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
    fn errors(self) -> Vec<FieldError> {
        let errors = self
            .lines
            .into_iter()
            .flat_map(|line| Refusal::Invalid(line.errors).within(&format!("line {}", line.line)));
        errors.collect()
    }
}

fn read_line(line: &[u8], digester: &Digester) -> Result<KeyImport, Refusal> {
    let line: ImportLine = read(parse("the line", line)?)?;
    let (digest, hint) = match (line.key, line.digest) {
        (Some(key), None) => (digester.digest(&key), Some(key.hint())),
        (None, Some(digest)) => (digest, line.hint),
        _ => return Err(Refusal::field("", "needs either key or digest")),
    };
    Ok(KeyImport {
        digest,
        hint,
        status: line.status.unwrap_or(KeyStatus::Active),
        user_id: line.user_id,
        terms: line.terms,
    })
}
