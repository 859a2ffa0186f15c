//! The rooms of the source: what is shared has a file of its own, so that nobody asks the folder that assembles them,
//! and no two rooms of a folder need each other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The rooms of a folder, with those of their neighbours that they ask.
fn rooms(folder: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let mut rooms = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let file = if path.is_dir() {
            path.join("mod.rs")
        } else {
            path
        };
        if name == "mod" {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        let asked = code.split("\nuse super::").skip(1).flat_map(|import| {
            let import = import.split(';').next().unwrap();
            // `{one, another}`, or the path to what is in one.
            let several = import
                .strip_prefix('{')
                .map(|names| names.trim_end_matches('}'));
            let names = several.map_or(vec![import], |names| names.split(',').collect());
            names
                .into_iter()
                .filter_map(|name| name.trim().split("::").next())
        });
        let asked: BTreeSet<String> = asked.map(str::to_owned).collect();
        for asked in &asked {
            assert!(
                asked.starts_with(char::is_lowercase),
                "{}: {asked} is shared by all and has no file",
                file.display()
            );
        }
        rooms.insert(name, asked);
    }
    rooms
}

#[test]
fn no_room_asks_the_one_that_assembles_it_and_no_two_need_each_other() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for folder in [
        "cli",
        "cli/demo",
        "domain",
        "http",
        "http/explain",
        "http/import",
        "http/scim",
        "store",
    ] {
        let mut left = rooms(&source.join(folder));
        assert!(!left.is_empty(), "{folder}");
        // Those who ask nobody that is left are taken away until nobody is, or those who are in a circle.
        loop {
            let names: BTreeSet<String> = left.keys().cloned().collect();
            left.retain(|_, asked| !asked.is_disjoint(&names));
            if left.len() == names.len() {
                break;
            }
        }
        assert!(left.is_empty(), "{folder}: {left:?}");
    }
}
