//! What goes wrong in each trial.

use super::Stock;
use super::writers::Writer;
use crate::client::{Connection, Request};
use crate::clock::Clock;
use crate::failure::{Failure, Result};
use crate::fault_proxy::Fault;
use crate::gateway::{Builder, Gateway};
use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection as _, SqliteConnection};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;

/// A fault, and what it is called.
#[derive(Clone, Copy, Debug)]
pub struct Trial {
    /// For people, and to choose it by.
    pub name: &'static str,
    what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Killed,
    Proxy(Fault),
    Locked,
    Restored,
    LongRecords,
    DiskFull,
    FileGone,
    Writers,
    NotMounted,
    HangUps,
    HotRestart,
    Update,
    ClockSet,
}

/// When the key is revoked by which is seen how soon a change is obeyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    During,
    /// As soon as the key service can write again.
    Afterwards,
}

/// From the end of a fault until nobody is refused any more because of it, and changes are obeyed.
pub const RECOVERED: Duration = Duration::from_secs(2);

/// Longer than a look-up may take, which is half a second.
const TOO_LATE: Duration = Duration::from_secs(2);

/// Well within it.
const IN_TIME: Duration = Duration::from_millis(150);

/// Seconds: longer than any record is believed.
const A_SLEEP: i64 = 24 * 3600;

/// Seconds: what the filter takes for a sleep, and shorter than a record is believed.
const A_STEP: i64 = 5;

/// Somewhere in the body of an answer: its head is shorter, and with the body it is longer.
const MIDDLE: usize = 200;

/// All of them.
pub fn trials() -> Vec<Trial> {
    let trial = |name, what| Trial { name, what };
    let proxy = |name, fault| trial(name, What::Proxy(fault));
    vec![
        trial("key service killed", What::Killed),
        proxy("slow, in time", Fault::Delay(IN_TIME)),
        proxy("slow, too late", Fault::Delay(TOO_LATE)),
        proxy("connections refused", Fault::Refuse),
        proxy("connections cut", Fault::Cut),
        proxy("reset in an answer", Fault::ResetAfter(MIDDLE)),
        proxy("half-closed", Fault::HalfClose),
        proxy("answers truncated", Fault::Truncate(MIDDLE)),
        proxy("answers corrupted", Fault::Corrupt),
        proxy("black hole", Fault::BlackHole),
        trial("database locked", What::Locked),
        trial("older backup", What::Restored),
        trial("import of long records", What::LongRecords),
        trial("disk full", What::DiskFull),
        trial("database deleted", What::FileGone),
        trial("writers without pause", What::Writers),
        trial("database not mounted", What::NotMounted),
        trial("clients hang up", What::HangUps),
        trial("hot restart", What::HotRestart),
        trial("configuration update", What::Update),
        trial("clock set forward", What::ClockSet),
    ]
}

impl Trial {
    pub(super) fn gateway(&self, stock: &Stock, clock: Option<&Clock>) -> Builder {
        let mut builder = Gateway::real().fault_proxy().database(&stock.database());
        for (name, value) in clock.iter().flat_map(|clock| clock.environment()) {
            builder = builder.environment(name, Some(&value));
        }
        match self.what {
            What::HotRestart => builder.hot_restart(),
            What::Update => builder.updates(),
            _ => builder,
        }
    }

    /// The clock that is to be set.
    pub(super) fn clock(&self, stock: &Stock) -> Result<Option<Clock>> {
        match self.what {
            What::ClockSet => Clock::make(stock.folder()).map(Some),
            _ => Ok(None),
        }
    }

    /// How long after the fault a change is obeyed, at most.
    pub fn obeyed(&self) -> Duration {
        match self.what {
            // The long poll whose answer was swallowed: it waits for 20 s, and one more for the answer.
            What::Proxy(Fault::BlackHole) => Duration::from_secs(20 + 2),
            _ => RECOVERED,
        }
    }

    pub(super) fn change(&self) -> Change {
        match self.what {
            What::Killed
            | What::Locked
            | What::Restored
            | What::DiskFull
            | What::FileGone
            | What::NotMounted
            | What::ClockSet => Change::Afterwards,
            _ => Change::During,
        }
    }
}

