//! Removes from a Proxy-Wasm module the exports that the filter does not need, and all code that only they
//! use: `trim-module <in.wasm> <out.wasm>`.
//!
//! The SDK exports every callback of the ABI. Envoy calls each that is exported, for every header, body and
//! trailer event of every request, even where it does nothing; what is not exported costs nothing.

use std::env;
use std::process::ExitCode;

use walrus::ModuleConfig;

/// What Envoy needs of the filter.
const EXPORTS: [&str; 11] = [
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
    "proxy_on_tick",
];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [from, to] = arguments.as_slice() else {
        eprintln!("usage: trim-module <in.wasm> <out.wasm>");
        return ExitCode::from(2);
    };
    match trim(from, to) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("trim-module: {error}");
            ExitCode::FAILURE
        }
    }
}

fn trim(from: &str, to: &str) -> Result<(), String> {
    let mut module = ModuleConfig::new()
        .generate_producers_section(false)
        .parse_file(from)
        .map_err(|error| format!("{from}: {error:#}"))?;
    for name in EXPORTS {
        if !module.exports.iter().any(|export| export.name == name) {
            return Err(format!(
                "{from}: there is no export {name}; is it the filter's module?"
            ));
        }
    }
    let unneeded: Vec<_> = module
        .exports
        .iter()
        .filter(|export| !EXPORTS.contains(&export.name.as_str()))
        .map(|export| export.id())
        .collect();
    for export in unneeded {
        module.exports.delete(export);
    }
    walrus::passes::gc::run(&mut module);
    module
        .emit_wasm_file(to)
        .map_err(|error| format!("{to}: {error:#}"))
}
