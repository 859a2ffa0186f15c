//! A credential in clear, and the digest that is all we keep of it. Checksum and digest are the filter's own.

use std::fmt;

use keybound::credential::digest;
use keybound::credential::{CRC32_LENGTH, crc32};

use serde_json::json;

use super::input::rules::{Text, any};
use super::text::random_base62;

/// Random characters of a generated key: 190 bits.
const RANDOM_LENGTH: usize = 32;
/// Below this length the last four characters of a foreign key would give too much of it away.
const SHORTEST_WITH_TAIL: usize = 16;

/// A key in clear. Lives only between the request that brings or makes it and the answer.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential(String);

impl fmt::Debug for Credential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Credential(…)")
    }
}

impl Credential {
    /// A new random key of this environment: `kb_<environment>_` (or `kb_`, where keys have no
    /// environments), 32 random characters, and a checksum that tells a typing error from an
    /// unknown key.
    pub fn generate(environment: Option<&str>) -> Self {
        Self::with_body(environment, &random_base62(RANDOM_LENGTH))
    }

    /// The key of this environment and body, completed by its checksum.
    pub fn with_body(environment: Option<&str>, body: &str) -> Self {
        let head = match environment {
            Some(environment) => format!("kb_{environment}_{body}"),
            None => format!("kb_{body}"),
        };
        let checksum = crc32(head.as_bytes());
        let mut text = head;
        text.extend(checksum.map(char::from));
        Self(text)
    }

    /// A key from elsewhere: whatever can be sent in a header.
    pub fn foreign(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.len() > 512 {
            return Err("must have 1 to 512 characters".to_owned());
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("may hold only visible ASCII characters, no spaces".to_owned());
        }
        Ok(Self(text.to_owned()))
    }

    /// What people may see of it: the prefix and the last four characters.
    pub fn hint(&self) -> String {
        let text = &self.0;
        let ours = text.strip_prefix("kb_").map(|rest| {
            let environment = rest.find('_').map_or(0, |at| at + 1);
            "kb_".len() + environment
        });
        let prefix = ours
            .filter(|length| text.len() == length + RANDOM_LENGTH + CRC32_LENGTH)
            .and_then(|length| text.get(..length))
            .unwrap_or_default();
        let tail = if text.len() >= SHORTEST_WITH_TAIL {
            text.get(text.len() - 4..).unwrap_or_default()
        } else {
            ""
        };
        format!("{prefix}…{tail}")
    }

    /// The clear text, for the one answer that may hold it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// A key in clear that was made elsewhere.
pub const FOREIGN: Text<Credential> = Text {
    parse: Credential::foreign,
    bounds: any,
};

/// The digest of a credential, as the protocol writes it: base64url of 32 bytes, no padding.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Digest(String);

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Digest(…)")
    }
}

/// A digest as the protocol writes it.
pub const DIGEST: Text<Digest> = Text {
    parse: Digest::parse,
    bounds: || json!({"pattern": "^[A-Za-z0-9_-]{43}$"}),
};

impl Digest {
    /// Reads the protocol's text. Only the canonical form passes, so equal digests are equal texts.
    pub fn parse(text: &str) -> Result<Self, String> {
        match digest::Digest::parse(text) {
            Some(_) => Ok(Self(text.to_owned())),
            None => Err(
                "must be the base64url text, without padding, of a digest of 32 bytes (43 characters)"
                    .to_owned(),
            ),
        }
    }

    /// A digest that was parsed before it was stored.
    pub(crate) fn stored(text: String) -> Self {
        Self(text)
    }

    /// The protocol's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The filter's own digester, whose digests are written as the protocol does.
#[derive(Clone)]
pub struct Digester(digest::Digester);

impl fmt::Debug for Digester {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl Default for Digester {
    fn default() -> Self {
        Self(digest::Digester::plain())
    }
}

impl Digester {
    /// HMAC-SHA-256 with this pepper.
    pub fn peppered(pepper: &[u8]) -> Self {
        Self(digest::Digester::peppered(pepper))
    }

