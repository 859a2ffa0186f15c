//! Where the browser is that tests steer, and the program that steers it.

use crate::failure::{Failure, Result};
use crate::paths::named_by;
use std::path::PathBuf;

/// A browser and its driver.
#[derive(Clone, Debug)]
pub struct Programs {
    /// Chromium, or a browser made of it.
    pub browser: PathBuf,
    /// chromedriver of the same version.
    pub driver: PathBuf,
}

/// The programs that `KEYBOUND_BROWSER` and `KEYBOUND_DRIVER` name, or those of the system. The failure tells what to
/// install.
pub fn found() -> Result<Programs> {
    let browser = match named_by("KEYBOUND_BROWSER")? {
        Some(path) => Some(path),
        None => on_path(&["chromium", "chromium-browser", "google-chrome"]),
    };
    let driver = match named_by("KEYBOUND_DRIVER")? {
        Some(path) => Some(path),
        None => on_path(&["chromedriver"]),
    };
    match (browser, driver) {
        (Some(browser), Some(driver)) => Ok(Programs { browser, driver }),
        (browser, driver) => {
            let missing = match (browser, driver) {
                (None, None) => "chromium and chromedriver are",
                (None, _) => "chromium is",
                _ => "chromedriver is",
            };
            Err(Failure::new(format!(
                "{missing} missing (`make browser`, or `apt-get install chromium chromium-driver`)"
            )))
        }
    }
}

fn on_path(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    names.iter().find_map(|name| {
        folders
            .iter()
            .map(|folder| folder.join(name))
            .find(|program| program.is_file())
    })
}
