mod gate;
mod properties;

use serde_json::json;

use super::*;
use keybound::config;
use keybound::record::{KeyStatus, UserStatus};
use keybound::test_util::{Sent, at, chain};

const KEY: &str = "kb_live_0123456789";

fn settings(configuration: serde_json::Value) -> Settings {
    let mut whole = json!({"key_service": {"cluster": "key_service"}});
    for (name, value) in configuration.as_object().unwrap() {
        whole[name] = value.clone();
    }
    config::parse(whole.to_string().as_bytes(), &|_| None).unwrap()
}

fn utc(seconds: u64) -> String {
    format!("<{seconds}>")
}

fn known(chain: &Chain) -> Known<'_> {
    Known {
        chain,
        replaced_by: None,
        revoked_at: None,
        revoked_reason: None,
        owner: None,
        approvals: &[],
    }
}

fn explain(
    settings: &Settings,
    sent: &Sent,
    subject: Subject<'_>,
    known: Option<Known<'_>>,
) -> Explanation {
    let request = sent.request();
    let question = Question {
        settings,
        configured: true,
        request: &request,
        subject,
        now: at(0).unix,
        utc: &utc,
    };
    let explanation = question.explain(known);
    let codes: Vec<Reason> = explanation
        .checks
        .iter()
        .map(|check| check.reason)
        .collect();
    assert_eq!(codes, Reason::CHECKS);
    for check in &explanation.checks {
        assert!(!check.detail.contains(KEY), "{}", check.detail);
        assert!(
            check.detail.ends_with('.') && check.detail.len() > 10,
            "{check:?}"
        );
    }
    let texts = [
        &explanation.summary,
        &explanation.policy,
        &explanation.next_step,
    ];
    for text in texts {
        assert!(!text.contains(KEY) && !text.is_empty(), "{text:?}");
    }
    explanation
}

fn detail(explanation: &Explanation, reason: Reason) -> &str {
    let check = explanation
        .checks
        .iter()
        .find(|check| check.reason == reason);
    &check.unwrap().detail
}

#[test]
fn migration_names_the_deactivated_user_first() {
    let chain = chain(|_, user, _| user.status = UserStatus::Deactivated);
    let settings = settings(json!({}));
    let sent = Sent::new(&[("x-api-key", KEY), (":path", "/stock")]);
    let told = explain(&settings, &sent, Subject::Carried, Some(known(&chain)));
    assert_eq!(
        told.summary,
        "refused: user_deactivated - the key's user usr_1 is deactivated"
    );
    assert!(
        told.next_step.contains("Reactivate the user usr_1"),
        "{}",
        told.next_step
    );
    assert_eq!(
        told.policy,
        "The default policy, since no entry of \"routes\" matches; Envoy's route metadata, which would come \
         first, is not known here."
    );
}

#[test]
fn wrong_tenant_names_both_tenants_first() {
    let chain = chain(|_, _, _| {});
    let settings = settings(json!({
        "policies": {"summaries": {"tenant": {"value": "ten_content"}}},
        "routes": [{"match": {"prefix": "/summaries"}, "policy": "summaries"}],
    }));
    let sent = Sent::new(&[(":path", "/summaries/7")]);
    let told = explain(&settings, &sent, Subject::Named, Some(known(&chain)));
    assert_eq!(
        told.summary,
        "refused: tenant_mismatch - the policy summaries is for the tenant ten_content only, and the key's \
         tenant is ten_1"
    );
    assert_eq!(
        told.next_step,
        "Revoke the key key_1 and issue a new one to a user of the tenant ten_content."
    );
    assert!(
        told.policy
            .starts_with("The policy summaries, chosen by routes[0]"),
        "{}",
        told.policy
    );
}

#[test]
fn a_key_that_is_named_has_no_credential_to_judge() {
    let chain = chain(|_, _, _| {});
    let settings = settings(json!({}));
    let told = explain(
        &settings,
        &Sent::new(&[]),
        Subject::Named,
        Some(known(&chain)),
    );
    assert_eq!(told.verdict, None);
    assert_eq!(
        told.summary,
        "allowed: key key_1 of user usr_1 in tenant ten_1"
    );
    for check in told.checks.iter().take(3) {
        assert_eq!(check.outcome, Outcome::Skipped);
        assert!(
            check.detail.contains("holds no credential"),
            "{}",
            check.detail
        );
    }
    let unknown = explain(&settings, &Sent::new(&[]), Subject::Named, None);
    assert_eq!(unknown.verdict, Some(Reason::KeyUnknown));
}

