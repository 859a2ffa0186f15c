//! Keys, users and tenants as a key service tells them (contract, `POST /v1/resolve`).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::sync::atomic::{AtomicU64, Ordering};

/// A credential and what is known about it.
#[derive(Clone, Debug)]
pub struct Known {
    /// What the client sends.
    pub credential: String,
    key: Value,
    user: Value,
    tenant: Value,
}

/// A credential that nobody knows, and that is like no other in this run.
pub fn credential(name: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!(
        "secret-{name}-{}-{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

/// A key against which nothing can be said: `key_NAME` of the user `usr_NAME` of the tenant `ten_NAME`.
pub fn active(name: &str) -> Known {
    Known {
        credential: credential(name),
        key: json!({
            "id": format!("key_{name}"), "version": 1,
            "user_id": format!("usr_{name}"), "tenant_id": format!("ten_{name}"),
            "environment": "live", "status": "active", "scopes": ["orders:read", "orders:write"],
        }),
        user: json!({
            "id": format!("usr_{name}"), "version": 1,
            "tenant_id": format!("ten_{name}"), "status": "active",
        }),
        tenant: json!({"id": format!("ten_{name}"), "version": 1, "status": "active"}),
    }
}

impl Known {
    /// Sets a field of the key.
    #[must_use]
    pub fn key(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.key[field] = value.into();
        self
    }

    /// Sets a field of the user.
    #[must_use]
    pub fn user(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.user[field] = value.into();
        self
    }

    /// Sets a field of the tenant.
    #[must_use]
    pub fn tenant(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.tenant[field] = value.into();
        self
    }

    /// Sets the key's status.
    #[must_use]
    pub fn key_status(self, status: &str) -> Self {
        self.key("status", status)
    }

    /// Sets the user's status.
    #[must_use]
    pub fn user_status(self, status: &str) -> Self {
        self.user("status", status)
    }

    /// Sets the tenant's status.
    #[must_use]
    pub fn tenant_status(self, status: &str) -> Self {
        self.tenant("status", status)
    }

    /// The key names a user that does not exist.
    #[must_use]
    pub fn without_user_record(mut self) -> Self {
        self.user = Value::Null;
        self
    }

    /// The key names no user.
    #[must_use]
    pub fn orphaned(mut self) -> Self {
        self.key["user_id"] = Value::Null;
        self.user = Value::Null;
        self
    }

    /// The key names a tenant that does not exist.
    #[must_use]
    pub fn without_tenant_record(mut self) -> Self {
        self.tenant = Value::Null;
        self
    }

    /// A system without tenants.
    #[must_use]
    pub fn without_tenants(mut self) -> Self {
        self.key["tenant_id"] = Value::Null;
        self.user["tenant_id"] = Value::Null;
        self.tenant = Value::Null;
        self
    }

    /// The result for it in an answer to `/v1/resolve`.
    pub fn result(&self) -> Value {
        json!({"digest": digest(&self.credential), "key": self.key, "user": self.user, "tenant": self.tenant})
    }
}

/// The result for a credential that nobody knows.
pub fn unknown(digest: &str) -> Value {
    json!({"digest": digest, "key": null})
}

/// The digest of a credential, as it is written in the protocol.
pub fn digest(credential: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(credential))
}
