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

/// A release has licences of the key service, of which the filter is a part, and of the dynamic module: each has code of
/// others that the other has not.
#[test]
fn whatever_is_released_comes_with_the_licences_of_what_it_is_built_with() {
    assert!(dependencies("key-service").contains("keybound"));
    let recipe = fs::read_to_string(paths::root().join("tools/dist.mk")).unwrap();
    let folders: BTreeSet<&str> = recipe
        .split("$(call bill_of_materials,")
        .skip(1)
        .filter_map(|call| call.split(',').nth(1))
        // The filter's is in the key service's.
        .filter(|folder| *folder != ".")
        .collect();
    assert_eq!(
        folders,
        BTreeSet::from(["edges/dynamic-module", "key-service"])
    );
    for folder in folders {
        let call = format!("$(call licences,{folder},");
        assert!(recipe.contains(&call), "{folder}");
    }
}