#[test]
fn what_is_wrong_with_a_credential_is_told_without_it() {
    let settings = settings(json!({
        "credentials": [{"bearer": "authorization"}, {"header": "x-api-key"}],
        "key_format": {"prefixes": ["kb_live_", "kb_test_"], "min_length": 18, "max_length": 40},
    }));
    let ask = |name, value| {
        explain(
            &settings,
            &Sent::new(&[(name, value)]),
            Subject::Carried,
            None,
        )
    };
    let spaced = format!("{KEY} ");
    let encoded = KEY.replace('_', "%5F");
    for (name, value, code, part) in [
        (
            "x-other",
            "x",
            "key_missing",
            "in the header authorization behind \"Bearer \" or the header x-api-key.",
        ),
        (
            "authorization",
            KEY,
            "key_missing",
            "authorization is there, but not as \"Bearer <key>\"",
        ),
        (
            "x-api-key",
            "kb_live_short",
            "key_malformed",
            "has 13 bytes, and a key has 18 to 40",
        ),
        (
            "x-api-key",
            "kb_demo_0123456789",
            "key_malformed",
            "begin with kb_live_ or kb_test_",
        ),
        (
            "x-api-key",
            "kb_live_01234 56789",
            "key_malformed",
            "other than visible ASCII",
        ),
        (
            "x-api-key",
            &encoded,
            "key_malformed",
            "percent-decoded once more",
        ),
        (
            "x-api-key",
            KEY,
            "key_unknown",
            "knows no key of this credential (18 bytes)",
        ),
        (
            "authorization",
            "Bearer a,Bearer b",
            "key_duplicated",
            "more than one credential in the header auth",
        ),
    ] {
        let told = explain(
            &settings,
            &Sent::new(&[(name, value)]),
            Subject::Carried,
            None,
        );
        assert_eq!(told.code(), code, "{value}");
        let detail = detail(&told, told.verdict.unwrap());
        assert!(detail.contains(part), "{detail}");
    }
    let given = explain(
        &settings,
        &Sent::new(&[]),
        Subject::Given(spaced.as_bytes()),
        None,
    );
    assert_eq!(given.code(), "key_malformed");
    assert!(
        given.summary.contains("without the spaces around it"),
        "{}",
        given.summary
    );
    let none = explain(&settings, &Sent::new(&[]), Subject::Given(b""), None);
    assert_eq!(none.code(), "key_missing");
    assert_eq!(
        detail(&ask("x-api-key", KEY), Reason::KeyDuplicated),
        "The request carries one credential in the header x-api-key."
    );
}

#[test]
fn requests_that_need_no_key_are_told_so() {
    let settings = settings(json!({
        "policies": {"open": {"authentication": "none"}, "both": {"authentication": "optional"}},
        "routes": [
            {"match": {"prefix": "/open"}, "policy": "open"},
            {"match": {"prefix": "/both"}, "policy": "both"},
        ],
    }));
    let preflight = [
        (":method", "OPTIONS"),
        (":path", "/"),
        ("origin", "https://example.com"),
        ("access-control-request-method", "PUT"),
    ];
    for (headers, part) in [
        (&preflight[..], "a CORS preflight passes without a key"),
        (&[(":path", "/open")], "the policy asks for no key"),
        (&[(":path", "/both")], "the request carries no credential"),
    ] {
        let told = explain(&settings, &Sent::new(headers), Subject::Carried, None);
        assert_eq!(told.code(), "allowed");
        assert!(
            told.summary.starts_with("allowed: without identity - "),
            "{}",
            told.summary
        );
        assert!(told.summary.contains(part), "{}", told.summary);
        assert!(
            told.checks
                .iter()
                .all(|check| check.outcome == Outcome::Skipped)
        );
    }
    let unknown = explain(
        &settings,
        &Sent::new(&[(":path", "/open")]).on_route("opne"),
        Subject::Carried,
        None,
    );
    assert_eq!(unknown.code(), "policy_unknown");
    assert_eq!(
        unknown.summary,
        "refused: policy_unknown - there is no policy \"opne\": there are both, open"
    );
    let named = Sent::new(&[(":path", "/open")]).on_route("both");
    let named = explain(&settings, &named, Subject::Carried, None);
    assert!(
        named
            .policy
            .starts_with("The policy both, which the question names"),
        "{}",
        named.policy
    );
}

