//! `/console/users/{id}`: a user, its keys, their use, and what became of it.

use crate::console::api::{List, of};
use crate::console::error::Stop;
use crate::console::keys;
use crate::console::links::{self, encoded};
use crate::console::list::Asked;
use crate::console::page::Section;
use crate::console::parts::{Badge, Cell, Column, Table};
use crate::console::record::{Deed, Id, Piece, RecordPage, audit, usage};
use crate::console::records::{Approval, Key, User};
use crate::console::visit::{Staff, Visit};

/// Keys that are shown.
const KEYS: usize = 20;

/// The page.
pub async fn show(Staff(visit): Staff, Id(id): Id, asked: Asked) -> Result<RecordPage, Stop> {
    let path = of("users", &id);
    let user: User = visit.api.get(&path).await?;
    let name = user.name.as_ref().or(user.display_name.as_ref());
    let title = format!("User {}", name.unwrap_or(&user.id));
    let frame = visit.page(Section::Users, title).after(asked.done());
    let badges = vec![Badge::status(&user.status), Badge::plain(&user.kind)];
    let mut page = RecordPage::new(frame, badges);
    deeds(&mut page, &user);
    page.tell("facts", "The user", vec![Piece::Facts(facts(&user))]);
    page.tell("keys", "Its keys", keys_of(&visit, &user.id).await?);
    let requests = requests(&visit, &user.id).await?;
    if !requests.is_empty() {
        page.tell("requests", "Requests for APIs", requests);
    }
    page.tell(
        "used",
        "Use",
        usage(&visit, &format!("{path}/usage")).await?,
    );
    page.tell("audit", "Changes", audit(&visit, "user", &user.id).await?);
    Ok(page)
}

fn deeds(page: &mut RecordPage, user: &User) {
    if user.status == "deleted" {
        return;
    }
    let at = |what: &str| format!("{}/{what}", links::user(&user.id));
    page.can(Deed::page(
        format!("/console/keys/new?user={}", encoded(&user.id)),
        "New key",
    ));
    page.can(Deed::page(at("change"), "Change"));
    if user.status != "active" {
        page.can(Deed::at_once(at("reactivate"), "Reactivate", &user.id));
    }
    for (status, word, label) in [
        ("suspended", "suspend", "Suspend"),
        ("locked", "lock", "Lock"),
        ("deactivated", "deactivate", "Deactivate"),
        ("deleted", "delete", "Delete"),
    ] {
        if user.status != status {
            page.can(Deed::stop(at(word), label));
        }
    }
}

fn facts(user: &User) -> Vec<(&'static str, Cell)> {
    let text = |text: &Option<String>| Cell::text_or(text.as_deref(), "none");
    vec![
        ("Id", Cell::Code(user.id.clone())),
        ("Name", text(&user.name)),
        ("Name in full", text(&user.display_name)),
        (
            "Tenant",
            Cell::record(user.tenant_id.as_deref(), links::tenant),
        ),
        ("Login", text(&user.login)),
        ("Id in the directory", text(&user.external_id)),
        ("Contact", text(&user.contact)),
        (
            "Scopes",
            Cell::words(user.scopes.as_deref(), "not narrowed", "none at all"),
        ),
        (
            "APIs",
            Cell::words(user.apis.as_deref(), "all", "none at all"),
        ),
        ("Made", Cell::time_or(Some(user.created_at), "")),
    ]
}

async fn keys_of(visit: &Visit, id: &str) -> Result<Vec<Piece>, Stop> {
    let about = format!("user={}", encoded(id));
    let list: List<Key> = visit.api.get(&format!("keys?{about}&limit={KEYS}")).await?;
    let mut pieces = vec![Piece::Table(keys::table("Keys of the user", &list.items))];
    if !list.items.is_empty() {
        pieces.push(Piece::More {
            href: format!("/console/keys?{about}"),
            label: "All of its keys, to filter and to take".to_owned(),
        });
    }
    Ok(pieces)
}

/// What it has asked for, and nobody has decided yet.
async fn requests(visit: &Visit, id: &str) -> Result<Vec<Piece>, Stop> {
    let about = format!("status=pending&user={}", encoded(id));
    let list: List<Approval> = visit.api.get(&format!("approvals?{about}")).await?;
    if list.items.is_empty() {
        return Ok(Vec::new());
    }
    let row = |request: &Approval| {
        vec![
            Cell::Code(request.api.clone()),
            Cell::text_or(request.reason.as_deref(), "none given"),
            Cell::Text(request.requested_by.clone()),
            Cell::time_or(Some(request.created_at), ""),
        ]
    };
    let table = Table {
        caption: "Requests for APIs that nobody has decided yet".to_owned(),
        columns: ["API", "Reason", "Asked by", "Asked"]
            .map(Column::plain)
            .to_vec(),
        rows: list.items.iter().map(row).collect(),
        empty: String::new(),
    };
    let more = Piece::More {
        href: format!("/console/approvals?{about}"),
        label: "To decide them".to_owned(),
    };
    Ok(vec![Piece::Table(table), more])
}
