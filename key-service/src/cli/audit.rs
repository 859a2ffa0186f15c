//! `key-service audit`.

use super::Outcome;
use super::client::{Paging, Remote};
use super::output::Column;

#[derive(clap::Subcommand)]
pub enum Command {
    /// List who changed what, newest first
    List {
        /// Only about a tenant, user, key or token
        #[arg(long)]
        kind: Option<String>,
        /// Only about the thing of this id
        #[arg(long)]
        id: Option<String>,
        #[command(flatten)]
        paging: Paging,
        #[command(flatten)]
        remote: Remote,
    },
}

pub fn run(command: Command) -> Outcome {
    let Command::List {
        kind,
        id,
        paging,
        remote,
    } = command;
    let query = paging.query(&[("kind", kind.as_deref()), ("id", id.as_deref())]);
    remote.list(
        "/audit",
        &query,
        &[
            Column::time("TIME", "/at"),
            Column::text("ACTOR", "/actor"),
            Column::text("ACTION", "/action"),
            Column::text("KIND", "/kind"),
            Column::text("ID", "/entity_id"),
            Column::status("BEFORE", "/before/status"),
            Column::status("AFTER", "/after/status"),
        ],
    )
}