    /// Whether it uses a pepper.
    pub const fn is_peppered(&self) -> bool {
        self.0.is_peppered()
    }

    /// The digest of a credential.
    pub fn digest(&self, credential: &Credential) -> Digest {
        self.digest_bytes(credential.reveal().as_bytes())
    }

    /// The digest of whatever a gateway takes as a credential.
    pub fn digest_bytes(&self, bytes: &[u8]) -> Digest {
        Digest(self.0.digest(bytes).to_text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_key_has_prefix_random_part_and_checksum() {
        let key = Credential::generate(Some("live"));
        let text = key.reveal();
        assert!(text.starts_with("kb_live_"));
        assert_eq!(text.len(), "kb_live_".len() + 38);
        let (head, tail) = text.split_at(text.len() - 6);
        assert_eq!(crc32(head.as_bytes()), tail.as_bytes());
        assert_ne!(key, Credential::generate(Some("live")));
        assert_eq!(Credential::generate(None).reveal().len(), "kb_".len() + 38);
    }

    #[test]
    fn the_filter_takes_a_generated_key_and_finds_a_typing_error() {
        let format = keybound::credential::KeyFormat {
            prefixes: vec!["kb_live_".to_owned()],
            checksum: keybound::credential::Checksum::Crc32,
            min_length: 46,
            max_length: 46,
            foreign: keybound::credential::Foreign::Refuse,
        };
        let text = Credential::generate(Some("live")).0;
        assert!(format.accepts(text.as_bytes()));
        let swapped = if text.ends_with('0') { "1" } else { "0" };
        let mistyped = format!("{}{swapped}", &text[..text.len() - 1]);
        assert!(!format.accepts(mistyped.as_bytes()));
    }

    #[test]
    fn a_hint_shows_prefix_and_last_four() {
        let key = Credential::with_body(Some("live"), &"a".repeat(32));
        let tail = &key.reveal()[key.reveal().len() - 4..];
        assert_eq!(key.hint(), format!("kb_live_…{tail}"));
        assert_eq!(
            Credential::foreign("0123456789abcdef").unwrap().hint(),
            "…cdef"
        );
        assert_eq!(Credential::foreign("short").unwrap().hint(), "…");
        assert_eq!(
            Credential::foreign("kb_what_ever_a_foreign_key")
                .unwrap()
                .hint(),
            "…_key"
        );
    }

    #[test]
    fn nothing_secret_is_in_debug() {
        let key = Credential::generate(None);
        assert_eq!(format!("{key:?}"), "Credential(…)");
        assert_eq!(
            format!("{:?}", Digester::default().digest(&key)),
            "Digest(…)"
        );
        assert_eq!(
            format!("{:?}", Digester::peppered(b"pepper")),
            "Digester(HMAC-SHA-256)"
        );
    }

    #[test]
    fn digests_are_those_of_the_standards() {
        let abc = Credential::foreign("abc").unwrap();
        assert_eq!(
            Digester::default().digest(&abc).as_str(),
            "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0"
        );
        // RFC 4231, test case 2.
        let what = Credential(String::from("what do ya want for nothing?"));
        assert_eq!(
            Digester::peppered(b"Jefe").digest(&what).as_str(),
            "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM"
        );
    }

    #[test]
    fn only_the_canonical_text_is_a_digest() {
        let good = Digester::default().digest(&Credential::generate(None));
        assert_eq!(Digest::parse(good.as_str()), Ok(good.clone()));
        let padded = format!("{}=", good.as_str());
        // The last character of 43 carries two bits that must be zero.
        for bad in [
            "",
            "abc",
            &padded,
            &"A".repeat(44),
            &format!("{}B", "A".repeat(42)),
            &"+".repeat(43),
        ] {
            assert!(Digest::parse(bad).is_err(), "{bad:?}");
        }
    }
}
