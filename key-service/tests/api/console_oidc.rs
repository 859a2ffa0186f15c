//! Signing in to the console by OpenID Connect, at a provider of the tests' own.

use std::path::Path;
use std::sync::Arc;

use key_service::console::{self, CALLBACK, Provider, Roles};
use key_service::http::Settings;
use serde_json::{Value, json};

use crate::issuer::{CLIENT, Issuer, Signed};
use crate::program::{Running, program, run, text};
use crate::secrets::{holds, stored};
use crate::support::{Answer, Service};
use crate::visitor::Visitor;

const ORIGIN: &str = "https://keys.test";

fn service(issuer: &Issuer) -> Service {
    let roles = Roles::read(json!([
        {"claim": "groups", "value": "admins", "role": "admin"},
        {"claim": "groups", "value": "shop-support", "role": "viewer", "tenant": "ten_a"},
        {"claim": "email", "value": "vera@example.com", "role": "viewer"},
    ]))
    .unwrap();
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_global(Some(std::time::Duration::from_secs(5)))
        .build()
        .into();
    let provider = Provider::new(
        issuer.url.clone(),
        CLIENT.0.to_owned(),
        Some(CLIENT.1.to_owned()),
        format!("{ORIGIN}{CALLBACK}"),
        roles,
        agent,
    );
    let service = Service::start_with(Settings {
        console: Some(console::Settings {
            origin: Some(ORIGIN.parse().unwrap()),
            provider: Some(Arc::new(provider.unwrap())),
        }),
        ..Settings::default()
    });
    for id in ["ten_a", "ten_b"] {
        service
            .post("/admin/v1/tenants", &json!({"id": id}))
            .expect(201);
    }
    service
}

fn user(service: &Service, fields: &Value) {
    service.post("/admin/v1/users", fields).expect(201);
}

/// The whole way: to the provider, and back with what it says.
#[track_caller]
fn sign_in(visitor: &Visitor<'_>, issuer: &Issuer, claims: &Value, signed: Signed) -> Answer {
    let away = visitor.get("/console/sign-in/oidc?next=/console/why?key_id%3Dkey_1");
    assert_eq!(away.status, 303, "{}", away.text);
    let back = issuer.sign_in(away.header("location"), claims, signed);
    visitor.get(&back)
}

/// That somebody is refused, told this, and has no session.
#[track_caller]
fn assert_refused(visitor: &Visitor<'_>, answer: &Answer, status: u16, told: &str) {
    assert_eq!(answer.status, status, "{}", answer.text);
    assert!(
        answer.text.contains(told),
        "{told} is not in {}",
        answer.text
    );
    assert!(
        answer.text.contains("name=\"token\""),
        "a token can be used"
    );
    assert!(visitor.cookies.borrow().is_empty(), "{:?}", visitor.cookies);
    assert_eq!(visitor.get("/console/why").status, 303);
}

#[test]
fn a_claim_gives_a_role_and_bounds_it_to_a_tenant() {
    let issuer = Issuer::start();
    let service = service(&issuer);
    let plain = Visitor::new(&service);
    let page = plain.page("/console/sign-in?next=/console/keys");
    assert!(page.contains("Sign in with 127.0.0.1"), "{page}");
    assert!(
        page.contains("/console/sign-in/oidc?next=%2Fconsole%2Fkeys"),
        "{page}"
    );

    let admin = Visitor::new(&service);
    let claims = json!({"groups": ["x", "admins"], "email": "Anna@example.com"});
    let answer = sign_in(&admin, &issuer, &claims, Signed::Rightly);
    assert_eq!(answer.status, 303, "{}", answer.text);
    assert_eq!(answer.header("location"), "/console/why?key_id=key_1");
    let cookies = admin.cookies.borrow().clone();
    assert_eq!(cookies.keys().collect::<Vec<_>>(), ["__Host-keybound"]);
    let page = admin.page("/console");
    assert!(
        page.contains("oidc:Anna@example.com") && page.contains(">admin<"),
        "{page}"
    );
    // The name is the actor.
    admin.post("/console/sign-out", &[]);

    let viewer = Visitor::new(&service);
    let claims = json!({"groups": "shop-support", "sub": "s-7"});
    assert_eq!(
        sign_in(&viewer, &issuer, &claims, Signed::Rightly).status,
        303
    );
    let page = viewer.page("/console");
    assert!(
        page.contains("oidc:s-7") && page.contains("viewer of ten_a"),
        "{page}"
    );

    let by_email = Visitor::new(&service);
    let claims = json!({"email": "vera@example.com", "email_verified": true});
    assert_eq!(
        sign_in(&by_email, &issuer, &claims, Signed::Rightly).status,
        303
    );
    assert!(by_email.page("/console").contains(">viewer<"));
}

