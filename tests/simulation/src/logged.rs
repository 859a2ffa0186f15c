//! What the core logs, looked through for credentials.

use std::cell::RefCell;
use std::sync::Once;

use log::{LevelFilter, Log, Metadata, Record};

thread_local! {
    static LOGGED: RefCell<String> = const { RefCell::new(String::new()) };
}

struct Collector;

impl Log for Collector {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        LOGGED.with_borrow_mut(|logged| {
            logged.push_str(&record.args().to_string());
            logged.push('\n');
        });
    }

    fn flush(&self) {}
}

/// Collects what this thread logs from now on.
pub fn begin() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Collector).expect("there is no other logger");
        log::set_max_level(LevelFilter::Trace);
    });
    LOGGED.take();
}

/// The first line since the beginning that holds a word.
pub fn end(word: &str) -> Option<String> {
    let logged = LOGGED.take();
    logged
        .lines()
        .find(|line| line.contains(word))
        .map(str::to_owned)
}
