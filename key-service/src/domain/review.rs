//! Which keys ask for a look, and why: the only place that says so, for the API, the command and the metrics.

use super::key::{Key, KeyStatus};
use super::key_rules::Checks;
use super::time::DAY;
use super::user::{UserKind, UserStatus};
use super::words::words;

words! {
    /// Why a key asks for a look.
    #[derive(PartialOrd, Ord)]
    ReviewReason {
        /// It has no user, or one that does not exist.
        Orphaned = "orphaned",
        /// Its user is not active.
        OwnerInactive = "owner_inactive",
        /// It was not used for long.
        Dormant = "dormant",
        /// It was never used, and is not new.
        NeverUsed = "never_used",
        /// It expires never.
        NoExpiry = "no_expiry",
        /// It expires soon, and nothing has taken its place.
        ExpiresSoon = "expires_soon",
        /// It is older than it is to be, and nothing has taken its place.
        RotationDue = "rotation_due",
        /// It breaks a rule of its tenant.
        BreaksRules = "breaks_rules",
        /// It has the scope `*`.
        EverythingAllowed = "everything_allowed",
        /// It was reported to be public, and goes on.
        Leaked = "leaked",
        /// It is a person's, and used as programs use keys: every day, and from more than one network.
        PersonOwned = "person_owned",
    }
}

/// Unused for this long, a key is dormant.
pub const DORMANT_AFTER: i64 = 90 * DAY;
/// What expires within this time does so soon.
pub const EXPIRES_WITHIN: i64 = 30 * DAY;
/// A key that is younger need not have been used.
const NEW: i64 = 30 * DAY;

/// Keys that ask for a look, by reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts([i64; ReviewReason::WORDS.len()]);

impl Counts {
    /// Counts a key with these reasons.
    pub fn add(&mut self, reasons: &[ReviewReason]) {
        for reason in reasons {
            if let Some(count) = self.0.get_mut(*reason as usize) {
                *count += 1;
            }
        }
    }

    /// Each reason with its keys.
    pub fn by_reason(&self) -> impl Iterator<Item = (&'static str, i64)> {
        let words = ReviewReason::WORDS.iter().map(|(word, _)| *word);
        words.zip(self.0)
    }
}

/// A key with what a review looks at beside it.
#[derive(Debug)]
pub struct Candidate {
    /// The key.
    pub key: Key,
    /// Its user, if there is one.
    pub owner: Option<(UserStatus, UserKind)>,
    /// When it was last used, in Unix seconds, as far as use is reported.
    pub last_used_at: Option<i64>,
    /// Whether it was used on each of the last seven days, from more than one network, as far as use is reported.
    pub used_daily: bool,
}

/// How a review looks.
#[derive(Debug, Clone, Copy)]
pub struct Review {
    /// Now, in Unix seconds.
    pub now: i64,
    /// Seconds without use after which a key is dormant.
    pub dormant_after: i64,
    /// Seconds within which an end is soon.
    pub expires_within: i64,
    /// Since when gateways report use; before, nobody knows whether a key is used.
    pub reported_since: Option<i64>,
    /// Only keys that have this reason, among others.
    pub only: Option<ReviewReason>,
}

impl Review {
    /// Of all reasons, within the times that are meant where nobody says otherwise.
    pub fn usual(now: i64, reported_since: Option<i64>) -> Self {
        Self {
            now,
            dormant_after: DORMANT_AFTER,
            expires_within: EXPIRES_WITHIN,
            reported_since,
            only: None,
        }
    }

    /// Whether it is about a key with these reasons.
    pub fn is_about(&self, reasons: &[ReviewReason]) -> bool {
        match &self.only {
            Some(only) => reasons.contains(only),
            None => !reasons.is_empty(),
        }
    }

    /// Every reason to look at a key; none where it is over.
    pub fn reasons(&self, of: &Candidate, rules: Option<&Checks>) -> Vec<ReviewReason> {
        let (key, now) = (&of.key, self.now);
        let is_over = key.expires_at.is_some_and(|end| end <= now);
        if key.status == KeyStatus::Revoked || is_over {
            return Vec::new();
        }
        // What ends because another has taken its place is meant to.
        let stays = key.replaced_by.is_none();
        let known_since = self.reported_since.map(|since| since.max(key.created_at));
        let is_due = |span: i64| key.created_at.saturating_add(span) <= now;
        let asked = [
            (ReviewReason::Orphaned, of.owner.is_none()),
            (
                ReviewReason::OwnerInactive,
                of.owner
                    .is_some_and(|(status, _)| status != UserStatus::Active),
            ),
            (
                ReviewReason::Dormant,
                of.last_used_at
                    .is_some_and(|at| at < now - self.dormant_after),
            ),
            (
                ReviewReason::NeverUsed,
                of.last_used_at.is_none() && known_since.is_some_and(|since| since < now - NEW),
            ),
            (ReviewReason::NoExpiry, key.expires_at.is_none()),
            (
                ReviewReason::ExpiresSoon,
                stays
                    && key
                        .expires_at
                        .is_some_and(|end| end <= now + self.expires_within),
            ),
            (
                ReviewReason::RotationDue,
                stays && key.rotate_every.is_some_and(|span| is_due(span.seconds())),
            ),
            (
                ReviewReason::BreaksRules,
                rules.is_some_and(|rules| {
                    !rules
                        .broken_by(key, of.owner.map(|(_, kind)| kind))
                        .is_empty()
                }),
            ),
            (
                ReviewReason::EverythingAllowed,
                key.scopes.iter().any(|scope| scope == "*"),
            ),
            (ReviewReason::Leaked, key.leaked_at.is_some()),
            (
                ReviewReason::PersonOwned,
                of.used_daily && of.owner.is_some_and(|(_, kind)| kind == UserKind::Person),
            ),
        ];
        let found = asked.into_iter().filter(|(_, asks)| *asks);
        found.map(|(reason, _)| reason).collect()
    }
}
