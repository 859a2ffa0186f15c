//! What goes wrong in each trial.

use super::trial::{IN_TIME, Trial, What};
use super::writers::{Acknowledged, Writer};
use super::{Pace, Stock, file};
use crate::client::{Connection, Request};
use crate::clock::Clock;
use crate::failure::{Failure, Result};
use crate::fault_proxy::Fault;
use crate::gateway::Gateway;
use serde_json::json;
use sqlx::SqliteConnection;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;

/// Seconds: longer than any record is believed.
const A_SLEEP: i64 = 24 * 3600;

/// Seconds: what the filter takes for a sleep, and shorter than a record is believed.
const A_STEP: i64 = 5;

/// Programs that create what must not be lost.
const CREATORS: usize = 4;

/// A random moment lies within this after all is well.
const MOMENTS: u64 = 100;

/// A fault under way.
pub(super) struct Disturbance {
    what: What,
    moments: usize,
    lock: Option<SqliteConnection>,
    late: Option<String>,
    hang_ups: JoinSet<()>,
    writers: JoinSet<Result<()>>,
    acknowledged: Acknowledged,
    left: Arc<AtomicU64>,
    keys: Vec<super::stock::Keys>,
    clock: Option<Clock>,
}

impl Disturbance {
    pub(super) async fn new(
        trial: &Trial,
        pace: &Pace,
        stock: &mut Stock,
        gateway: &mut Gateway,
        clock: Option<Clock>,
    ) -> Result<Self> {
        let mut disturbance = Self {
            what: trial.what,
            moments: pace.moments,
            lock: None,
            late: None,
            hang_ups: JoinSet::new(),
            writers: JoinSet::new(),
            acknowledged: Acknowledged::default(),
            left: Arc::default(),
            keys: Vec::new(),
            clock,
        };
        match trial.what {
            What::Restored => {
                stop_all(gateway).await?;
                match stock.cluster() {
                    Some(cluster) => cluster.keep_backup()?,
                    None => file::keep_backup(&gateway.key_service().database())?,
                }
                run_all(gateway).await?;
                disturbance.write_late(stock, gateway).await?;
            }
            What::FailedOver => {
                stock.server()?.leave_standby_behind().await?;
                disturbance.write_late(stock, gateway).await?;
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

    /// Writes that were acknowledged and have to be there.
    pub(super) fn acknowledged(&self) -> Vec<String> {
        self.acknowledged.all()
    }

    pub(super) async fn begin(&mut self, gateway: &mut Gateway, stock: &mut Stock) -> Result<()> {
        match self.what {
            What::Killed => kill_all(gateway),
            What::Proxy(fault) => gateway.disturb(fault),
            What::Locked => match stock.cluster() {
                Some(cluster) => cluster.lock().await?,
                None => self.lock = Some(file::lock(gateway.key_service().database()).await?),
            },
            What::Restored => {
                kill_all(gateway);
                match stock.cluster() {
                    Some(cluster) => cluster.restore()?,
                    None => file::restore(&gateway.key_service().database())?,
                }
                run_all(gateway).await?;
            }
            What::LongRecords => {
                let writer = Writer::of(gateway.key_service());
                for number in 0..3 {
                    writer.import(&format!("long-{number}"), 16).await?;
                }
            }
            What::DiskFull => {
                match stock.cluster() {
                    Some(cluster) => cluster.full(true)?,
                    None => file::limit_files(gateway.key_service(), "1")?,
                }
                Writer::of(gateway.key_service()).is_refused().await?;
            }
            What::FileGone => {
                file::take_away(&gateway.key_service().database())?;
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
                file::take_away(&service.database())?;
                service.run_unready().await?;
            }
            What::HangUps => {
                gateway.disturb(Fault::Delay(IN_TIME));
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
                kill_all(gateway);
                for step in 1..=3 {
                    clock.set_ahead(A_SLEEP + step * A_STEP)?;
                    tokio::time::sleep(Duration::from_millis(300)).await;
                }
            }
            What::ReplicaKills => {
                self.create(gateway);
                for number in 0..self.moments {
                    self.random_moment().await?;
                    let services = gateway.key_services();
                    let service = number % services.len();
                    services[service].kill();
                    services[service].run().await?;
                }
            }
            What::ServerKills => {
                self.create(gateway);
                for _ in 0..self.moments {
                    self.random_moment().await?;
                    let server = stock.server()?;
                    server.kill();
                    server.resume()?;
                }
            }
            What::ServerRestarted => stock.server()?.stop()?,
            What::FailedOver => stock.server()?.fail_over()?,
            What::Deafened => {
                for number in 0.. {
                    let ended = stock.server()?.deafen()?;
                    if number == 0 && ended != gateway.key_services().len() {
                        return Err(Failure::new(format!("{ended} services listened")));
                    }
                    if number == 20 {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
            What::ReadOnly => {
                stock.server()?.read_only(true)?;
                Writer::of(gateway.key_service()).is_refused().await?;
            }
            What::Slow => stock.server()?.disturb(Fault::Delay(IN_TIME)),
        }
        Ok(())
    }

    pub(super) async fn end(&mut self, gateway: &mut Gateway, stock: &mut Stock) -> Result<()> {
        match self.what {
            What::Killed | What::ClockSet => run_all(gateway).await?,
            What::Proxy(_) => gateway.disturb(Fault::None),
            What::Locked => match (stock.cluster(), self.lock.take()) {
                (Some(cluster), _) => cluster.unlock()?,
                (None, Some(lock)) => file::unlock(lock).await?,
                (None, None) => return Err(Failure::new("no lock")),
            },
            What::Restored | What::LongRecords | What::FailedOver | What::Deafened => {}
            What::DiskFull => match stock.cluster() {
                Some(cluster) => cluster.full(false)?,
                None => file::limit_files(gateway.key_service(), "unlimited")?,
            },
            What::FileGone => file::put_back(&gateway.key_service().database())?,
            What::Writers | What::ReplicaKills | What::ServerKills => {
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
                file::put_back(&service.database())?;
                service.run().await?;
            }
            What::HangUps => {
                self.hang_ups.shutdown().await;
                gateway.disturb(Fault::None);
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
            What::ServerRestarted => stock.server()?.resume()?,
            What::ReadOnly => stock.server()?.read_only(false)?,
            What::Slow => stock.server()?.disturb(Fault::None),
        }
        Ok(())
    }

    /// Has programs create, by every service, what must not be lost.
    fn create(&mut self, gateway: &mut Gateway) {
        for service in gateway.key_services() {
            for _ in 0..CREATORS / 2 {
                let acknowledged = self.acknowledged.clone();
                let writer = Writer::of(service);
                self.writers.spawn(writer.keep_creating(acknowledged));
            }
        }
    }

    /// Some moment after a write was acknowledged.
    async fn random_moment(&self) -> Result<()> {
        self.acknowledged.grows().await?;
        let random = RandomState::new().hash_one(());
        tokio::time::sleep(Duration::from_millis(random % MOMENTS)).await;
        Ok(())
    }

    /// Writes much that a backup or a standby does not hold.
    async fn write_late(&mut self, stock: &Stock, gateway: &mut Gateway) -> Result<()> {
        let service = gateway.key_service();
        let tenant = service.tenant("after the backup").await?;
        let user = service.user(&tenant, "after the backup").await?;
        let late = format!("{}-late", stock.prefix());
        service
            .import([json!({"key": late, "user_id": user})])
            .await?;
        self.late = Some(late);
        for number in 0..20 {
            let name = json!({"name": format!("name {number}")});
            let path = format!("/users/{user}");
            service.must("PATCH", &path, Some(&name)).await?;
        }
        Ok(())
    }
}

fn kill_all(gateway: &mut Gateway) {
    for service in gateway.key_services() {
        service.kill();
    }
}

async fn stop_all(gateway: &mut Gateway) -> Result<()> {
    for service in gateway.key_services() {
        service.stop().await?;
    }
    Ok(())
}

async fn run_all(gateway: &mut Gateway) -> Result<()> {
    for service in gateway.key_services() {
        service.run().await?;
    }
    Ok(())
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
