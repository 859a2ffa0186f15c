//! What mends a chain with one click, for those who may, with its consequence.

use keybound::verdict::Reason;

use super::links::{self, encoded};
use super::parts::Mend;
use super::records::{Explanation, Key};
use super::visit::Visit;

/// What mends the verdict. Nothing for whoever may only read, and where no click does.
pub fn mend(
    reason: Reason,
    explanation: &Explanation,
    key: Option<&Key>,
    visit: &Visit,
) -> Option<Mend> {
    if !visit.may_write() {
        return None;
    }
    match reason {
        Reason::KeyDisabled => enable(explanation),
        Reason::KeyExpired => rotate(key?),
        Reason::KeyReplaced => newer(key?),
        Reason::KeyRevoked => another(explanation.user_id.as_deref()?),
        Reason::UserDeactivated
        | Reason::UserSuspended
        | Reason::UserLocked
        | Reason::UserPending => reactivate_user(explanation),
        Reason::TenantSuspended => reactivate_tenant(explanation),
        Reason::ApiNotApproved => approve(explanation),
        Reason::KeyMissing
        | Reason::KeyDuplicated
        | Reason::KeyMalformed
        | Reason::KeyUnknown
        | Reason::KeyNotYetValid
        | Reason::UserMissing
        | Reason::UserDeleted
        | Reason::TenantMissing
        | Reason::UserMismatch
        | Reason::TenantMismatch
        | Reason::EnvironmentMismatch
        | Reason::ScopeMissing
        | Reason::AddressNotAllowed
        | Reason::OutsideHours
        | Reason::KeyServiceUnavailable
        | Reason::Overloaded
        | Reason::PolicyUnknown => None,
    }
}

/// A change that is made at once. One sees the chain again behind it.
fn at_once(
    consequence: String,
    href: String,
    label: &'static str,
    explanation: &Explanation,
) -> Mend {
    let back = explanation.key_id.as_deref().map(links::key);
    Mend {
        consequence,
        href,
        fields: back.map(|back| ("next", back)).into_iter().collect(),
        label,
        opens: false,
    }
}

fn enable(explanation: &Explanation) -> Option<Mend> {
    let id = explanation.key_id.as_deref()?;
    Some(at_once(
        "The key works again at once, as far as nothing else stops it.".to_owned(),
        format!("{}/enable", links::key(id)),
        "Enable the key",
        explanation,
    ))
}

/// A key that was replaced is not rotated again.
fn rotate(key: &Key) -> Option<Mend> {
    if key.replaced_by.is_some() {
        return newer(key);
    }
    Some(Mend {
        consequence: "A new key with the same owner and fences takes its place. It is shown once, and the client has \
                      to be given it."
            .to_owned(),
        href: format!("{}/rotate", links::key(&key.id)),
        fields: vec![("grace", "0s".to_owned())],
        label: "Rotate the key",
        opens: false,
    })
}

fn newer(key: &Key) -> Option<Mend> {
    Some(Mend {
        consequence:
            "A newer key is there for the client. Where nobody has it any more, it can be rotated."
                .to_owned(),
        href: links::key(key.replaced_by.as_deref()?),
        fields: Vec::new(),
        label: "To the newer key",
        opens: true,
    })
}

fn another(user: &str) -> Option<Mend> {
    Some(Mend {
        consequence:
            "A revoked key never works again. On the next page a new one is made for the same user."
                .to_owned(),
        href: "/console/keys/new".to_owned(),
        fields: vec![("user", user.to_owned())],
        label: "Make a new key",
        opens: true,
    })
}

fn reactivate_user(explanation: &Explanation) -> Option<Mend> {
    let id = explanation.user_id.as_deref()?;
    Some(at_once(
        format!("All keys of the user {id} work again at once, as far as nothing else stops them."),
        format!("{}/reactivate", links::user(id)),
        "Reactivate the user",
        explanation,
    ))
}

fn reactivate_tenant(explanation: &Explanation) -> Option<Mend> {
    let id = explanation.tenant_id.as_deref()?;
    Some(at_once(
        format!(
            "All keys of the tenant {id} work again at once, as far as nothing else stops them."
        ),
        format!("{}/reactivate", links::tenant(id)),
        "Reactivate the tenant",
        explanation,
    ))
}

/// The request for the API, where nobody has decided it yet.
fn approve(explanation: &Explanation) -> Option<Mend> {
    let changes = explanation.history.iter();
    let mut statuses =
        changes.filter(|change| change.kind == "approval" && change.field == "status");
    // Newest first: what stands above a request's making has decided it.
    let mut seen: Vec<&str> = Vec::new();
    let pending = statuses.find(|change| {
        let is_newest = !seen.contains(&change.id.as_str());
        seen.push(&change.id);
        is_newest && change.to == "pending"
    })?;
    let user = explanation.user_id.as_deref()?;
    Some(at_once(
        format!(
            "The user {user} gets the API that {} asked for: all its keys may use it at once.",
            pending.actor
        ),
        format!("/console/approvals/{}/approve", encoded(&pending.id)),
        "Approve the request",
        explanation,
    ))
}
