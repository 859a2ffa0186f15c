//! `/scim/v2`: the users of one tenant, as the directory keeps them that they come from (RFC 7643 and 7644).
//!
//! A directory is obeyed at once, and never refused because keys are in use: it is the signal that somebody left.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::{Extension, extract};
use serde_json::Value;

pub mod discovery;
pub mod fault;
mod filter;
mod names;
mod query;
mod resource;
mod said;

use query::Asked;
use resource::{Base, MEDIA, Scim, list as listed, resource};

use super::app::App;
use super::body::{Id, json_object};
use super::problem::Problem;
use crate::domain::audit::Action;
use crate::domain::directory::Said;
use crate::domain::input::read;
use crate::domain::time::now;
use crate::domain::user::{User, UserStatus};
use crate::store::people::LeftInUse;
use crate::store::{Note, Urgency, View, Write};

/// The parameters of a query.
type Parameters = extract::Query<Vec<(String, String)>>;

/// Lists users, oldest first.
#[utoipa::path(
    get, path = "/scim/v2/Users", tag = "scim_users",
    responses((status = 200, body = Object, content_type = MEDIA)),
)]
pub async fn list(
    Extension(view): Extension<View>,
    headers: HeaderMap,
    query: Parameters,
) -> Result<Scim, Problem> {
    found(&view, &Base::of(&headers), &Asked::of_query(&query)?).await
}

/// Lists users as a body asks for them.
#[utoipa::path(
    post, path = "/scim/v2/Users/.search", tag = "scim_users",
    request_body(content = Object, content_type = MEDIA),
    responses((status = 200, body = Object, content_type = MEDIA)),
)]
pub async fn search(
    State(app): State<App>,
    Extension(view): Extension<View>,
    headers: HeaderMap,
    request: extract::Request,
) -> Result<Scim, Problem> {
    let body = json_object(request, &app).await?;
    found(&view, &Base::of(&headers), &Asked::of(&body)?).await
}

/// The same: there are no other resources.
#[utoipa::path(
    post, path = "/scim/v2/.search", tag = "scim",
    request_body(content = Object, content_type = MEDIA),
    responses((status = 200, body = Object, content_type = MEDIA)),
)]
pub async fn search_all(
    app: State<App>,
    view: Extension<View>,
    headers: HeaderMap,
    request: extract::Request,
) -> Result<Scim, Problem> {
    search(app, view, headers, request).await
}

async fn found(view: &View, base: &Base, asked: &Asked) -> Result<Scim, Problem> {
    let people = view
        .people(&asked.filter, asked.start - 1, asked.count)
        .await?;
    let shown = |user: &User| asked.shown.of(resource(user, base));
    let users = people.users.iter().map(shown).collect();
    Ok(Scim(
        StatusCode::OK,
        listed(users, asked.start, people.total),
    ))
}

/// Creates a user.
#[utoipa::path(
    post, path = "/scim/v2/Users", tag = "scim_users",
    request_body(content = Object, content_type = MEDIA),
    responses(
        (status = 201, body = Object, content_type = MEDIA),
        (status = 409, description = "The userName is taken", body = Object, content_type = MEDIA),
    ),
)]
pub async fn create(
    State(app): State<App>,
    Extension(view): Extension<View>,
    query: Parameters,
    headers: HeaderMap,
    request: extract::Request,
) -> Result<Scim, Problem> {
    let said = said::resource(&json_object(request, &app).await?)?;
    let draft = User::create(read(Value::Object(serde_json::Map::new()))?, now())?;
    let draft = User {
        tenant_id: view.reach().tenant().map(str::to_owned),
        ..draft
    };
    let user = draft.after(said);
    let mut write = view.write(user.created_at).await?;
    refuse_taken(&mut write, &user).await?;
    let user = write.put(Action::Create, None, user).await?;
    write.commit().await?;
    let shown = Asked::of_query(&query)?.shown;
    let user = resource(&user, &Base::of(&headers));
    Ok(Scim(StatusCode::CREATED, shown.of(user)))
}

/// Shows a user.
#[utoipa::path(
    get, path = "/scim/v2/Users/{id}", tag = "scim_user", params(("id" = String, Path)),
    responses((status = 200, body = Object, content_type = MEDIA)),
)]
pub async fn show(
    Extension(view): Extension<View>,
    Id(id): Id,
    query: Parameters,
    headers: HeaderMap,
) -> Result<Scim, Problem> {
    let user = view.by_id::<User>(&id).await?;
    let user = user.filter(is_there).ok_or_else(no_such_user)?;
    let shown = Asked::of_query(&query)?.shown;
    let user = resource(&user, &Base::of(&headers));
    Ok(Scim(StatusCode::OK, shown.of(user)))
}

