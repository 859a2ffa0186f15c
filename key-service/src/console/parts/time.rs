//! Moments, in UTC.

use askama::Template;
use askama::filters::HtmlSafe;

/// A moment, in Unix seconds.
#[derive(Debug, Clone, Copy, Template)]
#[template(path = "parts/time.html")]
pub struct Time(pub i64);

impl HtmlSafe for Time {}

impl Time {
    /// As programs read it (RFC 3339).
    pub fn exact(self) -> String {
        match jiff::Timestamp::from_second(self.0) {
            Ok(time) => time.to_string(),
            Err(_) => self.0.to_string(),
        }
    }

    /// As people read it.
    pub fn text(self) -> String {
        self.with_format("%Y-%m-%d %H:%M:%S UTC")
    }

    /// In another form, as strftime has it.
    pub fn with_format(self, format: &str) -> String {
        match jiff::Timestamp::from_second(self.0) {
            Ok(time) => time.strftime(format).to_string(),
            Err(_) => self.0.to_string(),
        }
    }
}
