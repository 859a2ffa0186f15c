//! Words about the credential itself: whether it was sent, where, and what is wrong with its form.

use super::{Question, Subject, words};
use keybound::credential::{self, Checksum, Fault, Foreign, KeyFormat, Location};
use keybound::host::Circumstances;
use keybound::request::percent;
use keybound::verdict::{Outcome, Reason};

impl<C: Circumstances> Question<'_, C> {
    /// What to say of a check where no key is known.
    pub(super) fn unknown(&self, reason: Reason, outcome: Outcome) -> String {
        match (reason, outcome) {
            (_, Outcome::Skipped) => "Not looked at: there is no key to look at.".to_owned(),
            (Reason::KeyUnknown, _) => match self.subject {
                Subject::Named => "The key service knows no key of this digest.".to_owned(),
                Subject::Carried | Subject::Given(_) => format!(
                    "The key service knows no key of this credential{}.",
                    self.length()
                ),
            },
            (_, Outcome::Passed) => self.sent(reason),
            (Reason::KeyMissing, Outcome::Failed) => format!(
                "The request carries no credential in {}{}.",
                self.places(),
                self.near_miss()
            ),
            (Reason::KeyDuplicated, Outcome::Failed) => {
                let place = self.place().map_or_else(String::new, words::location);
                format!("The request carries more than one credential in {place}.")
            }
            (_, Outcome::Failed) => self.malformed(),
        }
    }

    /// What to say of the first three checks where they pass, or cannot be made.
    pub(super) fn sent(&self, reason: Reason) -> String {
        let place = || self.place().map_or_else(String::new, words::location);
        match (self.subject, reason) {
            (Subject::Named, _) => {
                "Not looked at: the question names the key and holds no credential.".to_owned()
            }
            (Subject::Given(_), Reason::KeyMalformed)
            | (Subject::Carried, Reason::KeyMalformed) => {
                format!("The credential has the form of a key{}.", self.length())
            }
            (Subject::Given(_), _) => {
                "The question holds the credential, which counts as sent once.".to_owned()
            }
            (Subject::Carried, Reason::KeyMissing) => {
                format!("The request carries a credential in {}.", place())
            }
            (Subject::Carried, _) => {
                format!("The request carries one credential in {}.", place())
            }
        }
    }

    /// All places where the filter looks.
    pub(super) fn places(&self) -> String {
        words::either(self.settings.credentials.iter().map(words::location))
    }

    /// The place that decides: the first that holds something.
    fn place(&self) -> Option<&Location> {
        let format = &self.settings.key_format;
        self.settings.credentials.iter().find(|location| {
            let found = credential::find(
                std::slice::from_ref(*location),
                format,
                self.request.headers,
            );
            found != Err(Fault::Missing)
        })
    }

    /// A header that is there and counts as absent.
    fn near_miss(&self) -> String {
        let foreign = match self.settings.key_format.foreign {
            Foreign::Absent => ", or does not begin as a key does",
            Foreign::Refuse => "",
        };
        let mut locations = self.settings.credentials.iter();
        let other = locations.find_map(|location| {
            let form = match location {
                Location::Scheme { scheme, .. } => format!("{scheme} <key>"),
                Location::Basic => "Basic <key and a colon, as base64>".to_owned(),
                Location::Header(_) | Location::Query(_) | Location::Cookie(_) => return None,
            };
            let header = location.header()?;
            self.request.headers.first(header)?;
            Some(format!(
                "; {header} is there, but not as \"{form}\"{foreign}"
            ))
        });
        other.unwrap_or_default()
    }

    /// What is wrong with the form. Each rule is asked of the filter's own check, on its own.
    fn malformed(&self) -> String {
        let any = KeyFormat {
            prefixes: Vec::new(),
            checksum: Checksum::None,
            min_length: 0,
            max_length: usize::MAX,
            foreign: Foreign::Refuse,
        };
        let format = &self.settings.key_format;
        let Some(credential) = self.bytes() else {
            return "The credential cannot be read, or holds bytes other than visible ASCII, such as a space \
                    or a line break."
                .to_owned();
        };
        if !any.accepts(&credential) {
            let trimmed = format.accepts(credential.trim_ascii());
            let remedy = if trimmed {
                "; without the spaces around it, it would have the form of a key"
            } else {
                ""
            };
            return format!(
                "The credential holds bytes other than visible ASCII, such as a space or a line break{remedy}."
            );
        }
        let length = KeyFormat {
            min_length: format.min_length,
            max_length: format.max_length,
            ..any.clone()
        };
        let prefix = KeyFormat {
            prefixes: format.prefixes.clone(),
            ..any
        };
        let decoded = percent::decode(&credential);
        let encoded = if *decoded != *credential && format.accepts(&decoded) {
            "; percent-decoded once more, it would have the form of a key"
        } else {
            ""
        };
        let problem = if !length.accepts(&credential) {
            format!(
                "has {} bytes, and a key has {} to {}",
                credential.len(),
                format.min_length,
                format.max_length
            )
        } else if !prefix.accepts(&credential) {
            format!(
                "does not begin with {}",
                words::either(format.prefixes.iter().cloned())
            )
        } else {
            "has a wrong checksum at its end: a character is wrong, missing or too many".to_owned()
        };
        format!("The credential {problem}{encoded}.")
    }

    fn length(&self) -> String {
        self.bytes()
            .map(|credential| format!(" ({} bytes)", credential.len()))
            .unwrap_or_default()
    }

    /// The credential, whatever its form, as far as the filter reads one.
    fn bytes(&self) -> Option<Vec<u8>> {
        let any = KeyFormat {
            max_length: usize::MAX,
            ..KeyFormat::default()
        };
        match self.subject {
            Subject::Given(credential) => Some(credential.to_vec()),
            Subject::Named => None,
            Subject::Carried => {
                let place = std::slice::from_ref(self.place()?);
                let found = credential::find(place, &any, self.request.headers);
                found.ok().map(std::borrow::Cow::into_owned)
            }
        }
    }
}
