//! `/console/approvals`: who asks for which API, and the decision.

use axum::Router;
use axum::http::Method;
use axum::response::Response;
use axum::routing::get;

use super::api::{List, of};
use super::error::Stop;
use super::form::{Body, FormPage, Sent};
use super::links::{self, encoded};
use super::list::{Asked, Format, ListPage, Listing};
use super::page::Section;
use super::parts::{Badge, Cell, Field, Time};
use super::record::Id;
use super::records::Approval;
use super::visit::{Console, Staff, Visit};
use super::{see, sign_in};

static APPROVALS: Listing = Listing {
    path: "/console/approvals",
    api: "approvals",
    parameters: &["status", "tenant", "user", "api"],
    columns: &[
        ("Asked", None),
        ("User", None),
        ("Tenant", None),
        ("API", None),
        ("What for", None),
        ("Status", None),
        ("Decision", None),
    ],
    csv: &[
        ("id", "/id"),
        ("user_id", "/user_id"),
        ("tenant_id", "/tenant_id"),
        ("api", "/api"),
        ("reason", "/reason"),
        ("status", "/status"),
        ("requested_by", "/requested_by"),
        ("created_at", "/created_at"),
        ("decided_by", "/decided_by"),
        ("decided_at", "/decided_at"),
        ("decision_reason", "/decision_reason"),
    ],
};

/// Which of them are shown: the word for all, and the other ones.
const STATUSES: [(&str, &str); 4] = [
    ("pending", "pending"),
    ("approved", "approved"),
    ("denied", "denied"),
    (ANY, "any"),
];
const ANY: &str = "any";
/// Requests among which the one of a form is looked for.
const LOOKED_AT: usize = 500;

/// Which way a request is decided.
#[derive(Clone, Copy)]
enum Way {
    Approve,
    Deny,
}

/// The pages.
pub fn routes() -> Router<Console> {
    Router::new()
        .route("/console/approvals", get(show))
        .route("/console/approvals.csv", get(csv))
        .route("/console/approvals.json", get(json))
        .route(
            "/console/approvals/{id}/approve",
            get(approve_form).post(approve),
        )
        .route("/console/approvals/{id}/deny", get(deny_form).post(deny))
}

/// Those that nobody has decided, unless others are asked for.
fn narrowed(asked: Asked) -> Asked {
    let asked = asked.or("status", "pending");
    match asked.get("status") {
        Some(ANY) => asked.meaning("status", None),
        _ => asked,
    }
}

async fn show(Staff(visit): Staff, asked: Asked) -> Result<ListPage, Stop> {
    let page = visit.page(Section::Approvals, "Approvals");
    let page = page.after(asked.done());
    let filters = vec![
        Field::choice("status", "Status", &STATUSES),
        Field::line("tenant", "Tenant").help("Its id"),
        Field::line("user", "User").help("Its id"),
        Field::line("api", "API").help("As policies name it"),
    ];
    let may_write = page.may_write;
    let row = |approval: &Approval| row(approval, may_write);
    let asked = narrowed(asked);
    let list = APPROVALS.show(&visit, page, &asked, filters, row).await?;
    Ok(list
        .intro("Users ask for APIs that policies name; an administrator decides once.")
        .empty("No request is like this."))
}

async fn csv(Staff(visit): Staff, asked: Asked) -> Result<Response, Stop> {
    APPROVALS.take(visit, &narrowed(asked), Format::Csv).await
}

async fn json(Staff(visit): Staff, asked: Asked) -> Result<Response, Stop> {
    APPROVALS.take(visit, &narrowed(asked), Format::Json).await
}

fn row(approval: &Approval, may_write: bool) -> Vec<Cell> {
    vec![
        Cell::Several(vec![
            Cell::Time(Time(approval.created_at)),
            Cell::Text(format!("by {}", approval.requested_by)),
        ]),
        Cell::record(Some(&approval.user_id), links::user),
        Cell::record(approval.tenant_id.as_deref(), links::tenant),
        Cell::Code(approval.api.clone()),
        Cell::text_or(approval.reason.as_deref(), "not said"),
        Cell::Badge(Badge::status(&approval.status)),
        decision(approval, may_write),
    ]
}

