//! The dynamic module that is shipped, for each processor: what it asks of Envoy and of the C library, what Envoy calls
//! in it, and what it tells of where it was built.

use object::read::elf::ElfFile64;
use object::{Object, ObjectSection, ObjectSymbol, elf};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use support::paths;

/// The oldest Envoy in which it loads.
const OLDEST: &str = "1.39.3";

/// The latest version of glibc that it may want.
const GLIBC: (u32, u32) = (2, 28);

/// In bytes. Each Envoy loads it once.
const LARGEST: usize = 1_500_000;

const PREFIX: &str = "envoy_dynamic_module_callback_";

/// What it calls, all of which the oldest supported Envoy has. Where Envoy lacks one of them, it refuses the module as
/// a whole: a new one is a decision.
const CALLBACKS: &[&str] = &[
    "get_most_specific_route_config",
    "http_add_header",
    "http_clear_route_cache",
    "http_filter_config_decrement_gauge",
    "http_filter_config_define_counter",
    "http_filter_config_define_gauge",
    "http_filter_config_define_histogram",
    "http_filter_config_http_callout",
    "http_filter_config_increment_counter",
    "http_filter_config_increment_gauge",
    "http_filter_config_record_histogram_value",
    "http_filter_config_scheduler_commit",
    "http_filter_config_scheduler_delete",
    "http_filter_config_scheduler_new",
    "http_filter_config_set_gauge",
    "http_filter_continue_decoding",
    "http_filter_get_attribute_string",
    "http_filter_scheduler_commit",
    "http_filter_scheduler_delete",
    "http_filter_scheduler_new",
    "http_get_headers",
    "http_get_headers_size",
    "http_get_metadata_string",
    "http_send_response",
    "http_set_filter_state_bytes",
    "http_set_header",
    "log",
    "log_enabled",
];

/// What Envoy calls. Envoy refuses a module that lacks one of those that it wants.
const HOOKS: &[&str] = &[
    "envoy_dynamic_module_on_http_filter_config_destroy",
    "envoy_dynamic_module_on_http_filter_config_http_callout_done",
    "envoy_dynamic_module_on_http_filter_config_new",
    "envoy_dynamic_module_on_http_filter_config_scheduled",
    "envoy_dynamic_module_on_http_filter_destroy",
    "envoy_dynamic_module_on_http_filter_downstream_above_write_buffer_high_watermark",
    "envoy_dynamic_module_on_http_filter_downstream_below_write_buffer_low_watermark",
    "envoy_dynamic_module_on_http_filter_http_callout_done",
    "envoy_dynamic_module_on_http_filter_http_stream_complete",
    "envoy_dynamic_module_on_http_filter_http_stream_data",
    "envoy_dynamic_module_on_http_filter_http_stream_headers",
    "envoy_dynamic_module_on_http_filter_http_stream_reset",
    "envoy_dynamic_module_on_http_filter_http_stream_trailers",
    "envoy_dynamic_module_on_http_filter_new",
    "envoy_dynamic_module_on_http_filter_request_body",
    "envoy_dynamic_module_on_http_filter_request_headers",
    "envoy_dynamic_module_on_http_filter_request_trailers",
    "envoy_dynamic_module_on_http_filter_response_body",
    "envoy_dynamic_module_on_http_filter_response_headers",
    "envoy_dynamic_module_on_http_filter_response_trailers",
    "envoy_dynamic_module_on_http_filter_scheduled",
    "envoy_dynamic_module_on_http_filter_stream_complete",
    "envoy_dynamic_module_on_program_init",
];

/// Parts of glibc, all of which Envoy has loaded already.
const LIBRARIES: &[&str] = &[
    "libc.so.6",
    "libdl.so.2",
    "libm.so.6",
    "libpthread.so.0",
    "ld-linux-x86-64.so.2",
    "ld-linux-aarch64.so.1",
];

/// A module, and the processor that it says it is for.
struct Module {
    path: PathBuf,
    processor: elf::Machine,
    bytes: Vec<u8>,
}

fn modules() -> Vec<Module> {
    [("x86_64", elf::EM_X86_64), ("aarch64", elf::EM_AARCH64)]
        .into_iter()
        .map(|(machine, processor)| {
            let path = paths::native_module_for(machine).unwrap_or_else(|error| panic!("{error}"));
            let bytes = fs::read(&path).unwrap();
            Module {
                path,
                processor,
                bytes,
            }
        })
        .collect()
}

impl Module {
    fn elf(&self) -> ElfFile64<'_> {
        ElfFile64::parse(&*self.bytes).unwrap()
    }
}

fn name<'a>(symbol: &impl ObjectSymbol<'a>) -> &'a str {
    symbol.name().expect("a name that is text")
}

/// The names that a program or library has for others.
fn exports(elf: &ElfFile64<'_>) -> BTreeSet<String> {
    elf.dynamic_symbols()
        .filter(|symbol| symbol.is_definition() && !symbol.is_local())
        .map(|symbol| name(&symbol).to_owned())
        .collect()
}

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

