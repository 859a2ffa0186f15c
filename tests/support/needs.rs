//! What some tests need that not every Envoy or home has. Such a test begins with `if !needs::…("why") { return; }`:
//! elsewhere it is skipped, which a line of its own says and `make test` counts.

use crate::browser;
use crate::envoy;
use crate::home::Home;
use std::io::Write;

/// Envoy's major and minor number, of this or a later version. `why` is what an earlier one lacks.
///
/// # Panics
/// When Envoy does not tell its version.
pub fn envoy(version: (u32, u32), why: &str) -> bool {
    let found = envoy::version().unwrap_or_else(|error| panic!("{error}"));
    is_there(found >= version, why)
}

/// The home in Envoy's sandbox. `why` is what the other one lacks.
pub fn sandbox(why: &str) -> bool {
    is_there(Home::chosen() == Home::Wasm, why)
}

/// The home in Envoy itself. `why` is what the other one lacks.
pub fn native(why: &str) -> bool {
    is_there(Home::chosen() == Home::Native, why)
}

/// A browser that a test can steer. A developer's machine may have none; one that decides about a change must not skip.
///
/// # Panics
/// When there is none and the environment variable `CI` is set.
pub fn browser() -> bool {
    match browser::found() {
        Ok(_) => true,
        Err(missing) if std::env::var_os("CI").is_some_and(|value| !value.is_empty()) => {
            panic!("{missing}")
        }
        Err(missing) => is_there(false, &missing.to_string()),
    }
}

fn is_there(is: bool, why: &str) -> bool {
    if !is {
        let test = std::thread::current();
        let line = format!("skipped: {}: {why}\n", test.name().unwrap_or("a test"));
        // Not by `eprintln`, whose lines the test harness keeps to itself where nothing fails.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
    is
}
