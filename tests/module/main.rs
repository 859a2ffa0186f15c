//! The module that is shipped: what it asks of Envoy, what Envoy calls in it, what it says of itself, and
//! its size.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use support::paths;
use wasmparser::{Parser, Payload};

/// In bytes. V8 compiles it once a worker, and people fetch it at each start.
const LARGEST: usize = 400_000;

fn module() -> Vec<u8> {
    let path = paths::module().unwrap_or_else(|error| panic!("{error}"));
    fs::read(path).unwrap()
}

fn imports(bytes: &[u8]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for payload in Parser::new(0).parse_all(bytes) {
        if let Payload::ImportSection(section) = payload.unwrap() {
            for import in section.into_imports() {
                let import = import.unwrap();
                names.insert(format!("{}.{}", import.module, import.name));
            }
        }
    }
    names
}

fn exports(bytes: &[u8]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for payload in Parser::new(0).parse_all(bytes) {
        if let Payload::ExportSection(section) = payload.unwrap() {
            names.extend(
                section
                    .into_iter()
                    .map(|export| export.unwrap().name.to_owned()),
            );
        }
    }
    names
}

/// Where the contents of each custom section are.
fn custom_sections(bytes: &[u8]) -> BTreeMap<String, Range<usize>> {
    let mut found = BTreeMap::new();
    for payload in Parser::new(0).parse_all(bytes) {
        if let Payload::CustomSection(section) = payload.unwrap() {
            let start = index(section.data_offset());
            found.insert(
                section.name().to_owned(),
                start..start + section.data().len(),
            );
        }
    }
    found
}

/// Everything between the header and the first custom section: what runs.
fn what_runs(bytes: &[u8]) -> Vec<&[u8]> {
    Parser::new(0)
        .parse_all(bytes)
        .map(Result::unwrap)
        .filter(|payload| !matches!(payload, Payload::CustomSection(_)))
        .filter_map(|payload| payload.as_section())
        .map(|(_, range)| &bytes[index(range.start)..index(range.end)])
        .collect()
}

fn index(offset: u64) -> usize {
    usize::try_from(offset).expect("an offset within the module")
}

/// What it calls: the host functions of the SDK, all of which Envoy 1.40 has, and those of WASI that the
/// standard library needs.
const IMPORTS: &[&str] = &[
    "env.proxy_add_header_map_value",
    "env.proxy_call_foreign_function",
    "env.proxy_continue_stream",
    "env.proxy_define_metric",
    "env.proxy_dequeue_shared_queue",
    "env.proxy_done",
    "env.proxy_enqueue_shared_queue",
    "env.proxy_get_buffer_bytes",
    "env.proxy_get_current_time_nanoseconds",
    "env.proxy_get_header_map_pairs",
    "env.proxy_get_header_map_value",
    "env.proxy_get_log_level",
    "env.proxy_get_property",
    "env.proxy_get_shared_data",
    "env.proxy_get_status",
    "env.proxy_grpc_call",
    "env.proxy_grpc_cancel",
    "env.proxy_grpc_close",
    "env.proxy_grpc_send",
    "env.proxy_grpc_stream",
    "env.proxy_http_call",
    "env.proxy_increment_metric",
    "env.proxy_log",
    "env.proxy_record_metric",
    "env.proxy_register_shared_queue",
    "env.proxy_remove_header_map_value",
    "env.proxy_replace_header_map_value",
    "env.proxy_resolve_shared_queue",
    "env.proxy_send_local_response",
    "env.proxy_set_effective_context",
    "env.proxy_set_property",
    "env.proxy_set_shared_data",
    "env.proxy_set_tick_period_milliseconds",
    "wasi_snapshot_preview1.clock_time_get",
    "wasi_snapshot_preview1.environ_get",
    "wasi_snapshot_preview1.environ_sizes_get",
    "wasi_snapshot_preview1.fd_write",
    "wasi_snapshot_preview1.proc_exit",
    "wasi_snapshot_preview1.random_get",
];

/// What Envoy may call. A callback that is exported is called, for every request, even to do nothing.
const EXPORTS: &[&str] = &[
    "_initialize",
    "memory",
    "proxy_abi_version_0_2_1",
    "proxy_on_configure",
    "proxy_on_context_create",
    "proxy_on_delete",
    "proxy_on_http_call_response",
    "proxy_on_memory_allocate",
    "proxy_on_queue_ready",
    "proxy_on_request_headers",
    "proxy_on_request_trailers",
    "proxy_on_tick",
];

/// One list for what is new and one for what is gone, so that a change is read at a glance.
fn compare(what: &str, found: &BTreeSet<String>, expected: &[&str]) {
    let expected: BTreeSet<String> = expected.iter().map(|name| (*name).to_owned()).collect();
    let new: Vec<_> = found.difference(&expected).collect();
    let gone: Vec<_> = expected.difference(found).collect();
    assert!(
        new.is_empty() && gone.is_empty(),
        "{what}: new {new:?}, gone {gone:?}"
    );
}

/// An import that Envoy does not have stops the module from loading: a new one is a decision.
#[test]
fn it_imports_what_is_expected() {
    compare("imports", &imports(&module()), IMPORTS);
}

#[test]
fn it_exports_what_is_expected() {
    compare("exports", &exports(&module()), EXPORTS);
}

#[test]
fn it_is_small() {
    let size = module().len();

    println!("target/keybound.wasm: {size} bytes of at most {LARGEST}");
    assert!(size <= LARGEST, "{size} bytes");
}

#[test]
fn it_says_its_version() {
    let module = module();
    let sections = custom_sections(&module);

    let names: Vec<_> = sections.keys().collect();
    assert_eq!(names, ["version"], "nothing else is shipped");
    let version = &module[sections["version"].clone()];
    assert_eq!(
        String::from_utf8_lossy(version),
        env!("CARGO_PKG_VERSION"),
        "its version is that of the workspace"
    );
}

/// A backtrace of the module names functions by number, and the debug module has the names.
#[test]
fn the_debug_module_holds_the_same_code_and_its_names() {
    let path = paths::module().unwrap_or_else(|error| panic!("{error}"));
    let debug = fs::read(path.with_extension("debug.wasm")).unwrap();

    assert_eq!(what_runs(&module()), what_runs(&debug));
    let sections = custom_sections(&debug);
    let names: Vec<_> = sections.keys().collect();
    assert_eq!(names, ["name", "version"]);
    let text = String::from_utf8_lossy(&debug[sections["name"].clone()]).into_owned();
    assert!(text.contains("keybound"), "names of the filter's functions");
}

#[test]
fn it_tells_nothing_of_the_machine_that_built_it() {
    let module = module();
    let text = String::from_utf8_lossy(&module);
    let home = std::env::var("HOME").unwrap_or_else(|_| "/root".to_owned());

    for folder in [paths::root().display().to_string(), home] {
        let within = format!("{folder}/");
        assert!(folder.len() > 1 && !text.contains(&within), "{folder}");
    }
}
