//! .github/workflows: what runs there can be run anywhere, by the same targets of the Makefile.

use crate::pins::is_pinned;
use serde_json::Value;
use std::fs;
use support::paths;

#[test]
fn they_call_targets_of_the_makefile_and_nothing_else() {
    let make: String = ["Makefile", "tools/containers.mk", "tools/dist.mk"]
        .map(|file| fs::read_to_string(paths::root().join(file)).unwrap())
        .concat();
    let mut steps = 0;
    for workflow in ["ci", "release"] {
        let path = paths::root().join(format!(".github/workflows/{workflow}.yml"));
        let workflow: Value = serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        let jobs = workflow["jobs"].as_object().expect("jobs");
        for step in jobs
            .values()
            .flat_map(|job| job["steps"].as_array().expect("steps"))
        {
            let Some(command) = step["run"].as_str() else {
                let action = step["uses"].as_str().expect("a command or an action");
                assert!(is_pinned(action, "actions/checkout@", 40), "{action}");
                continue;
            };
            let target = command
                .strip_prefix("make ")
                .and_then(|rest| rest.split(' ').next())
                .unwrap_or_else(|| panic!("{command} is no target"));
            assert!(!command.contains('\n'), "{command}");
            assert!(make.contains(&format!("\n{target}:")), "{command}");
            steps += 1;
        }
    }
    assert!(steps > 10, "{steps}");
}
