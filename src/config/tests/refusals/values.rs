use super::{refusal, refused, refused_within_key_service};
use crate::config::tests::with;
use crate::test_util::test;

#[test]
fn types_that_are_wrong() {
    refused(&[
        (
            r#""credentials": {"header": "a"}"#,
            "credentials: must be a list, not an object",
        ),
        (
            r#""credentials": ["x-api-key"]"#,
            "credentials[0]: must be an object, not a string",
        ),
        (
            r#""policies": []"#,
            "policies: must be an object, not a list",
        ),
        (
            r#""strip_credential": "yes""#,
            "strip_credential: must be true or false, not a string",
        ),
        (
            r#""strip_credential": null"#,
            "strip_credential: must be true or false, not null",
        ),
        (
            r#""usage": {"enabled": 1}"#,
            "usage.enabled: must be true or false, not a number",
        ),
        (
            r#""enforcement": true"#,
            r#"enforcement: must be "enforce" or "shadow", not a boolean"#,
        ),
        (
            r#""rejection": {"realm": 7}"#,
            "rejection.realm: must be printable ASCII, not a number",
        ),
        (
            r#""routes": [{"policy": "a"}]"#,
            "routes[0].match: required, and not given",
        ),
        (
            r#""routes": [{"match": {}}]"#,
            "routes[0].policy: required, and not given",
        ),
        (
            r#""default_policy": null"#,
            "default_policy: must be a policy or the name of one, not null",
        ),
    ]);
}

#[test]
fn words_that_are_no_choice() {
    refused(&[
        (
            r#""enforcement": "enforced""#,
            r#"enforcement: must be "enforce" or "shadow", not "enforced""#,
        ),
        (
            r#""preflight": "Pass""#,
            r#"preflight: must be "pass" or "check", not "Pass""#,
        ),
        (
            r#""unavailable": """#,
            r#"unavailable: must be "deny" or "allow", not """#,
        ),
        (
            r#""rejection": {"detail": "full"}"#,
            r#"rejection.detail: must be "precise", "class" or "opaque", not "full""#,
        ),
        (
            r#""key_format": {"checksum": "crc"}"#,
            r#"key_format.checksum: must be "none" or "crc32", not "crc""#,
        ),
        (
            r#""default_policy": {"authentication": "off"}"#,
            r#"default_policy.authentication: must be "required", "optional" or "none", not "off""#,
        ),
    ]);
}

#[test]
fn durations_of_a_wrong_form_or_length() {
    let form = r#"must be a duration such as "500ms", "20s", "5m", "2h" or "7d""#;
    for value in [r#""5""#, r#""5 s""#, r#""1w""#, r#""-1s""#, r#""""#] {
        assert_eq!(
            refusal(with(&format!(r#""warn_before": {value}"#))),
            format!("warn_before: {form}")
        );
    }
    assert_eq!(
        refusal(with(r#""warn_before": 60"#)),
        format!("warn_before: {form}, not a number")
    );
    refused_within_key_service(&[
        (
            r#""timeout": "0ms""#,
            "key_service.timeout: must be a duration from 1ms to 1m",
        ),
        (
            r#""timeout": "61s""#,
            "key_service.timeout: must be a duration from 1ms to 1m",
        ),
        (
            r#""changes": {"wait": "500ms"}"#,
            "key_service.changes.wait: must be a duration from 1s to 1m",
        ),
        (
            r#""changes": {"wait": "1500ms"}"#,
            r#"key_service.changes.wait: must be whole seconds, such as "2s""#,
        ),
    ]);
    refused(&[
        (
            r#""warn_before": "366d""#,
            "warn_before: must be a duration from 0s to 365d",
        ),
        (
            r#""rejection": {"retry_after": "0s"}"#,
            "rejection.retry_after: must be a duration from 1s to 1d",
        ),
        (
            r#""rejection": {"retry_after": "1001ms"}"#,
            r#"rejection.retry_after: must be whole seconds, such as "2s""#,
        ),
        (
            r#""usage": {"every": "999ms"}"#,
            "usage.every: must be a duration from 1s to 1h",
        ),
        (
            r#""freshness": {"fresh_for": "0s"}"#,
            "freshness.fresh_for: must be a duration from 1ms to 30d",
        ),
        (
            r#""freshness": {"max_staleness": "99999999999999999999d"}"#,
            "freshness.max_staleness: must be a duration from 1ms to 30d",
        ),
        (
            r#""freshness": {"negative_for": "0s"}"#,
            "freshness.negative_for: must be a duration from 1ms to 30d",
        ),
        (
            r#""freshness": {"fresh_for": "10m"}"#,
            "freshness.fresh_for: 10m is longer than freshness.max_staleness (5m): lower it, or raise \
             max_staleness",
        ),
        (
            r#""freshness": {"negative_for": "3s", "max_staleness": "2s"}"#,
            "freshness.negative_for: 3s is longer than freshness.max_staleness (2s): lower it, or raise \
             max_staleness",
        ),
    ]);
}

#[test]
fn sizes() {
    let expected = "limits.local_bytes: must be a size from 1MiB to 1GiB";
    refused(&[
        (r#""limits": {"local_bytes": "1023KiB"}"#, expected),
        (r#""limits": {"local_bytes": "1025MiB"}"#, expected),
        (
            r#""limits": {"local_bytes": "64MB"}"#,
            "limits.local_bytes: must be a size such as \"512KiB\", \"64MiB\" or \"1GiB\"",
        ),
        (
            r#""limits": {"local_bytes": 67108864}"#,
            "limits.local_bytes: must be a size such as \"512KiB\", \"64MiB\" or \"1GiB\", not a number",
        ),
    ]);
}

#[test]
fn numbers_out_of_range() {
    refused(&[
        (
            r#""limits": {"local_entries": 0}"#,
            "limits.local_entries: must be a whole number from 1 to 10000000, not 0",
        ),
        (
            r#""limits": {"shared_entries": 10000001}"#,
            "limits.shared_entries: must be a whole number from 1 to 10000000, not 10000001",
        ),
        (
            r#""limits": {"waiting_requests": -1}"#,
            "limits.waiting_requests: must be a whole number from 1 to 1000000",
        ),
        (
            r#""limits": {"lookups_in_flight": 1.5}"#,
            "limits.lookups_in_flight: must be a whole number from 1 to 1000",
        ),
        (
            r#""limits": {"lookups_in_flight": "8"}"#,
            "limits.lookups_in_flight: must be a whole number from 1 to 1000, not a string",
        ),
        (
            r#""key_format": {"max_length": 18446744073709551615}"#,
            "key_format.max_length: must be a whole number from 1 to 8192, not 18446744073709551615",
        ),
        (
            r#""key_format": {"min_length": 0}"#,
            "key_format.min_length: must be a whole number from 1 to 8192, not 0",
        ),
        (
            r#""policies": {"a": {"user": {"path_segment": 1001}}}"#,
            "policies.a.user.path_segment: must be a whole number from 0 to 1000, not 1001",
        ),
        (
            r#""policies": {"a": {"tenant": {"host_label": "0"}}}"#,
            "policies.a.tenant.host_label: must be a whole number from 0 to 1000, not a string",
        ),
    ]);
}
