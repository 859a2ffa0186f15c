//! A cache between the filter and the upstream, or in front of both, never gives one client's answer to another.

use serde_json::{Value, json};
use std::collections::BTreeSet;
use support::client::{Request, Response};
use support::config::Config;
use support::gateway::{Builder, Gateway};
use support::records::{self, Known};
use support::upstream::Arrived;

/// What Envoy has of caches: the name of the filter, and what its types have in their names.
const CACHES: [(&str, &str); 2] = [("cache", ""), ("cache_v2", "V2")];

fn put_cache_behind_the_filter(config: &mut Config, (name, version): (&str, &str)) {
    let extensions = "type.googleapis.com/envoy.extensions";
    let cache = json!({
        "name": format!("envoy.filters.http.{name}"),
        "typed_config": {
            "@type": format!("{extensions}.filters.http.{name}.v3.Cache{version}Config"),
            "typed_config": {
                "@type": format!(
                    "{extensions}.http.{name}.simple_http_cache.v3.SimpleHttpCache{version}Config"
                ),
            },
        },
    });
    let router = config.http_filters().len() - 1;
    config.http_filters().insert(router, cache);
}

fn gateway(cache: (&'static str, &'static str)) -> Builder {
    Gateway::scripted()
        .settings(json!({
            "credentials": [
                {"header": "x-api-key"},
                {"bearer": "authorization"},
                {"query": "api_key"},
                {"cookie": "api_key"},
            ],
            "default_policy": {"authentication": "optional"},
        }))
        .configure(move |config| put_cache_behind_the_filter(config, cache))
}

/// A request that the upstream answers by something that may be stored for a minute.
fn cacheable(target: &str, who: &str) -> Request {
    Request::get(target)
        .header("answer-cache-control", "max-age=60")
        .header("answer-set-cookie", format!("session={who}"))
}

type Place = fn(&str, &str, &str) -> Request;

/// Each place in which the key can be, of which the filter leaves nothing.
const PLACES: [(&str, Place); 4] = [
    ("header", |target, who, key| {
        cacheable(target, who).header("x-api-key", key)
    }),
    ("bearer", |target, who, key| {
        cacheable(target, who).header("authorization", format!("Bearer {key}"))
    }),
    ("query", |target, who, key| {
        cacheable(&format!("{target}?api_key={key}"), who)
    }),
    ("cookie", |target, who, key| {
        cacheable(target, who).header("cookie", format!("api_key={key}"))
    }),
];

/// For whom the upstream made an answer.
fn made_for(answer: &Response) -> [Option<String>; 3] {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let arrived: Arrived = serde_json::from_slice(&answer.body).expect("the upstream's answer");
    ["x-key-id", "x-user-id", "x-tenant-id"].map(|name| {
        let values = arrived.header_values(name);
        assert!(values.len() < 2, "{name}: {values:?}");
        values.first().map(|value| (*value).to_owned())
    })
}

