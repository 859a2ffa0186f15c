//! What each fuzz target does with arbitrary bytes, and what must hold whatever they are.
//!
//! A target panics where something does not hold. This file is part of two crates: of the fuzz package, and
//! of Keybound's own tests, which run the seed corpus.

use std::str::from_utf8;
use std::time::Duration;

use super::tested::config;
use super::tested::credential::digest::Digest;
use super::tested::credential::{self, Fault, KeyFormat, Location};
use super::tested::gate::{Gate, Settings};
use super::tested::host::Header;
use super::tested::knowledge::cache::{self, Cache, Freshness, Learned, Lookup, Source};
use super::tested::protocol::{MOST_CHANGES, is_name};
use super::tested::proxy_wasm::packed::{pack, unpack};
use super::tested::record::{
    Chain, Changed, Content, Key, KeyStatus, Resolved, TenantStatus, User, UserStatus,
    parse_answer, parse_changes,
};
use super::tested::request::Request;
use super::tested::request::headers::Headers;
use super::tested::request::percent;
use super::tested::test_util::{Handed, Sent, SharedData};
use super::tested::time::{Instant, LAST_SECOND, Now, http_date};
use super::tested::verdict::{Facts, Knowledge, Outcome, Reason, decide, explain};

/// A target: it takes any bytes and panics where something does not hold.
pub type Target = fn(&[u8]);

/// Every target by the name of its folder in the seed corpus.
pub const TARGETS: [(&str, Target); 6] = [
    ("credential", credential),
    ("configuration", configuration),
    ("answer", answer),
    ("changes", changes),
    ("bucket", bucket),
    ("explanation", explanation),
];

/// A header list in packed form: whatever is in it, removal leaves no credential behind and touches nothing
/// else.
pub fn credential(packed: &[u8]) {
    let locations = [
        Location::Header("x-api-key".to_owned()),
        Location::Scheme {
            header: "authorization".to_owned(),
            scheme: "Bearer".to_owned(),
        },
        Location::Scheme {
            header: "authorization".to_owned(),
            scheme: "ApiKey".to_owned(),
        },
        Location::Query("api_key".to_owned()),
        Location::Query("k".to_owned()),
        Location::Cookie("api_key".to_owned()),
        Location::Cookie("k".to_owned()),
    ];
    // Anything that is found must have this form, and this form takes nearly anything.
    let format = KeyFormat {
        max_length: usize::MAX,
        ..KeyFormat::default()
    };
    let list = unpack(packed);
    let headers = Headers::new(&list);
    if let Ok(found) = credential::find(&locations, &format, headers) {
        assert!(!found.is_empty() && found.iter().all(u8::is_ascii_graphic));
    }

    let before: Vec<(String, Vec<u8>)> = headers
        .iter()
        .map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), value.to_vec()))
        .collect();
    let mut after = before.clone();
    credential::remove(&locations, &format, headers, &mut after);

    for (name, value) in &after {
        assert!(!holds_credential(name, value), "{name}: {value:?}");
    }
    let repacked = pack(
        after
            .iter()
            .map(|(name, value)| (name.as_bytes(), &value[..])),
    );
    let left = unpack(&repacked);
    for location in &locations {
        let left = credential::find(std::slice::from_ref(location), &format, Headers::new(&left));
        assert_eq!(left, Err(Fault::Missing), "{location:?}");
    }

    // What holds no credential is there as it was, in its order.
    for name in ["authorization", "cookie", ":path", "other"] {
        let of_name = |(given, _): &&(String, Vec<u8>)| match name {
            "other" => !matches!(
                given.as_str(),
                "x-api-key" | "authorization" | "cookie" | ":path"
            ),
            name => given == name,
        };
        let was: Vec<_> = before.iter().filter(of_name).collect();
        let is: Vec<_> = after.iter().filter(of_name).collect();
        if name == "other"
            || !was
                .iter()
                .any(|(name, value)| may_hold_credential(name, value))
        {
            assert_eq!(was, is);
        }
    }
    let path = |list: &[(String, Vec<u8>)]| {
        let path = list.iter().find(|(name, _)| name == ":path");
        path.map(|(_, value)| percent::Target::new(value).path.to_vec())
    };
    assert_eq!(path(&before), path(&after));
}

