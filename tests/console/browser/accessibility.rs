//! What keeps people from using a page who cannot see it well, or use no mouse: found by axe-core, which `make axe`
//! fetches.

use super::Browser;
use serde_json::{Value, json};
use std::fs;
use std::sync::LazyLock;
use support::paths;

static AXE: LazyLock<String> = LazyLock::new(|| {
    let path = paths::target().join("axe/axe.min.js");
    fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}: run `make axe`", path.display()))
});

/// Runs within the page, but asks it for nothing: a policy that forbids requests stays unhurt.
const RUN: &str = "\
    const done = arguments[arguments.length - 1];\
    axe.run(document, {preload: false, resultTypes: ['violations']})\
       .then((found) => done(found.violations), (error) => done({wrong: String(error)}));";

/// Something that is wrong with a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The rule, as axe-core calls it.
    pub rule: String,
    /// How bad it is: `minor`, `moderate`, `serious` or `critical`.
    pub impact: String,
    /// What it is, and where.
    pub text: String,
}

impl Browser {
    /// Everything that is wrong with the page as it is shown now.
    pub async fn faults(&self) -> Vec<Fault> {
        let loaded = self.client.execute(&AXE, vec![]).await;
        self.must("load axe-core", loaded).await;
        let found = self.client.execute_async(RUN, vec![]).await;
        let found = self.must("run axe-core", found).await;
        let Some(found) = found.as_array() else {
            self.fail(&format!("axe-core: {found}")).await
        };
        found.iter().map(fault).collect()
    }

    /// Fails where the page, as it is shown now, keeps somebody from using it; tells what is less bad.
    pub async fn is_accessible(&self) {
        let (bad, less): (Vec<Fault>, Vec<Fault>) =
            self.faults().await.into_iter().partition(Fault::is_bad);
        for fault in less {
            eprintln!("{} ({}): {}", fault.rule, fault.impact, fault.text);
        }
        if !bad.is_empty() {
            self.fail(&format!("not everybody can use the page: {bad:#?}"))
                .await;
        }
    }
}

impl Fault {
    /// Whether somebody cannot use the page.
    pub fn is_bad(&self) -> bool {
        ["serious", "critical"].contains(&self.impact.as_str())
    }
}

fn fault(violation: &Value) -> Fault {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let places: Vec<String> = violation["nodes"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|node| format!("{} {}", text(&node["html"]), json!(node["failureSummary"])))
        .collect();
    Fault {
        rule: text(&violation["id"]),
        impact: text(&violation["impact"]),
        text: format!("{}: {}", text(&violation["help"]), places.join("; ")),
    }
}
