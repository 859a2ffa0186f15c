//! `/console/tenants/{id}`: a tenant, what its keys must have, and what became of it.

use crate::console::api::of;
use crate::console::error::Stop;
use crate::console::key_rules::sentences;
use crate::console::links::{self, encoded};
use crate::console::list::Asked;
use crate::console::page::Section;
use crate::console::parts::{Badge, Cell};
use crate::console::record::{Deed, Id, Piece, RecordPage, audit};
use crate::console::records::{KeyRules, Tenant};
use crate::console::visit::Staff;

/// The page.
pub async fn show(Staff(visit): Staff, Id(id): Id, asked: Asked) -> Result<RecordPage, Stop> {
    let path = of("tenants", &id);
    let tenant: Tenant = visit.api.get(&path).await?;
    let rules: KeyRules = visit.api.get(&format!("{path}/key-rules")).await?;
    let title = format!("Tenant {}", tenant.name.as_ref().unwrap_or(&tenant.id));
    let frame = visit.page(Section::Tenants, title).after(asked.done());
    let mut page = RecordPage::new(frame, vec![Badge::status(&tenant.status)]);
    deeds(&mut page, &tenant, !sentences(&rules).is_empty());
    page.tell("facts", "The tenant", facts(&tenant));
    page.tell("rules", "Key rules", told(&rules));
    page.tell(
        "audit",
        "Changes",
        audit(&visit, "tenant", &tenant.id).await?,
    );
    let of_rules = audit(&visit, "key_rules", &tenant.id).await?;
    page.tell("audit-rules", "Changes of the key rules", of_rules);
    Ok(page)
}

fn deeds(page: &mut RecordPage, tenant: &Tenant, has_rules: bool) {
    let at = |what: &str| format!("{}/{what}", links::tenant(&tenant.id));
    page.can(Deed::page(at("change"), "Rename"));
    page.can(Deed::page(at("key-rules"), "Change the key rules"));
    if has_rules {
        let remove = at("key-rules/remove");
        page.can(Deed::at_once(remove, "Remove the key rules", &tenant.id));
    }
    page.can(Deed::page(
        format!("/console/users/new?tenant={}", encoded(&tenant.id)),
        "New user",
    ));
    match tenant.status.as_str() {
        "suspended" => page.can(Deed::at_once(at("reactivate"), "Reactivate", &tenant.id)),
        _ => page.can(Deed::stop(at("suspend"), "Suspend")),
    }
}

fn facts(tenant: &Tenant) -> Vec<Piece> {
    let about = format!("tenant={}", encoded(&tenant.id));
    let more = |list: &str, label: &str| Piece::More {
        href: format!("/console/{list}?{about}"),
        label: label.to_owned(),
    };
    vec![
        Piece::Facts(vec![
            ("Id", Cell::Code(tenant.id.clone())),
            ("Name", Cell::text_or(tenant.name.as_deref(), "none")),
            ("Made", Cell::time_or(Some(tenant.created_at), "")),
        ]),
        more("users", "Its users"),
        more("keys", "Its keys"),
        more("review", "Its keys that ask for a look"),
    ]
}

fn told(rules: &KeyRules) -> Vec<Piece> {
    let said = sentences(rules);
    match said.is_empty() {
        true => vec![Piece::Text("Nothing is asked of its keys.".to_owned())],
        false => said.into_iter().map(Piece::Text).collect(),
    }
}
