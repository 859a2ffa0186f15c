//! One line of an access log: of the format of `envoy/envoy.yaml`, or of the default JSON format of Istio or
//! Envoy Gateway.

use std::net::{IpAddr, SocketAddr};

use keybound::verdict::Reason;
use serde_json::Value;

/// What a line says about a request, as far as it says it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct LogLine {
    /// The method.
    pub method: Option<String>,
    /// With or without a port.
    pub host: Option<String>,
    /// With the query, as far as it holds no credential.
    pub path: Option<String>,
    /// The client's address, with or without a port.
    pub source_address: Option<String>,
    /// Unix seconds.
    pub at: Option<i64>,
    /// What the filter decided.
    pub decided: Decided,
    /// What answered the request, as Envoy names it, where it was neither the filter nor the upstream.
    pub answered_by: Option<String>,
    key: Option<String>,
    /// Whether lines of this format name the key of a request that went on with one.
    names_keys: bool,
}

/// What the filter decided, as a line tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Decided {
    /// The line does not say, or there is none.
    #[default]
    Unknown,
    /// The request went on.
    Allowed,
    /// It was refused with this code.
    Refused(String),
    /// It went on, and would have been refused with this code but for `enforcement: shadow`.
    Shadowed(String),
}

impl Decided {
    /// The code of the verdict.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Unknown => None,
            Self::Allowed => Some("allowed"),
            Self::Refused(code) | Self::Shadowed(code) => Some(code),
        }
    }
}

// The names of a field: ours, Istio's, Envoy Gateway's.
const TIME: [&str; 2] = ["time", "start_time"];
const REQUEST_ID: [&str; 2] = ["request_id", "x-request-id"];
const HOST: [&str; 3] = ["host", "authority", ":authority"];
const PATH: [&str; 2] = ["path", "x-envoy-origin-path"];
const SOURCE_ADDRESS: [&str; 2] = ["source_address", "downstream_remote_address"];
const DETAILS: [&str; 2] = ["details", "response_code_details"];

/// Without these a line is none of an access log that says what the filter did.
const NEEDED: &str = "a line of the access log needs a \"method\", a \"path\" (or \"x-envoy-origin-path\"), and \
                      \"code\", \"details\" or \"response_code_details\", as envoy/envoy.yaml, Istio and Envoy \
                      Gateway write them in JSON";

/// Reads the line of a request out of a text: the only one, or that of a request id. Errors do not repeat lines.
///
/// # Errors
/// Why there is none.
pub fn choose(text: &str, request_id: Option<&str>) -> Result<LogLine, String> {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let Some(id) = request_id else {
        return match (lines.next(), lines.next()) {
            (Some(line), None) => LogLine::of(&object(line).ok_or_else(not_json)?),
            (None, _) => Err("there is no line".to_owned()),
            (Some(_), Some(_)) => {
                Err("there is more than one line: choose one with --request-id".to_owned())
            }
        };
    };
    // Other lines may be anything, such as what Envoy writes beside its access log.
    let of_request: Vec<Value> = lines
        .filter_map(object)
        .filter(|line| text_of(line, &REQUEST_ID).as_deref() == Some(id))
        .collect();
    // A request that is sent on by Envoy itself has several: the last that refuses says why it failed.
    let chosen = of_request
        .iter()
        .rev()
        .find(|line| code_of(line).is_some())
        .or(of_request.last());
    match chosen {
        Some(line) => LogLine::of(line),
        None => Err(
            "no line has that request id. Envoy writes its log with a delay of up to ten seconds \
             (its option --file-flush-interval-msec)"
                .to_owned(),
        ),
    }
}

fn not_json() -> String {
    format!("the line is no JSON object; {NEEDED}")
}

fn object(line: &str) -> Option<Value> {
    serde_json::from_str(line).ok().filter(Value::is_object)
}

/// A field that has a value. Envoy writes null, and in some formats a dash, for what it does not have.
fn text_of(line: &Value, names: &[&str]) -> Option<String> {
    names
        .iter()
        .filter_map(|name| line.get(name)?.as_str())
        .find(|text| !matches!(*text, "" | "-"))
        .map(str::to_owned)
}

/// The code with which the filter refused, or would have.
fn code_of(line: &Value) -> Option<String> {
    let in_details = || {
        let details = text_of(line, &DETAILS)?;
        details.strip_prefix("keybound_").map(str::to_owned)
    };
    text_of(line, &["code"]).or_else(in_details)
}

