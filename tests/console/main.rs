//! The key service's console in a real browser: what people see there, what they can do, and what comes of it.
//!
//! Each test has a browser that was never used, and a key service of its own. The stores are chosen as for the key
//! service's own tests, by `KEYBOUND_TEST_DATABASE`. Where there is no browser, tests are skipped.

mod browser;
mod people_sign_in;
mod pictures;
mod site;
mod the_browser_itself;
mod the_world_itself;
mod world;