/// A fault under way.
pub(super) struct Disturbance {
    what: What,
    lock: Option<SqliteConnection>,
    backup: Option<PathBuf>,
    late: Option<String>,
    hang_ups: JoinSet<()>,
    writers: JoinSet<Result<()>>,
    left: Arc<AtomicU64>,
    keys: Vec<super::stock::Keys>,
    clock: Option<Clock>,
}

impl Disturbance {
    pub(super) async fn new(
        trial: &Trial,
        stock: &Stock,
        gateway: &mut Gateway,
        clock: Option<Clock>,
    ) -> Result<Self> {
        let mut disturbance = Self {
            what: trial.what,
            lock: None,
            backup: None,
            late: None,
            hang_ups: JoinSet::new(),
            writers: JoinSet::new(),
            left: Arc::default(),
            keys: Vec::new(),
            clock,
        };
        match trial.what {
            What::Restored => {
                disturbance.late = Some(format!("{}-late", stock.prefix()));
                disturbance.keep_backup(gateway).await?;
            }
            What::HangUps => disturbance.keys = vec![stock.cold(), stock.strangers()],
            _ => {}
        }
        Ok(disturbance)
    }

    /// A key that a restored backup does not hold.
    pub(super) fn late_key(&self) -> Option<String> {
        self.late.clone()
    }

    /// Requests whose clients did not wait for the answer.
    pub(super) fn left(&self) -> u64 {
        self.left.load(Ordering::Relaxed)
    }

    pub(super) async fn begin(&mut self, gateway: &mut Gateway) -> Result<()> {
        match self.what {
            What::Killed => gateway.key_service().kill(),
            What::Proxy(fault) => gateway.fault_proxy().set(fault),
            What::Locked => self.lock = Some(lock(gateway.key_service().database()).await?),
            What::Restored => self.restore(gateway).await?,
            What::LongRecords => {
                let writer = Writer::of(gateway.key_service());
                for number in 0..3 {
                    writer.import(&format!("long-{number}"), 16).await?;
                }
            }
            What::DiskFull => {
                limit_files(gateway, "1")?;
                Writer::of(gateway.key_service()).is_refused().await?;
            }
            What::FileGone => {
                let database = gateway.key_service().database();
                fs::rename(&database, aside(&database))?;
                Writer::of(gateway.key_service()).is_refused().await?;
            }
            What::Writers => {
                let writer = Writer::of(gateway.key_service());
                for number in 0..2 {
                    let name = format!("writer-{number}");
                    self.writers.spawn(writer.clone().keep_importing(name));
                }
                for number in 0..12 {
                    self.writers.spawn(writer.clone().keep_reporting(number));
                }
            }
            What::NotMounted => {
                let service = gateway.key_service();
                service.stop().await?;
                let database = service.database();
                fs::rename(&database, aside(&database))?;
                service.run_unready().await?;
            }
            What::HangUps => {
                gateway.fault_proxy().set(Fault::Delay(IN_TIME));
                for keys in self.keys.drain(..) {
                    let left = Arc::clone(&self.left);
                    self.hang_ups.spawn(hang_up(gateway.port(), keys, left));
                }
            }
            What::HotRestart => gateway.envoy.hot_restart().await?,
            What::Update => {
                // Of the filter's settings: a new plugin, in the same VM where there is one.
                let settings = json!({"warn_before": "8d"});
                gateway
                    .update(|config| config.merge_settings(&settings))
                    .await?;
            }
            What::ClockSet => {
                let clock = self.clock.as_ref();
                let clock = clock.ok_or_else(|| Failure::new("no clock"))?;
                // As after a long sleep: all is too old, and is learned again.
                clock.set_ahead(A_SLEEP)?;
                tokio::time::sleep(Duration::from_secs(1)).await;
                gateway.key_service().kill();
                for step in 1..=3 {
                    clock.set_ahead(A_SLEEP + step * A_STEP)?;
                    tokio::time::sleep(Duration::from_millis(300)).await;
                }
            }
        }
        Ok(())
    }

