//! Times as people type them, in commands, files and pages: a day, RFC 3339, Unix seconds, or a span from now or before
//! it.

use serde_json::{Value, json};

use super::fence::Day;
use super::time::{self, DAY, now};

/// Reads `1790000000`, `2027-01-31T12:00:00Z`, `2027-01-31` (its begin, UTC) or `30d` (from now).
pub fn when(text: &str) -> Result<i64, String> {
    moment(text, Part::Begin, 1)
}

/// Reads the end of a key's life as [`when`] reads times, but a day as its end: a key works on the day that
/// is named. What is over already is refused.
pub fn expiry(text: &str) -> Result<i64, String> {
    let end = end(text)?;
    if end <= now() {
        return Err(format!(
            "is in the past ({}): the key would not work. Without one it works until it is revoked",
            time::shown(end)
        ));
    }
    Ok(end)
}

/// The same, also where it is over already.
pub fn end(text: &str) -> Result<i64, String> {
    moment(text, Part::End, 1)
}

/// Reads a time in a file as [`when`] reads times, or as [`end`] does, but no span: it would be another time whenever
/// the file is read.
pub fn moment_in_file(text: &str, is_end: bool) -> Result<i64, String> {
    if time::duration(text).is_ok() {
        return Err(
            "must not be a span from now, which would be another time whenever the file is applied: name a day such as \
             2027-01-31 (UTC), a time such as 2027-01-31T12:00:00Z, or Unix seconds"
                .to_owned(),
        );
    }
    if is_end { end(text) } else { when(text) }
}

/// Reads the begin of a part of the past: a span is one before now.
pub fn since(text: &str) -> Result<i64, String> {
    moment(text, Part::Begin, -1)
}

/// Reads the end of a part of the past: a day is meant as a whole.
pub fn until(text: &str) -> Result<i64, String> {
    moment(text, Part::End, -1)
}

/// Which second of a day is meant where only the day is named.
#[derive(Clone, Copy)]
enum Part {
    Begin,
    /// The first second after it.
    End,
}

fn moment(text: &str, part: Part, direction: i64) -> Result<i64, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(seconds);
    }
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Ok(time.as_second());
    }
    if let Some(begin) = day(text) {
        return Ok(match part {
            Part::Begin => begin,
            Part::End => begin + DAY,
        });
    }
    let (order, example) = if direction < 0 {
        ("before now", "7d")
    } else {
        ("from now", "30d")
    };
    time::duration(text)
        .map(|span| now() + direction * span)
        .map_err(|_| {
            format!(
                "must be a day such as 2027-01-31 (UTC), a time such as 2027-01-31T12:00:00Z, a span {order} such \
                 as {example}, or Unix seconds"
            )
        })
}

/// The first second of a day in UTC.
fn day(text: &str) -> Option<i64> {
    let is_date = text.len() == 10 && text.bytes().filter(|byte| *byte == b'-').count() == 2;
    let time = is_date.then(|| format!("{text}T00:00:00Z"))?;
    time.parse().ok().map(jiff::Timestamp::as_second)
}

/// Reads `mon-fri 08:00-18:00` or `mon,wed,sat-sun 22:00-06:00` (UTC) into the API's object.
pub fn hours(text: &str) -> Result<Value, String> {
    let wrong = || {
        "must be days and a span in UTC, such as \"mon-fri 08:00-18:00\", \"sat,sun 10:00-14:00\" or \"daily \
         22:00-06:00\""
            .to_owned()
    };
    let (days, span) = text
        .trim()
        .split_once(char::is_whitespace)
        .ok_or_else(wrong)?;
    let (from, to) = span.trim().split_once('-').ok_or_else(wrong)?;
    Ok(json!({"days": days_of(days)?, "from": minute(from)?, "to": minute(to)?}))
}

