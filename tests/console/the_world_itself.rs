//! What the other tests begin with: each story's refusal, as clients see it before anybody has looked at a page.

use crate::world::{Migration, OffBoarding, Overnight, World, WrongTenant};
use support::needs;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_story_begins_with_its_refusal() {
    if !needs::browser() {
        return;
    }
    let mut world = World::with_gateway().await;

    let migration = Migration::happened(&mut world).await;
    let call = migration.call("/stock/first-call");
    world.answered(&call, Some("user_deactivated")).await;
    let line = world.log_line("/stock/first-call").await;
    assert!(line.contains(&migration.administrator), "{line}");

    let wrong = WrongTenant::happened(&mut world).await;
    let call = wrong.call("/v1/summaries/first");
    world.answered(&call, Some("tenant_mismatch")).await;

    let overnight = Overnight::begins(&mut world).await;
    world.answered(&overnight.call("/orders"), None).await;

    let leaving = OffBoarding::begins(&mut world).await;
    let call = leaving.call("/orders/night");
    world.answered(&call, None).await;
    leaving.leaves(&mut world).await;
    world.answered(&call, Some("user_deactivated")).await;
    world.answered(&overnight.call("/orders"), None).await;
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
