//! What the other tests begin with: each story's refusal, as clients see it before anybody has looked at a page.

use crate::world::{Migration, OffBoarding, Overnight, World, WrongTenant, with_key};
use support::client::Request;
use support::needs;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_story_begins_with_its_refusal() {
    let mut world = World::with_gateway().await;

    let migration = Migration::happened(&mut world).await;
    let call = migration.call("/stock/first-call");
    world.answered(&call, Some("user_deactivated")).await;
    let names = [&migration.administrator, &migration.tenant];
    names_all(&world.log_line("/stock/first-call").await, &names);

    let wrong = WrongTenant::happened(&mut world).await;
    let call = wrong.call("/v1/summaries/first");
    world.answered(&call, Some("tenant_mismatch")).await;
    let names = [&wrong.developer, &wrong.research];
    names_all(&world.log_line("/v1/summaries/first").await, &names);

    let overnight = Overnight::begins(&mut world).await;
    world.answered(&overnight.call("/orders"), None).await;
    let names = [&overnight.user, &overnight.tenant];
    names_all(&world.log_line("/orders").await, &names);

    let leaving = OffBoarding::begins(&mut world).await;
    world.answered(&leaving.call("/orders/day"), None).await;
    leaving.leaves(&mut world).await;
    let call = leaving.call("/orders/night");
    world.answered(&call, Some("user_deactivated")).await;
    let other = leaving.keys.first().expect("five keys");
    let call = with_key(Request::get("/orders/other"), &other.key);
    world.answered(&call, Some("user_deactivated")).await;
    let names = [&leaving.person, &leaving.tenant];
    names_all(&world.log_line("/orders/other").await, &names);
    world.answered(&overnight.call("/orders/night"), None).await;
}

fn names_all(line: &str, ids: &[&String]) {
    for id in ids {
        assert!(line.contains(id.as_str()), "{id} is not in {line}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_alone_knows_the_policies_too() {
    if !needs::browser() {
        return;
    }
    let mut world = World::start().await;
    let wrong = WrongTenant::happened(&mut world).await;
    let question = serde_json::json!({
        "key_id": wrong.key.id, "request": {"method": "POST", "host": "api", "path": "/v1/summaries"},
    });
    let answer = world.must("POST", "/explain", question).await;
    assert_eq!(answer["verdict"], "tenant_mismatch", "{answer:#}");

    let browser = world.browser().await;
    browser.open("/openapi.json").await;
    assert_eq!(browser.status().await, 200);
    browser.sees("/admin/v1/keys").await;
}