#[test]
fn what_a_request_states_is_shown_unless_it_may_be_a_key() {
    let chain = chain(|_, _, _| {});
    let ask = |policy: serde_json::Value, headers: &[(&str, &str)]| {
        let settings = settings(json!({"default_policy": policy}));
        let told = explain(
            &settings,
            &Sent::new(headers),
            Subject::Named,
            Some(known(&chain)),
        );
        detail(&told, Reason::TenantMismatch).to_owned()
    };
    let header = json!({"tenant": {"header": "x-tenant"}});
    assert_eq!(
        ask(header.clone(), &[("x-tenant", "ten_9")]),
        "The default policy wants the tenant stated in the header x-tenant: the request states \"ten_9\" \
         there, and the key's tenant is ten_1."
    );
    assert!(ask(header.clone(), &[]).contains("the request has no such header"));
    assert!(
        ask(header, &[("x-tenant", "ten_1"), ("x-tenant", "ten_2")])
            .contains("\"ten_1\" and \"ten_2\" there, and what is stated twice")
    );
    let query = json!({"tenant": {"query": "tenant"}});
    assert!(
        ask(query, &[(":path", "/?tenant=ten_1&a=b&+tenant[]=ten_2")]).contains(
            "\"ten_1\" and \"ten_2\" there, and what is stated twice, be it under another spelling"
        )
    );
    let secret = ask(
        json!({"tenant": {"header": "x-api.key"}}),
        &[("x-api-key", "a-secret")],
    );
    assert!(!secret.contains("a-secret"), "{secret}");
    let secret = ask(
        json!({"tenant": {"header": "x-api-key"}}),
        &[("x-api-key", "a-secret")],
    );
    assert!(
        !secret.contains("a-secret") && secret.contains("is not shown"),
        "{secret}"
    );
    let segment = ask(
        json!({"tenant": {"path_segment": 1}}),
        &[(":path", "/v1/ten_9?api_key=a-secret")],
    );
    assert!(
        segment.contains("the path is \"/v1/ten_9\", and"),
        "{segment}"
    );
    let label = ask(
        json!({"tenant": {"host_label": 0}}),
        &[(":authority", "ten_9.example.com:80")],
    );
    assert!(
        label.contains("the host is \"ten_9.example.com\""),
        "{label}"
    );
}

#[test]
fn the_lives_of_keys_are_told_with_their_times() {
    let settings = settings(json!({}));
    let now = at(0).unix;
    let ask = |chain: &Chain| {
        let known = Known {
            replaced_by: chain.key.replaced.then_some("key_2"),
            revoked_at: Some(7),
            revoked_reason: Some("leaked"),
            ..known(chain)
        };
        explain(&settings, &Sent::new(&[]), Subject::Named, Some(known))
    };
    let revoked = ask(&chain(|key, _, _| key.status = KeyStatus::Revoked));
    assert_eq!(
        revoked.summary,
        "refused: key_revoked - the key key_1 was revoked at <7> (reason: \"leaked\")"
    );
    let early = ask(&chain(|key, _, _| key.not_before = Some(now + 1)));
    assert!(
        early
            .summary
            .contains(&format!("begins at <{}>, and it was <{now}>", now + 1))
    );
    let grace = chain(|key, _, _| {
        key.replaced = true;
        key.expires_at = Some(now + 9);
    });
    let grace = ask(&grace);
    assert_eq!(
        grace.next_step,
        format!(
            "Let the client change over to the key key_2 before <{}>.",
            now + 9
        )
    );
    let over = ask(&chain(|key, _, _| {
        key.replaced = true;
        key.expires_at = Some(now);
    }));
    assert_eq!(over.code(), "key_replaced");
    assert_eq!(
        over.next_step,
        "Let the client use the key key_2 instead of key_1."
    );
}

