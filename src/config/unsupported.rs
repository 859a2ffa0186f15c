//! What the configuration may say and the filter does not do yet: refused, never ignored.

use super::error::{ConfigError, Path};
use crate::json::Json;

/// Paths and the values there that have no effect yet. What is not given is not refused.
static NOT_YET: &[(&[&str], Json)] =
    &[(&["key_service", "changes", "enabled"], Json::Bool(true))];

/// Refuses what a configuration asks for in vain.
pub(super) fn refuse(configuration: &Json) -> Result<(), ConfigError> {
    for (names, value) in NOT_YET {
        if at(configuration, names) == Some(value) {
            let path = names
                .iter()
                .fold(Path::root(), |path, name| path.member(name));
            return Err(ConfigError::new(
                &path,
                "not supported yet: leave the field out",
            ));
        }
    }
    Ok(())
}

fn at<'a>(json: &'a Json, names: &[&str]) -> Option<&'a Json> {
    names.iter().try_fold(json, |json, name| match json {
        Json::Object(members) => members
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value),
        _ => None,
    })
}
