//! What the commands for tenants, users and keys share.

use ureq::http::Method;

use super::call::Call;
use super::client::{Given, Remote, encoded};
use super::outcome::Outcome;
use super::output::Column;

/// A record by its id.
#[derive(clap::Args)]
pub struct One {
    /// Its id
    pub id: String,
}

/// Which state of a record is meant.
#[derive(clap::Args)]
pub struct IfVersion {
    /// Only if it is still at this version, as "show" printed it: who changed it meanwhile is not overwritten
    #[arg(long, value_name = "N")]
    if_version: Option<i64>,
}

/// A record by its id, to be stopped.
#[derive(clap::Args)]
pub struct Stop {
    #[command(flatten)]
    one: One,
    /// Do it even though keys that it stops were used in the last 30 days, or nobody reports use
    #[arg(long)]
    force: bool,
}

/// The records of one kind.
pub struct Records {
    /// Where the API has them.
    pub path: &'static str,
    /// What is printed of one that was changed.
    pub columns: &'static [Column],
}

impl Records {
    /// The path of a record.
    pub fn path_of(&self, id: &str) -> String {
        format!("{}/{}", self.path, encoded(id))
    }

    /// Changes what is given of a record.
    pub fn change(&self, remote: &Remote, id: &str, given: Given, expected: &IfVersion) -> Outcome {
        let path = self.path_of(id);
        let mut call = Call::new(&Method::PATCH, &path).body(given.change()?);
        if let Some(version) = expected.if_version {
            call = call.if_match(version);
        }
        remote.print(&remote.done(call)?, self.columns);
        Ok(())
    }

    /// Changes a record's status.
    pub fn set_status(&self, remote: &Remote, id: &str, status: &str) -> Outcome {
        let body = Given::default().field("status", Some(status)).body();
        remote.show(&Method::PATCH, &self.path_of(id), Some(body), self.columns)
    }

    /// Changes the status of a record to one that stops keys.
    pub fn stop(&self, remote: &Remote, stop: &Stop, status: &str) -> Outcome {
        let body = Given::default().field("status", Some(status)).body();
        let path = self.path_to_stop(stop);
        remote.show(&Method::PATCH, &path, Some(body), self.columns)
    }

    /// The path of a record for a call that stops keys.
    pub fn path_to_stop(&self, stop: &Stop) -> String {
        let query = if stop.force { "?force=true" } else { "" };
        format!("{}{query}", self.path_of(&stop.one.id))
    }
}
