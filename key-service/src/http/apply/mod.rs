//! `POST /admin/v1/apply` and `POST /admin/v1/diff`: tenants, users and keys as files describe them, made so or
//! compared.
//!
//! All of it is planned and checked before any of it is written. What is written is planned again from what is there
//! then: where that is not what was seen before, another has changed it meanwhile, and is not overwritten.

use std::collections::HashMap;

use axum::Extension;
use axum::extract::State;

mod known;
mod plan;
mod report;
mod unnamed;

use plan::{Change, Step, What, plan};
use report::ApplyReport;
use unnamed::Unnamed;

use super::app::App;
use super::body::{Body, Query};
use super::in_use::refuse_if_in_use;
use super::problem::Problem;
use super::version::{IfMatch, Tag, Tagged};
use crate::domain::entry::{KeyEntry, TenantEntry, UserEntry};
use crate::domain::input::input;
use crate::domain::input::rules::{Switch, objects};
use crate::domain::refusal::{FieldError, Refusal};
use crate::domain::time::now;
use crate::store::lookup::Lookup;
use crate::store::usage::Stopped;
use crate::store::{StoreError, Urgency, View, Write};

/// The path, whose requests take as long as their records do.
pub const PATH: &str = "/admin/v1/apply";
/// The path of the same without writing.
pub const DIFF: &str = "/admin/v1/diff";

/// Bytes of a body at most: some 40,000 keys.
pub const LARGEST: usize = 16 * 1024 * 1024;
/// Entries of a list at most.
const MOST: usize = 100_000;
/// Changes that are written at once: nobody else writes meanwhile.
const PART: usize = 250;
/// Keys whose use is asked for at once.
const ASKED: usize = 500;

input! {
    /// Tenants, users and keys as files describe them: each entry has an id. Of a record that is there, what its entry
    /// does not name stays as it is, and null takes away what is there.
    Described {
        /// Tenants, with what their keys must have.
        tenants: Vec<TenantEntry> = or_default(objects::<TenantEntry>(MOST)),
        /// Users.
        users: Vec<UserEntry> = or_default(objects::<UserEntry>(MOST)),
        /// Keys.
        keys: Vec<KeyEntry> = or_default(objects::<KeyEntry>(MOST)),
    }
}

input! {
    /// How to compare.
    DiffQuery {
        /// Deactivate users and revoke keys that are not named, in the tenants that are. Default false.
        prune: bool = or_default(Switch),
    }
}

input! {
    /// How to apply.
    ApplyQuery {
        /// Deactivate users and revoke keys that are not named, in the tenants that are. Default false.
        prune: bool = or_default(Switch),
        /// Do it even though keys that it stops were used in the last 30 days, or nobody reports use.
        force: bool = or_default(Switch),
    }
}

