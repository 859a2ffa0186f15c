//! Signing in to the console with a token, sessions, and what protects them.

use key_service::console;
use key_service::domain::token::Token;
use key_service::http::Settings;
use serde_json::json;

use crate::program::Running;
use crate::secrets::{holds, stored};
use crate::support::{Answer, Service};
use crate::visitor::Visitor;

/// Pages that everybody with a role may see, and others.
const PAGES: [&str; 14] = [
    "/console",
    "/console/why",
    "/console/my",
    "/console/keys",
    "/console/users",
    "/console/tenants",
    "/console/review",
    "/console/approvals",
    "/console/audit",
    "/console/tokens",
    "/console/tokens.csv",
    "/console/sign-in",
    "/console/style.css",
    "/console/nothing/here",
];

#[track_caller]
fn assert_protected(path: &str, answer: &Answer) {
    let policy = answer.header("content-security-policy");
    assert!(
        policy.contains("default-src 'none'") && policy.contains("form-action 'self'"),
        "{path}: {policy}"
    );
    assert!(
        !policy.contains("unsafe") && !policy.contains("script-src"),
        "{path}: {policy}"
    );
    assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
    assert_eq!(answer.header("x-frame-options"), "DENY", "{path}");
    assert_eq!(answer.header("referrer-policy"), "same-origin", "{path}");
    if !path.ends_with(".css") {
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
    }
    for inline in ["<script", " style=", "onclick", "javascript:"] {
        assert!(!answer.text.contains(inline), "{path} holds {inline}");
    }
}

#[test]
fn every_answer_protects_its_page() {
    let service = Service::furnished();
    let developer = Visitor::as_developer(&service, "dev", "usr_a");
    let visitors = [
        Visitor::new(&service),
        Visitor::with(&service, &service.admin),
        Visitor::with(&service, &service.viewer),
        developer,
    ];
    for visitor in &visitors {
        for path in PAGES {
            assert_protected(path, &visitor.get(path));
        }
        assert_protected("a form", &visitor.post("/console/tokens/new", &[]));
        let foreign = [("origin", "https://evil.example")];
        assert_protected(
            "another site's",
            &visitor.post_with("/console/sign-in", &[], &foreign),
        );
        assert_protected(
            "a method",
            &visitor.send("DELETE", "/console/keys", &[], None),
        );
    }
}

#[test]
fn a_wrong_token_signs_nobody_in_and_is_not_repeated() {
    let service = Service::start();
    let visitor = Visitor::new(&service);
    let wrong = "kbt_admin_thisTokenIsNobodys1234567890";
    for token in [wrong, "short", "", "with a space and more than twenty"] {
        let answer = visitor.post("/console/sign-in", &[("token", token)]);
        assert_eq!(answer.status, 401, "{token}");
        assert!(answer.text.contains("No such token"), "{}", answer.text);
        assert!(
            token.is_empty() || !answer.text.contains(token),
            "{}",
            answer.text
        );
    }
    let answer = visitor.post("/console/sign-in", &[("token", service.gateway.reveal())]);
    assert_eq!(answer.status, 403);
    assert!(
        answer.text.contains("The token&#39;s role is gateway"),
        "{}",
        answer.text
    );
    assert!(visitor.cookies.borrow().is_empty());
}

#[test]
fn too_many_wrong_tokens_wait_and_a_right_one_does_not() {
    let service = Service::start();
    let visitor = Visitor::new(&service);
    let wrong = [("token", "kbt_admin_thisTokenIsNobodys1234567890")];
    let statuses: Vec<u16> = (0..30)
        .map(|_| visitor.post("/console/sign-in", &wrong).status)
        .collect();
    assert!(
        statuses[..10].iter().all(|status| *status == 401),
        "{statuses:?}"
    );
    assert!(statuses.contains(&429), "{statuses:?}");
    Visitor::with(&service, &service.admin).page("/console");
}

