//! Closed sets of words: those of this service, and the statuses, whose words the filter and the service have in
//! common.

use std::borrow::Cow;
use std::marker::PhantomData;

use keybound::record::{KeyStatus, TenantStatus, UserStatus};
use serde_json::json;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::input::rules::Word;
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

/// A closed set of words of this service, read and written from one table.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, utoipa::ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// Every word with its meaning.
            pub const WORDS: &[(&str, Self)] = &[$(($word, Self::$variant),)+];

            /// The word that stands for it outside.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// Reads its word.
            pub fn parse(text: &str) -> Result<Self, String> {
                $crate::domain::words::word(text, Self::WORDS)
            }

            /// What stands in a field that holds one of the words.
            pub const RULE: $crate::domain::input::rules::Word<Self> =
                $crate::domain::input::rules::Word::new(Self::parse);
        }
    };
}
pub(crate) use words;

/// A status of a record, as the filter knows it.
pub trait Status: Copy + 'static {
    /// Its name in the description of the API.
    const NAME: &'static str;

    /// What it says there.
    const ABOUT: &'static str;

    /// All of them, in order.
    const ALL: &'static [Self];

    /// What stands in a field that holds one of the words.
    const RULE: Word<Self, Described<Self>> = Word::new(Self::parse);

    /// Its word.
    fn word(self) -> &'static str;

    /// Reads its word.
    fn parse(text: &str) -> Result<Self, String> {
        let words: Vec<_> = Self::ALL.iter().map(|one| (one.word(), *one)).collect();
        word(text, &words)
    }
}

macro_rules! statuses {
    ($($Status:ident: $about:literal),+ $(,)?) => { $(
        impl Status for $Status {
            const NAME: &'static str = stringify!($Status);
            const ABOUT: &'static str = $about;
            const ALL: &'static [Self] = &Self::ALL;

            fn word(self) -> &'static str {
                Self::word(self)
            }
        }
    )+ };
}
statuses! {
    KeyStatus: "Whether a key works.",
    UserStatus: "Whether a user's keys work, and if not, why.",
    TenantStatus: "Whether the keys of a tenant work.",
}

/// How a status is described: the filter has no descriptions.
pub struct Described<T>(PhantomData<T>);

/// The words of keys.
pub type KeyWords = Described<KeyStatus>;
/// The words of users.
pub type UserWords = Described<UserStatus>;
/// The words of tenants.
pub type TenantWords = Described<TenantStatus>;

impl<T: Status> PartialSchema for Described<T> {
    fn schema() -> RefOr<Schema> {
        let words: Vec<_> = T::ALL.iter().map(|one| one.word()).collect();
        let schema = json!({"type": "string", "description": T::ABOUT, "enum": words});
        serde_json::from_value(schema).expect("a list of words is a schema")
    }
}

impl<T: Status> ToSchema for Described<T> {
    fn name() -> Cow<'static, str> {
        T::NAME.into()
    }
}
