//! Unix seconds and durations. Rules take the time as an argument; only the edges ask the clock.

use std::time::SystemTime;

use serde_json::json;

use super::input::rules::{Digits, Number, Text};

/// The last second of the year 9999: nothing sensible lies behind it, and it prints in any tool.
pub const LATEST: i64 = keybound::time::LAST_SECOND as i64;

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
