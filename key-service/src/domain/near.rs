//! What somebody meant who wrote a word a little wrong.

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