impl LogLine {
    fn of(line: &Value) -> Result<Self, String> {
        let has = |names: &[&str]| names.iter().any(|name| line.get(name).is_some());
        let tells = has(&["code"]) || has(&DETAILS);
        if !(tells && has(&["method"]) && has(&PATH)) {
            return Err(NEEDED.to_owned());
        }
        let code = code_of(line);
        if code.as_deref().is_some_and(|code| !is_code(code)) {
            return Err("its code is none of the filter's: see docs/troubleshooting.md".to_owned());
        }
        let at = text_of(line, &TIME)
            .map(|time| {
                time.parse::<jiff::Timestamp>()
                    .map(jiff::Timestamp::as_second)
                    .map_err(|_| "its time is none such as 2026-11-23T09:30:00.123Z".to_owned())
            })
            .transpose()?;
        let key = text_of(line, &["refused_key_id"]).or_else(|| text_of(line, &["key_id"]));
        let details = text_of(line, &DETAILS);
        let by_filter = |details: &String| details.starts_with("keybound_");
        let by_upstream = details.as_deref() == Some("via_upstream");
        let decided = match (code, &details) {
            (Some(code), Some(details)) if !by_filter(details) => Decided::Shadowed(code),
            (Some(code), _) => Decided::Refused(code),
            (None, _) if key.is_some() || by_upstream => Decided::Allowed,
            (None, _) => Decided::Unknown,
        };
        let is_address =
            |text: &String| text.parse::<IpAddr>().is_ok() || text.parse::<SocketAddr>().is_ok();
        Ok(Self {
            method: text_of(line, &["method"]),
            host: text_of(line, &HOST),
            path: text_of(line, &PATH),
            source_address: text_of(line, &SOURCE_ADDRESS).filter(is_address),
            at,
            decided,
            answered_by: details.filter(|details| !by_filter(details) && !by_upstream),
            key,
            names_keys: has(&["key_id"]),
        })
    }

    /// The id of the key. Without one, the request had no credential.
    ///
    /// # Errors
    /// It had, and the line does not tell which.
    pub fn key_id(&self) -> Result<Option<String>, KeyNotNamed> {
        match (&self.key, self.decided.code()) {
            (Some(_), _) | (None, Some("key_missing" | "policy_unknown")) => {
                return Ok(self.key.clone());
            }
            (None, Some("allowed")) if self.names_keys => return Ok(None),
            (None, _) => {}
        }
        let decision = match (self.decided.code(), &self.answered_by) {
            (Some(code), _) => code.to_owned(),
            (None, Some(by)) => format!("and no decision of the filter: {by}"),
            (None, None) => "and no decision of the filter".to_owned(),
        };
        Err(KeyNotNamed {
            decision,
            is_unknown: self.decided.code() == Some("key_unknown"),
        })
    }
}

/// A line does not tell whose key the request carried.
#[derive(Debug, PartialEq, Eq)]
pub struct KeyNotNamed {
    /// What the filter decided, for people.
    pub decision: String,
    /// Whether nobody knew the key.
    pub is_unknown: bool,
}

