//! What unit tests share.

// One attribute for unit tests that run natively and, as wasm32, under Node.
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
pub use core::prelude::v1::test;
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
pub use wasm_bindgen_test::wasm_bindgen_test as test;