    pub(super) async fn end(&mut self, gateway: &mut Gateway) -> Result<()> {
        match self.what {
            What::Killed | What::ClockSet => gateway.key_service().run().await?,
            What::Proxy(_) => gateway.fault_proxy().set(Fault::None),
            What::Locked => {
                let lock = self.lock.take().ok_or_else(|| Failure::new("no lock"))?;
                lock.close().await.map_err(sql)?;
            }
            What::Restored | What::LongRecords => {}
            What::DiskFull => limit_files(gateway, "unlimited")?,
            What::FileGone => {
                let database = gateway.key_service().database();
                fs::rename(aside(&database), &database)?;
            }
            What::Writers => {
                self.writers.abort_all();
                while let Some(ended) = self.writers.join_next().await {
                    // Those that were stopped only now are well.
                    if let Ok(outcome) = ended {
                        outcome?;
                    }
                }
            }
            What::NotMounted => {
                let service = gateway.key_service();
                service.stop().await?;
                let database = service.database();
                fs::rename(aside(&database), &database)?;
                service.run().await?;
            }
            What::HangUps => {
                self.hang_ups.shutdown().await;
                gateway.fault_proxy().set(Fault::None);
            }
            What::HotRestart => gateway.envoy.replaced_have_ended().await?,
            What::Update => {
                // Of what a VM is made of, where there is one: new VMs.
                let settings = json!({"warn_before": "9d"});
                gateway
                    .update(|config| {
                        config.plugin()["vm_config"]["environment_variables"]["key_values"] =
                            json!({"ANOTHER": "value"});
                        config.merge_settings(&settings);
                    })
                    .await?;
            }
        }
        Ok(())
    }

    /// Keeps a copy of the database, and then writes much that it does not hold.
    async fn keep_backup(&mut self, gateway: &mut Gateway) -> Result<()> {
        let service = gateway.key_service();
        service.stop().await?;
        let backup = service.database().with_extension("backup");
        fs::copy(service.database(), &backup)?;
        self.backup = Some(backup);
        service.run().await?;
        let tenant = service.tenant("after the backup").await?;
        let user = service.user(&tenant, "after the backup").await?;
        let late = self.late.clone().unwrap_or_default();
        service
            .import([json!({"key": late, "user_id": user})])
            .await?;
        for number in 0..20 {
            let name = json!({"name": format!("name {number}")});
            let path = format!("/users/{user}");
            service.must("PATCH", &path, Some(&name)).await?;
        }
        Ok(())
    }

    async fn restore(&self, gateway: &mut Gateway) -> Result<()> {
        let service = gateway.key_service();
        service.kill();
        let database = service.database();
        if let Some(backup) = &self.backup {
            fs::copy(backup, &database)?;
        }
        for log in ["db-wal", "db-shm"] {
            let _ = fs::remove_file(database.with_extension(log));
        }
        service.run().await
    }
}

fn aside(database: &Path) -> PathBuf {
    database.with_extension("aside")
}

/// Bounds the files of the key service, as a full disk does: nothing more fits into any of them.
fn limit_files(gateway: &mut Gateway, bytes: &str) -> Result<()> {
    let process = gateway
        .key_service()
        .process()
        .ok_or_else(|| Failure::new("the key service does not run"))?;
    let done = Command::new("prlimit")
        .args(["--pid", &process.id().to_string()])
        .arg(format!("--fsize={bytes}:"))
        .status()
        .map_err(|error| Failure::from(error).during("prlimit, of util-linux"))?;
    if done.success() {
        Ok(())
    } else {
        Err(Failure::new(format!("prlimit ended with {done}")))
    }
}

/// Holds the database so that nobody else can write.
async fn lock(database: PathBuf) -> Result<SqliteConnection> {
    let mut connection = SqliteConnectOptions::new()
        .filename(database)
        .connect()
        .await
        .map_err(sql)?;
    sqlx::query("BEGIN EXCLUSIVE")
        .execute(&mut connection)
        .await
        .map_err(sql)?;
    Ok(connection)
}

fn sql(error: sqlx::Error) -> Failure {
    Failure::new(error.to_string()).during("the lock on the database")
}

/// A client that never waits for its answer.
async fn hang_up(port: u16, mut keys: super::stock::Keys, left: Arc<AtomicU64>) {
    while let Some(key) = keys() {
        let request = Request::post("/orders", "a body").header("x-api-key", key);
        if let Ok(mut connection) = Connection::open(port).await
            && connection.write(&request.bytes()).await.is_ok()
        {
            // Some leave before the filter asks, some while it waits.
            let number = left.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(number % 4 * 10)).await;
        }
    }
}