#[test]
fn shadow_does_not_hide_what_would_be_refused() {
    let settings = settings(json!({"enforcement": "shadow"}));
    let told = explain(&settings, &Sent::new(&[]), Subject::Carried, None);
    assert!(
        told.summary.starts_with("refused in shadow only"),
        "{}",
        told.summary
    );
    assert_eq!(told.code(), "key_missing");
}

#[test]
fn a_path_of_several_readings_has_several_policies() {
    let settings = settings(json!({
        "policies": {"open": {}, "strict": {"environment": "test"}, "unused": {"environment": "live"}},
        "routes": [
            {"match": {"prefix": "/admin"}, "policy": "strict"},
            {"match": {"prefix": "/"}, "policy": "open"},
        ],
    }));
    let chain = chain(|_, _, _| {});
    let told = |path: &str| {
        let sent = Sent::new(&[(":path", path)]);
        explain(&settings, &sent, Subject::Named, Some(known(&chain)))
    };
    let listed = told("/Admin/x;/y");
    assert_eq!(listed.code(), "environment_mismatch");
    for part in ["routes[1]", "routes[0]", "all of these must be satisfied"] {
        assert!(listed.policy.contains(part), "{}", listed.policy);
    }

    let unlisted = told("/x/..;/y");
    assert_eq!(unlisted.code(), "environment_mismatch");
    assert_eq!(
        unlisted.policy,
        "Nobody knows what servers make of this path, so it must satisfy every policy of \"routes\" and the \
         default, and states nothing: the policy open, the policy strict, the default policy."
    );
}

#[test]
fn without_the_filters_configuration_what_depends_on_it_is_not_known() {
    let settings = settings(json!({}));
    let ask = |sent: &Sent, subject, known| {
        let request = sent.request();
        let question = Question {
            settings: &settings,
            configured: false,
            request: &request,
            subject,
            now: at(0).unix,
            utc: &utc,
        };
        question.explain(known)
    };
    let good = chain(|_, _, _| {});
    let stopped = chain(|_, user, _| user.status = UserStatus::Suspended);
    let preflight = Sent::new(&[
        (":method", "OPTIONS"),
        ("origin", "https://example.com"),
        ("access-control-request-method", "PUT"),
    ]);
    let plain = Sent::new(&[(":path", "/")]);
    let named = Sent::new(&[(":path", "/")]).on_route("orders");
    for (sent, subject, chain, code) in [
        (&plain, Subject::Named, Some(&good), "allowed"),
        (&named, Subject::Named, Some(&good), "allowed"),
        (&plain, Subject::Carried, None, "key_missing"),
        (&preflight, Subject::Carried, None, "allowed"),
    ] {
        let told = ask(sent, subject, chain.map(known));
        assert_eq!((told.code(), told.conclusive), (code, false));
        assert!(
            told.summary.starts_with("not known: depends on the policy"),
            "{}",
            told.summary
        );
        assert!(
            told.next_step.contains("--filter-config"),
            "{}",
            told.next_step
        );
    }
    let told = ask(&plain, Subject::Named, Some(known(&good)));
    for reason in [
        Reason::UserMismatch,
        Reason::TenantMismatch,
        Reason::EnvironmentMismatch,
        Reason::ApiNotApproved,
        Reason::ScopeMissing,
    ] {
        let check = told.checks.iter().find(|check| check.reason == reason);
        let check = check.unwrap();
        assert_eq!(check.outcome, Outcome::Skipped);
        assert!(check.detail.starts_with("Not known: depends on the policy"));
    }
    // What fails before any policy is asked fails at every gateway.
    for sent in [&plain, &named] {
        let told = ask(sent, Subject::Named, Some(known(&stopped)));
        assert_eq!((told.code(), told.conclusive), ("user_suspended", true));
        assert!(told.summary.starts_with("refused: user_suspended"));
    }
}
