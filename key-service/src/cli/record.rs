//! What the commands for tenants, users and keys share.

use ureq::http::Method;

use super::Outcome;
use super::client::{Given, Remote, encoded};
use super::output::Column;

/// A record by its id.
#[derive(clap::Args)]
pub struct One {
    /// Its id
    pub id: String,
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
    pub fn change(&self, remote: &Remote, id: &str, given: Given) -> Outcome {
        remote.show(
            &Method::PATCH,
            &self.path_of(id),
            Some(given.change()?),
            self.columns,
        )
    }

    /// Changes a record's status.
    pub fn set_status(&self, remote: &Remote, id: &str, status: &str) -> Outcome {
        let given = Given::default().field("status", Some(status));
        self.change(remote, id, given)
    }
}