#[test]
fn it_is_for_the_processor_of_its_name() {
    for module in modules() {
        let header = module.elf();
        let header = header.elf_header();

        assert_eq!(
            header.e_machine.get(object::Endianness::Little),
            module.processor,
            "{}",
            module.path.display()
        );
    }
    let usual = paths::native_module().unwrap_or_else(|error| panic!("{error}"));
    let own = paths::native_module_for(std::env::consts::ARCH).unwrap();
    assert_eq!(fs::read(usual).unwrap(), fs::read(own).unwrap());
}

#[test]
fn it_calls_what_is_expected() {
    for module in modules() {
        let elf = module.elf();
        let called = elf
            .dynamic_symbols()
            .filter(|symbol| symbol.is_undefined())
            .filter_map(|symbol| name(&symbol).strip_prefix(PREFIX))
            .map(str::to_owned)
            .collect();

        compare("callbacks", &called, CALLBACKS);
    }
}

#[test]
fn it_exports_the_hooks_alone() {
    for module in modules() {
        compare("exports", &exports(&module.elf()), HOOKS);
    }
}

fn lacks(envoy: &Path) -> Vec<&'static str> {
    let bytes = fs::read(envoy).unwrap();
    let elf = ElfFile64::<object::Endianness>::parse(&*bytes).unwrap();
    let exported = exports(&elf);
    assert!(exported.len() > CALLBACKS.len(), "{}", envoy.display());
    CALLBACKS
        .iter()
        .copied()
        .filter(|name| !exported.contains(&format!("{PREFIX}{name}")))
        .collect()
}

/// The Envoy of the tests, and the oldest supported one where it has been fetched (`make test-envoy ENVOY_VERSION=…`).
#[test]
fn envoy_has_what_it_calls() {
    let usual = paths::envoy().unwrap_or_else(|error| panic!("{error}"));
    let oldest = paths::target().join(format!("envoy-{OLDEST}/bin/envoy-{OLDEST}"));

    for envoy in [usual, oldest].into_iter().filter(|path| path.exists()) {
        let lacking = lacks(&envoy);
        println!("{}: lacks {lacking:?}", envoy.display());
        assert!(lacking.is_empty(), "{}: {lacking:?}", envoy.display());
    }
}

#[test]
fn it_needs_the_c_library_alone() {
    for module in modules() {
        let elf = module.elf();
        let table = elf.elf_dynamic_table().unwrap();
        let needed: Vec<_> = table
            .iter()
            .filter(|entry| entry.tag == elf::DT_NEEDED)
            .map(|entry| String::from_utf8_lossy(table.string(entry).unwrap()).into_owned())
            .collect();

        assert!(needed.contains(&"libc.so.6".to_owned()), "{needed:?}");
        for library in &needed {
            assert!(LIBRARIES.contains(&library.as_str()), "{library}");
        }
        // Nor does it say where libraries are to be looked for.
        let paths = [elf::DT_RPATH, elf::DT_RUNPATH];
        assert!(table.iter().all(|entry| !paths.contains(&entry.tag)));
    }
}

/// What is neither Envoy's nor of a known version of glibc would be found by chance, or not at all: such as the
/// functions that unwind the stack, which Envoy may have and need not.
#[test]
fn what_it_needs_of_the_c_library_is_old() {
    for module in modules() {
        let elf = module.elf();
        let endian = elf.endian();
        let versions = elf.elf_section_table().versions(endian, elf.data());
        let versions = versions.unwrap().expect("versions of symbols");
        let mut checked = 0;
        for symbol in elf.dynamic_symbols().filter(|symbol| symbol.is_undefined()) {
            let name = name(&symbol);
            let index = versions.version_index(endian, symbol.index()).index();
            let Some(version) = versions.version(index).unwrap() else {
                assert!(
                    name.starts_with(PREFIX) || symbol.is_weak() || name.is_empty(),
                    "{name} has no version"
                );
                continue;
            };
            let version = std::str::from_utf8(version.name()).unwrap();
            let (major, minor) = glibc(version).unwrap_or_else(|| panic!("{name}@{version}"));
            assert!((major, minor) <= GLIBC, "{name}@{version}");
            checked += 1;
        }
        assert!(checked > 20, "{checked}");
    }
}

/// Of `GLIBC_2.3.4`: 2 and 3.
fn glibc(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.strip_prefix("GLIBC_")?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[test]
fn it_is_stripped_and_small() {
    for module in modules() {
        let elf = module.elf();
        let size = module.bytes.len();

        println!(
            "{}: {size} bytes of at most {LARGEST}",
            module.path.display()
        );
        assert!(size <= LARGEST, "{size} bytes");
        for section in elf.sections() {
            let name = section.name().unwrap();
            assert!(
                name != ".symtab" && !name.starts_with(".debug"),
                "{name} is in it"
            );
        }
    }
}

#[test]
fn it_tells_nothing_of_the_machine_that_built_it() {
    for module in modules() {
        let text = String::from_utf8_lossy(&module.bytes);
        let home = std::env::var("HOME").unwrap_or_else(|_| "/root".to_owned());

        for folder in [paths::root().display().to_string(), home] {
            let within = format!("{folder}/");
            assert!(folder.len() > 1 && !text.contains(&within), "{folder}");
        }
    }
}