#[test]
fn the_way_leads_to_a_page_of_the_console_and_nowhere_else() {
    let service = Service::start();
    let visitor = Visitor::new(&service);
    let asked = visitor.get("/console/audit?kind=key&actor=a%26b");
    assert_eq!(asked.status, 303);
    let form = asked.header("location");
    assert_eq!(
        form,
        "/console/sign-in?next=%2Fconsole%2Faudit%3Fkind%3Dkey%26actor%3Da%2526b"
    );
    let page = visitor.page(form);
    assert!(
        page.contains("value=\"/console/audit?kind=key&#38;actor=a%26b\""),
        "{page}"
    );
    for (next, right) in [
        ("/console/audit?kind=key", "/console/audit?kind=key"),
        ("https://evil.example", "/console"),
        ("//evil.example", "/console"),
        ("/admin/v1/keys", "/console"),
        ("/console/\\..\\evil", "/console"),
    ] {
        let fields = [("token", service.admin.reveal()), ("next", next)];
        assert_eq!(visitor.done("/console/sign-in", &fields), right);
    }
    // Whoever is signed in is not asked again.
    let answer = visitor.get("/console/sign-in?next=/console/keys");
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, "/console/keys")
    );
    // What a form was for is not lost in silence.
    let answer = Visitor::new(&service).post("/console/tokens/new", &[("name", "x")]);
    assert_eq!(answer.header("location"), "/console/sign-in?ended=1");
    assert!(visitor.get("/console/keys").status == 200);
}

#[test]
fn a_cookie_is_bound_to_the_host_where_the_browser_comes_by_tls() {
    let fields = |service: &Service| [("token", service.admin.reveal().to_owned())];
    let cookie = |service: &Service, headers: &[(&str, &str)]| {
        let fields = fields(service);
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let answer = Visitor::new(service).post_with("/console/sign-in", &fields, headers);
        answer.header("set-cookie").to_owned()
    };
    let assert_flags = |cookie: &str, name: &str, secure: bool| {
        assert!(cookie.starts_with(name), "{cookie}");
        for flag in ["HttpOnly", "SameSite=Lax", "Path=/"] {
            assert!(cookie.contains(flag), "{cookie}");
        }
        assert_eq!(cookie.contains("Secure"), secure, "{cookie}");
        assert!(
            !cookie.contains("Domain") && !cookie.contains("Max-Age"),
            "{cookie}"
        );
    };
    let plain = Service::start();
    assert_flags(&cookie(&plain, &[]), "keybound=", false);
    let forwarded = [("x-forwarded-proto", "https")];
    assert_flags(&cookie(&plain, &forwarded), "__Host-keybound=", true);
    let behind = |origin: &str| {
        Service::start_with(Settings {
            console: Some(console::Settings {
                origin: Some(origin.parse().unwrap()),
                ..console::Settings::default()
            }),
            ..Settings::default()
        })
    };
    let service = behind("https://keys.test");
    assert_flags(&cookie(&service, &[]), "__Host-keybound=", true);
    let own = [
        ("origin", "https://keys.test"),
        ("sec-fetch-site", "same-origin"),
    ];
    assert_flags(&cookie(&service, &own), "__Host-keybound=", true);
    assert_flags(
        &cookie(&behind("http://keys.test"), &forwarded),
        "keybound=",
        false,
    );
}

#[test]
fn a_session_ends_here_or_everywhere_and_with_its_token() {
    let service = Service::furnished();
    let [one, two, three] = [(); 3].map(|()| Visitor::with(&service, &service.viewer));
    let kept = one.cookies.borrow().clone();
    assert_eq!(one.done("/console/sign-out", &[]), "/console/sign-in");
    assert!(one.cookies.borrow().is_empty(), "the browser forgets it");
    *one.cookies.borrow_mut() = kept;
    assert_eq!(one.get("/console").status, 303, "and so does the service");
    two.page("/console");
    two.done("/console/sign-out", &[("everywhere", "true")]);
    assert_eq!(three.get("/console").status, 303);

    let visitor = Visitor::with(&service, &service.viewer);
    service
        .post("/admin/v1/tokens/vera/revoke", &json!({}))
        .expect(200);
    assert_eq!(visitor.get("/console").status, 303);
    let answer = visitor.get("/console/why?key_id=key_1");
    assert_eq!(
        answer.header("location"),
        "/console/sign-in?next=%2Fconsole%2Fwhy%3Fkey_id%3Dkey_1"
    );
}

