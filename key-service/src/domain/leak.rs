//! Keys that were found where everybody can read them: what is reported, and what becomes of the key.

use serde::Serialize;
use utoipa::ToSchema;

use super::credential::{Credential, DIGEST, Digest, FOREIGN};
use super::input::input;
use super::input::rules::List;
use super::key::{Key, KeyStatus};
use super::key_rules::OnLeak;
use super::refusal::Refusal;
use super::text::LINE;
use super::words::words;

words! {
    /// What became of a key that was reported.
    LeakOutcome {
        /// It was revoked because of the report.
        Revoked = "revoked",
        /// It goes on, and a review names it.
        Flagged = "flagged",
        /// It was revoked before.
        RevokedBefore = "revoked_before",
        /// It was reported before, and goes on.
        FlaggedBefore = "flagged_before",
        /// There is no such key.
        Unknown = "unknown",
    }
}

/// Keys of one report at most.
pub const MOST_REPORTED: usize = 1000;

input! {
    /// Keys that were found somewhere.
    LeakReport {
        /// Keys in clear. They are not stored.
        keys: Vec<Credential> = or_default(KEYS),
        /// Digests of keys, as the protocol writes them.
        digests: Vec<Digest> = or_default(DIGESTS),
        /// Where they were found, for the audit log and whoever asks later.
        found_at: Option<String> = optional(LINE; "https://git.example.com/shop/job.sh"),
    }
}

const KEYS: List<super::input::rules::Text<Credential>> = List {
    items: FOREIGN,
    least: 0,
    most: MOST_REPORTED,
};

const DIGESTS: List<super::input::rules::Text<Digest>> = List {
    items: DIGEST,
    least: 0,
    most: MOST_REPORTED,
};

/// What became of one of the keys that were reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ReportedKey {
    /// What became of it.
    pub outcome: LeakOutcome,
    /// Its id; null where there is no such key.
    pub key_id: Option<String>,
}

impl ReportedKey {
    /// What is said of a key that nobody knows, and of one that is not the caller's.
    pub const UNKNOWN: Self = Self {
        outcome: LeakOutcome::Unknown,
        key_id: None,
    };
}

impl LeakReport {
    /// Refuses a report of nothing.
    pub fn check(&self) -> Result<(), Refusal> {
        match self.keys.is_empty() && self.digests.is_empty() {
            true => Err(Refusal::field(
                "keys",
                "nothing is reported: name the keys, or the digests, that were found",
            )),
            false => Ok(()),
        }
    }
}

/// Characters of the place that is kept.
const MOST_OF_PLACE: usize = 160;

/// Where a key was found, as one line for people: a scanner may send anything.
pub fn place(found_at: &str) -> Option<String> {
    let line: String = found_at
        .chars()
        .filter(|letter| !letter.is_control())
        .take(MOST_OF_PLACE)
        .collect();
    let line = line.trim();
    (!line.is_empty()).then(|| line.to_owned())
}

impl Key {
    /// The key after a report that it is public, and what became of it. Nothing where it stays as it was.
    pub fn leaked(
        &self,
        on_leak: OnLeak,
        found_at: Option<&str>,
        now: i64,
    ) -> (LeakOutcome, Option<Self>) {
        if self.status == KeyStatus::Revoked {
            return (LeakOutcome::RevokedBefore, None);
        }
        let flagged = Self {
            leaked_at: self.leaked_at.or(Some(now)),
            ..self.clone()
        };
        match on_leak {
            OnLeak::Flag if self.leaked_at.is_some() => (LeakOutcome::FlaggedBefore, None),
            OnLeak::Flag => (LeakOutcome::Flagged, Some(flagged)),
            OnLeak::Revoke => {
                let reason = match found_at {
                    Some(place) => format!("leaked, found at {place}"),
                    None => "leaked".to_owned(),
                };
                let revoked = flagged.revoked(Some(reason), now);
                (LeakOutcome::Revoked, Some(revoked))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_one_line_that_ends() {
        assert_eq!(
            place(" https://a\r\n/b\u{7} ").as_deref(),
            Some("https://a/b")
        );
        assert_eq!(place(&"x".repeat(500)).map(|line| line.len()), Some(160));
        for nothing in ["", "  ", "\n"] {
            assert_eq!(place(nothing), None);
        }
    }
}
