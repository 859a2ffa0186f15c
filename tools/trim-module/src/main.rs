//! Makes the module that is shipped out of the one that the compiler makes, and a second one that also
//! holds the names of functions: `trim-module <in.wasm> <out.wasm> <out.debug.wasm>`.
//!
//! - Exports that the filter does not need are removed, and all code that only they use. The SDK exports
//!   every callback of the ABI. Envoy calls each that is exported, for every header, body and trailer event
//!   of every request, even where it does nothing; what is not exported costs nothing.
//! - The filter's own callbacks (`keybound_on_tick`) get the names by which the host calls them
//!   (`proxy_on_tick`), which the SDK takes for its own.
//! - The version is put into the custom section `version`, where tools look for it.
//! - Both outputs hold the same code, so that the second tells the names in a backtrace of the first.

use std::env;
use std::process::ExitCode;

use walrus::{Module, ModuleConfig, RawCustomSection};

/// What Envoy needs of the filter.
const EXPORTS: [&str; 12] = [
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

/// What our own callbacks are called in place of this, until the SDK's are gone.
const HOST_PREFIX: &str = "proxy_";
const OWN_PREFIX: &str = "keybound_";

/// That of the whole workspace, so the filter's.
const VERSION: &str = env!("CARGO_PKG_VERSION");

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [from, to, with_names] = arguments.as_slice() else {
        eprintln!("usage: trim-module <in.wasm> <out.wasm> <out.debug.wasm>");
        return ExitCode::from(2);
    };
    match trim(from, false, to).and_then(|()| trim(from, true, with_names)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("trim-module: {error}");
            ExitCode::FAILURE
        }
    }
}

fn trim(from: &str, names: bool, to: &str) -> Result<(), String> {
    let mut module = ModuleConfig::new()
        .generate_producers_section(false)
        .generate_name_section(names)
        .parse_file(from)
        .map_err(|error| format!("{from}: {error:#}"))?;
    if names && !has_names(&module) {
        return Err(format!(
            "{from}: the functions have no names; was it built with strip = \"symbols\"?"
        ));
    }
    rename_callbacks(&mut module);
    remove_exports(&mut module).map_err(|error| format!("{from}: {error}"))?;
    set_version(&mut module);
    module
        .emit_wasm_file(to)
        .map_err(|error| format!("{to}: {error:#}"))
}

fn has_names(module: &Module) -> bool {
    module.funcs.iter().any(|function| function.name.is_some())
}

fn rename_callbacks(module: &mut Module) {
    let own: Vec<_> = module
        .exports
        .iter()
        .filter_map(|export| {
            let name = export.name.strip_prefix(OWN_PREFIX)?;
            Some((export.id(), format!("{HOST_PREFIX}{name}")))
        })
        .collect();
    for (export, name) in own {
        let _ = module.exports.remove(&name);
        module.exports.get_mut(export).name = name;
    }
}

fn remove_exports(module: &mut Module) -> Result<(), String> {
    for name in EXPORTS {
        if !module.exports.iter().any(|export| export.name == name) {
            return Err(format!(
                "there is no export {name}; is it the filter's module?"
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
    walrus::passes::gc::run(module);
    Ok(())
}

/// In place of every custom section that the compiler left.
fn set_version(module: &mut Module) {
    let left: Vec<_> = module.customs.iter().map(|(id, _)| id).collect();
    for id in left {
        module.customs.delete(id);
    }
    module.customs.add(RawCustomSection {
        name: "version".to_owned(),
        data: VERSION.into(),
    });
}
