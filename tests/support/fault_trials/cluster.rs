//! PostgreSQL as a trial has it: a database for each trial, a network before the server that can be damaged, and a
//! standby where one is wanted.

use crate::failure::{Failure, Result};
use crate::fault_proxy::{Fault, FaultProxy};
use crate::ports::{self, Port};
use crate::postgres::{ROLE, Server, VERSIONS};
use crate::wait;
use std::collections::BTreeSet;
use std::process::{Child, Stdio};

/// The database of which each trial has a copy, the copy, and a copy of that from before.
const STOCK: &str = "stock";
const TRIAL: &str = "trial";
const BACKUP: &str = "backup";

/// The server, and what leads to it.
#[derive(Debug)]
pub(super) struct Cluster {
    server: Server,
    standby: Option<Server>,
    proxy: FaultProxy,
    port: Port,
    /// Who holds the lock that every write takes first.
    holder: Option<Child>,
}

impl Cluster {
    pub(super) async fn start() -> Result<Self> {
        let server = Server::start(version())?;
        server.create(STOCK)?;
        let port = ports::reserve();
        Ok(Self {
            proxy: FaultProxy::start(port.number(), server.port()).await?,
            server,
            standby: None,
            port,
            holder: None,
        })
    }

    /// Where the stock is made.
    pub(super) fn stock_url(&self) -> String {
        self.server.url(STOCK)
    }

    /// Where the services of a trial find its database.
    pub(super) fn url(&self) -> String {
        format!("postgres://{ROLE}@127.0.0.1:{}/{TRIAL}", self.port.number())
    }

    /// A new trial: a copy of the stock on a server with which nothing is wrong.
    pub(super) fn renew(&mut self) -> Result<()> {
        if self.standby.take().is_some() {
            self.server.resume()?;
        }
        self.proxy.set(Fault::None);
        self.proxy.lead_to(self.server.port());
        self.server.remove(TRIAL)?;
        self.server.remove(BACKUP)?;
        self.server.copy(STOCK, TRIAL)
    }

    /// From now on this happens between the services and the server.
    pub(super) fn disturb(&self, fault: Fault) {
        self.proxy.set(fault);
    }

    /// Ends the server as a crash would.
    pub(super) fn kill(&mut self) {
        self.server.kill();
    }

    /// Ends the server in order.
    pub(super) fn stop(&mut self) -> Result<()> {
        self.server.stop()
    }

    /// Starts it again.
    pub(super) fn resume(&mut self) -> Result<()> {
        self.server.resume()
    }

    /// Runs a statement on the database of the trial.
    pub(super) fn ask(&self, sql: &str) -> Result<String> {
        self.server.ask(TRIAL, sql)
    }

    /// Ends the connections by which services are told of writes. Gives how many.
    pub(super) fn deafen(&self) -> Result<usize> {
        self.end_sessions("query LIKE 'LISTEN%'")
    }

    /// Has the database take no writes, or take them again, by connections that are opened from now on; others end.
    pub(super) fn read_only(&self, is: bool) -> Result<()> {
        let is = if is { "on" } else { "off" };
        let sql = format!("ALTER DATABASE {TRIAL} SET default_transaction_read_only = {is}");
        self.server.ask("postgres", &sql)?;
        self.end_sessions("true").map(drop)
    }

    /// Has every write fail as on a full disk, or not any more.
    pub(super) fn full(&self, is: bool) -> Result<()> {
        let sql = if is {
            "CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS \
             $$BEGIN RAISE EXCEPTION 'No space left on device' USING ERRCODE = 'disk_full'; END$$; \
             CREATE TRIGGER fill BEFORE INSERT ON audit EXECUTE FUNCTION fill()"
        } else {
            "DROP TRIGGER fill ON audit"
        };
        self.ask(sql).map(drop)
    }

    /// Holds what every write takes first.
    pub(super) async fn lock(&mut self) -> Result<()> {
        let holder = self
            .server
            .client("psql", TRIAL)
            .args(["--quiet", "--command"])
            .arg("BEGIN; SELECT value FROM sequence FOR UPDATE; SELECT pg_sleep(600)")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        self.holder = Some(holder);
        wait::until("the sequence to be held", async || {
            let held = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
            match self.ask(held) {
                Ok(count) if count == "1" => Ok(()),
                seen => Err(format!("{seen:?}")),
            }
        })
        .await
    }

    pub(super) fn unlock(&mut self) -> Result<()> {
        self.end_sessions("wait_event = 'PgSleep'")?;
        if let Some(mut holder) = self.holder.take() {
            holder.wait()?;
        }
        Ok(())
    }

    /// Keeps a copy of the database. Nobody may be connected to it.
    pub(super) fn keep_backup(&self) -> Result<()> {
        self.end_sessions("true")?;
        self.server.copy(TRIAL, BACKUP)
    }

    /// Puts that copy in its place, as docs/postgresql.md tells to.
    pub(super) fn restore(&self) -> Result<()> {
        self.server.remove(TRIAL)?;
        self.server.copy(BACKUP, TRIAL)?;
        self.ask("UPDATE sequence SET origin = 'restored'")
            .map(drop)
    }

    /// Makes a standby that holds what was written until now, and nothing that is written after.
    pub(super) async fn leave_standby_behind(&mut self) -> Result<()> {
        let mut standby = self.server.standby(version())?;
        let written = self.ask("SELECT value FROM sequence")?;
        wait::until("the standby to have everything", async || {
            match standby.ask(TRIAL, "SELECT value FROM sequence") {
                Ok(value) if value == written => Ok(()),
                seen => Err(format!("{seen:?}")),
            }
        })
        .await?;
        standby.stop()?;
        self.standby = Some(standby);
        Ok(())
    }

    /// The primary dies, and the standby takes its place.
    pub(super) fn fail_over(&mut self) -> Result<()> {
        self.server.kill();
        let standby = self.standby.as_mut();
        let standby = standby.ok_or_else(|| Failure::new("there is no standby"))?;
        standby.resume()?;
        self.proxy.lead_to(standby.port());
        standby.promote()
    }

    /// Those of these tenants that the database does not hold.
    pub(super) fn without(&self, tenants: &[String]) -> Result<Vec<String>> {
        let there = self.ask("SELECT id FROM tenants")?;
        let there: BTreeSet<&str> = there.lines().collect();
        let lost = tenants.iter().filter(|id| !there.contains(id.as_str()));
        Ok(lost.cloned().collect())
    }

    fn end_sessions(&self, which: &str) -> Result<usize> {
        let sql = format!(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{TRIAL}' AND {which}"
        );
        let ended = self.server.ask("postgres", &sql)?;
        ended
            .parse()
            .map_err(|_| Failure::new(format!("{ended:?} sessions")))
    }
}

/// The newest.
fn version() -> &'static str {
    VERSIONS[VERSIONS.len() - 1]
}
