//! What narrows a key: scopes, source networks, hours of the day.

use ipnet::IpNet;
use keybound::protocol::{LONGEST_NAME, MOST_ENTRIES};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::input::rules::{List, Rule, Text, Word, Wrong};
use super::input::{Schemas, input};
use super::patch::Patch;
use super::refusal::{FieldError, Refusal};
use super::text::visible;
use super::words::words;

/// The scopes of a key or user.
pub const SCOPES: List<Text<String>> = List {
    items: Text {
        parse: scope,
        bounds: visible,
    },
    least: 0,
    most: MOST_ENTRIES,
};

/// The networks of a key.
pub const NETWORKS: List<Text<IpNet>> = List {
    items: Text {
        parse: network,
        bounds: || json!({"minLength": 2, "maxLength": 49, "pattern": "^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$"}),
    },
    least: 0,
    most: MOST_ENTRIES,
};

/// Reads a scope: segments joined by `:`, of which only the last may be `*` (`orders:*`, `*`).
pub fn scope(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > LONGEST_NAME {
        return Err(format!("must have 1 to {LONGEST_NAME} characters"));
    }
    // The alphabet of OAuth's scope tokens (RFC 6749): scopes are sent on joined by spaces.
    if !text
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
    {
        return Err(
            "may hold only visible ASCII characters, no spaces, quotes or backslashes".to_owned(),
        );
    }
    let segments: Vec<&str> = text.split(':').collect();
    if segments.iter().any(|segment| segment.is_empty()) {
        return Err("must have something before and after each \":\"".to_owned());
    }
    let stars = text.matches('*').count();
    if stars > 1 || (stars == 1 && segments.last() != Some(&"*")) {
        return Err("may hold \"*\" only as the whole last part, as in \"orders:*\"".to_owned());
    }
    Ok(text.to_owned())
}

/// Reads a network such as `10.0.0.0/8`; a bare address is a network of one.
pub fn network(text: &str) -> Result<IpNet, String> {
    text.parse::<IpNet>()
        .or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from))
        .map(|network| network.trunc())
        .map_err(|_| {
            "must be a network such as \"10.0.0.0/8\" or \"2001:db8::/32\", or one address"
                .to_owned()
        })
}

words! {
    /// A day of the week.
    #[derive(Deserialize, PartialOrd, Ord)]
    Day {
        /// Monday.
        Mon = "mon",
        /// Tuesday.
        Tue = "tue",
        /// Wednesday.
        Wed = "wed",
        /// Thursday.
        Thu = "thu",
        /// Friday.
        Fri = "fri",
        /// Saturday.
        Sat = "sat",
        /// Sunday.
        Sun = "sun",
    }
}

input! {
    /// When a key may be used, in UTC. `to` is exclusive; a `to` at or before `from` runs over
    /// midnight, so `00:00` to `00:00` is the whole day. Without days, it is never.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    Hours {
        /// The days on which the span begins.
        days: Vec<Day> = required(Days),
        /// First minute, `HH:MM`.
        from: String = required(MINUTE; "08:00"),
        /// Minute after the last, `HH:MM`.
        to: String = required(MINUTE; "18:00"),
    }
}

input! {
    /// A change of the hours: what is missing stays as it is.
    #[derive(Debug, Clone, PartialEq, Eq)]
    HoursPatch {
        /// The days on which the span begins.
        days: Patch<Vec<Day>> = patch(Days),
        /// First minute, `HH:MM`.
        from: Patch<String> = patch(MINUTE; "08:00"),
        /// Minute after the last, `HH:MM`.
        to: Patch<String> = patch(MINUTE; "18:00"),
    }
}

impl HoursPatch {
    /// The hours after this change. Where there were none before, it must name all of them.
    pub fn merged(self, before: Option<&Hours>) -> Result<Hours, Refusal> {
        let mut missing = Vec::new();
        let mut lacks = |name: &str| {
            let message = "is required: there are no hours yet that it could be taken from";
            missing.push(FieldError::new(format!("hours.{name}"), message));
        };
        let days = self.days.given().or(before.map(|hours| hours.days.clone()));
        let from = self.from.given().or(before.map(|hours| hours.from.clone()));
        let to = self.to.given().or(before.map(|hours| hours.to.clone()));
        for (name, is_there) in [
            ("days", days.is_some()),
            ("from", from.is_some()),
            ("to", to.is_some()),
        ] {
            if !is_there {
                lacks(name);
            }
        }
        match (days, from, to) {
            (Some(days), Some(from), Some(to)) => Ok(Hours { days, from, to }),
            _ => Err(Refusal::Invalid(missing)),
        }
    }
}

/// Days of the week, each once and in their order.
struct Days;

/// As they are written, in any order.
const DAYS: List<Word<Day>> = List {
    items: Day::RULE,
    least: 0,
    most: 7,
};

impl Rule for Days {
    type Value = Vec<Day>;

    fn read(&self, value: &Value) -> Result<Vec<Day>, Wrong> {
        let mut days = DAYS.read(value)?;
        days.sort_unstable();
        days.dedup();
        Ok(days)
    }

    fn schema(&self) -> Value {
        DAYS.schema()
    }

    fn referenced(&self, schemas: &mut Schemas) {
        DAYS.referenced(schemas);
    }
}

/// A minute of the day, see [`minute()`].
const MINUTE: Text<String> = Text {
    parse: minute,
    bounds: || json!({"pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$"}),
};

/// Reads a minute of the day. `24:00` is no minute of it: the end of the day is `00:00`.
pub fn minute(text: &str) -> Result<String, String> {
    let wrong = || "must be HH:MM between \"00:00\" and \"23:59\"".to_owned();
    let (hour, minute) = text.split_once(':').ok_or_else(wrong)?;
    let two_digits = |part: &str, below: u8| {
        part.len() == 2
            && part.bytes().all(|byte| byte.is_ascii_digit())
            && part.parse::<u8>().is_ok_and(|value| value < below)
    };
    if two_digits(hour, 24) && two_digits(minute, 60) {
        Ok(text.to_owned())
    } else {
        Err(wrong())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_have_stars_only_at_the_end() {
        for good in [
            "orders:read",
            "orders:*",
            "*",
            "a",
            "orders:read:own",
            "https://api/x",
        ] {
            assert!(scope(good).is_ok(), "{good:?}");
        }
        let long = "x".repeat(129);
        for bad in [
            "", "a b", "ä", "a:", ":a", "a::b", "or*", "*:read", "a:*:b", "**", "a\"b", "a\\b",
            &long,
        ] {
            assert!(scope(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_bare_address_is_a_network_of_one() {
        assert_eq!(network("10.1.2.3").unwrap().to_string(), "10.1.2.3/32");
        assert_eq!(
            network("2001:db8::1").unwrap().to_string(),
            "2001:db8::1/128"
        );
        assert_eq!(network("10.1.2.3/8").unwrap().to_string(), "10.0.0.0/8");
        for bad in [
            "",
            "10.0.0.0/33",
            "10.0.0",
            "localhost",
            "10.0.0.0/",
            "10.0.0.256",
        ] {
            assert!(network(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_minute_is_one_of_1440() {
        for good in ["00:00", "08:30", "23:59"] {
            assert!(minute(good).is_ok(), "{good:?}");
        }
        for bad in [
            "", "24:00", "8:00", "08:60", "0800", "08:00:00", "+8:00", "08:0 ",
        ] {
            assert!(minute(bad).is_err(), "{bad:?}");
        }
    }
}
