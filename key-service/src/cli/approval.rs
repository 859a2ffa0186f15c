//! `key-service approval`.

use ureq::http::Method;

use super::client::{Given, Listing, Paging, Remote, encoded};
use super::outcome::Outcome;
use super::output::Column;
use crate::domain::approval::ApprovalStatus;

#[derive(clap::Subcommand)]
pub enum Command {
    /// List requests for APIs
    #[command(after_help = "Example:\n  key-service approval list --status pending")]
    List {
        /// Only requests that stand so
        #[arg(long, value_parser = ApprovalStatus::WORDS.iter().map(|(word, _)| *word).collect::<Vec<_>>())]
        status: Option<String>,
        /// Only those of users of this tenant
        #[arg(long, value_name = "ID")]
        tenant: Option<String>,
        /// Only those of this user
        #[arg(long, value_name = "ID")]
        user: Option<String>,
        /// Only those for this API
        #[arg(long)]
        api: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Ask for an API: with a developer's token for oneself, with an administrator's for any user
    #[command(
        after_help = "Example:\n  key-service approval request --user usr_anna --api orders --reason 'For the stock report'"
    )]
    Request {
        /// Who is to have it
        #[arg(long, value_name = "ID")]
        user: String,
        /// The API, as policies name it
        #[arg(long)]
        api: String,
        /// What it is wanted for
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Give the user the API
    Approve(Decision),
    /// Refuse the request; the user may ask again
    Deny(Decision),
}

/// A request by its id, and what is said with the decision.
#[derive(clap::Args)]
pub struct Decision {
    /// Id of the request
    id: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

const COLUMNS: &[Column] = &[
    Column::text("ID", "/id"),
    Column::text("USER", "/user_id"),
    Column::text("API", "/api"),
    Column::status("STATUS", "/status"),
    Column::text("TENANT", "/tenant_id"),
    Column::text("REASON", "/reason"),
    Column::text("ASKED BY", "/requested_by"),
    Column::time("ASKED", "/created_at"),
    Column::text("DECIDED BY", "/decided_by"),
    Column::time("DECIDED", "/decided_at"),
    Column::text("BECAUSE", "/decision_reason"),
];

const LISTING: Listing = Listing {
    narrow: &[
        Column::text("ID", "/id"),
        Column::status("STATUS", "/status"),
        Column::text("USER", "/user_id"),
        Column::cut("API", "/api"),
    ],
    wide: COLUMNS,
};

pub fn run(command: Command, remote: &Remote) -> Outcome {
    match command {
        Command::List {
            status,
            tenant,
            user,
            api,
            paging,
        } => {
            let filters = [
                ("status", status.as_deref()),
                ("tenant", tenant.as_deref()),
                ("user", user.as_deref()),
                ("api", api.as_deref()),
            ];
            remote.list("/approvals", &paging, &filters, &LISTING)
        }
        Command::Request { user, api, reason } => {
            let body = Given::default()
                .field("user_id", Some(user))
                .field("api", Some(api))
                .field("reason", reason)
                .body();
            remote.show(&Method::POST, "/approvals", Some(body), COLUMNS)
        }
        Command::Approve(decision) => decide(decision, "approve", remote),
        Command::Deny(decision) => decide(decision, "deny", remote),
    }
}

fn decide(Decision { id, reason }: Decision, how: &str, remote: &Remote) -> Outcome {
    let path = format!("/approvals/{}/{how}", encoded(&id));
    let body = Given::default().field("reason", reason).body();
    remote.show(&Method::POST, &path, Some(body), COLUMNS)
}
