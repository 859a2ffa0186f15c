//! The key service's console in a real browser: what people see there, what they can do, and what comes of it.
//!
//! Each test has a browser that was never used, and a key service of its own. The stores are chosen as for the key
//! service's own tests, by `KEYBOUND_TEST_DATABASE`. Where there is no browser, tests are skipped.

mod browser;
mod developers;
mod every_page;
mod hostile_text;
mod keys;
mod lists;
// Some of it the key service's own tests need alone.
#[allow(dead_code)]
#[path = "../../key-service/tests/api/issuer.rs"]
mod issuer;
mod people;
mod people_sign_in;
mod pictures;
mod sessions;
mod shop;
mod site;
mod steps;
mod stories;
mod the_browser_itself;
mod the_world_itself;
mod users_and_tenants;
mod world;
