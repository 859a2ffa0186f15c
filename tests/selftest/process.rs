use std::process::Command;
use support::failure::Failure;
use support::ports;
use support::process::Process;

fn shell(folder: &tempfile::TempDir, script: &str) -> Process {
    Process::spawn(
        "child",
        Command::new("/bin/sh").args(["-c", script]),
        folder.path(),
    )
    .unwrap()
}

#[tokio::test]
async fn a_child_that_ends_early_is_reported_with_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = shell(&folder, "echo the reason >&2; exit 3");

    let error = child
        .ready(async || Err(Failure::new("not yet")))
        .await
        .unwrap_err();

    assert!(error.to_string().contains("the reason"), "{error}");
    assert!(error.to_string().contains("exit status: 3"), "{error}");
}

#[tokio::test]
async fn a_dropped_child_is_gone_with_its_own_children() {
    let folder = tempfile::tempdir().unwrap();
    let child = shell(&folder, "sleep 1000 & echo $!; wait");
    let grandchild = support::wait::until("its id", async || {
        child
            .output()
            .trim()
            .parse::<u32>()
            .map_err(|e| e.to_string())
    })
    .await
    .unwrap();
    let ids = [child.id(), grandchild];

    drop(child);

    for id in ids {
        support::wait::until("the end of it", async || {
            if runs(id) {
                Err("it runs".to_owned())
            } else {
                Ok(())
            }
        })
        .await
        .unwrap();
    }
}

/// A zombie that nobody has read the status of does not run.
fn runs(id: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| {
        stat.rsplit(')')
            .next()
            .is_some_and(|rest| !rest.trim_start().starts_with('Z'))
    })
}

#[test]
fn a_reserved_port_is_not_given_twice() {
    let held: Vec<_> = (0..200).map(|_| ports::reserve()).collect();
    let mut numbers: Vec<u16> = held.iter().map(ports::Port::number).collect();
    numbers.sort_unstable();
    numbers.dedup();

    assert_eq!(numbers.len(), held.len());
    assert!(
        numbers.iter().all(|number| *number < 32_768),
        "below the ephemeral range"
    );
}
