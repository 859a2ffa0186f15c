//! A Proxy-Wasm filter that does nothing, made with the SDK as its guide says: what any filter costs at least.
#![cfg(target_os = "wasi")]
// The SDK's macro makes a public function without documentation.
#![allow(missing_docs)]

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::LogLevel;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_http_context(|_, _| -> Box<dyn HttpContext> { Box::new(Empty) });
}}

struct Empty;

impl Context for Empty {}

impl HttpContext for Empty {}
