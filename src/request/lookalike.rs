//! Characters that some server takes for others.
//!
//! A server that brings text into a normal form (Unicode, UAX #15, NFKC), ignores case or fits text into a
//! smaller alphabet may read a full-width dot as a dot, the Kelvin sign as a k, and nothing where a soft
//! hyphen stands. One that decodes UTF-8 carelessly takes `C0 AE` for a dot.

/// Whether some server may read ASCII characters, or none, where others stand. What is no UTF-8 counts too,
/// since nobody knows what a server makes of it.
pub fn may_be_ascii(text: &[u8]) -> bool {
    !text.is_ascii()
        && std::str::from_utf8(text).map_or(true, |text| text.chars().any(is_lookalike))
}

/// Whether the character becomes ASCII alone by normal form, case or best fit, or is ignored. Whole blocks
/// where nearly all of them do.
const fn is_lookalike(character: char) -> bool {
    matches!(
        character,
        // Blanks, the soft hyphen, indices.
        '\u{80}'..='\u{a0}' | '\u{aa}' | '\u{ad}' | '\u{b2}'..='\u{ba}'
        // Letters by case, and pairs of letters in one character.
        | '\u{df}' | '\u{130}'..='\u{133}' | '\u{149}' | '\u{17f}' | '\u{1c4}'..='\u{1cc}' | '\u{1f1}'..='\u{1f3}'
        | '\u{1e9e}' | '\u{fb00}'..='\u{fb06}' | '\u{fb29}'
        // Letters as modifiers, above and below the line.
        | '\u{2b0}'..='\u{2b8}' | '\u{2e0}'..='\u{2e4}' | '\u{1d2c}'..='\u{1dbf}' | '\u{2070}'..='\u{209c}'
        | '\u{2c7c}'..='\u{2c7d}' | '\u{a7f2}'..='\u{a7f4}' | '\u{10780}'..='\u{107bf}'
        // Greek marks.
        | '\u{37e}' | '\u{1fef}'
        // Blanks, dots, dashes, quotation marks, and what is not to be seen.
        | '\u{34f}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{2000}'..='\u{206f}' | '\u{3000}' | '\u{3164}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}'
        // Symbols made of letters and digits.
        | '\u{20a8}' | '\u{2100}'..='\u{218f}' | '\u{2460}'..='\u{24ff}' | '\u{3250}'..='\u{325f}'
        | '\u{32b1}'..='\u{32cf}' | '\u{3371}'..='\u{33ff}' | '\u{1d400}'..='\u{1d7ff}' | '\u{1f100}'..='\u{1f1ff}'
        | '\u{1fbf0}'..='\u{1fbf9}'
        // Slashes, backslashes and the like of mathematics.
        | '\u{2212}'..='\u{2216}' | '\u{2223}' | '\u{2236}' | '\u{29f5}'..='\u{29f9}' | '\u{2a74}'..='\u{2a76}'
        // Of another width or place, and what selects them.
        | '\u{fe00}'..='\u{fe6f}' | '\u{ff00}'..='\u{ffef}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_util::test;

    #[test]
    fn what_may_become_ascii_is_known() {
        for text in [
            "\u{ff0e}\u{ff0e}",
            "admi\u{ff4e}",
            "\u{2025}",
            "a\u{2215}b",
            "\u{212a}eys",
            "acce\u{df}",
            "ad\u{ad}min",
            "\u{3c7}\u{a0}",
        ] {
            assert!(may_be_ascii(text.as_bytes()), "{text}");
        }
        for bytes in [
            &b"\xc0\xae"[..],
            b"\xe0\x80\xae",
            b"\xf0\x80\x80\xae",
            b"\xae",
            b"caf\xe9",
            b"a\xed\xa0\x80",
        ] {
            assert!(may_be_ascii(bytes), "{bytes:?}");
        }
    }

    #[test]
    fn other_letters_are_themselves() {
        for text in [
            "",
            "admin/..;%2e",
            "caf\u{e9}",
            "\u{65e5}\u{672c}",
            "\u{43c}\u{438}\u{440}",
            "\u{5d0}",
        ] {
            assert!(!may_be_ascii(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn no_case_makes_ascii_of_another() {
        let changed = |character: char| {
            let both = [
                character.to_lowercase().to_string(),
                character.to_uppercase().to_string(),
            ];
            both.iter().any(|text| text.is_ascii())
        };
        for character in ('\u{80}'..=char::MAX).filter(|character| changed(*character)) {
            assert!(is_lookalike(character), "{character:?}");
        }
    }
}
