//! How often and when keys were used.

use serde::Serialize;
use utoipa::ToSchema;

use super::key::Key;
use super::time::DAY;
use super::user::User;

/// Keys that were used this lately are not stopped without asking.
pub const RECENTLY: i64 = 30 * DAY;

/// What a gateway counted for one key.
#[derive(Debug, Clone)]
pub struct KeyCount {
    /// Id of the key.
    pub id: String,
    /// Requests that passed.
    pub allowed: i64,
    /// Requests that were refused.
    pub rejected: i64,
    /// When the last one came, in Unix seconds.
    pub last_at: i64,
}

/// What a gateway counted since its last report.
#[derive(Debug, Clone)]
pub struct Report {
    /// The counter's own random id.
    pub reporter: String,
    /// Number of the report.
    pub batch: i64,
    /// Counts by key.
    pub keys: Vec<KeyCount>,
}

/// The requests of one day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct DayCount {
    /// First second of the day (UTC), in Unix seconds.
    pub day: i64,
    /// Requests that passed.
    pub allowed: i64,
    /// Requests that were refused.
    pub rejected: i64,
}

/// A key, and when it was last used.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct UsedKey {
    /// The key.
    #[serde(flatten)]
    pub key: Key,
    /// When a request with it last passed, in Unix seconds; null is never, as far as use is reported.
    pub last_used_at: Option<i64>,
    /// Whether any gateway has reported use yet. Until then nobody knows whether the key is used.
    pub usage_reported: bool,
}

/// A key with the counts of its last 30 days of use.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct KeyUsage {
    /// The key.
    #[serde(flatten)]
    pub key: UsedKey,
    /// Latest day first; days without use are left out.
    pub usage: Vec<DayCount>,
}

/// A user with the use of all its keys.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct UserUsage {
    /// The user.
    #[serde(flatten)]
    pub user: User,
    /// When a request with one of its keys last passed, in Unix seconds; null is never.
    pub last_used_at: Option<i64>,
    /// Whether any gateway has reported use yet. Until then nobody knows whether they are used.
    pub usage_reported: bool,
    /// Latest day first; days without use are left out.
    pub usage: Vec<DayCount>,
}
