//! From a refusal to the answer that the client gets: the only place that knows how a reason is told.
//!
//! The body is a problem (RFC 9457). It never holds a credential, a digest, an id or a name.

mod wording;

use std::rc::Rc;
use std::time::Duration;

use wording::{detail, of_class, opaque, title};

use crate::credential::Location;
use crate::host::Circumstances;
use crate::record::json::quoted;
use crate::request::Request;
use crate::verdict::Reason;

/// How a refusal is told to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// How much of the reason the client learns.
    pub detail: Detail,
    /// Realm of the challenges: free of control characters; quoted where it is written.
    pub realm: String,
    /// What the problem's `type` starts with, in place of `urn:keybound:problem:`.
    pub type_base: Option<String>,
    /// Value of `retry-after` on 503; at least one second.
    pub retry_after: Duration,
}

/// How much of the reason the client learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// The exact reason.
    Precise,
    /// Its class alone.
    Class,
    /// Only whether to authenticate, to give up or to come again.
    Opaque,
}

/// What the client gets instead of an answer of the upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// gRPC status, where the client speaks gRPC: the host then makes a gRPC answer of it.
    pub grpc_status: Option<u8>,
    /// Headers, names in lower case.
    pub headers: Rc<[Header]>,
    /// The problem, or for gRPC the message. The host leaves it out where the method is HEAD.
    pub body: Vec<u8>,
}

/// Name and value.
pub type Header = (&'static str, String);

/// How refusals are told. The configuration fixes all of an answer but the request's id, so that each is
/// written once, and a flood of refused requests costs little more than one of allowed ones.
#[derive(Debug)]
pub struct Replies(Vec<(Reason, Prepared)>);

/// The answer for a reason.
#[derive(Debug)]
struct Prepared {
    status: u16,
    title: &'static str,
    headers: Rc<[Header]>,
    grpc_headers: Rc<[Header]>,
    /// The problem without its end.
    problem: Vec<u8>,
}

/// What an answer is made of.
#[derive(Debug)]
struct Settings<'a> {
    detail: Detail,
    type_base: &'a str,
    retry_after: String,
    challenges: Vec<Challenge>,
}

#[derive(Debug)]
struct Challenge {
    text: String,
    bearer: bool,
}

/// How much of a reason is told: what is the same here is the same to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Told {
    status: u16,
    code: &'static str,
    title: &'static str,
    detail: &'static str,
}

impl Reply {
    /// The answer where there is no configuration to say more by.
    pub fn internal_error() -> Self {
        Self {
            status: 500,
            grpc_status: None,
            headers: Rc::default(),
            body: Vec::new(),
        }
    }
}