fn is_code(code: &str) -> bool {
    let mut reasons = Reason::ALL.into_iter();
    reasons.any(|reason| reason.code() == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISTIO: &str = r#"{"start_time":"2026-11-23T09:30:00.123Z","method":"GET","path":"/v1?a=1","authority":"api",
        "response_code":403,"response_code_details":"keybound_user_locked","response_flags":"-","duration":1,
        "downstream_remote_address":"127.0.0.1:4711","request_id":"r-1","upstream_host":null}"#;
    const ENVOY_GATEWAY: &str = r#"{"start_time":"2026-11-23T09:30:00.123Z","method":"GET",
        "x-envoy-origin-path":"/v1?a=1",":authority":"api","response_code":403,
        "response_code_details":"keybound_user_locked","downstream_remote_address":"127.0.0.1:4711",
        "x-request-id":"r-1"}"#;

    fn one(text: &str) -> Result<LogLine, String> {
        choose(&text.replace('\n', ""), None)
    }

    #[test]
    fn a_line_of_the_shipped_format_is_read() {
        let line = one(
            r#"{"time":"2026-11-23T09:30:00.123Z","method":"GET","host":"api:10000","path":"/v1","code":"user_locked",
            "details":"keybound_user_locked","source_address":"127.0.0.1:4711","refused_key_id":"key_1",
            "key_id":null,"status":403}"#,
        );
        let line = line.unwrap();
        assert_eq!(line.at, Some(1_795_426_200));
        assert_eq!(line.host.as_deref(), Some("api:10000"));
        assert_eq!(line.source_address.as_deref(), Some("127.0.0.1:4711"));
        assert_eq!(line.key_id(), Ok(Some("key_1".to_owned())));
        assert_eq!(line.decided, Decided::Refused("user_locked".to_owned()));
        let allowed =
            one(r#"{"method":"GET","path":"/","code":"-","refused_key_id":null,"key_id":"key_2"}"#);
        let allowed = allowed.unwrap();
        assert_eq!(
            (allowed.decided.code(), allowed.key_id()),
            (Some("allowed"), Ok(Some("key_2".to_owned())))
        );
    }

    #[test]
    fn lines_of_istio_and_envoy_gateway_are_read() {
        for text in [ISTIO, ENVOY_GATEWAY] {
            let line = one(text).unwrap();
            assert_eq!(
                (line.host.as_deref(), line.path.as_deref(), line.at),
                (Some("api"), Some("/v1?a=1"), Some(1_795_426_200))
            );
            assert_eq!(line.source_address.as_deref(), Some("127.0.0.1:4711"));
            assert_eq!(line.decided, Decided::Refused("user_locked".to_owned()));
            let error = line.key_id().unwrap_err();
            assert_eq!(error.decision, "user_locked");
        }
    }

    #[test]
    fn who_answered_tells_what_was_decided() {
        for (fields, code, answered_by) in [
            (
                r#""response_code_details":"via_upstream""#,
                Some("allowed"),
                None,
            ),
            (
                r#""details":"route_not_found""#,
                None,
                Some("route_not_found"),
            ),
            (
                r#""details":"route_not_found","key_id":"key_1""#,
                Some("allowed"),
                Some("route_not_found"),
            ),
            (
                r#""details":"via_upstream","code":"key_expired""#,
                Some("key_expired"),
                None,
            ),
            (r#""code":null,"key_id":null"#, None, None),
        ] {
            let line = one(&format!(r#"{{"method":"GET","path":"/",{fields}}}"#)).unwrap();
            assert_eq!(line.decided.code(), code, "{fields}");
            assert_eq!(line.answered_by.as_deref(), answered_by, "{fields}");
        }
        let shadowed =
            one(r#"{"method":"GET","path":"/","code":"key_expired","details":"via_upstream"}"#);
        assert_eq!(
            shadowed.unwrap().decided,
            Decided::Shadowed("key_expired".to_owned())
        );
    }

    #[test]
    fn a_line_is_found_by_its_request_id_among_anything() {
        let other = ISTIO
            .replace("r-1", "r-2")
            .replace("user_locked", "key_expired");
        let onward = ISTIO.replace("keybound_user_locked", "via_upstream");
        let log = [ISTIO, &other, "[info] starting", "", &onward, "[]"]
            .map(|line| line.replace('\n', ""))
            .join("\n");
        let code = |id| choose(&log, Some(id)).map(|line| line.decided);
        assert_eq!(code("r-1"), Ok(Decided::Refused("user_locked".to_owned())));
        assert_eq!(code("r-2"), Ok(Decided::Refused("key_expired".to_owned())));
        assert!(
            code("r-3")
                .unwrap_err()
                .contains("--file-flush-interval-msec")
        );
        assert!(choose(&log, None).unwrap_err().contains("--request-id"));
    }

    #[test]
    fn a_line_without_a_key_says_what_is_needed() {
        let key_id = |code: &str| {
            let line = format!(r#"{{"method":"GET","path":"/","code":"{code}"}}"#);
            one(&line).unwrap().key_id()
        };
        assert_eq!(key_id("key_missing"), Ok(None));
        assert_eq!(key_id("policy_unknown"), Ok(None));
        for code in ["key_unknown", "key_malformed", "overloaded", "user_locked"] {
            let error = key_id(code).unwrap_err();
            assert_eq!(error.decision, code);
            assert_eq!(error.is_unknown, code == "key_unknown");
        }
        let key_id = |fields: &str| {
            let line = format!(r#"{{"method":"GET","path":"/",{fields}}}"#);
            one(&line).unwrap().key_id()
        };
        // It went on without identity; a format that never names keys does not say so.
        assert_eq!(
            key_id(r#""details":"via_upstream","key_id":null"#),
            Ok(None)
        );
        assert!(key_id(r#""details":"via_upstream""#).is_err());
        let error = key_id(r#""details":"route_not_found","key_id":null"#).unwrap_err();
        assert_eq!(
            error.decision,
            "and no decision of the filter: route_not_found"
        );
    }

    #[test]
    fn what_is_no_line_of_it_is_not_repeated() {
        for text in [
            "",
            "secret",
            "[\"secret\"]",
            "{}\n{}",
            "{}",
            r#"{"level":"info","message":"secret"}"#,
            r#"{"method":"GET","path":"/","status":"secret"}"#,
            r#"{"method":"GET","path":"/","code":"secret"}"#,
            r#"{"method":"GET","path":"/","details":"keybound_secret"}"#,
            r#"{"method":"GET","path":"/","code":null,"time":"secret"}"#,
        ] {
            let error = choose(text, None).unwrap_err();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