#[test]
fn whoever_is_an_active_user_is_a_developer_until_they_are_stopped() {
    let issuer = Issuer::start();
    let service = service(&issuer);
    user(
        &service,
        &json!({"id": "usr_by_sub", "tenant_id": "ten_a", "external_id": "sub-7"}),
    );
    user(
        &service,
        &json!({"id": "usr_by_login", "tenant_id": "ten_b", "login": "Ben@Example.com"}),
    );
    for (claims, id) in [
        (
            json!({"sub": "sub-7", "email": "other@example.com"}),
            "usr_by_sub",
        ),
        (
            json!({"sub": "x", "email": "ben@example.com"}),
            "usr_by_login",
        ),
        (json!({"sub": "BEN@example.com"}), "usr_by_login"),
    ] {
        let visitor = Visitor::new(&service);
        let answer = sign_in(&visitor, &issuer, &claims, Signed::Rightly);
        assert_eq!(answer.status, 303, "{}", answer.text);
        let page = visitor.page("/console/why");
        assert!(page.contains(&format!("developer {id}")), "{page}");
        let path = format!("/admin/v1/users/{id}?force=true");
        service
            .patch(&path, &json!({"status": "deactivated"}))
            .expect(200);
        assert_eq!(visitor.get("/console/why").status, 303);
        service
            .patch(&path, &json!({"status": "active"}))
            .expect(200);
    }
}

#[test]
fn who_is_nobody_here_is_told_so() {
    let issuer = Issuer::start();
    let service = service(&issuer);
    user(
        &service,
        &json!({"id": "usr_1", "tenant_id": "ten_a", "login": "twice@example.com"}),
    );
    user(
        &service,
        &json!({"id": "usr_2", "tenant_id": "ten_b", "login": "twice@example.com"}),
    );
    user(
        &service,
        &json!({"id": "usr_3", "login": "gone@example.com", "status": "suspended"}),
    );
    user(
        &service,
        &json!({"id": "usr_4", "login": "lax@example.com"}),
    );
    for (claims, told) in [
        (json!({"sub": "nobody"}), "no active user has"),
        (json!({"email": "gone@example.com"}), "no active user has"),
        (
            json!({"email": "twice@example.com"}),
            "more than one active user",
        ),
        (
            json!({"email": "lax@example.com", "email_verified": false}),
            "no active user has",
        ),
        (
            json!({"email": "lax@example.com", "email_verified": "false"}),
            "no active user has",
        ),
        (
            json!({"email": "vera@example.com", "email_verified": false}),
            "no active user has",
        ),
        (
            json!({"email": "<script>alert(1)</script>"}),
            "&#60;script&#62;alert(1)",
        ),
        (json!({"email": "a\nb@example.com"}), "no line of text"),
    ] {
        let visitor = Visitor::new(&service);
        let answer = sign_in(&visitor, &issuer, &claims, Signed::Rightly);
        assert_refused(&visitor, &answer, 403, told);
    }
}

