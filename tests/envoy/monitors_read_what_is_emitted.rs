//! Rules, alerts, the dashboard and the documentation name metrics that a real Envoy and a real key service
//! emit, and the documentation leaves none out.

use serde_json::json;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use support::client::Request;
use support::gateway::Gateway;
use support::{paths, wait};

/// The samples' names of a scrape.
fn samples(scrape: &str) -> BTreeSet<String> {
    let lines = scrape.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.split(['{', ' ']).next())
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Everything in a text that looks like the name of one of our metrics or of Envoy's.
fn names(text: &str) -> BTreeSet<String> {
    text.split(|letter: char| !(letter.is_ascii_alphanumeric() || "_:".contains(letter)))
        .map(|word| word.trim_end_matches(':'))
        .filter(|word| {
            [
                "keybound_",
                "keybound:",
                "envoy_wasm_",
                "envoy_cluster_",
                "envoy_server_",
            ]
            .iter()
            .any(|start| word.starts_with(start) && word.len() > start.len())
        })
        // The start of several names, as in `envoy_cluster_upstream_rq_*`.
        .filter(|word| !word.ends_with('_'))
        .map(str::to_owned)
        .collect()
}

fn files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, into);
        } else {
            into.push(path);
        }
    }
}

/// What reads metrics or tells of them, without the configuration of scraping, which names patterns.
fn readers() -> Vec<PathBuf> {
    let root = paths::root();
    let mut found = vec![root.join("README.md"), root.join("key-service/README.md")];
    files(&root.join("docs"), &mut found);
    files(&root.join("envoy/observe"), &mut found);
    let is_picture = |path: &PathBuf| path.extension().is_some_and(|kind| kind == "png");
    found.retain(|path| !path.ends_with("prometheus.yml") && !is_picture(path));
    found
}

/// A gateway that has called the key service, been refused and followed a change: everything there is to
/// count has been counted once.
async fn used() -> Gateway {
    let mut gateway = Gateway::real().start().await;
    let service = gateway.key_service();
    let tenant = service.tenant("shop").await.expect("a tenant");
    let user = service.user(&tenant, "anna").await.expect("a user");
    let key = service.key(&user, &json!({})).await.expect("a key");
    gateway.secret(&key.key);
    gateway
        .passed(&Request::get("/").header("x-api-key", &key.key))
        .await;
    let user = format!("/users/{user}");
    let service = gateway.key_service();
    service
        .set_status(&user, "suspended")
        .await
        .expect("a change");
    gateway
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_name_that_is_read_is_emitted_and_told_of() {
    let mut gateway = used().await;
    // Histograms appear at Envoy's next flush.
    let envoy = wait::until("the histograms in Envoy's statistics", async || {
        let scrape = match gateway.envoy.admin("/stats/prometheus").await {
            Ok(answer) => answer.text(),
            Err(error) => return Err(error.to_string()),
        };
        let histograms = ["fetch_duration_ms", "changes_propagation_ms"];
        let missing = histograms
            .iter()
            .find(|name| !scrape.contains(&format!("keybound_{name}_bucket")));
        missing.map_or(Ok(scrape.clone()), |name| Err(format!("no {name}")))
    })
    .await
    .expect("Envoy's statistics");
    let port = gateway.key_service().port();
    let service = Request::get("/metrics")
        .send(port)
        .await
        .expect("the key service's metrics");

    let mut emitted = samples(&envoy);
    emitted.extend(samples(&service.text()));
    // Texts name a histogram by what its samples have in common.
    let histograms: Vec<String> = emitted
        .iter()
        .filter_map(|name| name.strip_suffix("_bucket").map(str::to_owned))
        .collect();
    emitted.extend(histograms);
    assert!(
        envoy.contains(r#"keybound_rejected{code="user_suspended"}"#),
        "the code must be a label"
    );
    let recording =
        fs::read_to_string(paths::root().join("envoy/observe/prometheus/recording.yaml"))
            .expect("the recording rules");
    let recorded = recording
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- record: "));
    emitted.extend(recorded.map(str::to_owned));

    // Of the other home: one counts what it catches, and of the other one Envoy counts what it builds anew.
    for elsewhere in ["keybound_faults", "envoy_wasm_keybound_vm_reload"] {
        emitted.insert(elsewhere.to_owned());
    }

    let mut wrong = Vec::new();
    for path in readers() {
        let text = fs::read_to_string(&path).expect("a text");
        for name in names(&text).difference(&emitted) {
            wrong.push(format!(
                "{} names {name}, which nobody emits",
                path.display()
            ));
        }
    }
    // The other way round: what the filter and the key service emit is in the documentation.
    let mut told = String::new();
    for path in readers()
        .iter()
        .filter(|path| path.extension().is_some_and(|kind| kind == "md"))
    {
        told.push_str(&fs::read_to_string(path).expect("a text"));
    }
    for name in emitted.iter().filter(|name| name.starts_with("keybound_")) {
        if !is_told(name, &told) {
            wrong.push(format!("{name} is in no documentation"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whether the documentation names a metric: as Prometheus does, or in the table of the filter's, where a
/// dot stands for some of the underscores and `<…>` for a label.
fn is_told(name: &str, documentation: &str) -> bool {
    let whole = ["_bucket", "_sum", "_count"]
        .iter()
        .find_map(|ending| name.strip_suffix(ending))
        .unwrap_or(name);
    if names(documentation).contains(whole) || names(documentation).contains(name) {
        return true;
    }
    let own = whole.trim_start_matches("keybound_");
    documentation
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|row| row.split('`').next())
        .filter_map(|stat| stat.split(".<").next())
        .any(|stat| stat.replace('.', "_") == own)
}
