//! Closed sets of words: what there is, and what each is called outside, written once.

/// Makes an enum that knows all its members and their words, so that none can be forgotten in a list or a match.
macro_rules! closed_set {
    (
        $(#[$about:meta])*
        pub enum $Set:ident {
            $($(#[$meaning:meta])* $Member:ident = $word:literal,)+
        }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $Set {
            $($(#[$meaning])* $Member,)+
        }

        impl $Set {
            /// All of them, in order.
            pub const ALL: [Self; [$($word),+].len()] = [$(Self::$Member),+];

            /// The word that stands for it outside.
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$Member => $word,)+
                }
            }

            /// The one that a word stands for.
            pub fn named(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$Member),)+
                    _ => None,
                }
            }
        }
    };
}

pub(crate) use closed_set;
