//! Texts with rules of their own: ids, names, environments.

use keybound::credential::BASE62;
use rand::RngExt;

/// Characters after the prefix of a generated id: 95 bits, so two never meet by chance.
const ID_LENGTH: usize = 16;

/// Random base62 characters from the operating system's seeded generator.
pub fn random_base62(length: usize) -> String {
    let mut random = rand::rng();
    (0..length)
        .map(|_| char::from(BASE62[random.random_range(0..BASE62.len())]))
        .collect()
}

/// A new id with this prefix, such as `usr_`.
pub fn new_id(prefix: &str) -> String {
    format!("{prefix}{}", random_base62(ID_LENGTH))
}

/// An id becomes a header value at the gateway: visible ASCII, and short.
pub fn id(text: &str) -> Result<String, String> {
    visible_ascii(text, 128)
}

/// The name of an API that a user may be approved for.
pub fn api(text: &str) -> Result<String, String> {
    visible_ascii(text, 128)
}

fn visible_ascii(text: &str, longest: usize) -> Result<String, String> {
    if text.is_empty() || text.len() > longest {
        return Err(format!("must have 1 to {longest} characters"));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("may hold only visible ASCII characters, no spaces".to_owned());
    }
    Ok(text.to_owned())
}

/// A name or reason for people: one line of any script.
pub fn line(text: &str) -> Result<String, String> {
    if text.trim().is_empty() || text.chars().count() > 200 {
        return Err("must have 1 to 200 characters, not only spaces".to_owned());
    }
    if text.chars().any(char::is_control) {
        return Err("must be one line without control characters".to_owned());
    }
    Ok(text.to_owned())
}

/// A part of an id, name or hint. The length keeps keys out, which are longer: a search stands in URLs, and
/// those in logs. Dots as people type them stand for the one of a hint.
pub fn search(text: &str) -> Result<String, String> {
    if text.chars().count() > 40 {
        return Err(
            "must have at most 40 characters: search by a part of an id, name or hint, never by the key itself"
                .to_owned(),
        );
    }
    line(&text.replace("...", "…"))
}

/// An environment stands inside the key (`kb_<environment>_…`), so it must not hold `_`.
pub fn environment(text: &str) -> Result<String, String> {
    let fits = (1..=32).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if fits {
        Ok(text.to_owned())
    } else {
        Err("must have 1 to 32 characters out of a-z, 0-9 and -, such as \"live\"".to_owned())
    }
}

/// The nearest of the known words, if one is near enough to be meant: a few wrong letters, or one
/// being the beginning of the other. Two words in one (`mon-fri`) mean none of them alone.
pub fn did_you_mean<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let near = known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), *candidate))
        .filter(|(distance, candidate)| distance * 3 <= candidate.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate);
    near.or_else(|| {
        let begins = |candidate: &&&str| {
            let rest = word.strip_prefix(**candidate);
            candidate.starts_with(word)
                || rest.is_some_and(|rest| {
                    rest.bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
                })
        };
        known
            .iter()
            .filter(|_| word.len() >= 3)
            .find(begins)
            .copied()
    })
}

/// One of a closed set of words, or a message that lists them and names the nearest.
pub fn word<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, String> {
    if let Some((_, value)) = words.iter().find(|(name, _)| *name == text) {
        return Ok(*value);
    }
    let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
    let mut message = format!("must be one of {}", names.join(", "));
    if let Some(near) = did_you_mean(text, &names) {
        message.push_str(&format!("; did you mean \"{near}\"?"));
    }
    Err(message)
}

/// A status word as the protocol writes it, read and written from one table.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, utoipa::ToSchema)]
        #[serde(rename_all = "lowercase")]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// Every word with its meaning.
            pub const WORDS: &[(&str, Self)] = &[$(($word, Self::$variant),)+];

            /// The word of the protocol.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// Reads the word of the protocol.
            pub fn parse(text: &str) -> Result<Self, String> {
                $crate::domain::text::word(text, Self::WORDS)
            }
        }
    };
}
pub(crate) use words;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_visible_ascii_of_1_to_128_bytes() {
        assert_eq!(id("usr_7"), Ok("usr_7".to_owned()));
        assert!(id(&"x".repeat(128)).is_ok());
        for bad in ["", "a b", "a\nb", "ä", &"x".repeat(129)] {
            assert!(id(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_unknown_word_names_the_nearest() {
        assert_eq!(did_you_mean("scope", &["scopes", "status"]), Some("scopes"));
        assert_eq!(did_you_mean("user", &["name", "user_id"]), Some("user_id"));
        assert_eq!(did_you_mean("colour", &["scopes", "status"]), None);
        assert_eq!(did_you_mean("tz", &["to"]), None);
        assert_eq!(did_you_mean("monday", &["mon", "tue"]), Some("mon"));
        assert_eq!(did_you_mean("mon-fri", &["mon", "fri"]), None);
    }

    #[test]
    fn no_key_can_be_searched_by() {
        assert_eq!(search("kb_live_...q6ws"), Ok("kb_live_…q6ws".to_owned()));
        assert!(search("").is_err());
        assert!(search(&format!("kb_{}", "x".repeat(38))).is_err());
    }

    #[test]
    fn an_environment_cannot_blur_the_parts_of_a_key() {
        assert!(environment("live").is_ok());
        for bad in ["", "li_ve", "Live", "li ve", &"x".repeat(33)] {
            assert!(environment(bad).is_err(), "{bad:?}");
        }
    }
}
