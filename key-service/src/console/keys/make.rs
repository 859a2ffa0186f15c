//! `/console/keys/new`: a key for a user. It is shown once, in the answer to the form.

use axum::response::{IntoResponse as _, Response};
use serde_json::Value;

use super::change::FENCES;
use crate::console::api::of;
use crate::console::error::Stop;
use crate::console::form::{FormPage, Sent};
use crate::console::key_rules::of_tenant;
use crate::console::links;
use crate::console::list::Asked;
use crate::console::page::Section;
use crate::console::records::User;
use crate::console::shown_once::{ShownOnce, once};
use crate::console::typed::{self, Item, Kind};
use crate::console::visit::{Staff, Visit};

/// What is said of a key once, when it is made.
const MADE: [Item; 3] = [
    Item {
        name: "user_id",
        label: "User",
        help: "The id of the user that the key belongs to, for good",
        kind: Kind::Line,
    },
    Item {
        name: "id",
        label: "Id",
        help: "Left empty, one is made. It may be shown and logged",
        kind: Kind::Line,
    },
    ENVIRONMENT,
];

/// For what the key is.
pub const ENVIRONMENT: Item = Item {
    name: "environment",
    label: "Environment",
    help: "Such as live or test; it stands in the key",
    kind: Kind::Line,
};

fn items() -> Vec<Item> {
    MADE.into_iter().chain(FENCES).collect()
}

/// The form.
pub async fn form(Staff(visit): Staff, asked: Asked) -> Result<Response, Stop> {
    let user = asked.get("user");
    page(&visit, user, once()).await.show()
}

async fn page(visit: &Visit, user: Option<&str>, once: String) -> FormPage {
    let fields = items()
        .iter()
        .flat_map(|item| item.fields(&Value::Null))
        .collect::<Vec<_>>();
    let mut form = FormPage {
        intro: vec!["The key is shown once, on the next page.".to_owned()],
        fields,
        hidden: vec![("once", once)],
        back: user.map_or_else(|| "/console/keys".to_owned(), links::user),
        ..FormPage::new(
            visit.page(Section::Keys, "New key"),
            "/console/keys/new",
            "Make the key",
        )
    };
    if let Some(field) = form.fields.first_mut() {
        field.required = true;
        field.value = user.unwrap_or_default().to_owned();
    }
    let tenant = match user {
        Some(user) => {
            let found = visit.api.send_get(&of("users", user)).await.ok();
            found.and_then(|found| serde_json::from_value::<User>(found).ok())
        }
        None => None,
    };
    let tenant = tenant.and_then(|user| user.tenant_id);
    form.intro.extend(of_tenant(visit, tenant.as_deref()).await);
    form
}

/// Makes it.
pub async fn send(Staff(visit): Staff, sent: Sent) -> Result<Response, Stop> {
    match typed::make(&visit.api, "keys", &items(), &sent).await {
        Ok(key) => Ok(shown_once(&visit, "The key is made", &key, Vec::new())),
        Err(problem) => {
            // One that was used up by another form would refuse this one for ever.
            let fresh = once();
            page(&visit, sent.text("user_id"), fresh)
                .await
                .refused(problem, &sent)
        }
    }
}

/// The page that shows a key that was just made, as the API has answered.
pub(super) fn shown_once(visit: &Visit, title: &str, key: &Value, lines: Vec<String>) -> Response {
    let id = key["id"].as_str().unwrap_or_default();
    ShownOnce {
        lines,
        ..ShownOnce::key(visit.page(Section::Keys, title), key, links::key(id))
    }
    .into_response()
}