#[test]
fn a_token_that_is_not_the_providers_own_for_this_sign_in_counts_for_nothing() {
    let issuer = Issuer::start();
    let service = service(&issuer);
    let hour = 3600;
    let now = key_service::domain::time::now();
    for (claims, signed, told) in [
        (json!({"nonce": "another"}), Signed::Rightly, "nonce"),
        (json!({"nonce": null}), Signed::Rightly, "nonce"),
        (json!({"aud": "another"}), Signed::Rightly, "audiences"),
        (
            json!({"aud": [CLIENT.0, "another"]}),
            Signed::Rightly,
            "audience",
        ),
        (
            json!({"iss": "https://another.example"}),
            Signed::Rightly,
            "issuer",
        ),
        (json!({"exp": now - hour}), Signed::Rightly, "Expired"),
        (
            json!({}),
            Signed::ByAnother,
            "Signature verification failed",
        ),
        (json!({}), Signed::Not, "does not count"),
        (
            json!({}),
            Signed::WithPublicKey,
            "Signature verification failed",
        ),
        (
            json!({}),
            Signed::WithSecret,
            "Signature verification failed",
        ),
    ] {
        let visitor = Visitor::new(&service);
        let mut claims = claims.clone();
        claims["groups"] = json!("admins");
        let answer = sign_in(&visitor, &issuer, &claims, signed);
        assert_refused(&visitor, &answer, 403, told);
    }
    assert!(issuer.asked_for_keys() <= 2, "keys are kept");
}

#[test]
fn only_the_browser_that_began_ends_and_once() {
    let issuer = Issuer::start();
    let service = service(&issuer);
    let claims = json!({"groups": "admins"});
    let begin = |visitor: &Visitor<'_>| {
        let away = visitor.get("/console/sign-in/oidc");
        issuer.sign_in(away.header("location"), &claims, Signed::Rightly)
    };

    // The link of another, who would have the victim work in their account.
    let (attacker, victim) = (Visitor::new(&service), Visitor::new(&service));
    let link = begin(&attacker);
    let answer = victim.get(&link);
    assert_refused(&victim, &answer, 403, "not begun in this browser");
    begin(&victim);
    let answer = victim.get(&link);
    assert_refused(&victim, &answer, 403, "not begun in this browser");

    // A code is good once, also with all that belongs to it.
    let visitor = Visitor::new(&service);
    let link = begin(&visitor);
    let held = visitor.cookies.borrow().clone();
    assert_eq!(visitor.get(&link).status, 303);
    *visitor.cookies.borrow_mut() = held;
    let answer = visitor.get(&link);
    assert_refused(
        &visitor,
        &answer,
        403,
        "&#60;b&#62;this code is unknown or was used",
    );

    // Of another provider, or with no code.
    let visitor = Visitor::new(&service);
    let link = begin(&visitor);
    let other = link.split("&iss=").next().unwrap().to_owned() + "&iss=https://evil.example";
    let answer = visitor.get(&other);
    assert_refused(&visitor, &answer, 403, "from another provider");
    let link = begin(&visitor);
    let refused = link.replace(
        "code=",
        "error_description=<i>No+way</i>&error=access_denied&x=",
    );
    let answer = visitor.get(&refused.replace('<', "%3C").replace('>', "%3E"));
    assert_refused(
        &visitor,
        &answer,
        403,
        "&#60;i&#62;No way&#60;/i&#62; (access_denied)",
    );
    // What anybody could have put into a link is not repeated.
    let answer = visitor.get(&format!("{CALLBACK}?error=call+0800&state=made-up"));
    assert!(!answer.text.contains("0800"));
    assert_refused(&visitor, &answer, 403, "not begun in this browser");
}

