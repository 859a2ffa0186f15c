//! The filter's own configuration, by which verdicts are explained.

pub mod file;

use keybound::config;
use keybound::gate::Settings;

use crate::domain::credential::Digester;

/// The filter's own configuration.
#[derive(Debug)]
pub struct Filter {
    /// What it says.
    pub settings: Settings,
    /// Whether it was given; else it is what the filter does by default.
    pub given: bool,
}

/// The smallest configuration that works. The cluster's name has no part in a verdict.
const DEFAULT: &str = r#"{"key_service": {"cluster": "key_service"}}"#;

impl Filter {
    /// Reads the filter's configuration, as strictly as the filter does: its JSON, or a file that brings it to
    /// Envoy. Its environment variables are the gateway's: they need not be set here, where the service's own
    /// pepper is used.
    ///
    /// # Errors
    /// What is wrong with it, all of it.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let configurations = file::configurations(text)?;
        let mut all = Vec::new();
        for configuration in &configurations {
            let settings = configuration.read().map_err(|problems| {
                let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
                problems.join("; ")
            })?;
            all.push(settings);
        }
        let first = all.pop();
        match first {
            Some(settings)
                if all
                    .iter()
                    .all(|other| format!("{other:?}") == format!("{settings:?}")) =>
            {
                Ok(Self {
                    settings,
                    given: true,
                })
            }
            _ => Err(format!(
                "holds {} configurations of the filter that differ: give the one to explain verdicts by",
                configurations.len()
            )),
        }
    }

    /// Whether gateways of this configuration make other digests than this service: they would find no key.
    pub fn peppers_otherwise(&self, service: &Digester) -> bool {
        self.given && self.settings.digester.is_peppered() != service.is_peppered()
    }
}

impl Default for Filter {
    fn default() -> Self {
        let settings = config::parse(DEFAULT.as_bytes(), &|_| None);
        Self {
            settings: settings.expect("the smallest configuration is valid"),
            given: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_the_gateway_need_not_be_set_and_errors_name_their_field() {
        let filter = Filter::parse(
            br#"{"key_service": {"cluster": "c", "token_env": "TOKEN"}, "digest": {"pepper_env": "PEPPER"}}"#,
        );
        let filter = filter.unwrap();
        assert!(filter.peppers_otherwise(&Digester::default()));
        assert!(!filter.peppers_otherwise(&Digester::peppered(b"pepper")));
        assert!(!Filter::default().peppers_otherwise(&Digester::peppered(b"pepper")));
        let error = Filter::parse(br#"{"key_service": {"cluster": "c"}, "preflight": "pas"}"#);
        assert!(error.unwrap_err().starts_with("preflight: must be"));
    }
}
