//! Amounts of memory as the configuration writes them: `"64MiB"`.

use std::ops::RangeInclusive;

use super::names::Form;
use super::reader::{Object, Value};

/// 1024 times 1024 bytes.
pub(super) const MEBIBYTE: usize = 1024 * 1024;

/// Units and their bytes, largest first.
const UNITS: [(&str, usize); 3] = [("GiB", 1024 * MEBIBYTE), ("MiB", MEBIBYTE), ("KiB", 1024)];

const FORM: Form = Form::new(
    |text| parse(text).is_some(),
    "a size such as \"512KiB\", \"64MiB\" or \"1GiB\"",
);

impl Value<'_> {
    /// A size within a range, in bytes.
    fn size(&self, range: RangeInclusive<usize>) -> usize {
        let (least, most) = range.into_inner();
        match parse(&self.text(&FORM)) {
            Some(size) if least <= size && size <= most => return size,
            _ => self.refuse(format_args!(
                "must be a size from {} to {}",
                written(least),
                written(most)
            )),
        }
        least
    }
}

impl Object<'_> {
    /// A field with a size within a range, in bytes.
    pub(super) fn size(&self, name: &'static str, range: RangeInclusive<usize>) -> usize {
        self.value(name).size(range)
    }
}

/// A size as the configuration writes it, in the largest unit that needs no fraction.
fn written(size: usize) -> String {
    let unit = UNITS.iter().find(|(_, bytes)| size.is_multiple_of(*bytes));
    unit.map_or_else(String::new, |(unit, bytes)| {
        format!("{}{unit}", size / bytes)
    })
}

fn parse(text: &str) -> Option<usize> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let (_, bytes) = UNITS.iter().find(|(known, _)| *known == unit)?;
    if number.is_empty() {
        return None;
    }
    // A number of too many digits is out of every range.
    let number: usize = number.parse().unwrap_or(usize::MAX);
    Some(number.saturating_mul(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_util::test;

    #[test]
    fn a_whole_number_and_a_unit() {
        for (text, bytes) in [
            ("0KiB", 0),
            ("512KiB", 524_288),
            ("64MiB", 67_108_864),
            ("1GiB", 1_073_741_824),
            ("007MiB", 7_340_032),
            ("99999999999999999999KiB", usize::MAX),
        ] {
            assert_eq!(parse(text), Some(bytes), "{text}");
        }
        for text in ["1MiB", "1536KiB", "1023MiB", "1GiB"] {
            assert_eq!(parse(text).map(written).as_deref(), Some(text));
        }
    }

    #[test]
    fn anything_else_is_none() {
        for text in [
            "", "64", "MiB", "64 MiB", " 64MiB", "64MiB ", "64mib", "64MB", "64M", "1.5MiB",
            "-1MiB", "٣MiB", "1MiBß",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
