//! Closed sets of words, such as the statuses of the protocol.

use super::near::did_you_mean;

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
                $crate::domain::words::word(text, Self::WORDS)
            }

            /// What stands in a field that holds one of the words.
            pub const RULE: $crate::domain::input::rules::Word<Self> =
                $crate::domain::input::rules::Word(Self::parse);
        }
    };
}
pub(crate) use words;
