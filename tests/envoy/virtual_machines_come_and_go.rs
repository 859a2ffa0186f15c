//! Updates of the configuration and hot restarts, which end virtual machines of the filter and make new
//! ones: what is known stays known, and changes go on being obeyed.

use serde_json::json;
use std::time::Duration;
use support::client::{Connection, Request};
use support::config::{Config, Ports};
use support::gateway::{Builder, Gateway};
use support::key_service::CreatedKey;
use support::{needs, paths, records, wait};

/// Of the filter's settings: the same virtual machines, with a new plugin in each.
fn another_setting(config: &mut Config) {
    config.merge_settings(&json!({"warn_before": "8d"}));
}

/// Of what virtual machines are made of: new ones.
fn another_machine(config: &mut Config) {
    config.plugin()["vm_config"]["environment_variables"]["key_values"] =
        json!({"ANOTHER": "value"});
}

async fn warm_after(update: fn(&mut Config)) {
    let mut gateway = Gateway::scripted().updates().start().await;
    let key = gateway.knows(records::active("one"));
    let request = Request::get("/").header("x-api-key", &key);
    gateway.passed(&request).await;
    gateway.service.stop();

    gateway.update(update).await.unwrap();

    // The kernel deals connections out by chance: of 20, both workers get some.
    for _ in 0..20 {
        gateway.passed(&request).await;
    }
    assert_eq!(gateway.service.asked_for(&key), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_plugin_knows_what_the_old_one_knew() {
    warm_after(another_setting).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_machine_knows_what_the_old_one_knew() {
    warm_after(another_machine).await;
}

/// A real key service, and a key that both workers know. Records are fresh for longer than any test runs,
/// so that only the feed can tell of a change.
async fn followed(builder: Builder) -> (Gateway, CreatedKey) {
    let mut gateway = builder
        .settings(json!({"freshness": {"fresh_for": "4m"}}))
        .start()
        .await;
    let service = gateway.key_service();
    let tenant = service.tenant("shop").await.unwrap();
    let user = service.user(&tenant, "stock system").await.unwrap();
    let made = service.key(&user, &json!({})).await.unwrap();
    gateway.secret(&made.key);
    gateway.log_says("change feed: connected").await;
    let request = Request::get("/").header("x-api-key", &made.key);
    for _ in 0..20 {
        gateway.passed(&request).await;
    }
    (gateway, made)
}

/// Revokes the key, and waits until nobody lets it through.
async fn obeyed_everywhere(gateway: &mut Gateway, made: &CreatedKey) {
    let path = format!("/keys/{}/revoke", made.id);
    gateway
        .key_service()
        .must("POST", &path, None)
        .await
        .unwrap();
    let request = Request::get("/").header("x-api-key", &made.key);
    wait::until("all workers to refuse the key", async || {
        for number in 0..20 {
            let answer = gateway.send(&request).await;
            if answer.header("x-keybound-code") != Some("key_revoked") {
                return Err(format!("request {number} is answered {}", answer.status));
            }
        }
        Ok(())
    })
    .await
    .unwrap();
}

/// A second filter behind the first, with settings of its own, in the same virtual machines.
fn a_second_plugin(config: &mut Config) {
    let mut second = config.http_manager()["http_filters"][0].clone();
    second["name"] = json!("second");
    let settings = json!({
        "key_service": {"cluster": "key_service", "token_env": "KEYBOUND_GATEWAY_TOKEN"},
        "credentials": [{"header": "x-second-key"}],
        "identity_headers": {"key_id": "x-second-id", "user_id": null, "tenant_id": null, "scopes": null},
    });
    second["typed_config"]["config"]["configuration"]["value"] = json!(settings.to_string());
    let filters = config.http_manager()["http_filters"]
        .as_array_mut()
        .unwrap();
    filters.insert(1, second);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_plugins_in_one_machine_keep_apart() {
    let gateway = Gateway::scripted().configure(a_second_plugin).start().await;
    let first = gateway.knows(records::active("one"));
    let second = gateway.knows(records::active("two"));
    for _ in 0..20 {
        let both = Request::get("/")
            .header("x-api-key", &first)
            .header("x-second-key", &second);
        let arrived = gateway.passed(&both).await;
        assert_eq!(arrived.header_values("x-key-id"), ["key_one"]);
        assert_eq!(arrived.header_values("x-second-id"), ["key_two"]);
        for credential in ["x-api-key", "x-second-key"] {
            assert!(
                arrived.header_values(credential).is_empty(),
                "{credential} is passed on"
            );
        }
        for (name, credential) in [("x-api-key", &first), ("x-second-key", &second)] {
            let answer = gateway.get("/", &[(name, credential)]).await;
            assert_eq!(
                answer.header("x-keybound-code"),
                Some("key_missing"),
                "{name} alone"
            );
        }
    }
}

/// The old configuration's listener goes on draining for longer than this test runs.
async fn makes_room_after(update: fn(&mut Config)) {
    const KEYS: usize = 20;
    if !needs::sandbox("which configuration is the newer one") {
        return;
    }
    let mut gateway = Gateway::scripted().updates().drains_for(600).start().await;
    let mut old = Connection::open(gateway.port()).await.unwrap();
    let requests: Vec<Request> = (0..KEYS)
        .map(|number| {
            let key = gateway.knows(records::active(&format!("one-{number}")));
            Request::get("/").header("x-api-key", &key)
        })
        .collect();
    for request in &requests {
        assert_eq!(old.send(request).await.unwrap().status, 200);
    }
    // Each a key, a user and a tenant.
    gateway.counted("cache.entries", 3 * KEYS as u64).await;
    let calls = gateway.service.resolves().len();

    gateway.update(update).await.unwrap();

    gateway.counted("cache.entries", 0).await;
    let draining = "listener_manager.total_filter_chains_draining";
    let stats = gateway.envoy.stats(draining).await.unwrap();
    assert_eq!(stats.get(draining), Some(&1), "the old one is still there");
    // Whoever is still connected to it is served, from the cache of the process.
    for request in &requests {
        assert_eq!(old.send(request).await.unwrap().status, 200);
    }
    assert_eq!(gateway.service.resolves().len(), calls);
    for request in &requests {
        gateway.passed(request).await;
    }
    gateway.counted("allowed", 3 * KEYS as u64).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_plugin_makes_the_old_one_let_go_of_its_cache() {
    makes_room_after(another_setting).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_machine_makes_the_old_one_let_go_of_its_cache() {
    makes_room_after(another_machine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plugins_of_two_names_both_keep_their_caches() {
    let gateway = Gateway::scripted()
        .workers(1)
        .configure(|config| {
            a_second_plugin(config);
            config.http_manager()["http_filters"][1]["typed_config"]["config"]["name"] =
                json!("second");
        })
        .start()
        .await;
    let (first, second) = (
        gateway.knows(records::active("one")),
        gateway.knows(records::active("two")),
    );
    let both = Request::get("/")
        .header("x-api-key", &first)
        .header("x-second-key", &second);
    gateway.passed(&both).await;
    gateway.counted("cache.entries", 6).await;
    // Longer than it takes to learn of another configuration.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(gateway.counters().await["cache.entries"], 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_feed_goes_on_in_a_new_plugin() {
    let (mut gateway, key) = followed(Gateway::real().updates()).await;
    gateway.update(another_setting).await.unwrap();
    obeyed_everywhere(&mut gateway, &key).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_feed_goes_on_in_a_new_machine() {
    let (mut gateway, key) = followed(Gateway::real().updates()).await;
    gateway.update(another_machine).await.unwrap();
    obeyed_everywhere(&mut gateway, &key).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_feed_goes_on_after_the_old_machines_have_ended() {
    let (mut gateway, key) = followed(Gateway::real().updates()).await;
    for update in [another_setting, another_machine] {
        gateway.update(update).await.unwrap();
        let draining = "listener_manager.total_filter_chains_draining";
        wait::until("the old filter chain to end", async || {
            let stats = gateway.envoy.stats(draining).await.unwrap();
            match stats.get(draining) {
                Some(0) => Ok(()),
                seen => Err(format!("{seen:?} are draining")),
            }
        })
        .await
        .unwrap();
    }
    obeyed_everywhere(&mut gateway, &key).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_feed_goes_on_in_the_process_of_a_hot_restart() {
    let (mut gateway, key) = followed(Gateway::real().hot_restart()).await;
    gateway.envoy.hot_restart().await.unwrap();
    gateway.envoy.replaced_have_ended().await.unwrap();
    obeyed_everywhere(&mut gateway, &key).await;
}

#[test]
fn the_example_builds_a_crashed_machine_anew_and_gives_it_a_name_of_its_own() {
    let mut config = Config::shipped(Ports::SHIPPED, &paths::root()).unwrap();
    let plugin = config.plugin();
    assert_eq!(plugin["failure_policy"], "FAIL_RELOAD");
    assert_eq!(plugin["vm_config"]["vm_id"], "keybound");
    assert_eq!(plugin["allow_on_headers_stop_iteration"], json!(null));
}
