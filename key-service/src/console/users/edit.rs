//! Making a user, and changing what is said of one.

use axum::response::Response;
use serde_json::Value;

use crate::console::api::of;
use crate::console::error::Stop;
use crate::console::form::{FormPage, Sent};
use crate::console::list::Asked;
use crate::console::page::Section;
use crate::console::record::Id;
use crate::console::typed::{self, Item, Kind};
use crate::console::visit::{Staff, Visit};
use crate::console::{links, see};

/// What is said of a user once, when it is made.
const MADE: [Item; 2] = [
    Item {
        name: "id",
        label: "Id",
        help: "Left empty, one is made. It may be shown and logged",
        kind: Kind::Line,
    },
    Item {
        name: "tenant_id",
        label: "Tenant",
        help: "The id of the tenant that it belongs to, for good",
        kind: Kind::Line,
    },
];

/// What may be said of a user at any time.
const SAID: [Item; 8] = [
    Item {
        name: "name",
        label: "Name",
        help: "What people call it",
        kind: Kind::Line,
    },
    Item {
        name: "kind",
        label: "Kind",
        help: "A person leaves one day, a system stays",
        kind: Kind::Choice(&[("person", "person"), ("system", "system")]),
    },
    Item {
        name: "display_name",
        label: "Name in full",
        help: "",
        kind: Kind::Line,
    },
    Item {
        name: "login",
        label: "Login",
        help: "What it signs in with, such as an e-mail address",
        kind: Kind::Line,
    },
    Item {
        name: "external_id",
        label: "Id in the directory",
        help: "",
        kind: Kind::Line,
    },
    Item {
        name: "contact",
        label: "Contact",
        help: "Whom to ask about it, such as an e-mail address",
        kind: Kind::Line,
    },
    Item {
        name: "scopes",
        label: "Scopes",
        help: "What its keys may do at most, one a line; empty does not narrow them",
        kind: Kind::Narrowing("scopes_none", "Nothing: no scope at all"),
    },
    Item {
        name: "apis",
        label: "APIs",
        help: "The APIs that it is approved for, one a line; empty is all",
        kind: Kind::Narrowing("apis_none", "None: no API at all"),
    },
];

fn items() -> Vec<Item> {
    MADE.into_iter().chain(SAID).collect()
}

/// The form that makes a user.
pub async fn new_form(Staff(visit): Staff, asked: Asked) -> Result<Response, Stop> {
    let mut form = new_page(&visit);
    for field in &mut form.fields {
        if field.name == "tenant_id" {
            field.value = asked.get("tenant").unwrap_or_default().to_owned();
        }
    }
    form.show()
}

fn new_page(visit: &Visit) -> FormPage {
    let items = items();
    let fields = items.iter().flat_map(|item| item.fields(&Value::Null));
    FormPage {
        fields: fields.collect(),
        back: "/console/users".to_owned(),
        ..FormPage::new(
            visit.page(Section::Users, "New user"),
            "/console/users/new",
            "Make the user",
        )
    }
}

/// Makes it.
pub async fn make(Staff(visit): Staff, sent: Sent) -> Result<Response, Stop> {
    match typed::make(&visit.api, "users", &items(), &sent).await {
        Ok(user) => {
            let id = user["id"].as_str().unwrap_or_default();
            Ok(see(&format!("{}?done=created", links::user(id))))
        }
        Err(problem) => new_page(&visit).refused(problem, &sent),
    }
}

/// The form that changes a user.
pub async fn form(Staff(visit): Staff, Id(id): Id) -> Result<Response, Stop> {
    let user: Value = visit.api.get(&of("users", &id)).await?;
    let version = user["version"].to_string();
    page(&visit, &id, &user, version).show()
}

fn page(visit: &Visit, id: &str, user: &Value, version: String) -> FormPage {
    FormPage {
        intro: vec![
            "All keys of the user obey its scopes and APIs within milliseconds.".to_owned(),
        ],
        fields: SAID.iter().flat_map(|item| item.fields(user)).collect(),
        hidden: vec![("version", version)],
        back: links::user(id),
        ..FormPage::new(
            visit.page(Section::Users, format!("Change the user {id}")),
            format!("{}/change", links::user(id)),
            "Change the user",
        )
    }
}

/// Changes it.
pub async fn change(Staff(visit): Staff, Id(id): Id, sent: Sent) -> Result<Response, Stop> {
    let path = of("users", &id);
    let user: Value = visit.api.get(&path).await?;
    let version = sent.text("version").unwrap_or_default().to_owned();
    let shown = (&user, version.as_str());
    match typed::change(&visit.api, &path, &SAID, &sent, shown).await {
        Ok(_) => Ok(see(&format!("{}?done=changed", links::user(&id)))),
        Err(problem) => page(&visit, &id, &user, version).refused(problem, &sent),
    }
}
