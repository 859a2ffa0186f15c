//! envoy/images: what is shipped is alone in its image, and nobody's root.

use std::fs;
use support::paths;

fn dockerfile(name: &str) -> String {
    fs::read_to_string(paths::root().join(format!("envoy/images/{name}.Dockerfile"))).unwrap()
}

/// What `make images` builds as well, without the stages before.
fn last_stage(name: &str) -> Vec<String> {
    let text = dockerfile(name);
    let (_, stage) = text
        .rsplit_once("\nFROM ")
        .unwrap_or_else(|| panic!("{name} has no stages"));
    stage.lines().map(str::to_owned).collect()
}

#[test]
fn programs_are_alone_in_their_images_and_not_run_by_root() {
    for name in ["key-service", "upstream"] {
        let stage = last_stage(name);
        assert_eq!(stage[0], "scratch", "{name}");
        assert!(
            stage.contains(&"USER 10001:10001".to_owned()),
            "{name}: {stage:?}"
        );
        assert!(stage.iter().any(|line| line.starts_with("HEALTHCHECK ")));
    }
}

/// The layout that Istio and Envoy Gateway load.
#[test]
fn the_plugin_is_one_file() {
    assert_eq!(
        last_stage("plugin"),
        ["scratch", "COPY --from=build /plugin.wasm /plugin.wasm"]
    );
}

#[test]
fn the_dynamic_module_is_one_file() {
    assert_eq!(
        last_stage("native"),
        [
            "scratch",
            "COPY --from=build /libkeybound.so /libkeybound.so"
        ]
    );
}

#[test]
fn they_are_built_by_the_pinned_toolchain() {
    let pinned = fs::read_to_string(paths::root().join("rust-toolchain.toml")).unwrap();
    let (_, rest) = pinned.split_once("channel = \"").expect("a channel");
    let version = rest.split('"').next().expect("a version");
    for name in ["key-service", "upstream", "plugin", "native"] {
        let text = dockerfile(name);
        assert!(text.contains(&format!("FROM rust:{version}-")), "{name}");
        assert!(
            text.contains(&format!("RUSTUP_TOOLCHAIN={version}\n")),
            "{name}"
        );
    }
}
