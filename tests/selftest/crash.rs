use std::fs;
use support::client::Request;
use support::gateway::Gateway;

/// A Proxy-Wasm module that crashes at the first request.
const CRASHING: &str = r#"
    (module
        (memory (export "memory") 1)
        (func (export "proxy_abi_version_0_2_1"))
        (func (export "proxy_on_memory_allocate") (param i32) (result i32) i32.const 1024)
        (func (export "proxy_on_context_create") (param i32 i32))
        (func (export "proxy_on_vm_start") (param i32 i32) (result i32) i32.const 1)
        (func (export "proxy_on_configure") (param i32 i32) (result i32) i32.const 1)
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) unreachable)
    )
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[should_panic(expected = "a crash in Envoy's log")]
async fn a_crash_in_the_filter_fails_the_test_even_where_nothing_else_does() {
    let folder = tempfile::tempdir().unwrap();
    let module = folder.path().join("crashing.wasm");
    fs::write(&module, wat::parse_str(CRASHING).unwrap()).unwrap();
    let gateway = Gateway::scripted().module(&module).start().await;

    let answer = gateway.send(&Request::get("/")).await;

    assert_eq!(answer.status, 503, "FAIL_RELOAD lets nothing through");
    gateway.log_says("proxy_on_request_headers").await;
}