#[test]
fn a_developer_is_out_while_the_user_is_not_active() {
    let service = Service::furnished();
    let visitor = Visitor::as_developer(&service, "dev", "usr_a");
    visitor.page("/console/my");
    let user = "/admin/v1/users/usr_a?force=true";
    service
        .patch(user, &json!({"status": "deactivated"}))
        .expect(200);
    assert_eq!(visitor.get("/console/my").status, 303);
    let answer = visitor.post("/console/my/keys/new", &[("environment", "live")]);
    assert_eq!(answer.header("location"), "/console/sign-in?ended=1");
    service
        .patch(user, &json!({"status": "active"}))
        .expect(200);
    assert_eq!(service.get("/admin/v1/keys").json()["items"], json!([]));
}

#[test]
fn a_form_of_another_site_does_nothing() {
    let service = Service::furnished();
    let visitor = Visitor::with(&service, &service.admin);
    let fields = [("name", "evil"), ("role", "admin")];
    for headers in [
        vec![("origin", "https://evil.example")],
        vec![("origin", "null")],
        vec![("sec-fetch-site", "cross-site")],
        vec![
            ("sec-fetch-site", "same-site"),
            ("origin", "https://other.keys.test"),
        ],
        vec![("origin", "http://127.0.0.1:1")],
    ] {
        for path in [
            "/console/tokens/new",
            "/console/sign-out",
            "/console/sign-in",
        ] {
            let answer = visitor.post_with(path, &fields, &headers);
            assert_eq!(answer.status, 403, "{path} {headers:?}");
            assert!(
                answer.text.contains("Sent from another site"),
                "{}",
                answer.text
            );
        }
    }
    let tokens = service.get("/admin/v1/tokens").text;
    assert!(!tokens.contains("evil"), "{tokens}");
    visitor.page("/console");
    // Its own are let through.
    let host = service.url.clone();
    let headers = [("origin", host.as_str()), ("sec-fetch-site", "same-origin")];
    let answer = visitor.post_with(
        "/console/tokens/new",
        &[("name", "good"), ("role", "viewer")],
        &headers,
    );
    assert_eq!(answer.status, 200, "{}", answer.text);
}

#[test]
fn without_a_session_no_form_does_anything() {
    let service = Service::furnished();
    let visitor = Visitor::new(&service);
    for (cookie, value) in [("keybound", "x".repeat(43)), ("other", "x".to_owned())] {
        visitor
            .cookies
            .borrow_mut()
            .insert(cookie.to_owned(), value);
        for path in [
            "/console/tokens/new",
            "/console/tokens/anna/revoke",
            "/console/my/keys/new",
        ] {
            let answer = visitor.post(path, &[("name", "evil"), ("role", "admin")]);
            assert_eq!(
                answer.header("location"),
                "/console/sign-in?ended=1",
                "{path}"
            );
        }
    }
    // A token is no session.
    visitor
        .cookies
        .borrow_mut()
        .insert("keybound".to_owned(), service.admin.reveal().to_owned());
    assert_eq!(visitor.get("/console").status, 303);
    assert_eq!(
        service.get("/admin/v1/tokens").json()["items"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
}

#[test]
fn what_a_browser_holds_is_neither_stored_nor_logged() {
    let service = Service::start();
    let visitor = Visitor::with(&service, &service.admin);
    let secret = visitor.cookies.borrow()["keybound"].clone();
    let files = stored(&service);
    assert!(
        holds(&files, Token::chosen(&secret).unwrap().digest().as_str()),
        "the search must see sessions"
    );
    assert!(!holds(&files, &secret));
    assert!(!holds(&files, service.admin.reveal()));

    let folder = tempfile::tempdir().unwrap();
    let token = "kbt_admin_thisIsForTheTestsAlone";
    let running = Running::start(
        folder.path(),
        &[("KEYBOUND_ADMIN_TOKEN", token), ("RUST_LOG", "trace")],
    );
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .max_redirects(0)
        .max_redirects_will_error(false)
        .build()
        .into();
    let sent = agent
        .post(format!("{}/console/sign-in", running.url))
        .send_form([("token", token)]);
    let answer = sent.unwrap();
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
    let cookie = cookie.split(';').next().unwrap();
    let page = agent
        .get(format!("{}/console", running.url))
        .header("cookie", cookie)
        .call();
    assert_eq!(page.unwrap().status(), 200);
    drop(running);
    let log = std::fs::read(folder.path().join("log")).unwrap();
    assert!(holds(&log, "/console/sign-in"));
    assert!(!holds(&log, token) && !holds(&log, cookie.split('=').nth(1).unwrap()));
}
