//! A request for an API: a user asks, an administrator decides once.

use keybound::protocol::MOST_ENTRIES;
use serde::Serialize;
use utoipa::ToSchema;

use super::input::input;
use super::refusal::Refusal;
use super::text::{API, ID, LINE, new_id};
use super::user::{User, UserStatus};
use super::words::words;

words! {
    /// How a request for an API stands.
    ApprovalStatus {
        /// Nobody has decided yet.
        Pending = "pending",
        /// The user has the API.
        Approved = "approved",
        /// The user does not get the API by this request; it may ask again.
        Denied = "denied",
    }
}

/// Requests of one user at most that nobody has decided yet.
pub const MOST_PENDING: i64 = 100;

/// A request for an API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Approval {
    /// Its id.
    #[schema(example = "apr_0aB1cD2eF3gH4iJ5")]
    pub id: String,
    /// Who is to have the API.
    pub user_id: String,
    /// The tenant of the user.
    pub tenant_id: Option<String>,
    /// The API, as policies name it.
    #[schema(example = "orders")]
    pub api: String,
    /// What it is wanted for.
    pub reason: Option<String>,
    /// How it stands.
    pub status: ApprovalStatus,
    /// Name of the token that asked.
    pub requested_by: String,
    /// When it was asked for, in Unix seconds.
    pub created_at: i64,
    /// Name of the token that decided; null while it is pending.
    pub decided_by: Option<String>,
    /// When it was decided, in Unix seconds.
    pub decided_at: Option<i64>,
    /// What was said with the decision.
    pub decision_reason: Option<String>,
}

input! {
    /// Which API is asked for, and for whom.
    ApprovalDraft {
        /// Who is to have it. A developer's token asks for its own user alone.
        user_id: String = required(ID),
        /// The API, as policies name it.
        api: String = required(API; "orders"),
        /// What it is wanted for.
        reason: Option<String> = optional(LINE),
    }
}

input! {
    /// What is said with a decision.
    Decision {
        /// Why.
        reason: Option<String> = optional(LINE),
    }
}

/// Which way a request is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decided {
    /// The user gets the API.
    Approve,
    /// It does not.
    Deny,
}

impl Approval {
    /// A request of this user. `by` is the name of the token that asks.
    pub fn ask(draft: ApprovalDraft, user: &User, by: &str, now: i64) -> Result<Self, Refusal> {
        if user.status == UserStatus::Deleted {
            return Err(Refusal::conflict(
                "The user is deleted, and its keys never work again.",
            ));
        }
        match &user.apis {
            None => Err(Refusal::conflict(
                "The user is approved for every API already: its apis are null.",
            )),
            Some(apis) if apis.contains(&draft.api) => Err(Refusal::conflict(
                "The user is approved for this API already.",
            )),
            Some(_) => Ok(Self {
                id: new_id("apr_"),
                user_id: draft.user_id,
                tenant_id: user.tenant_id.clone(),
                api: draft.api,
                reason: draft.reason,
                status: ApprovalStatus::Pending,
                requested_by: by.to_owned(),
                created_at: now,
                decided_by: None,
                decided_at: None,
                decision_reason: None,
            }),
        }
    }

    /// The request after a decision, which is made once.
    pub fn decided(
        &self,
        decided: Decided,
        Decision { reason }: Decision,
        by: &str,
        now: i64,
    ) -> Result<Self, Refusal> {
        if self.status != ApprovalStatus::Pending {
            return Err(Refusal::conflict(format!(
                "The request is {} already. Who changes their mind changes the user's apis.",
                self.status.as_str()
            )));
        }
        Ok(Self {
            status: match decided {
                Decided::Approve => ApprovalStatus::Approved,
                Decided::Deny => ApprovalStatus::Denied,
            },
            decided_by: Some(by.to_owned()),
            decided_at: Some(now),
            decision_reason: reason,
            ..self.clone()
        })
    }
}

impl User {
    /// The user with this API too. One that is approved for all of them stays so.
    pub fn with_api(&self, api: &str) -> Result<Self, Refusal> {
        if self.status == UserStatus::Deleted {
            return Err(Refusal::conflict(
                "The user is deleted meanwhile: deny the request.",
            ));
        }
        let mut user = self.clone();
        if let Some(apis) = &mut user.apis
            && !apis.iter().any(|had| had == api)
        {
            if apis.len() >= MOST_ENTRIES {
                return Err(Refusal::conflict(format!(
                    "The user is approved for {MOST_ENTRIES} APIs already, the most that there may be: take one away first."
                )));
            }
            apis.push(api.to_owned());
        }
        Ok(user)
    }
}
