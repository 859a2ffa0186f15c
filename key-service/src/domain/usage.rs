//! How often, when and from where keys were used.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use keybound::protocol::MOST_REPORTED;
use keybound::verdict::Reason;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::input::input;
use super::input::rules::{COUNT, Counts, Text, objects};
use super::key::Key;
use super::text::ID;
use super::time::{DAY, SECONDS};
use super::user::User;

/// Keys that were used this lately are not stopped without asking.
pub const RECENTLY: i64 = 30 * DAY;

/// What stands for all that is not told apart.
pub const OTHER: &str = "other";

/// Networks of a key and day that are told apart.
pub const NETWORKS_OF_A_DAY: i64 = 64;

/// Why requests were refused, see [`code()`]. Twice as many codes as there are: a newer gateway may know more.
const CODES: Counts<String> = Counts {
    of: Text {
        parse: code,
        bounds: || json!({"minLength": 1, "maxLength": LONGEST_CODE, "pattern": "^[a-z0-9_]+$"}),
    },
    what: "codes",
    most: 2 * Reason::ALL.len(),
};

/// Characters of a code at most.
const LONGEST_CODE: usize = 64;

/// Where requests came from, see [`network()`]. Eight networks of a key are told apart in a report.
const NETWORKS: Counts<String> = Counts {
    of: Text {
        parse: network,
        bounds: || json!({"maxLength": 43, "pattern": r"^(other|[0-9.]+\.0/24|[0-9a-fA-F:]*::/48)$"}),
    },
    what: "networks",
    most: 9,
};

/// The code of a refusal. One that is not known here, as newer gateways may send it, counts as `other`.
fn code(text: &str) -> Result<String, String> {
    let is_one = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if !(1..=LONGEST_CODE).contains(&text.len()) || !text.bytes().all(is_one) {
        return Err("must be the code of a refusal, such as \"scope_missing\"".to_owned());
    }
    let known = Reason::named(text).map_or(OTHER, Reason::code);
    Ok(known.to_owned())
}

/// A network that is cut short enough to name nobody.
fn network(text: &str) -> Result<String, String> {
    let is_cut = |network: &IpNet| {
        let length = match network.addr() {
            IpAddr::V4(_) => 24,
            IpAddr::V6(_) => 48,
        };
        network.prefix_len() == length && network.trunc() == *network
    };
    match text.parse::<IpNet>() {
        _ if text == OTHER => Ok(text.to_owned()),
        Ok(network) if is_cut(&network) => Ok(network.to_string()),
        _ => Err(format!(
            "must be an IPv4 network of /24 such as \"203.0.113.0/24\", an IPv6 network of /48 such as \
             \"2001:db8:7::/48\", or \"{OTHER}\""
        )),
    }
}

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
        /// How many were refused for which reason, by its code. Older gateways do not say.
        rejected_by: Vec<(String, i64)> = or_default(CODES; json!({"user_suspended": 2, "scope_missing": 1})),
        /// When the last one was refused, in Unix seconds.
        last_rejected_at: Option<i64> = optional(SECONDS),
        /// How many came from which network: the client's address cut to /24 (IPv4) or /48 (IPv6), and `other`.
        networks: Vec<(String, i64)> = or_default(NETWORKS; json!({"203.0.113.0/24": 119, "2001:db8:7::/48": 4})),
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
    /// When a request with it was last refused, in Unix seconds; null is never, as far as gateways say.
    pub last_rejected_at: Option<i64>,
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

/// Requests, and what is known of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Requests {
    /// Requests that passed.
    pub allowed: i64,
    /// Requests that were refused.
    pub rejected: i64,
    /// Of these, how many for which reason, by its code; `other` is a code that is not known here. Older gateways do
    /// not say why.
    pub rejected_by: BTreeMap<String, i64>,
    /// Where requests came from, refused or not: addresses cut to /24 (IPv4) or /48 (IPv6). `other` is all beyond 64
    /// networks of a day, and what has no IP address. How many came from each is estimated by gateways, which look at
    /// one request in seventeen.
    pub networks: BTreeMap<String, i64>,
}

/// The requests of a day, and what is known of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct DayOfUse {
    /// First second of the day (UTC), in Unix seconds.
    pub day: i64,
    /// What came on it.
    #[serde(flatten)]
    pub requests: Requests,
}

/// The use of a key, or of all keys of a user, in the days that were asked for.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Use {
    /// Whether any gateway has reported use yet. Until then nobody knows of any.
    pub usage_reported: bool,
    /// When a request last passed, in Unix seconds, however long ago; null is never.
    pub last_used_at: Option<i64>,
    /// When one was last refused, in Unix seconds, however long ago; null is never, as far as gateways say.
    pub last_rejected_at: Option<i64>,
    /// All of these days together.
    #[serde(flatten)]
    pub total: Requests,
    /// Oldest day first; days without requests are left out.
    pub days: Vec<DayOfUse>,
}

impl Requests {
    /// Adds those of another time.
    pub fn add(&mut self, other: &Self) {
        self.allowed += other.allowed;
        self.rejected += other.rejected;
        let counts = [
            (&mut self.rejected_by, &other.rejected_by),
            (&mut self.networks, &other.networks),
        ];
        for (sums, more) in counts {
            for (name, requests) in more {
                *sums.entry(name.clone()).or_default() += requests;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_cut_and_written_as_it_is_kept() {
        for (sent, kept) in [
            ("203.0.113.0/24", Some("203.0.113.0/24")),
            ("2001:DB8:7:0::/48", Some("2001:db8:7::/48")),
            ("::/48", Some("::/48")),
            ("other", Some("other")),
            ("203.0.113.7/24", None),
            ("203.0.113.7", None),
            ("203.0.113.7/32", None),
            ("203.0.0.0/16", None),
            ("2001:db8::/32", None),
            ("2001:db8:7:1::/48", None),
            ("Other", None),
            ("", None),
        ] {
            assert_eq!(network(sent).ok().as_deref(), kept, "{sent}");
        }
    }

    #[test]
    fn a_code_that_is_not_known_here_counts_as_other() {
        assert_eq!(code("scope_missing").unwrap(), "scope_missing");
        assert_eq!(code("key_leaked_2").unwrap(), "other");
        for wrong in ["", "Scope", "a b", "a-b", &"a".repeat(65)] {
            code(wrong).unwrap_err();
        }
    }
}
