//! The filter's own configuration, by which verdicts are explained.

use keybound::config::{self, ConfigError, Settings};

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
    /// Reads the filter's configuration, as strictly as the filter does. Its environment variables are the
    /// gateway's: they need not be set here, where the service's own pepper is used.
    pub fn parse(text: &[u8]) -> Result<Self, ConfigError> {
        Ok(Self {
            settings: config::parse(text, &|_| Some("set-at-the-gateway".to_owned()))?,
            given: true,
        })
    }

    /// Whether gateways of this configuration make other digests than this service: they would find no key.
    pub fn peppers_otherwise(&self, service: &Digester) -> bool {
        let plain = keybound::digest::Digester::plain();
        let filter_is_plain = self.settings.digester.digest(b"") == plain.digest(b"");
        self.given && filter_is_plain == service.is_peppered()
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
        assert!(
            error
                .unwrap_err()
                .to_string()
                .starts_with("preflight: must be")
        );
    }
}