/// Whether a header holds what a location of [`credential`] is for: written apart from the code that is
/// tested, and as simply as it can be.
fn holds_credential(name: &str, value: &[u8]) -> bool {
    let is_scheme = |text: &[u8], scheme: &[u8]| {
        let text = text.trim_ascii();
        text.len() >= scheme.len()
            && text[..scheme.len()].eq_ignore_ascii_case(scheme)
            && matches!(text.get(scheme.len()), Some(b' ' | b'\t'))
    };
    let is_name = |name: &[u8]| matches!(name, b"api_key" | b"k");
    let before_equals = |piece: &[u8]| {
        let mut parts = piece.split(|byte| *byte == b'=');
        parts.next().unwrap_or_default().to_vec()
    };
    match name {
        "x-api-key" => true,
        "authorization" => value
            .split(|byte| *byte == b',')
            .any(|element| is_scheme(element, b"bearer") || is_scheme(element, b"apikey")),
        "cookie" => value
            .split(|byte| *byte == b';')
            .any(|pair| is_name(before_equals(pair).trim_ascii())),
        ":path" => {
            let mut parts = value.splitn(2, |byte| *byte == b'?');
            parts.next();
            parts.next().is_some_and(|query| {
                query
                    .split(|byte| *byte == b'&')
                    .any(|piece| is_name(&percent::decode(&before_equals(piece))))
            })
        }
        _ => false,
    }
}

fn may_hold_credential(name: &str, value: &[u8]) -> bool {
    let value = value.to_ascii_lowercase();
    let has = |word: &[u8]| value.windows(word.len()).any(|window| window == word);
    holds_credential(name, &value) || name == "authorization" && (has(b"bearer") || has(b"apikey"))
}

/// A configuration: it is refused in one line that tells no secret, or a gate works with it.
pub fn configuration(text: &[u8]) {
    const SECRET: &str = "s3cr3t-of-the-environment";
    if text
        .windows(SECRET.len())
        .any(|part| part == SECRET.as_bytes())
    {
        return;
    }
    match config::parse(text, &|name| (name != "UNSET").then(|| SECRET.to_owned())) {
        Err(error) => {
            let line = error.to_string();
            assert!(!line.chars().any(char::is_control), "{line:?}");
            assert!(line.contains(": "), "{line:?}");
            assert!(!line.contains(SECRET), "{line:?}");
        }
        Ok(settings) => {
            assert!(!settings.credentials.is_empty());
            assert!(!format!("{settings:?}").contains(SECRET));
            let sent = Sent::new(&[
                (":method", "GET"),
                (":path", "/v1/orders/7?api_key=K"),
                (":authority", "api.example.com"),
                ("x-api-key", "K"),
            ]);
            let mut gate = Gate::new(settings, "vm".to_owned());
            let _ = gate.request(&sent.request(), 1, NOW, &SharedData::default());
        }
    }
}

/// An answer of the key service: what is taken from it is valid, and what one VM learns another one finds in
/// the shared cache as it was, or not at all.
pub fn answer(body: &[u8]) {
    let Ok(answer) = parse_answer(body) else {
        return;
    };
    for (digest, resolved) in answer.results {
        let Ok(resolved) = resolved else { continue };
        if let Resolved::Known { key, user, tenant } = &resolved {
            let ids = [Some(&key.id), key.user_id.as_ref(), key.tenant_id.as_ref()];
            assert!(ids.into_iter().flatten().all(|id| is_name(id)));
            check_key(key);
            user.iter().for_each(check_user);
            assert!(
                user.as_ref()
                    .is_none_or(|user| Some(&user.id) == key.user_id.as_ref())
            );
            let of_key = |id| Some(id) == key.tenant_id.as_ref();
            assert!(tenant.as_ref().is_none_or(|tenant| of_key(&tenant.id)));
        }
        let store = SharedData::default();
        let mut learner = cache();
        let learned = learner.learn(&digest, resolved.clone(), answer.as_of, NOW.instant, &store);
        let found = learner.lookup(&digest, NOW.instant, &store);
        let found_by_another = cache().lookup(&digest, NOW.instant, &store);
        match learned {
            Learned::Unknown => {
                assert_eq!(resolved, Resolved::Unknown);
                assert_eq!(found, Lookup::Negative);
                assert_eq!(found_by_another, Lookup::Miss);
            }
            Learned::Known(chain, _) => {
                assert_eq!(chain, chain_of(resolved));
                assert_eq!(found, Lookup::Fresh(chain.clone(), Source::Local));
                // A record that is too large is not shared.
                if found_by_another != Lookup::Miss {
                    assert_eq!(found_by_another, Lookup::Fresh(chain, Source::Shared));
                }
            }
            Learned::Behind => panic!("an empty cache cannot be ahead"),
        }
    }
}

