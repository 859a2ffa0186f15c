//! `POST /admin/v1/keys/import`: keys that exist elsewhere, a JSON object a line.

use axum::extract::{Request, State};
use axum::{Extension, Json};

mod check;
mod known;
mod line;
mod report;

use check::{Planned, check};
use known::Known;
pub use line::ImportLine;
use line::{id_taken, key_taken, no_owner, other_id, read_line, within};
use report::{Done, ImportReport, LineResult};

use super::app::App;
use super::body::{Query, bytes, media_type};
use super::problem::Problem;
use crate::domain::audit::Action;
use crate::domain::input::input;
use crate::domain::input::rules::Switch;
use crate::domain::key::{Expired, Key, KeyImport};
use crate::domain::refusal::{FieldError, Refusal};
use crate::domain::text::ID;
use crate::domain::time::now;
use crate::domain::user::{User, UserDraft};
use crate::store::{StoreError, Urgency, View, Write};

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
        /// Make the users that do not exist, in the tenant of their first key. Default false.
        create_users: bool = or_default(Switch),
        /// Id of the tenant of all keys whose line names none; without it, it is that of their users.
        tenant: Option<String> = optional(ID),
    }
}

impl ImportQuery {
    fn expired(&self) -> Expired {
        match self.allow_expired {
            true => Expired::Take,
            false => Expired::Refuse,
        }
    }
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
        (status = 422, description = "A line breaks a rule of its tenant, and nothing was imported", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Another write, made meanwhile, forbids a line: lines before it were imported", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn import(
    State(app): State<App>,
    Extension(view): Extension<View>,
    Query(manner): Query<ImportQuery>,
    request: Request,
) -> Result<Json<ImportReport>, Problem> {
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
        .map(|(index, line)| {
            let line = read_line(line, &app.settings.digester)
                .map(|line| of_tenant(line, manner.tenant.as_ref()));
            (index + 1, line.and_then(|line| within(view.reach(), line)))
        })
        .collect();
    if !manner.partial {
        check(&view, &lines, manner.expired()).await?;
    }
    let mut report = ImportReport::default();
    let mut planned = Planned::default();
    let mut rest = lines.as_slice();
    while !rest.is_empty() {
        let mut write = view.write_as(Urgency::Import, now()).await?;
        let part = rest.get(..PART).unwrap_or(rest);
        let good = part.iter().filter_map(|(_, line)| line.as_ref().ok());
        let mut known = Known::all(&mut write, view.reach(), good).await?;
        for (number, line) in part {
            let number = *number;
            rest = rest.get(1..).unwrap_or_default();
            let outcome = match line.clone() {
                Ok(line) => match planned.outcome(&line) {
                    Some(outcome) => outcome,
                    None => {
                        let digest = line.digest.clone();
                        let outcome = import_line(&mut write, &mut known, line, &manner).await?;
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

async fn import_line(
    write: &mut Write,
    known: &mut Known,
    line: KeyImport,
    manner: &ImportQuery,
) -> Result<Result<Done, Refusal>, StoreError> {
    if let Some(there) = known.digests.get(line.digest.as_str()) {
        let Some(there) = there else {
            return Ok(Err(key_taken()));
        };
        return Ok(match other_id(&line, there) {
            Some(refusal) => Err(refusal),
            None => Ok(Done::existing(there.clone())),
        });
    }
    if known.lacks_owner(&line) {
        return Ok(Err(no_owner()));
    }
    if let Some(id) = &line.terms.id
        && known.ids.contains(id)
    {
        return Ok(Err(id_taken()));
    }
    let owner = line.user_id.as_ref().and_then(|id| known.users.get(id));
    let new_owner = match (&line.user_id, owner) {
        (Some(id), None) if manner.create_users => {
            Some(new_user(id, line.terms.tenant_id.as_ref()))
        }
        _ => None,
    };
    let new_owner = match new_owner
        .map(|draft| User::create(draft, write.now()))
        .transpose()
    {
        Ok(new_owner) => new_owner,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let key = match known.key(line, manner.expired(), new_owner.as_ref(), write.now()) {
        Ok(key) => key,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let warnings = warnings(known, &key, owner.or(new_owner.as_ref()));
    let user_created = new_owner.is_some();
    // Before its key: who follows the changes never sees a key without it.
    if let Some(user) = new_owner {
        let user = write.put(Action::Create, None, user).await?;
        known.users.insert(user.id.clone(), user);
    }
    let key = write.put(Action::Import, None, key).await?;
    known.add(&key);
    Ok(Ok(Done {
        result: LineResult::Imported,
        id: key.id,
        user_created,
        warnings,
    }))
}

fn of_tenant(mut line: KeyImport, tenant: Option<&String>) -> KeyImport {
    let terms = &mut line.terms;
    terms.tenant_id = terms.tenant_id.take().or_else(|| tenant.cloned());
    line
}

fn new_user(id: &str, tenant: Option<&String>) -> UserDraft {
    UserDraft {
        id: Some(id.to_owned()),
        tenant_id: tenant.cloned(),
        ..UserDraft::default()
    }
}

fn warnings(known: &Known, key: &Key, owner: Option<&User>) -> Vec<&'static str> {
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
        && !known.tenants.contains(tenant)
    {
        warnings.push("there is no tenant of this id");
    }
    warnings
}
