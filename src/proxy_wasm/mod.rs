//! The edge to Proxy-Wasm (ABI 0.2.1): exported callbacks, calls to the host, and the forms of both. Nothing else
//! knows Proxy-Wasm, and nothing else is unsafe.

pub mod packed;

#[cfg(target_os = "wasi")]
mod callbacks;
#[cfg(target_os = "wasi")]
mod envoy;
#[cfg(target_os = "wasi")]
mod hostcalls;
#[cfg(target_os = "wasi")]
mod plugin;
