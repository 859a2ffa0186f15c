//! Unix seconds and durations. Rules take the time as an argument; only the edges ask the clock.

use std::fmt;
use std::time::SystemTime;

use serde::{Serialize, Serializer};
use serde_json::json;

use super::input::rules::{Digits, Number, Text};

/// The last second of the year 9999: nothing sensible lies behind it, and it prints in any tool.
pub const LATEST: i64 = keybound::time::LAST_SECOND as i64;

/// Seconds of an hour.
pub const HOUR: i64 = 3_600;

/// Seconds of a day.
pub const DAY: i64 = 86_400;

/// A time in Unix seconds.
pub const SECONDS: Number = Number {
    what: "a time in Unix seconds, ",
    least: 0,
    most: LATEST,
};

/// A time in Unix seconds, in the text of a query.
pub const SECONDS_IN_QUERY: Digits = Digits(SECONDS);

/// A span of time, see [`duration()`].
pub const DURATION: Text<i64> = Text {
    parse: duration,
    bounds: || json!({"pattern": "^[0-9]+(ms|s|m|h|d)$"}),
};

/// A span of time that is kept and shown, longer than nothing.
pub const SPAN: Text<Span> = Text {
    parse: Span::parse,
    bounds: DURATION.bounds,
};

/// A span of time in seconds. It is shown as it is read, in the largest unit that says it in whole numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(i64);

impl Span {
    /// A span that was read before.
    pub const fn stored(seconds: i64) -> Self {
        Self(seconds)
    }

    /// Reads a span such as `90d`.
    pub fn parse(text: &str) -> Result<Self, String> {
        match duration(text)? {
            0 => Err("must be longer than 0s".to_owned()),
            seconds => Ok(Self(seconds)),
        }
    }

    /// Its seconds.
    pub const fn seconds(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Span {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(seconds) = *self;
        let units = [(DAY, "d"), (HOUR, "h"), (60, "m")];
        let whole = units.into_iter().find(|(unit, _)| seconds % unit == 0);
        let (unit, name) = whole.unwrap_or((1, "s"));
        write!(formatter, "{}{name}", seconds / unit)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Now, in Unix seconds.
pub fn now() -> i64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(LATEST))
}

/// A time as people read it, in RFC 3339.
pub fn shown(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(
        |_| format!("the Unix second {seconds}"),
        |time| time.to_string(),
    )
}

/// Reads a duration as the filter's configuration writes it, such as `30s`, `5m`, `24h` or `7d`, into seconds.
pub fn duration(text: &str) -> Result<i64, String> {
    let duration = keybound::config::duration(text).ok_or_else(|| {
        "must be a duration such as \"30s\", \"5m\", \"24h\" or \"7d\"".to_owned()
    })?;
    if duration.subsec_nanos() != 0 {
        return Err("must be whole seconds, such as \"2s\"".to_owned());
    }
    i64::try_from(duration.as_secs())
        .ok()
        .filter(|seconds| *seconds <= 3_650 * DAY)
        .ok_or_else(|| "must be at most 3650d".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_shown_as_it_can_be_read_again() {
        for (given, shown) in [
            ("90d", "90d"),
            ("36h", "36h"),
            ("48h", "2d"),
            ("90m", "90m"),
            ("61s", "61s"),
            ("3600s", "1h"),
        ] {
            let span = Span::parse(given).unwrap();
            assert_eq!(span.to_string(), shown);
            assert_eq!(Span::parse(shown), Ok(span));
        }
        assert!(Span::parse("0s").is_err());
    }

    #[test]
    fn durations_have_a_number_and_a_unit() {
        assert_eq!(duration("0s"), Ok(0));
        assert_eq!(duration("24h"), Ok(86_400));
        assert_eq!(duration("7d"), Ok(604_800));
        assert_eq!(duration("3650d"), Ok(315_360_000));
        assert_eq!(duration("2000ms"), Ok(2));
        for bad in [
            "",
            "24",
            "h",
            "-1h",
            "1.5h",
            "1w",
            "24 h",
            "9999999999999999999d",
            "4000d",
            "500ms",
            "1ä",
        ] {
            assert!(duration(bad).is_err(), "{bad:?}");
        }
    }
}
