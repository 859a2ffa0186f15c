//! The audit log: who changed what.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::words::words;

words! {
    /// What an audit entry is about.
    Kind {
        /// A tenant.
        Tenant = "tenant",
        /// A user.
        User = "user",
        /// A key.
        Key = "key",
        /// A request for an API.
        Approval = "approval",
        /// What the keys of a tenant must have.
        KeyRules = "key_rules",
        /// Somebody who is told of what becomes of keys.
        Webhook = "webhook",
        /// A bearer token of this service.
        Token = "token",
        /// The database as a whole.
        Database = "database",
    }
}

words! {
    /// What was done.
    Action {
        /// It was made.
        Create = "create",
        /// It was changed.
        Update = "update",
        /// It was deleted; a tombstone is left.
        Delete = "delete",
        /// It was revoked.
        Revoke = "revoke",
        /// It was replaced by a new one, or is that new one.
        Rotate = "rotate",
        /// It was brought along from elsewhere.
        Import = "import",
        /// It was taken from a backup, or goes on from a state before.
        Restore = "restore",
        /// What is older than it is kept for was taken out.
        Prune = "prune",
    }
}

/// One write.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct AuditEntry {
    /// Number of the entry, in the order of time.
    pub id: i64,
    /// When, in Unix seconds.
    pub at: i64,
    /// Name of the token that did it, or of the command on the database.
    pub actor: String,
    /// What was done.
    pub action: Action,
    /// What it was done to.
    pub kind: Kind,
    /// Its id (a token's name).
    pub entity_id: String,
    /// Sequence number of the write; none where the gateways need not know.
    pub seq: Option<i64>,
    /// The record before; null where there was none.
    #[schema(value_type = Option<Object>)]
    pub before: Option<Value>,
    /// The record after.
    #[schema(value_type = Option<Object>)]
    pub after: Option<Value>,
    /// Hash of the entry before; null in the first.
    pub previous_hash: Option<String>,
    /// Hash of all of this entry, `previous_hash` included.
    pub hash: Option<String>,
}
