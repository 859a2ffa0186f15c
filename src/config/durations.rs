//! Lengths of time as the configuration writes them: `"500ms"`, `"20s"`, `"5m"`, `"2h"`, `"7d"`.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::names::Form;
use super::reader::{Object, Value};

/// One second.
pub(super) const SECOND: Duration = Duration::from_secs(1);
/// One minute.
pub(super) const MINUTE: Duration = Duration::from_mins(1);
/// One hour.
pub(super) const HOUR: Duration = Duration::from_hours(1);
/// 24 hours.
pub(super) const DAY: Duration = Duration::from_hours(24);

/// Units and their milliseconds, largest first.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

const FORM: Form = Form::new(
    |text| parse(text).is_some(),
    "a duration such as \"500ms\", \"20s\", \"5m\", \"2h\" or \"7d\"",
);

impl Value<'_> {
    /// A duration within a range.
    pub(super) fn duration(&self, range: RangeInclusive<Duration>) -> Duration {
        let (least, most) = range.into_inner();
        match parse(&self.text(&FORM)) {
            Some(duration) if least <= duration && duration <= most => return duration,
            _ => self.refuse(format_args!(
                "must be a duration from {} to {}",
                written(least),
                written(most)
            )),
        }
        // The longest: see [`Value::number`].
        most
    }
}

// Not inlined at every field: see `reader`.
impl Object<'_> {
    /// A field with a duration within a range.
    #[inline(never)]
    pub(super) fn duration(&self, name: &'static str, range: RangeInclusive<Duration>) -> Duration {
        self.value(name).duration(range)
    }

    /// A field with a duration of whole seconds within a range.
    #[inline(never)]
    pub(super) fn seconds(&self, name: &'static str, range: RangeInclusive<Duration>) -> Duration {
        let value = self.value(name);
        let duration = value.duration(range);
        if duration.subsec_nanos() != 0 {
            value.refuse(format_args!("must be whole seconds, such as \"2s\""));
        }
        duration
    }
}

/// A duration as the configuration writes it, in the largest unit that needs no fraction.
pub(super) fn written(duration: Duration) -> String {
    // Not as 128 bits, whose division is a kilobyte of code.
    let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    for (unit, length) in UNITS {
        if milliseconds != 0 && milliseconds.is_multiple_of(length) {
            return format!("{}{unit}", milliseconds / length);
        }
    }
    "0s".to_owned()
}

/// Reads a duration; one of too many digits is out of every range.
pub fn parse(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let (_, length) = UNITS.iter().find(|(known, _)| *known == unit)?;
    if number.is_empty() {
        return None;
    }
    let number: u64 = number.parse().unwrap_or(u64::MAX);
    Some(Duration::from_millis(number.saturating_mul(*length)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_util::test;

    #[test]
    fn a_whole_number_and_a_unit() {
        for (text, milliseconds) in [
            ("0ms", 0),
            ("500ms", 500),
            ("20s", 20_000),
            ("5m", 300_000),
            ("2h", 7_200_000),
            ("7d", 604_800_000),
            ("007s", 7_000),
            ("99999999999999999999d", u64::MAX),
            ("18446744073709551615s", u64::MAX),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(milliseconds)));
        }
    }

    #[test]
    fn anything_else_is_none() {
        for text in [
            "", "5", "s", "ms", "5 s", " 5s", "5s ", "1.5s", "-1s", "+1s", "5S", "5sec", "5us",
            "5w", "1m30s", "٣s", "5ß",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn written_in_the_largest_unit() {
        for text in ["0s", "1ms", "1500ms", "90s", "1m", "61m", "1h", "1d", "30d"] {
            assert_eq!(parse(text).map(written).as_deref(), Some(text));
        }
    }
}
