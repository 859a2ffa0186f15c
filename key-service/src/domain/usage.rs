//! How often and when keys were used.

use keybound::protocol::MOST_REPORTED;
use serde::Serialize;
use utoipa::ToSchema;

use super::input::input;
use super::input::rules::{COUNT, objects};
use super::key::Key;
use super::text::ID;
use super::time::{DAY, SECONDS};
use super::user::User;

/// Keys that were used this lately are not stopped without asking.
pub const RECENTLY: i64 = 30 * DAY;

input! {
    /// Counts by key since the last report.
    #[derive(Debug, Clone)]
    @extensible
    UsageReport {
        /// Random id of who counted.
        reporter: String = required(ID),
        /// Number of the report. The same one again is counted once.
        batch: i64 = required(COUNT),
        /// Begin of the time counted, in Unix seconds.
        from: i64 = required(SECONDS),
        /// Its end.
        to: i64 = required(SECONDS),
        /// At most 1000. Send more in further reports.
        keys: Vec<UsageOfKey> = required(objects::<UsageOfKey>(MOST_REPORTED)),
    }
}

input! {
    /// What a gateway counted for one key.
    #[derive(Debug, Clone)]
    @extensible
    UsageOfKey {
        /// Id of the key.
        id: String = required(ID),
        /// Requests that passed.
        allowed: i64 = required(COUNT),
        /// Requests that were refused.
        rejected: i64 = required(COUNT),
        /// When the last one came, in Unix seconds.
        last_at: i64 = required(SECONDS),
    }
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
