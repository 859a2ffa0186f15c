//! One line of the access log that `envoy/envoy.yaml` writes.

use serde_json::Value;

/// What a line says about a request, as far as it says it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct LogLine {
    pub method: Option<String>,
    pub host: Option<String>,
    pub path: Option<String>,
    pub source_address: Option<String>,
    /// Unix seconds.
    pub at: Option<i64>,
    /// Why it was refused.
    pub code: Option<String>,
    key: Option<String>,
}

/// Verdicts on a credential that stands for no known key, but is there.
const WITHOUT_A_KEY: [&str; 5] = [
    "key_duplicated",
    "key_malformed",
    "key_unknown",
    "key_service_unavailable",
    "overloaded",
];

impl LogLine {
    /// Reads exactly one line. The error does not repeat it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut lines = text.lines().filter(|line| !line.trim().is_empty());
        let (line, None) = (lines.next(), lines.next()) else {
            return Err("--access-log takes one line: choose the one of the request".to_owned());
        };
        let line: Value = line
            .and_then(|line| serde_json::from_str(line).ok())
            .filter(Value::is_object)
            .ok_or("--access-log takes a line of JSON, as envoy/envoy.yaml writes them")?;
        // Envoy writes null, and in some formats a dash, for what it does not have.
        let text = |name: &str| {
            let text = line.get(name).and_then(Value::as_str);
            text.filter(|text| !matches!(*text, "" | "-"))
                .map(str::to_owned)
        };
        let at = text("time")
            .map(|time| {
                time.parse::<jiff::Timestamp>()
                    .map(jiff::Timestamp::as_second)
                    .map_err(|_| "--access-log: its \"time\" is no time such as 2026-11-23T09:30:00.123Z")
            })
            .transpose()?;
        Ok(Self {
            method: text("method"),
            host: text("host"),
            path: text("path"),
            source_address: text("source_address"),
            at,
            code: text("code"),
            key: text("refused_key_id").or_else(|| text("key_id")),
        })
    }

    /// The id of the key. Without one, the request had no credential, or one that the line cannot tell.
    pub fn key_id(&self) -> Result<Option<String>, String> {
        match (&self.key, self.code.as_deref()) {
            (None, Some(code)) if WITHOUT_A_KEY.contains(&code) => Err(format!(
                "the access log names no key ({code}): add --key-file with what the client sent, or --key-id"
            )),
            (key, _) => Ok(key.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_shipped_format_is_read() {
        let line = LogLine::parse(
            r#"{"time":"2026-11-23T09:30:00.123Z","method":"GET","host":"api:10000","path":"/v1","code":"user_locked",
            "source_address":"127.0.0.1:4711","refused_key_id":"key_1","key_id":null,"status":403}"#
                .replace('\n', "")
                .as_str(),
        );
        let line = line.unwrap();
        assert_eq!(line.at, Some(1_795_426_200));
        assert_eq!(line.host.as_deref(), Some("api:10000"));
        assert_eq!(line.source_address.as_deref(), Some("127.0.0.1:4711"));
        assert_eq!(line.key_id(), Ok(Some("key_1".to_owned())));
        let allowed = LogLine::parse(r#"{"code":"-","refused_key_id":null,"key_id":"key_2"}"#);
        let allowed = allowed.unwrap();
        assert_eq!(
            (allowed.code.as_deref(), allowed.key_id()),
            (None, Ok(Some("key_2".to_owned())))
        );
    }

    #[test]
    fn a_line_without_a_key_says_what_is_needed() {
        let key_id = |line: &str| LogLine::parse(line).unwrap().key_id();
        assert_eq!(key_id(r#"{"code":"key_missing"}"#), Ok(None));
        assert_eq!(key_id("{}"), Ok(None));
        for code in WITHOUT_A_KEY {
            let error = key_id(&format!(r#"{{"code":"{code}"}}"#)).unwrap_err();
            assert!(
                error.contains(code) && error.contains("--key-file"),
                "{error}"
            );
        }
    }

    #[test]
    fn what_is_no_line_of_it_is_not_repeated() {
        for text in [
            "",
            "secret",
            "[\"secret\"]",
            "{}\n{}",
            "{\"time\":\"secret\"}",
        ] {
            let error = LogLine::parse(text).unwrap_err();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
