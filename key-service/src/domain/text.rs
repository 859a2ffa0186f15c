//! Texts with rules of their own: ids, names, environments.

use keybound::credential::BASE62;
use keybound::protocol::{LONGEST_NAME, is_name};
use rand::RngExt;
use serde_json::{Value, json};

use super::input::rules::Text;

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

/// An id, see [`id()`].
pub const ID: Text<String> = Text {
    parse: id,
    bounds: visible,
};

/// The name of an API, see [`api()`].
pub const API: Text<String> = Text {
    parse: api,
    bounds: visible,
};

/// A line for people, see [`line()`].
pub const LINE: Text<String> = Text {
    parse: line,
    bounds: || json!({"minLength": 1, "maxLength": MOST_OF_LINE, "pattern": ONE_LINE}),
};

/// What to search for, see [`search()`].
pub const SEARCH: Text<String> = Text {
    parse: search,
    bounds: || json!({"minLength": 1, "maxLength": MOST_OF_SEARCH}),
};

/// The environment of a key, see [`environment()`].
pub const ENVIRONMENT: Text<String> = Text {
    parse: environment,
    bounds: || json!({"minLength": 1, "maxLength": 32, "pattern": "^[a-z0-9-]+$"}),
};

/// Characters of a line at most.
const MOST_OF_LINE: usize = 200;
/// Characters to search for at most.
const MOST_OF_SEARCH: usize = 40;
/// Without control characters, and not blank.
const ONE_LINE: &str = r"^[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$";

/// The bounds of visible ASCII.
pub fn visible() -> Value {
    json!({"minLength": 1, "maxLength": LONGEST_NAME, "pattern": "^[!-~]+$"})
}

/// An id becomes a header value at the gateway: visible ASCII, and short.
pub fn id(text: &str) -> Result<String, String> {
    if is_name(text) {
        return Ok(text.to_owned());
    }
    Err(if (1..=LONGEST_NAME).contains(&text.len()) {
        "may hold only visible ASCII characters, no spaces".to_owned()
    } else {
        format!("must have 1 to {LONGEST_NAME} characters")
    })
}

/// The name of an API that a user may be approved for.
pub fn api(text: &str) -> Result<String, String> {
    id(text)
}

/// A name or reason for people: one line of any script.
pub fn line(text: &str) -> Result<String, String> {
    if text.trim().is_empty() || text.chars().count() > MOST_OF_LINE {
        return Err(format!(
            "must have 1 to {MOST_OF_LINE} characters, not only spaces"
        ));
    }
    if text.chars().any(char::is_control) {
        return Err("must be one line without control characters".to_owned());
    }
    Ok(text.to_owned())
}

/// A part of an id, name or hint. The length keeps keys out, which are longer: a search stands in URLs, and
/// those in logs. Dots as people type them stand for the one of a hint.
pub fn search(text: &str) -> Result<String, String> {
    if text.chars().count() > MOST_OF_SEARCH {
        return Err(format!(
            "must have at most {MOST_OF_SEARCH} characters: search by a part of an id, name or hint, never by the \
             key itself"
        ));
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