/// What a key holds is within the bounds of the protocol, and can be told to a client.
fn check_key(key: &Key) {
    assert!(key.scopes.iter().all(is_name));
    assert!(key.scopes.iter().count() <= 256);
    let times = [key.not_before, key.expires_at, key.replaced_at];
    for time in times.into_iter().flatten() {
        assert!(time <= LAST_SECOND);
        assert!(http_date(time).is_some());
    }
}

fn check_user(user: &User) {
    let scopes: Vec<&str> = user
        .scopes
        .iter()
        .flat_map(|scopes| scopes.iter())
        .collect();
    assert!(scopes.len() <= 256 && scopes.into_iter().all(is_name));
    let apis: Vec<_> = user.apis.iter().flatten().collect();
    assert!(apis.len() <= 256 && apis.iter().all(|api| (1..=128).contains(&api.len())));
}

/// An answer of the change feed: what is taken from it is valid and in order, and all of it goes into the shared
/// cache.
pub fn changes(body: &[u8]) {
    const AFTER: u64 = 10;
    let Ok(news) = parse_changes(body, AFTER) else {
        return;
    };
    assert!(news.reset || news.cursor >= AFTER);
    assert!(news.changes.len() <= news.given && news.given <= MOST_CHANGES);
    let (store, mut cache) = (SharedData::default(), cache());
    let mut last = AFTER;
    for change in &news.changes {
        assert!(last < change.sequence && change.sequence <= news.cursor);
        last = change.sequence;
        assert!(cache.apply(&change.changed, last, NOW.instant, 1, &store));
        match &change.changed {
            Changed::Key(digest, content) => {
                if let Content::Record(key) = content {
                    check_key(key);
                }
                let _ = cache.lookup(digest, NOW.instant, &store);
            }
            Changed::User(id, content) => {
                assert!(is_name(id));
                if let Content::Record(user) = content {
                    check_user(user);
                }
            }
            Changed::Tenant(id, _) => assert!(is_name(id)),
        }
    }
    assert!(store.values().iter().all(|value| value.len() <= 16 * 1024));
}

/// A bucket of the shared cache, whatever another filter, an older version or a fault has left there: it is
/// read without harm, and written over within its bounds.
pub fn bucket(bytes: &[u8]) {
    let mut id = [0; Digest::LENGTH];
    for (to, from) in id.iter_mut().zip(bytes.iter().take(16)) {
        *to = *from;
    }
    // An entry begins with its id, so this is the digest of the first one.
    let digest = Digest::new(id);
    let store = SharedData::full_of(bytes);
    if let Lookup::Fresh(chain, _) | Lookup::Stale(chain, _) =
        cache().lookup(&digest, NOW.instant, &store)
    {
        // It may say anything, but a verdict can be made of it, and what clients are told.
        let _ = chain.key.expires_at.and_then(http_date);
        check_explanation(&chain, &[(b":path", b"/v1/orders")], None, NOW.unix);
    }
    let known =
        br#"{"as_of": 9, "results": [{"digest": "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0",
        "key": {"id": "key_1", "version": 3, "status": "active", "user_id": "usr_1"},
        "user": {"id": "usr_1", "version": 2, "status": "active"}}]}"#;
    let answer = parse_answer(known).unwrap();
    for (digest, resolved) in answer.results {
        cache().learn(
            &digest,
            resolved.unwrap(),
            answer.as_of,
            NOW.instant,
            &store,
        );
        let _ = cache().lookup(&digest, NOW.instant, &store);
    }
    assert!(store.values().iter().all(|value| value.len() <= 16 * 1024));
}

