//! What somebody meant who wrote a word a little wrong.

/// The nearest of the known words, by the filter's measure, if one is near enough to be meant. Two words in one
/// (`mon-fri`) mean none of them alone.
pub fn did_you_mean<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let is_one = word
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_one
        .then(|| keybound::config::did_you_mean(word, known))
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_word_names_the_nearest() {
        assert_eq!(did_you_mean("scope", &["scopes", "status"]), Some("scopes"));
        assert_eq!(did_you_mean("user", &["name", "user_id"]), Some("user_id"));
        assert_eq!(did_you_mean("colour", &["scopes", "status"]), None);
        assert_eq!(did_you_mean("tz", &["to"]), None);
        assert_eq!(did_you_mean("monday", &["mon", "tue"]), Some("mon"));
        assert_eq!(did_you_mean("mon-fri", &["mon", "fri"]), None);
    }
}
