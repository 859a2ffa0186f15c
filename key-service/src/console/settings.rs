//! How the console is reached.

use std::str::FromStr;
use std::sync::Arc;

use tower_http::csrf::CsrfLayer;

use super::identity::Provider;

/// How the console is reached, and by whom.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Under which origin browsers reach it, where a proxy is in between.
    pub origin: Option<Origin>,
    /// Who vouches for people who have no token.
    pub provider: Option<Arc<Provider>>,
}

/// Scheme, host and port, as a browser sends them (RFC 6454, section 6.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether browsers reach it by TLS.
    pub fn is_secure(&self) -> bool {
        self.0.starts_with("https://")
    }
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim_end_matches('/').to_ascii_lowercase();
        let default_port = match text.split_once("://") {
            Some(("https", _)) => ":443",
            Some(("http", _)) => ":80",
            _ => return Err("must begin with https:// or http://".to_owned()),
        };
        let text = text.strip_suffix(default_port).unwrap_or(&text);
        match CsrfLayer::new().add_trusted_origin(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(_) => Err(
                "must be a scheme, a host and, where it is not the usual one, a port, such as https://keys.example.com"
                    .to_owned(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_written_as_browsers_do() {
        for (given, read) in [
            ("https://keys.example.com", "https://keys.example.com"),
            ("https://Keys.Example.com:443/", "https://keys.example.com"),
            ("http://127.0.0.1:8081", "http://127.0.0.1:8081"),
        ] {
            assert_eq!(given.parse(), Ok(Origin(read.to_owned())), "{given}");
        }
        for bad in [
            "",
            "keys.example.com",
            "ftp://a",
            "https://",
            "https://a/console",
            "https://a?b",
        ] {
            assert!(bad.parse::<Origin>().is_err(), "{bad}");
        }
    }
}