/// The minute as the API writes it: with two digits for the hour, and `00:00` for the end of the day.
fn minute(text: &str) -> Result<String, String> {
    let text = text.trim();
    let padded = match text.split_once(':') {
        Some((hour, _)) if hour.len() == 1 => format!("0{text}"),
        _ => text.to_owned(),
    };
    let minute = if padded == "24:00" {
        "00:00"
    } else {
        padded.as_str()
    };
    super::fence::minute(minute).map_err(|message| format!("{text:?} {message}"))
}

fn days_of(text: &str) -> Result<Vec<&'static str>, String> {
    let text = text.to_ascii_lowercase();
    if text == "daily" {
        return Ok(Day::WORDS.iter().map(|(name, _)| *name).collect());
    }
    let mut days = Vec::new();
    for part in text.split(',') {
        match part.split_once('-') {
            None => days.push(day_of(part)?.as_str()),
            Some((first, last)) => {
                let (first, last) = (day_of(first)?, day_of(last)?);
                // A range may run over the end of the week, as sat-mon does.
                let from_first = Day::WORDS
                    .iter()
                    .cycle()
                    .skip_while(|(_, day)| *day != first);
                for (name, day) in from_first.take(Day::WORDS.len()) {
                    days.push(*name);
                    if *day == last {
                        break;
                    }
                }
            }
        }
    }
    Ok(days)
}

fn day_of(text: &str) -> Result<Day, String> {
    Day::parse(text).map_err(|message| format!("{text:?} is no day: {message}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_type_them() {
        assert_eq!(when("1790000000"), Ok(1_790_000_000));
        assert_eq!(when("1970-01-02T00:00:00Z"), Ok(86_400));
        assert_eq!(when("1970-01-02T02:00:00+02:00"), Ok(86_400));
        assert_eq!(when("1970-01-02"), Ok(86_400));
        let moment = now();
        assert!((moment + 86_400..moment + 86_460).contains(&when("1d").unwrap()));
        for bad in [
            "",
            "tomorrow",
            "2027-02-30",
            "2027-1-31",
            "1w",
            "31.01.2027",
        ] {
            assert!(when(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_key_works_on_the_day_on_which_it_expires() {
        assert_eq!(
            expiry("2999-01-31"),
            Ok(when("2999-02-01T00:00:00Z").unwrap())
        );
        for past in ["0", "-5", "2020-01-01", "2020-01-01T00:00:00Z", "0s"] {
            assert!(
                expiry(past).unwrap_err().contains("in the past"),
                "{past:?}"
            );
        }
    }

    #[test]
    fn spans_of_the_past_end_now() {
        let moment = now();
        assert!((moment - 86_460..=moment - 86_400 + 5).contains(&since("1d").unwrap()));
        assert_eq!(since("1970-01-02"), Ok(86_400));
        assert_eq!(until("1970-01-02"), Ok(2 * 86_400));
    }

    #[test]
    fn hours_take_ranges_of_days() {
        let read = |text: &str| hours(text).map(|hours| hours["days"].as_array().unwrap().len());
        assert_eq!(
            hours("mon-fri 09:00-17:00"),
            Ok(
                json!({"days": ["mon", "tue", "wed", "thu", "fri"], "from": "09:00", "to": "17:00"})
            )
        );
        assert_eq!(
            hours("Sat-Mon,wed  9:00 - 24:00"),
            Ok(json!({"days": ["sat", "sun", "mon", "wed"], "from": "09:00", "to": "00:00"}))
        );
        assert_eq!(read("daily 00:00-00:00"), Ok(7));
        assert_eq!(read("tue 08:00-18:00"), Ok(1));
        assert_eq!(read("tue-tue 08:00-18:00"), Ok(1));
        for bad in [
            "mon-fri",
            "mon-fry 08:00-18:00",
            "mon 8-18",
            "mon 08:00-25:00",
            "- 08:00-18:00",
            "",
        ] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
        let message = hours("mon-fry 08:00-18:00").unwrap_err();
        assert!(message.contains("did you mean \"fri\"?"), "{message}");
    }
}
