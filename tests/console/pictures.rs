//! The pictures of the documentation, which `make screenshots` takes by these tests.

use crate::world::World;
use support::needs;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_the_overview() {
    if !needs::browser() {
        return;
    }
    let mut world = World::start().await;
    let browser = world.signed_in(&["admin"]).await;
    browser.open("/console").await;
    browser.documents("overview").await;
}
