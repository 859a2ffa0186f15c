//! What a release holds.

use std::collections::BTreeSet;
use std::fs;
use support::paths;

/// The names of the packages that a package of the workspace is built with, by Cargo.lock.
fn dependencies(package: &str) -> BTreeSet<String> {
    let lock = fs::read_to_string(paths::root().join("Cargo.lock")).unwrap();
    let start = format!("name = \"{package}\"\n");
    let part = lock
        .split("[[package]]\n")
        .find(|part| part.starts_with(&start))
        .unwrap_or_else(|| panic!("Cargo.lock has no {package}"));
    let list = part.split_once("dependencies = [").expect("a list").1;
    list.split('"')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// The licences in a release are those of the key service and of all that it is built with, the filter included. The
/// dynamic module may have no other.
#[test]
fn the_dynamic_module_is_built_with_nothing_whose_licence_is_not_there() {
    assert!(dependencies("key-service").contains("keybound"));
    let mut known = dependencies("keybound");
    known.insert("keybound".to_owned());
    let others: Vec<_> = dependencies("keybound-dynamic-module")
        .into_iter()
        .filter(|name| !known.contains(name))
        .collect();

    assert!(others.is_empty(), "{others:?}");
}
