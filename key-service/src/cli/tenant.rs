//! `key-service tenant`.

use ureq::http::Method;

use super::client::{Given, Listing, Paging, Remote};
use super::key_rules;
use super::outcome::Outcome;
use super::output::Column;
use super::record::{IfVersion, One, Records, Stop};
use crate::domain::tenant::TenantStatus;
use crate::store::sorted::{self, Sort};

#[derive(clap::Subcommand)]
pub enum Command {
    /// Create a tenant
    Create {
        /// Id; a new one is made where it is missing
        #[arg(long)]
        id: Option<String>,
        /// What people call it
        #[arg(long)]
        name: Option<String>,
    },
    /// List tenants
    List {
        /// Only tenants of this status
        #[arg(long, value_parser = TenantStatus::ALL.map(TenantStatus::word))]
        status: Option<String>,
        /// Only those whose id or name holds this text
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
        /// By what to sort them: created or name; with - before it the other way round
        #[arg(long, value_name = "BY", allow_hyphen_values = true, value_parser = sort)]
        sort: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Show a tenant
    Show(One),
    /// Change a tenant's name
    Update {
        /// Id of the tenant
        id: String,
        /// What people call it
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        expected: IfVersion,
    },
    /// Suspend a tenant: none of its keys works until it is activated
    Suspend(Stop),
    /// Activate a suspended tenant
    Activate(One),
    /// What the keys of a tenant must have
    #[command(subcommand)]
    Rules(key_rules::Command),
}

const COLUMNS: &[Column] = &[
    Column::text("ID", "/id"),
    Column::text("NAME", "/name"),
    Column::status("STATUS", "/status"),
    Column::time("CREATED", "/created_at"),
    Column::time("UPDATED", "/updated_at"),
    Column::text("VERSION", "/version"),
];

const LISTING: Listing = Listing {
    narrow: &[
        Column::text("ID", "/id"),
        Column::status("STATUS", "/status"),
        Column::cut("NAME", "/name"),
    ],
    wide: COLUMNS,
};

const TENANTS: Records = Records {
    path: "/tenants",
    columns: COLUMNS,
};

fn sort(text: &str) -> Result<String, String> {
    Sort::parse(text, &sorted::TENANTS).map(Sort::word)
}

pub fn run(command: Command, remote: &Remote) -> Outcome {
    match command {
        Command::Create { id, name } => {
            let body = Given::default().field("id", id).field("name", name).body();
            remote.show(&Method::POST, "/tenants", Some(body), COLUMNS)
        }
        Command::List {
            status,
            search,
            sort,
            paging,
        } => {
            let filters = [
                ("status", status.as_deref()),
                ("search", search.as_deref()),
                ("sort", sort.as_deref()),
            ];
            remote.list("/tenants", &paging, &filters, &LISTING)
        }
        Command::Show(one) => remote.show(&Method::GET, &TENANTS.path_of(&one.id), None, COLUMNS),
        Command::Update { id, name, expected } => {
            let given = Given::default().field("name", name);
            TENANTS.change(remote, &id, given, &expected)
        }
        Command::Suspend(stop) => TENANTS.stop(remote, &stop, "suspended"),
        Command::Rules(command) => key_rules::run(command, remote),
        Command::Activate(one) => TENANTS.set_status(remote, &one.id, "active"),
    }
}
