//! What the keys of a tenant must have. The rules are asked where a key is made or changed, and never of a key that is
//! there: whoever narrows the rules breaks nobody's client.

use regex::{Regex, RegexBuilder};
use serde::Serialize;
use serde_json::json;

use super::fence::SCOPES;
use super::input::input;
use super::input::rules::{List, Text, Word};
use super::key::Key;
use super::refusal::{FieldError, Refusal};
use super::time::{SPAN, Span};
use super::user::{User, UserKind};
use super::words::words;

words! {
    /// A field that keys must have.
    Required {
        /// What it is for.
        Purpose = "purpose",
        /// Whom to ask about it.
        Contact = "contact",
        /// An end of its life.
        ExpiresAt = "expires_at",
        /// At least one scope.
        Scopes = "scopes",
        /// Networks from which it may be used; an empty list, which is nowhere, counts.
        Networks = "networks",
    }
}

words! {
    /// Who may own keys.

    Owners {
        /// Any user.
        Any = "any",
        /// Systems alone: a key of a person stops when that person leaves.
        System = "system",
    }
}

words! {
    /// What becomes of a key that is reported to be public.
    #[derive(Default)]
    OnLeak {
        /// It is revoked at once.
        #[default]
        Revoke = "revoke",
        /// It goes on, and a review names it.
        Flag = "flag",
    }
}

words! {
    /// A rule, by its name.
    RuleName {
        /// How long a key may live.
        MaxLifetime = "max_lifetime",
        /// What it must have.
        Require = "require",
        /// What it must be called.
        NamePattern = "name_pattern",
        /// What it must not be allowed.
        ForbidScopes = "forbid_scopes",
        /// Who may own it.
        Owners = "owners",
    }
}

input! {
    /// What the keys of a tenant must have. What is missing is not asked.
    #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
    KeyRules {
        /// How long a key may live after its begin, such as `90d`; null is for ever.
        max_lifetime: Option<Span> = optional(SPAN; "90d"),
        /// Fields that a key must have.
        require: Vec<Required> = or_default(REQUIRED; json!(["purpose", "contact"])),
        /// A regular expression that the whole name must match; null takes any name, and none.
        name_pattern: Option<String> = optional(PATTERN; "[a-z0-9-]+"),
        /// Scopes that no key may have, each as it is written.
        forbid_scopes: Vec<String> = or_default(SCOPES; json!(["*"])),
        /// Who may own keys; any user where it is missing.
        owners: Option<Owners> = optional(Owners::RULE),
        /// What becomes of a key that is reported to be public; `revoke` where it is missing.
        on_leak: Option<OnLeak> = optional(OnLeak::RULE),
    }
}

const REQUIRED: List<Word<Required>> = List {
    items: Required::RULE,
    least: 0,
    most: 5,
};

/// Characters of a pattern at most, and bytes of what it is compiled to.
const LONGEST_PATTERN: usize = 200;
const LARGEST_PATTERN: usize = 64 * 1024;

const PATTERN: Text<String> = Text {
    parse: |text| {
        if text.is_empty() || text.chars().count() > LONGEST_PATTERN {
            return Err(format!("must have 1 to {LONGEST_PATTERN} characters"));
        }
        compiled(text).map(|_| text.to_owned()).ok_or_else(|| {
            "must be a regular expression, without look-around and back-references, that is not too large".to_owned()
        })
    },
    bounds: || json!({"minLength": 1, "maxLength": LONGEST_PATTERN}),
};

/// The pattern, for the whole of a text. Alone it must be one, too: `a)|(b` is not.
fn compiled(pattern: &str) -> Option<Regex> {
    let compile = |pattern: &str| {
        let mut builder = RegexBuilder::new(pattern);
        builder.size_limit(LARGEST_PATTERN).build().ok()
    };
    compile(pattern)?;
    compile(&format!(r"\A(?:{pattern})\z"))
}

/// The rules, ready to be asked of many keys.
#[derive(Debug)]
pub struct Checks {
    rules: KeyRules,
    name: Option<Regex>,
}

impl KeyRules {
    /// Makes them ready.
    pub fn checks(self) -> Checks {
        Checks {
            name: self.name_pattern.as_deref().and_then(compiled),
            rules: self,
        }
    }
}

impl Checks {
    /// Refuses a key that breaks a rule, and names every field with its rule. `owner` is its user.
    pub fn check(&self, key: &Key, owner: Option<&User>) -> Result<(), Refusal> {
        Refusal::unless_empty(self.broken_by(key, owner.map(|owner| owner.kind)))
    }

    /// Every rule that a key breaks, whose user is of this kind.
    pub fn broken_by(&self, key: &Key, owner: Option<UserKind>) -> Vec<FieldError> {
        let rules = &self.rules;
        let mut broken = Vec::new();
        let mut add = |field: &str, rule: RuleName, message: String| {
            broken.push(FieldError {
                rule: Some(rule.as_str()),
                ..FieldError::new(field, message)
            });
        };
        if let Some(most) = rules.max_lifetime {
            let begin = key.not_before.unwrap_or(key.created_at);
            let latest = begin.saturating_add(most.seconds());
            if key.expires_at.is_none_or(|end| end > latest) {
                let message = format!("must be within {most} after the key's begin");
                add("expires_at", RuleName::MaxLifetime, message);
            }
        }
        for required in &rules.require {
            let (is_there, remedy) = match required {
                Required::Purpose => (key.purpose.is_some(), "say what the key is for"),
                Required::Contact => (key.contact.is_some(), "say whom to ask about the key"),
                Required::ExpiresAt => (key.expires_at.is_some(), "give the key an end"),
                Required::Scopes => (!key.scopes.is_empty(), "say what the key may do"),
                Required::Networks => {
                    (key.networks.is_some(), "say where the key may be used from")
                }
            };
            if !is_there {
                add(
                    required.as_str(),
                    RuleName::Require,
                    format!("is missing: {remedy}"),
                );
            }
        }
        if let Some(pattern) = &rules.name_pattern {
            // One that does not compile any more takes no name, rather than any.
            let matches = |name: &String| {
                self.name
                    .as_ref()
                    .is_some_and(|pattern| pattern.is_match(name))
            };
            if !key.name.as_ref().is_some_and(matches) {
                add(
                    "name",
                    RuleName::NamePattern,
                    format!("must match {pattern}"),
                );
            }
        }
        for (index, scope) in key.scopes.iter().enumerate() {
            if rules.forbid_scopes.contains(scope) {
                let field = format!("scopes[{index}]");
                add(
                    &field,
                    RuleName::ForbidScopes,
                    format!("must not be {scope}"),
                );
            }
        }
        if rules.owners == Some(Owners::System) && owner == Some(UserKind::Person) {
            let message = "must be a user of the kind system".to_owned();
            add("user_id", RuleName::Owners, message);
        }
        broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_asked_of_the_whole_name_and_is_no_way_around_that() {
        for bad in [
            "",
            "(",
            "a)|(b",
            "(?<=a)b",
            "(\\w{1000}){1000}",
            &"a".repeat(201),
        ] {
            assert!((PATTERN.parse)(bad).is_err(), "{bad}");
        }
        let matches = |pattern, name| compiled(pattern).unwrap().is_match(name);
        assert!(matches("a|b", "b") && matches("(?i)A", "a"));
        for name in ["ab", "b\n", "\na", ""] {
            assert!(!matches("a|b", name), "{name:?}");
            assert!(!matches("(?m)a|b", name), "{name:?}");
        }
    }
}
