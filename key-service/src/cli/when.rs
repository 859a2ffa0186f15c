//! Times as people type them: Unix seconds, RFC 3339, or from now on.

use crate::domain::time;

/// Reads `1790000000`, `2027-01-31T12:00:00Z`, or `30d` (from now).
pub fn when(text: &str) -> Result<i64, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(seconds);
    }
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Ok(time.as_second());
    }
    time::duration(text)
        .map(|span| time::now() + span)
        .map_err(|_| {
            "must be a time such as 2027-01-31T12:00:00Z, a span from now such as 30d, or Unix seconds".to_owned()
        })
}

/// Reads `mon,tue,fri 08:00-18:00` (UTC) into the API's object.
pub fn hours(text: &str) -> Result<serde_json::Value, String> {
    let wrong = || "must be days and a span in UTC, such as \"mon,tue,fri 08:00-18:00\"".to_owned();
    let (days, span) = text.split_once(' ').ok_or_else(wrong)?;
    let (from, to) = span.trim().split_once('-').ok_or_else(wrong)?;
    let days: Vec<&str> = days.split(',').collect();
    Ok(serde_json::json!({"days": days, "from": from, "to": to}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_type_them() {
        assert_eq!(when("1790000000"), Ok(1_790_000_000));
        assert_eq!(when("1970-01-02T00:00:00Z"), Ok(86_400));
        assert_eq!(when("1970-01-02T02:00:00+02:00"), Ok(86_400));
        let now = time::now();
        assert!((now + 86_400..now + 86_460).contains(&when("1d").unwrap()));
        for bad in ["", "tomorrow", "2027-01-31", "1w"] {
            assert!(when(bad).is_err(), "{bad:?}");
        }
    }
}