/// Two keys of one user, another user of the same tenant, and another tenant.
fn clients() -> Vec<(Known, [&'static str; 3])> {
    let of = |name: &str, user: &str, tenant: &str| {
        records::active(name)
            .key("user_id", user)
            .key("tenant_id", tenant)
            .user("id", user)
            .user("tenant_id", tenant)
            .tenant("id", tenant)
    };
    vec![
        (
            of("one", "usr_ann", "ten_shop"),
            ["key_one", "usr_ann", "ten_shop"],
        ),
        (
            of("two", "usr_ann", "ten_shop"),
            ["key_two", "usr_ann", "ten_shop"],
        ),
        (
            of("three", "usr_bob", "ten_shop"),
            ["key_three", "usr_bob", "ten_shop"],
        ),
        (
            of("four", "usr_eve", "ten_lab"),
            ["key_four", "usr_eve", "ten_lab"],
        ),
    ]
}

async fn everybody_gets_their_own(cache: (&'static str, &'static str)) {
    let gateway = gateway(cache).start().await;
    let mut everybody: Vec<(Option<String>, [Option<String>; 3])> =
        vec![(None, [None, None, None])];
    for (known, identity) in clients() {
        let key = gateway.knows(known);
        everybody.push((Some(key), identity.map(|id| Some(id.to_owned()))));
    }

    for (place, request) in PLACES {
        // Once with an anonymous request as the first, once as the last; each of them twice.
        for (round, order) in [everybody.clone(), everybody.iter().rev().cloned().collect()]
            .into_iter()
            .enumerate()
        {
            let target = format!("/{place}-{round}");
            for (key, identity) in order.iter().flat_map(|client| [client, client]) {
                let who = identity[0].as_deref().unwrap_or("nobody");
                let asked = match key {
                    Some(key) => request(&target, who, key),
                    None => cacheable(&target, who),
                };
                let answer = gateway.send(&asked).await;
                assert_eq!(made_for(&answer), *identity, "{target} of {who}");
                assert_eq!(
                    answer.header("set-cookie"),
                    Some(format!("session={who}").as_str()),
                    "{target} of {who}"
                );
            }
        }
    }
    assert_eq!(gateway.upstream.arrived().len(), PLACES.len() * 2 * 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_the_filter() {
    everybody_gets_their_own(CACHES[0]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_the_filter_also_the_newer_one() {
    everybody_gets_their_own(CACHES[1]).await;
}

/// An upstream that says what it varies by, in whatever way, does not undo it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_the_upstream_varies_by() {
    for cache in CACHES {
        let gateway = gateway(cache).start().await;
        let one = gateway.knows(records::active("one"));
        let two = gateway.knows(records::active("two"));
        for (number, own) in ["", "accept-encoding", ", ,", "Accept-Encoding, Origin"]
            .into_iter()
            .enumerate()
        {
            let target = format!("/{number}");
            for (key, id) in [(&one, "key_one"), (&two, "key_two")] {
                let request = cacheable(&target, id)
                    .header("x-api-key", key)
                    .header("answer-vary", own);
                let answer = gateway.send(&request).await;
                assert_eq!(made_for(&answer)[0].as_deref(), Some(id), "vary: {own}");
                let told = varies_by(&answer);
                for name in own.split(',').map(|name| name.trim().to_lowercase()) {
                    assert!(name.is_empty() || told.contains(&name), "{told:?}");
                }
            }
        }
    }
}

fn varies_by(answer: &Response) -> BTreeSet<String> {
    answer
        .header_values("vary")
        .iter()
        .flat_map(|line| line.split(','))
        .map(|name| name.trim().to_lowercase())
        .filter(|name| !name.is_empty())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_front_of_the_gateway_by_what_each_answer_says() {
    let gateway = Gateway::scripted().start().await;
    let key = gateway.knows(records::active("one"));

    let answer = gateway
        .send(&cacheable("/", "one").header("x-api-key", &key))
        .await;
    let refused = gateway.send(&cacheable("/", "nobody")).await;

    // What holds a key by default, and what tells the upstream of one by default.
    let wanted = [
        "x-api-key",
        "x-key-id",
        "x-user-id",
        "x-tenant-id",
        "x-key-scopes",
    ];
    assert_eq!(varies_by(&answer), wanted.map(str::to_owned).into());
    assert_eq!(answer.header("cache-control"), Some("max-age=60"));
    assert_eq!(refused.status, 401);
    assert_eq!(refused.header("cache-control"), Some("no-store"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn and_what_is_public_is_cached_by_the_documented_configuration() {
    let gateway = Gateway::scripted()
        .documented("security.md", Some("Caches"))
        .start()
        .await;
    let one = gateway.knows(records::active("one"));
    let two = gateway.knows(records::active("two"));

    for key in [&one, &one, &two] {
        let request = cacheable("/public/picture", "x").header("x-api-key", key);
        let answer = gateway.send(&request).await;
        assert_eq!(answer.status, 200);
    }
    let anonymous = gateway.send(&cacheable("/public/picture", "x")).await;
    assert_eq!(anonymous.status, 200);
    assert!(anonymous.header("age").is_some(), "{anonymous:?}");
    for (key, id) in [(&one, "key_one"), (&one, "key_one"), (&two, "key_two")] {
        let request = cacheable("/private", id).header("x-api-key", key);
        let answer = gateway.send(&request).await;
        assert_eq!(made_for(&answer)[0].as_deref(), Some(id));
    }

    let arrived: Vec<Value> = gateway
        .upstream
        .arrived()
        .into_iter()
        .map(|arrived| arrived.path.into())
        .collect();
    let wanted = json!(["/public/picture", "/private", "/private", "/private"]);
    assert_eq!(Value::from(arrived), wanted);
}