#[test]
fn the_way_back_leads_to_the_console_and_its_cookie_is_for_it_alone() {
    let issuer = Issuer::start();
    let service = service(&issuer);
    let visitor = Visitor::new(&service);
    let away = visitor.get("/console/sign-in/oidc?next=https://evil.example");
    let cookie = away.header("set-cookie").to_owned();
    for flag in [
        "__Host-keybound-oidc=",
        "HttpOnly",
        "SameSite=Lax",
        "Secure",
        "Path=/",
        "Max-Age=600",
    ] {
        assert!(cookie.contains(flag), "{flag} is not in {cookie}");
    }
    let claims = json!({"groups": "admins"});
    let back = issuer.sign_in(away.header("location"), &claims, Signed::Rightly);
    assert_eq!(visitor.get(&back).header("location"), "/console");
}

#[test]
fn a_provider_that_changes_its_key_goes_on() {
    let issuer = Issuer::start();
    let service = service(&issuer);
    let claims = json!({"groups": "admins"});
    let visitor = Visitor::new(&service);
    assert_eq!(
        sign_in(&visitor, &issuer, &claims, Signed::Rightly).status,
        303
    );
    assert_eq!(issuer.asked_for_keys(), 1);
    issuer.change_key();
    for _ in 0..2 {
        let visitor = Visitor::new(&service);
        assert_eq!(
            sign_in(&visitor, &issuer, &claims, Signed::Rightly).status,
            303
        );
    }
    assert_eq!(issuer.asked_for_keys(), 2);
    // Not at once again, or whoever makes up tokens would have it asked for each.
    issuer.change_key();
    let visitor = Visitor::new(&service);
    let answer = sign_in(&visitor, &issuer, &claims, Signed::Rightly);
    assert_refused(&visitor, &answer, 403, "Signature verification failed");
    assert_eq!(issuer.asked_for_keys(), 2);
}

#[test]
fn while_the_provider_is_away_tokens_open_the_console() {
    let mut issuer = Issuer::start();
    let service = service(&issuer);
    issuer.leave();
    let visitor = Visitor::new(&service);
    let answer = visitor.get("/console/sign-in/oidc");
    assert_refused(&visitor, &answer, 502, "The provider cannot be reached");
    Visitor::with(&service, &service.admin).page("/console");
}

#[test]
fn signing_out_everywhere_ends_all_sessions_of_an_identity() {
    let issuer = Issuer::start();
    let service = service(&issuer);
    let claims = json!({"groups": "admins", "email": "anna@example.com"});
    let visitors = [Visitor::new(&service), Visitor::new(&service)];
    for visitor in &visitors {
        assert_eq!(
            sign_in(visitor, &issuer, &claims, Signed::Rightly).status,
            303
        );
    }
    visitors[0].done("/console/sign-out", &[("everywhere", "true")]);
    for visitor in &visitors {
        assert_eq!(visitor.get("/console").status, 303);
    }
    let files = stored(&service);
    assert!(holds(&files, "sub-1") || !holds(&files, "code-0"));
    for given in issuer.given() {
        assert!(!holds(&files, &given));
    }
}

/// Files for the options of `serve`.
fn files(folder: &Path) {
    std::fs::write(folder.join("secret"), format!("{}\n", CLIENT.1)).unwrap();
    let roles =
        "# The first that is met counts.\n- claim: groups\n  value: admins\n  role: admin\n";
    std::fs::write(folder.join("roles.yaml"), roles).unwrap();
    std::fs::write(
        folder.join("wrong.yaml"),
        "- claim: groups\n  value: a\n  role: owner\n",
    )
    .unwrap();
}

