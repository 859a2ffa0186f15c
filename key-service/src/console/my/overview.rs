//! `/console/my`: own keys, their use, what is asked of them, and own requests for APIs.

use super::{Developer, PATH, key};
use crate::console::api::{List, of};
use crate::console::error::Stop;
use crate::console::key_rules::of_tenant;
use crate::console::links::encoded;
use crate::console::list::Asked;
use crate::console::parts::{Badge, Cell, Column, Table, Time};
use crate::console::record::{Deed, Piece, RecordPage, usage};
use crate::console::records::{Approval, Key, User};
use crate::console::visit::Visit;

/// Keys of a page.
const KEYS: usize = 50;
/// Requests that are shown.
const REQUESTS: usize = 100;

/// The page.
pub async fn show(developer: Developer, asked: Asked) -> Result<RecordPage, Stop> {
    let visit = &developer.visit;
    let frame = developer.page("My keys").after(asked.done());
    let mut page = RecordPage::new(frame, Vec::new());
    page.can(Deed::page(format!("{PATH}/keys/new"), "New key"));
    page.can(Deed::page(format!("{PATH}/ask"), "Ask for an API"));
    let path = of("users", &developer.user);
    let user: User = visit.api.get(&path).await?;
    page.tell("keys", "Keys", keys(visit, &asked).await?);
    page.tell(
        "rules",
        "What is asked of new keys",
        rules(visit, &user).await,
    );
    page.tell(
        "requests",
        "Requests for APIs",
        requests(visit, &user).await?,
    );
    page.tell("used", "Use", usage(visit, &format!("{path}/usage")).await?);
    Ok(page)
}

async fn keys(visit: &Visit, asked: &Asked) -> Result<Vec<Piece>, Stop> {
    let at = asked.get("page_token").map(encoded);
    let at = at.map(|token| format!("&page_token={token}"));
    let path = format!("keys?limit={KEYS}{}", at.unwrap_or_default());
    let list: List<Key> = visit.api.get(&path).await?;
    let mut pieces = vec![Piece::Table(Table {
        caption: "My keys".to_owned(),
        columns: [
            "Key",
            "Hint",
            "Works?",
            "Last used",
            "Expires",
            "What can be done",
        ]
        .map(Column::plain)
        .to_vec(),
        rows: list.items.iter().map(row).collect(),
        empty: "There is no key yet.".to_owned(),
    })];
    if let Some(token) = list.next_page_token {
        pieces.push(Piece::More {
            href: format!("{PATH}?page_token={}", encoded(&token)),
            label: "Next keys".to_owned(),
        });
    }
    Ok(pieces)
}

fn row(found: &Key) -> Vec<Cell> {
    let never = match found.usage_reported {
        true => "never",
        false => "not known",
    };
    let name = found.name.as_ref().unwrap_or(&found.id);
    let link = |href: String, word: &str| Cell::Link {
        href,
        text: format!("{word} {name}"),
    };
    let mut deeds = vec![Cell::Link {
        href: format!("/console/why?key_id={}", encoded(&found.id)),
        text: format!("Why? {name}"),
    }];
    if found.status != "revoked" {
        if found.replaced_by.is_none() {
            deeds.push(link(format!("{}/rotate", key(&found.id)), "Rotate"));
        }
        deeds.push(link(format!("{}/revoke", key(&found.id)), "Revoke"));
    }
    vec![
        Cell::Link {
            href: key(&found.id),
            text: name.clone(),
        },
        found.hint.clone().map_or(Cell::None("none"), Cell::Code),
        Cell::Badge(Badge::verdict(&found.verdict)),
        Cell::time_or(found.last_used_at, never),
        Cell::time_or(found.expires_at, "never"),
        Cell::Several(deeds),
    ]
}

/// What a new key is held to, said before it is made.
pub(super) async fn sentences(visit: &Visit, user: &User) -> Vec<String> {
    let mut said = of_tenant(visit, user.tenant_id.as_deref()).await;
    said.push(match user.scopes.as_deref() {
        None => "A key may have any scope.".to_owned(),
        Some([]) => "A key can have no scope, as the user has none.".to_owned(),
        Some(scopes) => format!("A key can have these scopes at most: {}", scopes.join(", ")),
    });
    said
}

async fn rules(visit: &Visit, user: &User) -> Vec<Piece> {
    let said = sentences(visit, user).await;
    said.into_iter().map(Piece::Text).collect()
}

async fn requests(visit: &Visit, user: &User) -> Result<Vec<Piece>, Stop> {
    let has = match user.apis.as_deref() {
        None => "Your keys may use every API.".to_owned(),
        Some([]) => "Your keys may use no API yet.".to_owned(),
        Some(apis) => format!("Your keys may use these APIs: {}", apis.join(", ")),
    };
    let list: List<Approval> = visit
        .api
        .get(&format!("approvals?limit={REQUESTS}"))
        .await?;
    let table = Table {
        caption: "My requests".to_owned(),
        columns: ["API", "What for", "Asked", "Status", "Decision"]
            .map(Column::plain)
            .to_vec(),
        rows: list.items.iter().rev().map(request).collect(),
        empty: "You have asked for no API.".to_owned(),
    };
    Ok(vec![Piece::Text(has), Piece::Table(table)])
}

fn request(approval: &Approval) -> Vec<Cell> {
    vec![
        Cell::Code(approval.api.clone()),
        Cell::text_or(approval.reason.as_deref(), "not said"),
        Cell::Time(Time(approval.created_at)),
        Cell::Badge(Badge::status(&approval.status)),
        match approval.decided_at {
            None => Cell::None("none yet"),
            Some(at) => Cell::Several(
                [
                    Some(Cell::Time(Time(at))),
                    approval.decision_reason.clone().map(Cell::Text),
                ]
                .into_iter()
                .flatten()
                .collect(),
            ),
        },
    ]
}