/// Puts a user in the place of what was known of it.
#[utoipa::path(
    put, path = "/scim/v2/Users/{id}", tag = "scim_user", params(("id" = String, Path)),
    request_body(content = Object, content_type = MEDIA),
    responses((status = 200, body = Object, content_type = MEDIA)),
)]
pub async fn replace(
    State(app): State<App>,
    Extension(view): Extension<View>,
    Id(id): Id,
    query: Parameters,
    headers: HeaderMap,
    request: extract::Request,
) -> Result<Scim, Problem> {
    let said = said::replacement(&json_object(request, &app).await?)?;
    change(&app, &view, &id, said, &query, &headers).await
}

/// Changes some of a user.
#[utoipa::path(
    patch, path = "/scim/v2/Users/{id}", tag = "scim_user", params(("id" = String, Path)),
    request_body(content = Object, content_type = MEDIA),
    responses((status = 200, body = Object, content_type = MEDIA)),
)]
pub async fn patch(
    State(app): State<App>,
    Extension(view): Extension<View>,
    Id(id): Id,
    query: Parameters,
    headers: HeaderMap,
    request: extract::Request,
) -> Result<Scim, Problem> {
    let said = said::operations(&json_object(request, &app).await?)?;
    change(&app, &view, &id, said, &query, &headers).await
}

async fn change(
    app: &App,
    view: &View,
    id: &str,
    said: Said,
    query: &Parameters,
    headers: &HeaderMap,
) -> Result<Scim, Problem> {
    let shown = Asked::of_query(query)?.shown;
    let after = write(app, view, id, Action::Update, |user| user.after(said)).await?;
    Ok(Scim(
        StatusCode::OK,
        shown.of(resource(&after, &Base::of(headers))),
    ))
}

/// Deletes a user for good; a tombstone stays, so that its keys are refused with the right reason.
#[utoipa::path(
    delete, path = "/scim/v2/Users/{id}", tag = "scim_user", params(("id" = String, Path)),
    responses((status = 204, description = "Done")),
)]
pub async fn delete(
    State(app): State<App>,
    Extension(view): Extension<View>,
    Id(id): Id,
) -> Result<StatusCode, Problem> {
    write(&app, &view, &id, Action::Delete, User::deleted).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Changes a user. Where that stops keys that were used lately, the audit log, a counter and the log tell of it.
async fn write(
    app: &App,
    view: &View,
    id: &str,
    action: Action,
    change: impl FnOnce(&User) -> User,
) -> Result<User, Problem> {
    // Whether it stops somebody is known only in its turn: it goes before the others at any rate.
    let mut write = view.write_as(Urgency::Stop, now()).await?;
    let before = write.by_id::<User>(id).await?.filter(is_there);
    let before = before.ok_or_else(no_such_user)?;
    let after = change(&before);
    refuse_taken(&mut write, &after).await?;
    let in_use = match before.is_stopped_by(&after) {
        true => write.left_in_use(id).await?,
        false => LeftInUse::default(),
    };
    let after = if in_use.count > 0 {
        let note = Note::from([
            ("keys_in_use", in_use.count.into()),
            ("in_use", in_use.ids.clone().into()),
        ]);
        write.put_noting(action, &before, after, note).await?
    } else {
        write.put(action, Some(&before), after).await?
    };
    write.commit().await?;
    if in_use.count > 0 {
        app.metrics.deactivated_in_use();
        tracing::warn!(
            user = id,
            keys_in_use = in_use.count,
            keys = in_use.ids.join(" "),
            "a directory stopped a user whose keys are in use"
        );
    }
    Ok(after)
}

/// A userName names one user of its tenant.
async fn refuse_taken(write: &mut Write, user: &User) -> Result<(), Problem> {
    match write.other_of_login(user).await? {
        None => Ok(()),
        Some(_) => Err(Problem::conflict(
            "Another user has this userName already, whatever the case of its letters.",
        )),
    }
}

/// Who is deleted is gone for a directory.
fn is_there(user: &User) -> bool {
    user.status != UserStatus::Deleted
}

fn no_such_user() -> Problem {
    Problem::not_found("There is no user of this id.")
}