#[test]
fn the_program_reads_its_options_and_logs_no_secret() {
    let issuer = Issuer::start();
    let folder = tempfile::tempdir().unwrap();
    files(folder.path());
    let options = [
        ("KEYBOUND_CONSOLE_ORIGIN", "http://127.0.0.1:1"),
        ("KEYBOUND_OIDC_ISSUER", issuer.url.as_str()),
        ("KEYBOUND_OIDC_CLIENT_ID", CLIENT.0),
        ("KEYBOUND_OIDC_CLIENT_SECRET_FILE", "secret"),
        ("KEYBOUND_OIDC_ROLES", "roles.yaml"),
        ("KEYBOUND_ADMIN_TOKEN", "kbt_admin_thisIsForTheTestsAlone"),
        ("RUST_LOG", "trace"),
    ];
    let running = Running::start(folder.path(), &options);
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .build()
        .into();
    let ask = |path: &str, cookie: &str| {
        let request = agent.get(format!("{}{path}", running.url));
        let mut answer = request.header("cookie", cookie).call().unwrap();
        let header = |name| {
            let value = answer
                .headers()
                .get(name)
                .map(|value| value.to_str().unwrap());
            value.unwrap_or_default().to_owned()
        };
        let (location, cookie) = (header("location"), header("set-cookie"));
        let cookie = cookie.split(';').next().unwrap().to_owned();
        (
            location,
            cookie,
            answer.body_mut().read_to_string().unwrap(),
        )
    };
    let (away, flow, _) = ask("/console/sign-in/oidc", "");
    let back = issuer.sign_in(&away, &json!({"groups": "admins"}), Signed::Rightly);
    let (next, session, body) = ask(&back, &flow);
    assert_eq!(next, "/console", "{body}");
    let (_, _, page) = ask("/console", &session);
    assert!(page.contains("oidc:sub-1"), "{page}");
    // A code that is refused is told of, too.
    ask(&back, &flow);
    drop(running);

    let log = std::fs::read(folder.path().join("log")).unwrap();
    assert!(
        holds(&log, "/console/sign-in/oidc"),
        "the search must see what is logged"
    );
    let mut secrets = issuer.given();
    secrets.push(CLIENT.1.to_owned());
    secrets.push(session.split('=').nth(1).unwrap().to_owned());
    let flow = flow.split_once('=').unwrap().1;
    secrets.extend(form_urlencoded::parse(flow.as_bytes()).map(|(_, value)| value.into_owned()));
    secrets.extend(
        back.split(['=', '&'])
            .filter(|part| part.starts_with("code-"))
            .map(str::to_owned),
    );
    for secret in secrets.iter().filter(|secret| *secret != "/console") {
        assert!(!holds(&log, secret), "{secret} is in the log");
    }
}

#[test]
fn options_that_do_not_fit_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    files(folder.path());
    let issuer = [
        "--oidc-issuer",
        "https://id.example",
        "--oidc-client-id",
        "console",
    ];
    let origin = ["--console-origin", "https://keys.example"];
    for (arguments, told) in [
        (vec!["--console-origin", "keys.example"], "https://"),
        (issuer.to_vec(), "--console-origin"),
        (vec!["--oidc-roles", "roles.yaml"], "--oidc-issuer"),
        ([&issuer[..2], &origin].concat(), "--oidc-client-id"),
        (
            [
                &[
                    "--oidc-issuer",
                    "http://id.example",
                    "--oidc-client-id",
                    "console",
                ],
                &origin[..],
            ]
            .concat(),
            "must begin with https://",
        ),
        (
            [&issuer[..], &origin, &["--oidc-roles", "wrong.yaml"]].concat(),
            "owner",
        ),
        (
            [&issuer[..], &origin, &["--oidc-roles", "none.yaml"]].concat(),
            "none.yaml",
        ),
        (
            [&issuer[..], &origin, &["--oidc-client-secret-file", "none"]].concat(),
            "none",
        ),
    ] {
        let arguments = [&["serve", "--listen", "0"], &arguments[..]].concat();
        let output = run(folder.path(), &[], &arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let error = text(&output.stderr);
        assert!(error.contains(told), "{told} is not in {error}");
    }
}

#[test]
fn without_a_console_there_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path(), &[("KEYBOUND_NO_CONSOLE", "true")]);
    let answer = ureq::get(format!("{}/console", running.url)).call();
    assert!(
        matches!(answer, Err(ureq::Error::StatusCode(404))),
        "{answer:?}"
    );
    let mut help = program(folder.path());
    let output = help.args(["serve", "--help"]).output().unwrap();
    assert!(text(&output.stdout).contains("--no-console"));
}
