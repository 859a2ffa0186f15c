//! Whatever stands in a configuration, it is read or refused in one line; nothing panics.

use proptest::prelude::*;
use proptest::sample::Index;

use super::{FULL, environment};
use crate::config::parse;

/// Pieces that are near what the configuration holds.
const PIECES: [&str; 24] = [
    "",
    "null",
    "true",
    "0",
    "-1",
    "1e400",
    "99999999999999999999",
    "\"\"",
    "\"5m\"",
    "\"0s\"",
    "[]",
    "{}",
    "[null]",
    "{\"header\": \"a\"}",
    ",",
    ":",
    "\"",
    "\\",
    "\n",
    "\u{0}",
    "é",
    "{",
    "}",
    "]",
];

fn outcome_is_sound(text: &[u8]) -> Result<(), TestCaseError> {
    if let Err(error) = parse(text, &environment) {
        let line = error.to_string();
        prop_assert!(!line.chars().any(char::is_control), "{:?}", line);
        prop_assert!(line.contains(": "));
        prop_assert!(!line.contains("token-of-the-environment"));
        prop_assert!(!line.contains("salt and pepper"));
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_bytes(text in proptest::collection::vec(any::<u8>(), 0..200)) {
        outcome_is_sound(&text)?;
    }

    #[test]
    fn any_bytes_that_begin_as_a_struct_does(
        text in proptest::collection::vec(prop_oneof![Just(0x0a), Just(0x12), 0_u8..8, any::<u8>()], 0..24)
    ) {
        outcome_is_sound(&text)?;
    }

    #[test]
    fn a_configuration_with_parts_replaced(
        changes in proptest::collection::vec((any::<Index>(), 0_usize..12, any::<Index>()), 1..4)
    ) {
        let mut text = FULL.as_bytes().to_vec();
        for (place, length, piece) in changes {
            let from = place.index(text.len());
            let to = text.len().min(from + length);
            text.splice(from..to, piece.get(&PIECES).bytes());
        }
        outcome_is_sound(&text)?;
    }

    #[test]
    fn a_configuration_with_a_value_replaced(place in any::<Index>(), piece in any::<Index>()) {
        // A value is what stands after a colon, up to where it ends on its line.
        let (colon, _) = *place.get(&FULL.match_indices(": ").collect::<Vec<_>>());
        let (before, after) = FULL.split_at(colon + 2);
        let end = after.find([',', '\n', '}', ']']).unwrap_or(after.len());
        let (_, after) = after.split_at(end);
        let text = format!("{before}{}{after}", piece.get(&PIECES));
        outcome_is_sound(text.as_bytes())?;
    }
}