/// Says what an apply would change, and changes nothing.
#[utoipa::path(
    post, path = DIFF, tag = "diff", params(DiffQuery), request_body = Described,
    responses(
        (status = 200, body = ApplyReport),
        (status = 422, description = "An entry breaks a rule of its tenant", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn diff(
    State(app): State<App>,
    Extension(view): Extension<View>,
    Query(DiffQuery { prune }): Query<DiffQuery>,
    Body(described): Body<Described>,
) -> Result<Tagged<ApplyReport>, Problem> {
    let unnamed = unnamed(&view, &described, prune).await?;
    let steps = steps(&described, &unnamed)?;
    let changes = planned(&app, &view, &steps).await?;
    let report = ApplyReport::of(&changes, described.entries())?;
    Ok(Tagged::new(Tag::of_plan(&report.plan), report))
}

/// Makes tenants, users and keys what the entries say. All of them are checked first, and a wrong one keeps all out.
/// Up to 250 changes are written at once; more of them in parts, so that nobody else waits for long: where that fails in
/// between, the parts before it stay, and the same can be sent again.
#[utoipa::path(
    post, path = PATH, tag = "apply", params(ApplyQuery), request_body = Described,
    responses(
        (status = 200, description = "What was changed", body = ApplyReport),
        (status = 409, description = "Keys are in use that would be stopped; or another write, made meanwhile, came between", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "What would be changed is not what the plan in if-match says", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "An entry breaks a rule of its tenant", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn apply(
    State(app): State<App>,
    Extension(view): Extension<View>,
    Query(ApplyQuery { prune, force }): Query<ApplyQuery>,
    expected: IfMatch,
    Body(described): Body<Described>,
) -> Result<Tagged<ApplyReport>, Problem> {
    let unnamed = unnamed(&view, &described, prune).await?;
    let steps = steps(&described, &unnamed)?;
    let changes = planned(&app, &view, &steps).await?;
    let report = ApplyReport::of(&changes, described.entries())?;
    let tag = Tag::of_plan(&report.plan);
    let remedy = "Records were changed after they were compared, and nothing was written. Compare again, and look at what \
                  would be changed now.";
    expected.check_tag(&tag, remedy)?;
    let stops = changes.iter().any(|change| change.what.stops());
    let urgency = match changes.len() > PART {
        true => Urgency::Import,
        false => Urgency::of_change(stops),
    };
    let mut done = 0;
    for part in changes.chunks(PART) {
        let mut write = view.write_as(urgency, now()).await?;
        if done == 0 && !force {
            refuse_stops(&mut write, &changes).await?;
        }
        let again = again(&app, &mut write, part).await?;
        if let Err(why) = again {
            return Err(overtaken(&why, done));
        }
        for change in part {
            put(&mut write, change).await?;
        }
        write.commit().await?;
        done += part.len();
    }
    Ok(Tagged::new(tag, report))
}

impl Described {
    fn entries(&self) -> usize {
        self.tenants.len() + self.users.len() + self.keys.len()
    }
}

async fn unnamed(view: &View, described: &Described, prune: bool) -> Result<Unnamed, Problem> {
    if !prune {
        return Ok(Unnamed::default());
    }
    if described.tenants.is_empty() {
        let message = "must name at least one, where what is not named is to be stopped: that is looked for in these \
                       tenants alone";
        return Err(Refusal::field("tenants", message).into());
    }
    Ok(Unnamed::of(view, described).await?)
}

/// What to look at, in the order in which it is written: who follows the changes sees no key before its user.
fn steps<'d>(described: &'d Described, unnamed: &'d Unnamed) -> Result<Vec<Step<'d>>, Refusal> {
    let tenants = described.tenants.iter().enumerate();
    let users = described.users.iter().enumerate();
    let keys = described.keys.iter().enumerate();
    let mut errors = given_twice(
        "tenants",
        tenants.clone().map(|(_, entry)| entry.id.as_str()),
    );
    errors.extend(given_twice(
        "users",
        users.clone().map(|(_, entry)| entry.id.as_str()),
    ));
    errors.extend(given_twice(
        "keys",
        keys.clone().map(|(_, entry)| entry.id.as_str()),
    ));
    Refusal::unless_empty(errors)?;
    let steps = tenants
        .map(|(place, entry)| Step::Tenant(place, entry))
        .chain(users.map(|(place, entry)| Step::User(place, entry)))
        .chain(keys.map(|(place, entry)| Step::Key(place, entry)))
        .chain(unnamed.keys.iter().map(|id| Step::UnnamedKey(id)))
        .chain(unnamed.users.iter().map(|id| Step::UnnamedUser(id)));
    Ok(steps.collect())
}

fn given_twice<'d>(list: &str, ids: impl Iterator<Item = &'d str>) -> Vec<FieldError> {
    let mut first = HashMap::new();
    let mut errors = Vec::new();
    for (place, id) in ids.enumerate() {
        if let Some(before) = first.insert(id, place) {
            let message = format!("is given twice: {list}[{before}] has it too");
            errors.push(FieldError::new(format!("{list}[{place}].id"), message));
        }
    }
    errors
}

async fn planned<'d>(
    app: &App,
    view: &View,
    steps: &[Step<'d>],
) -> Result<Vec<Change<'d>>, Problem> {
    let digester = &app.settings.digester;
    let planned = plan(Lookup::Before(view), steps, digester, now()).await?;
    planned.map_err(Problem::invalid)
}

/// Plans a part again, in its write. An error says what is not any more as it was.
async fn again(
    app: &App,
    write: &mut Write,
    part: &[Change<'_>],
) -> Result<Result<(), String>, StoreError> {
    let mut steps: Vec<Step<'_>> = Vec::with_capacity(part.len());
    for change in part {
        // A tenant and its rules are two changes of one step.
        if steps
            .last()
            .is_none_or(|last| last.path() != change.step.path())
        {
            steps.push(change.step);
        }
    }
    let now = write.now();
    let planned = plan(Lookup::Within(write), &steps, &app.settings.digester, now).await?;
    let planned = match planned {
        Ok(planned) => planned,
        Err(errors) => {
            let why = errors
                .iter()
                .map(|error| format!("{} {}", error.field, error.message));
            return Ok(Err(why.collect::<Vec<_>>().join("; ")));
        }
    };
    let mut by_step: HashMap<String, Vec<&What>> = HashMap::new();
    for again in &planned {
        by_step
            .entry(again.step.path())
            .or_default()
            .push(&again.what);
    }
    let differs = part.iter().find(|change| {
        let again = by_step.get(&change.step.path());
        !again.is_some_and(|again| again.iter().any(|what| what.begins_as(&change.what)))
    });
    Ok(match differs {
        Some(change) => Err(format!("{} was changed", change.step.path())),
        None => Ok(()),
    })
}

/// The answer where what was planned is not true any more.
fn overtaken(why: &str, done: usize) -> Problem {
    let done = match done {
        0 => "Nothing was written.".to_owned(),
        done => format!("{done} changes before that were written."),
    };
    Problem::conflict(format!(
        "Another write came between: {why}. {done} Apply again."
    ))
}

/// Refuses to stop keys that are in use.
async fn refuse_stops(write: &mut Write, changes: &[Change<'_>]) -> Result<(), Problem> {
    let mut keys = Vec::new();
    for change in changes.iter().filter(|change| change.what.stops()) {
        match &change.what {
            What::Tenant(_, after) => {
                refuse_if_in_use(write, Stopped::OfTenant(&after.id)).await?;
            }
            What::User(_, after) => refuse_if_in_use(write, Stopped::OfUser(&after.id)).await?,
            // Who says that a key is revoked means it; that a line is missing may be a mistake.
            What::Key(_, after) => {
                let asked = change.step.is_unnamed() || after.revoked_at.is_none();
                keys.extend(asked.then_some(after.id.as_str()));
            }
            What::Rules(..) => {}
        }
    }
    for part in keys.chunks(ASKED) {
        refuse_if_in_use(write, Stopped::Keys(part)).await?;
    }
    Ok(())
}

async fn put(write: &mut Write, change: &Change<'_>) -> Result<(), StoreError> {
    let action = change.what.action();
    match change.what.clone() {
        What::Tenant(before, after) => drop(write.put(action, before.as_deref(), *after).await?),
        What::User(before, after) => drop(write.put(action, before.as_deref(), *after).await?),
        What::Key(before, after) => drop(write.put(action, before.as_deref(), *after).await?),
        What::Rules(tenant, _, after) => write.put_key_rules(&tenant, after.as_ref()).await?,
    }
    Ok(())
}