impl Replies {
    /// Writes all answers.
    pub fn new(rejection: &Rejection, credentials: &[Location]) -> Self {
        let realm = rejection.realm.replace('\\', r"\\").replace('"', r#"\""#);
        let challenge = |scheme: &str, bearer| Challenge {
            text: format!(r#"{scheme} realm="{realm}""#),
            bearer,
        };
        let mut challenges = Vec::new();
        let other = |location: &Location| !location.is_bearer() && *location != Location::Basic;
        if credentials.iter().any(other) {
            challenges.push(challenge("ApiKey", false));
        }
        if credentials.iter().any(Location::is_bearer) {
            challenges.push(challenge("Bearer", true));
        }
        if credentials.contains(&Location::Basic) {
            challenges.push(challenge("Basic", false));
        }
        let settings = Settings {
            detail: rejection.detail,
            type_base: rejection
                .type_base
                .as_deref()
                .unwrap_or("urn:keybound:problem:"),
            retry_after: rejection.retry_after.as_secs().max(1).to_string(),
            challenges,
        };
        let reasons = Reason::ALL.into_iter();
        Self(
            reasons
                .map(|reason| (reason, settings.prepare(reason)))
                .collect(),
        )
    }

    /// The answer to a refused request.
    pub fn reply(&self, reason: Reason, request: &Request<'_, impl Circumstances>) -> Reply {
        let Some((_, prepared)) = self.0.iter().find(|(known, _)| *known == reason) else {
            return Reply::internal_error();
        };
        if request.is_grpc() {
            return Reply {
                status: prepared.status,
                grpc_status: Some(grpc_status(prepared.status)),
                headers: Rc::clone(&prepared.grpc_headers),
                body: prepared.title.as_bytes().to_vec(),
            };
        }
        Reply {
            status: prepared.status,
            grpc_status: None,
            headers: Rc::clone(&prepared.headers),
            body: prepared.problem(request_id(request)),
        }
    }
}

impl Prepared {
    /// The problem, with the id of the request.
    fn problem(&self, request_id: Option<&str>) -> Vec<u8> {
        const NAME: &[u8] = br#","request_id":"#;
        let id = request_id.map(quoted);
        let more = id
            .as_ref()
            .map_or(0, String::len)
            .saturating_add(NAME.len());
        let mut problem =
            Vec::with_capacity(self.problem.len().saturating_add(more).saturating_add(1));
        problem.extend(&self.problem);
        if let Some(id) = id {
            problem.extend(NAME);
            problem.extend(id.as_bytes());
        }
        problem.push(b'}');
        problem
    }
}

impl Settings<'_> {
    fn prepare(&self, reason: Reason) -> Prepared {
        let told = self.told(reason);
        let mut headers = vec![
            ("cache-control", "no-store".to_owned()),
            ("x-keybound-code", told.code.to_owned()),
        ];
        if told.status == 401 {
            // RFC 6750 section 3.1: no error code where no credential was sent. Under `opaque` whether one
            // was sent makes no difference to the answer.
            let invalid = self.detail != Detail::Opaque && reason != Reason::KeyMissing;
            for challenge in &self.challenges {
                let error = if challenge.bearer && invalid {
                    r#", error="invalid_token""#
                } else {
                    ""
                };
                headers.push(("www-authenticate", format!("{}{error}", challenge.text)));
            }
        }
        if told.status == 503 {
            headers.push(("retry-after", self.retry_after.clone()));
        }
        let grpc_headers = headers.clone();
        headers.push(("content-type", "application/problem+json".to_owned()));
        // By hand: a writer of structs would be a hundredth of the module.
        let problem = format!(
            r#"{{"type":{},"title":{},"status":{},"detail":{},"code":{}"#,
            quoted(&format!("{}{}", self.type_base, told.code)),
            quoted(told.title),
            told.status,
            quoted(told.detail),
            quoted(told.code),
        );
        Prepared {
            status: told.status,
            title: told.title,
            headers: headers.into(),
            grpc_headers: grpc_headers.into(),
            problem: problem.into_bytes(),
        }
    }

    fn told(&self, reason: Reason) -> Told {
        let precise = Told {
            status: reason.status(),
            code: reason.code(),
            title: title(reason),
            detail: detail(reason),
        };
        match self.detail {
            Detail::Precise => precise,
            Detail::Class => of_class(reason.class()).unwrap_or(precise),
            Detail::Opaque => opaque(reason.class()).unwrap_or(precise),
        }
    }
}

impl Location {
    fn is_bearer(&self) -> bool {
        matches!(self, Self::Scheme { scheme, .. } if scheme.eq_ignore_ascii_case("bearer"))
    }
}

/// Envoy's request id, if it is one: whatever else the client sent under this name is not repeated.
fn request_id<'a>(request: &Request<'a, impl Circumstances>) -> Option<&'a str> {
    let id = request.headers.only("x-request-id")?;
    let id = std::str::from_utf8(id).ok()?;
    crate::protocol::is_name(id).then_some(id)
}

