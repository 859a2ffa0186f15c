//! `/console/tenants/{id}/key-rules`: what the keys of a tenant must have.

use axum::http::Method;
use axum::response::Response;
use serde_json::{Value, json};

use crate::console::api::{Condition, of};
use crate::console::error::Stop;
use crate::console::form::{Body, FormPage, Sent};
use crate::console::page::Section;
use crate::console::parts::Field;
use crate::console::record::Id;
use crate::console::records::KeyRules;
use crate::console::visit::{Staff, Visit};
use crate::console::{links, see};

/// What keys can be required to have: in the API, as a switch of the form, and for people.
const REQUIRED: [(&str, &str, &str); 5] = [
    ("purpose", "require_purpose", "A key must have a purpose"),
    ("contact", "require_contact", "A key must have a contact"),
    ("expires_at", "require_expires_at", "A key must have an end"),
    ("scopes", "require_scopes", "A key must have a scope"),
    (
        "networks",
        "require_networks",
        "A key must have networks; none at all counts",
    ),
];

/// The form.
pub async fn form(Staff(visit): Staff, Id(id): Id) -> Result<Response, Stop> {
    let (rules, version) = visit.api.get_tagged(&path(&id)).await?;
    page(&visit, &id, &rules, version).show()
}

fn path(id: &str) -> String {
    format!("{}/key-rules", of("tenants", id))
}

fn page(visit: &Visit, id: &str, rules: &KeyRules, version: String) -> FormPage {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let mut fields = vec![
        Field::line("max_lifetime", "Longest life")
            .help("How long a key lives at most, such as 90d; empty is for ever")
            .holding(text(&rules.max_lifetime)),
    ];
    fields.extend(REQUIRED.map(|(word, name, label)| {
        let is_required = rules.require.iter().any(|required| required == word);
        Field::switch(name, label).holding(if is_required { "true" } else { "" })
    }));
    fields.extend([
        Field::line("name_pattern", "Pattern of names")
            .help("A regular expression that the whole name must match, such as [a-z0-9-]+; empty takes any")
            .holding(text(&rules.name_pattern)),
        Field::lines("forbid_scopes", "Forbidden scopes")
            .help("Scopes that no key may have, one a line, such as *")
            .holding(rules.forbid_scopes.join("\n")),
        Field::choice(
            "owners",
            "Owners",
            &[("", "any user"), ("system", "systems alone")],
        )
        .holding(text(&rules.owners).replace("any", "")),
        Field::choice(
            "on_leak",
            "A key that is reported to be public",
            &[("", "is revoked at once"), ("flag", "works on, and is named by the review")],
        )
        .holding(text(&rules.on_leak).replace("revoke", "")),
    ]);
    FormPage {
        intro: vec![
            "The rules are asked where a key is made, rotated or changed. Keys that are there stay as they are; the review \
             names those that break them."
                .to_owned(),
        ],
        fields,
        hidden: vec![("version", version)],
        back: links::tenant(id),
        ..FormPage::new(
            visit.page(Section::Tenants, format!("Key rules of the tenant {id}")),
            format!("{}/key-rules", links::tenant(id)),
            "Change the key rules",
        )
    }
}

/// Changes them.
pub async fn send(Staff(visit): Staff, Id(id): Id, sent: Sent) -> Result<Response, Stop> {
    let before: KeyRules = visit.api.get(&path(&id)).await?;
    let typed = sent.text("forbid_scopes").unwrap_or_default();
    // A scope may hold what separates words.
    let forbidden = match typed.replace("\r\n", "\n") == before.forbid_scopes.join("\n") {
        true => before.forbid_scopes.clone(),
        false => sent.words("forbid_scopes").unwrap_or_default(),
    };
    let required = REQUIRED.iter().filter(|(_, name, _)| sent.is_on(name));
    let required: Vec<Value> = required.map(|(word, ..)| json!(word)).collect();
    let body = Body::default()
        .with("require", required)
        .with("forbid_scopes", forbidden)
        .with_some("max_lifetime", sent.text("max_lifetime"))
        .with_some("name_pattern", sent.text("name_pattern"))
        .with_some("owners", sent.text("owners"))
        .with_some("on_leak", sent.text("on_leak"));
    let version = sent.text("version").unwrap_or_default().to_owned();
    let condition = Some(Condition::Unchanged(&version));
    match visit
        .api
        .send_if(condition, Method::PUT, &path(&id), Some(body.json()))
        .await
    {
        Ok(_) => Ok(see(&format!("{}?done=rules", links::tenant(&id)))),
        Err(problem) => page(&visit, &id, &before, version).refused(problem, &sent),
    }
}

/// Takes them away.
pub async fn remove(Staff(visit): Staff, Id(id): Id) -> Result<Response, Stop> {
    visit.api.send(Method::DELETE, &path(&id), None).await?;
    Ok(see(&format!("{}?done=rules", links::tenant(&id))))
}