/// A request and what is known of its key: four lines with path, host, source address and Unix time, then
/// an answer of the key service. The explanation names every check in order, and the verdict is the first
/// that failed.
pub fn explanation(text: &[u8]) {
    let mut parts = text.splitn(5, |byte| *byte == b'\n');
    let mut next = || parts.next().unwrap_or_default();
    let (path, host, source, now, body) = (next(), next(), next(), next(), next());
    let now = from_utf8(now).ok().and_then(|now| now.trim().parse().ok());
    let headers: [Header<'_>; 4] = [
        (b":method", b"GET"),
        (b":path", path),
        (b":authority", host),
        (b"x-user", b"usr_7"),
    ];
    let source = from_utf8(source).ok();
    let Ok(answer) = parse_answer(body) else {
        return;
    };
    for (_, resolved) in answer.results {
        if let Ok(resolved @ Resolved::Known { .. }) = resolved {
            let now = now.unwrap_or(NOW.unix);
            check_explanation(&chain_of(resolved), &headers, source, now);
        }
    }
}

thread_local! {
    static SETTINGS: Settings = settings();
}

fn check_explanation(chain: &Chain, headers: &[Header<'_>], source: Option<&str>, now: u64) {
    SETTINGS.with(|settings| check_explanation_by(settings, chain, headers, source, now));
}

fn check_explanation_by(
    settings: &Settings,
    chain: &Chain,
    headers: &[Header<'_>],
    source: Option<&str>,
    now: u64,
) {
    let host = Handed {
        source: source.map(str::to_owned),
        ..Handed::default()
    };
    let request = Request::new(Headers::new(headers), &host);
    let policies = settings
        .policies
        .choose(&request)
        .unwrap_or_else(|_| panic!("no route names a policy"));
    let facts = Facts {
        knowledge: Knowledge::Known(chain),
        policies,
        request: &request,
        now,
    };
    let checks: Vec<(Reason, Outcome)> = explain(&facts);
    assert!(checks.iter().map(|(reason, _)| *reason).eq(Reason::CHECKS));
    let failed = checks
        .iter()
        .find(|(_, outcome)| *outcome == Outcome::Failed);
    let verdict = decide(&facts);
    assert_eq!(verdict, failed.map(|(reason, _)| *reason));
    if verdict.is_none() {
        let (key, user) = (&chain.key, chain.user.as_ref().unwrap());
        assert_eq!(key.status, KeyStatus::Active);
        assert!(key.not_before.is_none_or(|start| start <= now));
        assert!(key.expires_at.is_none_or(|end| now < end));
        assert_eq!(user.status, UserStatus::Active);
        assert_eq!(key.tenant_id.is_some(), chain.tenant.is_some());
        let status = chain.tenant.as_ref().map(|tenant| tenant.status);
        assert!(matches!(status, None | Some(TenantStatus::Active)));
        assert!(key.networks.is_none() || request.source_address().is_some());
    }
}

/// A configuration in which every part of a policy is in use.
fn settings() -> Settings {
    let text = br#"{
        "key_service": {"cluster": "key_service"},
        "policies": {
            "orders": {"environment": "live", "api": "orders", "scopes": {"all": ["orders:read"]}},
            "users": {"user": {"path_segment": 2}, "scopes": {"any": ["a:b", "users:read"]}},
            "tenants": {"tenant": {"host_label": 0}, "user": {"header": "x-user"}},
            "queried": {"tenant": {"query": "tenant"}, "user": {"value": "usr_7"}}
        },
        "routes": [
            {"match": {"prefix": "/v1/orders"}, "policy": "orders"},
            {"match": {"prefix": "/v1/Users"}, "policy": "users"},
            {"match": {"path": "/query"}, "policy": "queried"},
            {"match": {"hosts": ["*.example.com"]}, "policy": "tenants"}
        ]
    }"#;
    config::parse(text, &|_| None).unwrap_or_else(|error| panic!("{error}"))
}

fn chain_of(resolved: Resolved) -> Chain {
    match resolved {
        Resolved::Known { key, user, tenant } => Chain {
            key: (*key).into(),
            user: user.map(Into::into),
            tenant: tenant.map(Into::into),
        },
        Resolved::Unknown => panic!("nothing is known"),
    }
}

const NOW: Now = Now {
    unix: 1_795_000_000,
    instant: Instant::from_millis(1_000_000),
};

fn cache() -> Cache {
    let limits = cache::Limits {
        local_entries: 100,
        local_bytes: 1 << 20,
        shared_entries: 1000,
    };
    let freshness = Freshness {
        fresh_for: Duration::from_secs(60),
        max_staleness: Duration::from_secs(300),
        negative_for: Duration::from_secs(5),
    };
    Cache::new(&limits, freshness, "keybound")
}
