//! Unix seconds and durations. Rules take the time as an argument; only the edges ask the clock.

use std::time::SystemTime;

/// The last second of the year 9999: nothing sensible lies behind it, and it prints in any tool.
pub const LATEST: i64 = 253_402_300_799;

/// Seconds of a day.
pub const DAY: i64 = 86_400;

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

/// Reads a duration such as `30s`, `5m`, `24h` or `7d`, into seconds.
pub fn duration(text: &str) -> Result<i64, String> {
    let wrong = || "must be a duration such as \"30s\", \"5m\", \"24h\" or \"7d\"".to_owned();
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => DAY,
        _ => return Err(wrong()),
    };
    let number = text.strip_suffix(unit).ok_or_else(wrong)?;
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    number
        .parse::<i64>()
        .ok()
        .and_then(|number| number.checked_mul(seconds))
        .filter(|total| *total <= 3_650 * DAY)
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
            "1ä",
        ] {
            assert!(duration(bad).is_err(), "{bad:?}");
        }
    }
}
