//! Lines of the core go to Envoy's log, at the level that it has at that time.

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::envoy;

struct Logger;

/// Takes over the lines of the core.
pub fn begin() {
    // A second configuration finds it there already.
    if log::set_logger(&Logger).is_ok() {
        log::set_max_level(LevelFilter::Debug);
    }
}

impl Log for Logger {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let level = match record.level() {
            Level::Trace => 0,
            Level::Debug => 1,
            Level::Info => 2,
            Level::Warn => 3,
            Level::Error => 4,
        };
        envoy::log(level, &record.args().to_string());
    }

    fn flush(&self) {}
}
