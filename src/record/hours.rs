//! Hours of the week at which a key may be used.

use serde::{Deserialize, Serialize};

const MINUTE: u64 = 60;
const DAY: u64 = 24 * 60 * MINUTE;

/// Days and hours, in UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hours {
    /// From a minute of the day to another, exclusive; one that is not later runs over midnight into the
    /// next day.
    Window {
        /// Whether it begins on a day, Monday first.
        days: [bool; 7],
        /// Minute of the day at which it begins.
        from: u16,
        /// Minute of the day at which it has ended.
        to: u16,
    },
    /// They could not be read, so no hour is allowed.
    Unreadable,
}

/// Names of the days, Monday first.
pub const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl Hours {
    /// Reads days as in `mon` and times as in `08:00`.
    pub fn parse<'a>(days: impl IntoIterator<Item = &'a str>, from: &str, to: &str) -> Self {
        let mut begins = [false; 7];
        for day in days {
            match DAYS.iter().zip(&mut begins).find(|(name, _)| **name == day) {
                Some((_, begins)) => *begins = true,
                None => return Self::Unreadable,
            }
        }
        match (minute(from), minute(to)) {
            (Some(from), Some(to)) => Self::Window {
                days: begins,
                from,
                to,
            },
            _ => Self::Unreadable,
        }
    }

    /// Whether a time, in Unix seconds, is within the hours.
    pub fn contain(&self, time: u64) -> bool {
        let Self::Window { days, from, to } = self else {
            return false;
        };
        let (from, to) = (u64::from(*from) * MINUTE, u64::from(*to) * MINUTE);
        let second = time % DAY;
        // 1970-01-01 was a Thursday.
        let today = (time / DAY + 3) % 7;
        let yesterday = (today + 6) % 7;
        let begins = |day: u64| {
            usize::try_from(day)
                .ok()
                .and_then(|day| days.get(day))
                .copied()
                .unwrap_or(false)
        };
        if from < to {
            begins(today) && (from..to).contains(&second)
        } else {
            (begins(today) && second >= from) || (begins(yesterday) && second < to)
        }
    }
}

fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let number = |digits: &str, below: u16| {
        let two = digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_digit());
        two.then(|| digits.parse::<u16>().ok())
            .flatten()
            .filter(|number| *number < below)
    };
    Some(number(hour, 24)? * 60 + number(minute, 60)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_util::test;

    /// 2026-11-23 00:00:00 UTC, a Monday.
    const MONDAY: u64 = 1_795_392_000;

    fn at(day: u64, hour: u64, minute: u64) -> u64 {
        MONDAY + day * DAY + hour * 3600 + minute * 60
    }

    #[test]
    fn a_window_ends_before_its_end() {
        let hours = Hours::parse(["mon", "fri"], "08:00", "18:00");
        for inside in [at(0, 8, 0), at(0, 17, 59) + 59, at(4, 12, 0)] {
            assert!(hours.contain(inside), "{inside}");
        }
        for outside in [at(0, 7, 59) + 59, at(0, 18, 0), at(1, 12, 0), at(6, 12, 0)] {
            assert!(!hours.contain(outside), "{outside}");
        }
    }

    #[test]
    fn a_window_over_midnight_belongs_to_the_day_it_begins_on() {
        let hours = Hours::parse(["sun"], "22:00", "06:00");
        for inside in [at(6, 22, 0), at(6, 23, 59), at(7, 0, 0), at(7, 5, 59)] {
            assert!(hours.contain(inside), "{inside}");
        }
        for outside in [at(6, 21, 59), at(6, 0, 0), at(7, 6, 0), at(0, 23, 0)] {
            assert!(!hours.contain(outside), "{outside}");
        }
    }

    #[test]
    fn equal_times_are_a_whole_day() {
        let hours = Hours::parse(["tue"], "00:00", "00:00");
        assert!(hours.contain(at(1, 0, 0)) && hours.contain(at(1, 23, 59)));
        assert!(!hours.contain(at(0, 23, 59)) && !hours.contain(at(2, 0, 0)));
    }

    #[test]
    fn what_cannot_be_read_allows_no_hour() {
        for (day, from, to) in [
            ("mon", "25:00", "18:00"),
            ("mon", "08:00", "24:00"),
            ("mon", "8:00", "18:00"),
            ("mon", "08:60", "18:00"),
            ("mon", "+8:00", "18:00"),
            ("mon", "0800", "18:00"),
            ("Mon", "08:00", "18:00"),
        ] {
            let hours = Hours::parse([day], from, to);
            assert_eq!(hours, Hours::Unreadable, "{day} {from} {to}");
            assert!(!hours.contain(at(0, 12, 0)));
        }
        assert!(!Hours::parse([], "00:00", "00:00").contain(at(0, 12, 0)));
    }
}
