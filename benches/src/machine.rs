//! Where and when something was measured.

use std::fs;

use serde::Serialize;

/// A machine and a day.
#[derive(Debug, Serialize)]
pub struct Machine {
    /// Model of the processor.
    pub processor: String,
    /// How many processors there are.
    pub processors: usize,
    /// Of the kernel.
    pub kernel: String,
    /// Of the measurement, in UTC.
    pub date: String,
}

impl Machine {
    /// This one, now.
    pub fn here() -> Self {
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let processor = info
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
            .map_or("unknown processor", |(_, model)| model);
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            processor: processor.to_owned(),
            processors: info
                .lines()
                .filter(|line| line.starts_with("processor\t"))
                .count(),
            // What follows is the maker's own.
            kernel: release.trim().split('-').next().unwrap_or_default().into(),
            date: jiff::Timestamp::now().strftime("%Y-%m-%d").to_string(),
        }
    }

    /// In one line.
    pub fn line(&self) -> String {
        format!(
            "{} ({} processors), Linux {}, Envoy 1.40.0, one worker, {}",
            self.processor, self.processors, self.kernel, self.date
        )
    }
}
