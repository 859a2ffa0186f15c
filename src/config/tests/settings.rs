use std::time::Duration;

use super::{FULL, environment, with};
use crate::config::*;
use crate::credential::{Checksum, Foreign, KeyFormat, Location};
use crate::edit::IdentityHeaders;
use crate::gate::{Enforcement, Preflight, Secret, Settings, Unavailable};
use crate::knowledge::cache::{self, Freshness};
use crate::knowledge::feed::Changes;
use crate::knowledge::fetch;
use crate::policy::{
    Authentication, HostPattern, Policies, Policy, RequiredScopes, Route, RouteMatch, Statement,
};
use crate::reply::{Detail, Rejection};
use crate::telemetry::usage;
use crate::test_util::test;

fn parsed(text: &str) -> Settings {
    match parse(text.as_bytes(), &environment) {
        Ok(settings) => {
            #[cfg(not(target_family = "wasm"))]
            super::schema::takes(text.as_bytes());
            settings
        }
        Err(error) => panic!("{text}\n{error}"),
    }
}

fn header(name: &str) -> Option<String> {
    Some(name.to_owned())
}

#[test]
fn the_smallest_configuration_has_the_defaults_of_the_documentation() {
    let settings = parsed(r#"{"key_service": {"cluster": "key_service"}}"#);
    let service = &settings.key_service;
    assert_eq!(service.cluster, "key_service");
    assert_eq!(service.authority, "key_service");
    assert_eq!(service.path, "/v1");
    assert_eq!(service.token, None);
    assert_eq!(service.timeout, Duration::from_millis(500));
    assert_eq!(
        service.changes,
        Changes {
            enabled: true,
            wait: Duration::from_secs(20)
        }
    );
    assert_eq!(
        settings.credentials,
        [Location::Header("x-api-key".to_owned())]
    );
    assert_eq!(settings.key_format, KeyFormat::default());
    assert_eq!(format!("{:?}", settings.digester), "Digester(SHA-256)");
    assert!(settings.strip_credential);
    assert!(!settings.internal_redirects);
    assert!(!settings.guarded_routes);
    assert_eq!(
        settings.identity_headers,
        IdentityHeaders {
            key_id: header("x-key-id"),
            user_id: header("x-user-id"),
            tenant_id: header("x-tenant-id"),
            scopes: header("x-key-scopes"),
            environment: None,
        }
    );
    assert_eq!(
        settings.policies,
        Policies::new(Vec::new(), Vec::new(), Policy::default())
    );
    assert_eq!(settings.enforcement, Enforcement::Enforce);
    assert_eq!(settings.preflight, Preflight::Pass);
    assert_eq!(settings.unavailable, Unavailable::Deny);
    assert_eq!(
        settings.rejection,
        Rejection {
            detail: Detail::Precise,
            realm: "api".to_owned(),
            type_base: None,
            retry_after: Duration::from_secs(1),
        }
    );
    assert_eq!(
        settings.freshness,
        Freshness {
            fresh_for: Duration::from_secs(60),
            max_staleness: Duration::from_secs(300),
            negative_for: Duration::from_secs(5),
        }
    );
    assert_eq!(settings.warn_before, Duration::from_secs(604_800));
    assert_eq!(
        settings.cache,
        cache::Limits {
            local_entries: 10_000,
            local_bytes: 64 << 20,
            shared_entries: 100_000,
        }
    );
    assert_eq!(
        settings.fetch,
        fetch::Limits {
            waiting_requests: 1_000,
            lookups_in_flight: 8,
        }
    );
    assert_eq!(
        settings.usage,
        usage::Settings {
            enabled: true,
            every: Duration::from_secs(10)
        }
    );
}

#[test]
fn every_field_is_read() {
    let settings = parsed(FULL);
    let service = &settings.key_service;
    assert_eq!(service.authority, "keys.internal");
    assert_eq!(service.path, "/keys/v1");
    assert_eq!(
        service.token.as_ref().map(Secret::reveal),
        Some("token-of-the-environment")
    );
    assert_eq!(service.timeout, Duration::from_millis(750));
    assert_eq!(
        service.changes,
        Changes {
            enabled: false,
            wait: Duration::from_secs(30)
        }
    );
    let scheme = |scheme: &str| Location::Scheme {
        header: "authorization".to_owned(),
        scheme: scheme.to_owned(),
    };
    assert_eq!(
        settings.credentials,
        [
            Location::Header("x-api-key".to_owned()),
            scheme("Bearer"),
            scheme("ApiKey"),
            Location::Basic,
            Location::Query("api_key".to_owned()),
            Location::Cookie("api_key".to_owned()),
        ]
    );
    assert_eq!(
        settings.key_format,
        KeyFormat {
            prefixes: vec!["kb_live_".to_owned(), "kb_test_".to_owned()],
            checksum: Checksum::Crc32,
            min_length: 20,
            max_length: 64,
            foreign: Foreign::Absent,
        }
    );
    assert_eq!(
        settings.digester.digest(b"key"),
        crate::credential::digest::Digester::peppered(b"salt and pepper").digest(b"key")
    );
    assert!(!settings.strip_credential);
    assert!(settings.internal_redirects);
    assert!(settings.guarded_routes);
    assert_eq!(
        settings.identity_headers,
        IdentityHeaders {
            key_id: header("x-key"),
            user_id: None,
            tenant_id: header("x-tenant"),
            scopes: header("x-scopes"),
            environment: header("x-environment"),
        }
    );
    assert_eq!(settings.enforcement, Enforcement::Shadow);
    assert_eq!(settings.preflight, Preflight::Check);
    assert_eq!(settings.unavailable, Unavailable::Allow);
    assert_eq!(
        settings.rejection,
        Rejection {
            detail: Detail::Opaque,
            realm: "our \"API\"".to_owned(),
            type_base: Some("https://docs.example.com/#".to_owned()),
            retry_after: Duration::from_secs(120),
        }
    );
    assert_eq!(
        settings.freshness,
        Freshness {
            fresh_for: Duration::from_secs(7_200),
            max_staleness: Duration::from_secs(86_400),
            negative_for: Duration::from_millis(500),
        }
    );
    assert_eq!(settings.warn_before, Duration::ZERO);
    assert_eq!(
        settings.cache,
        cache::Limits {
            local_entries: 1,
            local_bytes: 1 << 30,
            shared_entries: 10_000_000,
        }
    );
    assert_eq!(
        settings.fetch,
        fetch::Limits {
            waiting_requests: 2,
            lookups_in_flight: 1_000,
        }
    );
    assert_eq!(settings.usage.every, Duration::from_secs(60));
}

#[test]
fn policies_and_routes_are_read() {
    let internal = Policy {
        tenant: Some(Statement::Value("ten_1".to_owned())),
        ..Policy::default()
    };
    let named = vec![
        (
            "orders".to_owned(),
            Policy {
                authentication: Authentication::Required,
                environment: Some("live".to_owned()),
                api: Some("orders".to_owned()),
                scopes: Some(RequiredScopes::All(vec![
                    "orders:read".to_owned(),
                    "orders:list".to_owned(),
                ])),
                user: Some(Statement::Header("x-user".to_owned())),
                tenant: Some(Statement::HostLabel(0)),
            },
        ),
        (
            "reports".to_owned(),
            Policy {
                authentication: Authentication::Optional,
                scopes: Some(RequiredScopes::Any(vec!["reports:*".to_owned()])),
                user: Some(Statement::Query("user".to_owned())),
                tenant: Some(Statement::PathSegment(1)),
                ..Policy::default()
            },
        ),
        ("internal".to_owned(), internal.clone()),
        (
            "open".to_owned(),
            Policy {
                authentication: Authentication::None,
                ..Policy::default()
            },
        ),
    ];
    let index = |name| Policies::index(&named, name).unwrap();
    let routes = vec![
        Route {
            matches: RouteMatch {
                path: Some("/v1/orders".to_owned()),
                prefix: Some("/v1/".to_owned()),
                methods: vec!["GET".to_owned(), "HEAD".to_owned()],
                hosts: vec![
                    HostPattern::Exact("api.example.com".to_owned()),
                    HostPattern::Below(".example.org".to_owned()),
                    HostPattern::Exact("[2001:db8::1]".to_owned()),
                ],
            },
            policy: index("orders"),
        },
        Route {
            matches: RouteMatch {
                prefix: Some("/".to_owned()),
                ..RouteMatch::default()
            },
            policy: index("open"),
        },
        Route {
            matches: RouteMatch::default(),
            policy: index("reports"),
        },
    ];
    assert_eq!(
        parsed(FULL).policies,
        Policies::new(named, routes, internal)
    );
}

#[test]
fn an_explicit_null_is_as_good_as_no_field_where_there_is_no_default() {
    let text = r#"{
        "key_service": {"cluster": "key_service", "authority": null, "token": null, "token_env": null},
        "credentials": [{"header": "x-api-key", "scheme": null, "bearer": null, "query": null, "cookie": null}],
        "key_format": {"prefixes": null},
        "digest": {"pepper_env": null},
        "policies": {"a": {"environment": null, "api": null, "scopes": null, "user": null, "tenant": null}},
        "routes": [{"match": {"path": null, "prefix": null, "methods": null, "hosts": null}, "policy": "a"}],
        "rejection": {"type_base": null}
    }"#;
    let shorter = with(r#""policies": {"a": {}}, "routes": [{"match": {}, "policy": "a"}]"#);
    assert_eq!(
        format!("{:?}", parsed(text)),
        format!("{:?}", parsed(&shorter))
    );
}

#[test]
fn defaults_of_freshness_follow_a_shorter_max_staleness() {
    let settings = parsed(&with(r#""freshness": {"max_staleness": "2s"}"#));
    let two = Duration::from_secs(2);
    assert_eq!(
        settings.freshness,
        Freshness {
            fresh_for: two,
            max_staleness: two,
            negative_for: two,
        }
    );
}

#[test]
fn an_empty_key_format_asks_as_little_as_none() {
    for text in [r#""key_format": {}"#, r#""key_format": null"#] {
        assert_eq!(parsed(&with(text)).key_format, KeyFormat::default());
    }
}

#[test]
fn a_default_policy_can_be_written_in_place() {
    let settings = parsed(&with(r#""default_policy": {"authentication": "none"}"#));
    let open = Policy {
        authentication: Authentication::None,
        ..Policy::default()
    };
    assert_eq!(
        settings.policies,
        Policies::new(Vec::new(), Vec::new(), open)
    );
}

#[test]
fn a_cluster_with_a_space_works_with_an_authority() {
    let settings =
        parsed(r#"{"key_service": {"cluster": "key service", "authority": "keys:8081"}}"#);
    assert_eq!(settings.key_service.cluster, "key service");
    assert_eq!(settings.key_service.authority, "keys:8081");
}

#[test]
fn the_root_is_a_path() {
    let settings = parsed(r#"{"key_service": {"cluster": "c", "path": "/"}}"#);
    assert_eq!(settings.key_service.path, "");
}

#[test]
fn debug_shows_no_secret() {
    let text =
        r#"{"key_service": {"cluster": "c", "token": "hush"}, "digest": {"pepper_env": "PEPPER"}}"#;
    let shown = format!("{:?}", parsed(text));
    assert!(
        !shown.contains("hush") && !shown.contains("pepper"),
        "{shown}"
    );
}
