//! Some of the trials of `make faults`, shorter: every promise but those of times.

use std::time::Duration;
use support::fault_trials::{Engine, Pace, Stock, trials};

async fn trial(name: &str) {
    trial_on(Engine::Sqlite, name).await;
}

async fn trial_on(engine: Engine, name: &str) {
    let trial = trials(engine)
        .into_iter()
        .find(|trial| trial.name == name)
        .expect("a trial of this name");
    let mut stock = Stock::make_on(engine, 20_000).await.unwrap();
    let pace = Pace {
        before: Duration::from_millis(500),
        fault: Duration::from_secs(1),
        every: Duration::from_millis(10),
        moments: 3,
    };

    let report = trial.run(&mut stock, &pace).await.unwrap();

    assert!(report.broken.is_empty(), "{report:#?}");
    assert_eq!(report.lost, 0);
    assert!(report.allowed > 0, "{report:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_service_is_killed() {
    trial("key service killed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_cut_off() {
    trial("reset in an answer").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_corrupted() {
    trial("answers corrupted").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_is_locked() {
    trial("database locked").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_backup_is_restored() {
    trial("older backup").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_are_longer_than_an_answer() {
    trial("import of long records").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_disk_is_full() {
    trial("disk full").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_is_deleted() {
    trial("database deleted").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_write_without_pause() {
    trial("writers without pause").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_is_not_mounted() {
    trial("database not mounted").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_hang_up() {
    trial("clients hang up").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_clock_is_set() {
    trial("clock set forward").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn envoy_is_restarted() {
    trial("hot restart").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_configuration_is_updated() {
    trial("configuration update").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_is_killed() {
    trial_on(Engine::Postgresql, "a replica killed again and again").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_is_killed() {
    trial_on(Engine::Postgresql, "PostgreSQL killed again and again").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_that_is_behind_is_promoted() {
    trial_on(Engine::Postgresql, "standby behind promoted").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_are_not_told_of_writes() {
    trial_on(Engine::Postgresql, "LISTEN killed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_primary_takes_no_writes() {
    trial_on(Engine::Postgresql, "primary read-only").await;
}