/// What was decided, or the way to decide.
fn decision(approval: &Approval, may_write: bool) -> Cell {
    let Some(by) = &approval.decided_by else {
        let link = |word: &str, text: &str| Cell::Link {
            href: format!(
                "/console/approvals/{}/{word}?user={}",
                encoded(&approval.id),
                encoded(&approval.user_id)
            ),
            text: text.to_owned(),
        };
        return match may_write {
            true => Cell::Several(vec![link("approve", "Approve"), link("deny", "Deny")]),
            false => Cell::None("none yet"),
        };
    };
    let mut said = vec![Cell::time_or(approval.decided_at, "")];
    said.push(Cell::Text(format!("by {by}")));
    said.extend(approval.decision_reason.clone().map(Cell::Text));
    Cell::Several(said)
}

impl Way {
    fn word(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Deny => "deny",
        }
    }

    /// The form, which says first what it does.
    async fn form(self, visit: &Visit, id: &str, user: Option<&str>) -> FormPage {
        let (user, api) = match asked_for(visit, id, user).await {
            Some(found) => (
                format!("The user {}", found.user_id),
                format!("the API {}", found.api),
            ),
            None => (
                "The user who asks".to_owned(),
                "the API that was asked for".to_owned(),
            ),
        };
        let (title, consequence, submit) = match self {
            Self::Approve => (
                "Approve the request",
                format!("{user} gets {api}: all keys of the user may use it from now on."),
                "Approve the request",
            ),
            Self::Deny => (
                "Deny the request",
                format!("{user} does not get {api} by this request, and may ask again."),
                "Deny the request",
            ),
        };
        let action = format!("/console/approvals/{}/{}", encoded(id), self.word());
        FormPage {
            intro: vec![consequence, "A request is decided once.".to_owned()],
            fields: vec![
                Field::line("reason", "Reason").help("For whoever asked, and for the audit log"),
            ],
            back: APPROVALS.path.to_owned(),
            ..FormPage::new(visit.page(Section::Approvals, title), action, submit)
        }
    }

    async fn send(self, visit: &Visit, id: &str, sent: &Sent) -> Result<Response, Stop> {
        let body = Body::default().with_some("reason", sent.text("reason"));
        let path = format!("{}/{}", of("approvals", id), self.word());
        if let Err(problem) = visit.api.send(Method::POST, &path, Some(body.json())).await {
            return self.form(visit, id, None).await.refused(problem, sent);
        }
        let next = match sent.text("next") {
            Some(wanted) => sign_in::next(Some(wanted)),
            None => APPROVALS.path.to_owned(),
        };
        let sign = if next.contains('?') { '&' } else { '?' };
        let done = match self {
            Self::Approve => "approved",
            Self::Deny => "denied",
        };
        Ok(see(&format!("{next}{sign}done={done}")))
    }
}

/// The request that is decided, as far as it is found among those that nobody has decided.
async fn asked_for(visit: &Visit, id: &str, user: Option<&str>) -> Option<Approval> {
    let of_user = user.map(|user| format!("&user={}", encoded(user)));
    let path = format!(
        "approvals?status=pending&limit={LOOKED_AT}{}",
        of_user.unwrap_or_default()
    );
    let answer = visit.api.send_get(&path).await.ok()?;
    let list: List<Approval> = serde_json::from_value(answer).ok()?;
    list.items.into_iter().find(|found| found.id == id)
}

async fn approve_form(Staff(visit): Staff, Id(id): Id, asked: Asked) -> Result<Response, Stop> {
    let form = Way::Approve.form(&visit, &id, asked.get("user"));
    form.await.show()
}

async fn approve(Staff(visit): Staff, Id(id): Id, sent: Sent) -> Result<Response, Stop> {
    Way::Approve.send(&visit, &id, &sent).await
}

async fn deny_form(Staff(visit): Staff, Id(id): Id, asked: Asked) -> Result<Response, Stop> {
    let form = Way::Deny.form(&visit, &id, asked.get("user"));
    form.await.show()
}

async fn deny(Staff(visit): Staff, Id(id): Id, sent: Sent) -> Result<Response, Stop> {
    Way::Deny.send(&visit, &id, &sent).await
}