/// gRPC status codes (google.rpc.Code): UNAUTHENTICATED, PERMISSION_DENIED, UNAVAILABLE, INTERNAL.
const fn grpc_status(status: u16) -> u8 {
    match status {
        401 => 16,
        403 => 7,
        503 => 14,
        _ => 13,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::test_util::{Sent, test};
    use crate::verdict::Class;

    fn reasons() -> impl Iterator<Item = Reason> {
        Reason::ALL.into_iter()
    }

    fn replies(detail: Detail, credentials: &[Location]) -> Replies {
        let rejection = Rejection {
            detail,
            realm: r#"my "api" \ realm"#.to_owned(),
            type_base: None,
            retry_after: Duration::from_secs(7),
        };
        Replies::new(&rejection, credentials)
    }

    fn at() -> Vec<Location> {
        vec![
            Location::Header("x-api-key".to_owned()),
            Location::Scheme {
                header: "authorization".to_owned(),
                scheme: "bearer".to_owned(),
            },
            Location::Query("key".to_owned()),
        ]
    }

    fn header<'a>(reply: &'a Reply, name: &str) -> Vec<&'a str> {
        let named = reply.headers.iter().filter(|(known, _)| *known == name);
        named.map(|(_, value)| value.as_str()).collect()
    }

    fn body(reply: &Reply) -> Value {
        serde_json::from_slice(&reply.body).unwrap()
    }

    #[test]
    fn a_precise_answer_is_a_problem_with_its_code() {
        let sent = Sent::new(&[("x-request-id", "6f1c")]);
        let reply = replies(Detail::Precise, &at()).reply(Reason::UserSuspended, &sent.request());
        assert_eq!(reply.status, 403);
        assert_eq!(
            body(&reply),
            json!({
                "type": "urn:keybound:problem:user_suspended",
                "title": "Invalid user associated with this key",
                "status": 403,
                "detail": "The user that owns this API key is suspended. Ask your administrator to reactivate the user.",
                "code": "user_suspended",
                "request_id": "6f1c",
            })
        );
        assert_eq!(header(&reply, "content-type"), ["application/problem+json"]);
        assert_eq!(header(&reply, "cache-control"), ["no-store"]);
        assert_eq!(header(&reply, "x-keybound-code"), ["user_suspended"]);
        assert!(header(&reply, "www-authenticate").is_empty());
        assert!(header(&reply, "retry-after").is_empty());
    }

    #[test]
    fn every_reason_says_what_to_do() {
        let sent = Sent::new(&[]);
        let mut details = Vec::new();
        for reason in reasons() {
            let reply = replies(Detail::Precise, &at()).reply(reason, &sent.request());
            let body = body(&reply);
            assert_eq!(body["status"], reason.status());
            assert_eq!(body["code"], reason.code());
            assert_eq!(body.get("request_id"), None);
            let detail = body["detail"].as_str().unwrap().to_owned();
            let sentences = detail.split_inclusive(". ").count();
            assert!(
                detail.ends_with('.') && (1..=2).contains(&sentences),
                "{detail}"
            );
            assert_eq!(
                header(&reply, "retry-after").is_empty(),
                reason.status() != 503
            );
            details.push(detail);
        }
        details.sort();
        details.dedup();
        assert_eq!(details.len(), reasons().count());
    }

    #[test]
    fn challenges_name_what_is_configured_and_quote_the_realm() {
        let sent = Sent::new(&[]);
        let challenges = |credentials: &[Location], reason| {
            let reply = replies(Detail::Precise, credentials).reply(reason, &sent.request());
            header(&reply, "www-authenticate").join(" | ")
        };
        let realm = r#"realm="my \"api\" \\ realm""#;
        assert_eq!(
            challenges(&at(), Reason::KeyMissing),
            format!("ApiKey {realm} | Bearer {realm}")
        );
        assert_eq!(
            challenges(&at(), Reason::KeyExpired),
            format!(r#"ApiKey {realm} | Bearer {realm}, error="invalid_token""#)
        );
        assert_eq!(
            challenges(&at()[..1], Reason::KeyExpired),
            format!("ApiKey {realm}")
        );
        assert_eq!(
            challenges(&at()[1..2], Reason::KeyMissing),
            format!("Bearer {realm}")
        );
    }

    #[test]
    fn answers_of_a_class_differ_in_nothing() {
        let sent = Sent::new(&[]);
        for (level, groups) in [
            (
                Detail::Class,
                vec![
                    (401, "invalid_credential", Class::Credential, None),
                    (403, "invalid_user", Class::User, None),
                    (403, "not_permitted", Class::Permission, None),
                    (503, "unavailable", Class::Unavailable, None),
                ],
            ),
            (
                Detail::Opaque,
                vec![
                    (401, "unauthorized", Class::Credential, Some(Class::User)),
                    (403, "forbidden", Class::Permission, None),
                    (503, "unavailable", Class::Unavailable, None),
                ],
            ),
        ] {
            let replies = replies(level, &at());
            for (status, code, class, other) in groups {
                let mut told: Vec<Reply> = reasons()
                    .filter(|reason| reason.class() == class || Some(reason.class()) == other)
                    // A class level still says whether a key was sent at all (RFC 6750 section 3.1).
                    .filter(|reason| level == Detail::Opaque || *reason != Reason::KeyMissing)
                    .map(|reason| replies.reply(reason, &sent.request()))
                    .collect();
                assert!(told.len() >= 2);
                assert_eq!(told[0].status, status);
                assert_eq!(body(&told[0])["code"], code);
                assert_eq!(
                    body(&told[0])["type"],
                    format!("urn:keybound:problem:{code}")
                );
                assert_eq!(header(&told[0], "x-keybound-code"), [code]);
                told.dedup();
                assert_eq!(told.len(), 1, "{code}: {told:?}");
            }
        }
    }

    #[test]
    fn grpc_clients_get_a_status_and_the_title() {
        let sent = Sent::new(&[("content-type", "application/grpc")]);
        for (reason, status, title) in [
            (Reason::KeyUnknown, 16, "Invalid API key"),
            (
                Reason::UserLocked,
                7,
                "Invalid user associated with this key",
            ),
            (Reason::ScopeMissing, 7, "Not permitted for this key"),
            (Reason::Overloaded, 14, "Key verification unavailable"),
            (Reason::PolicyUnknown, 13, "Gateway misconfigured"),
        ] {
            let reply = replies(Detail::Precise, &at()).reply(reason, &sent.request());
            assert_eq!(reply.grpc_status, Some(status));
            assert_eq!(reply.body, title.as_bytes());
            assert_eq!(header(&reply, "x-keybound-code"), [reason.code()]);
        }
    }

    #[test]
    fn nothing_but_a_plain_request_id_is_repeated() {
        for (id, repeated) in [
            ("6f1c-9", true),
            ("a b", false),
            ("", false),
            ("\"", true),
            ("caf\u{e9}", false),
        ] {
            let sent = Sent::new(&[("x-request-id", id), ("x-api-key", "secret")]);
            let reply = replies(Detail::Precise, &at()).reply(Reason::KeyUnknown, &sent.request());
            assert_eq!(body(&reply).get("request_id").is_some(), repeated, "{id}");
            assert!(!format!("{reply:?}").contains("secret"));
        }
    }

    #[test]
    fn a_type_base_stands_in_front_of_the_code() {
        let rejection = Rejection {
            detail: Detail::Precise,
            realm: "api".to_owned(),
            type_base: Some("https://example.com/problems/".to_owned()),
            retry_after: Duration::from_secs(1),
        };
        let sent = Sent::new(&[]);
        let reply = Replies::new(&rejection, &at()).reply(Reason::KeyExpired, &sent.request());
        assert_eq!(
            body(&reply)["type"],
            "https://example.com/problems/key_expired"
        );
    }
}
