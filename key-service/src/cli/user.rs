//! `key-service user`.

use serde_json::Value;
use ureq::http::Method;

use super::client::{Given, Listing, Paging, Remote};
use super::outcome::Outcome;
use super::output::{self, Column, last_use};
use super::record::{IfVersion, One, Records, Stop};
use super::use_of_days::{self, UseOf};
use crate::domain::user::UserStatus;
use crate::store::sorted::{self, Sort};

#[derive(clap::Subcommand)]
pub enum Command {
    /// Create a user
    #[command(
        after_help = "Example:\n  key-service user create --id usr_stock-sync --tenant ten_shop --scope 'stock:*'"
    )]
    Create {
        /// Id; a new one is made where it is missing
        #[arg(long)]
        id: Option<String>,
        /// Id of its tenant, which never changes
        #[arg(long)]
        tenant: Option<String>,
        /// What people call it
        #[arg(long)]
        name: Option<String>,
        /// active (the default), pending, suspended, locked or deactivated
        #[arg(long)]
        status: Option<String>,
        /// Narrows the scopes of all its keys; may be given several times
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
        /// An API it is approved for; may be given several times. Without any, all are
        #[arg(long = "api", value_name = "API")]
        apis: Vec<String>,
        #[command(flatten)]
        who: Who,
    },
    /// List users
    List {
        /// Only users of this status
        #[arg(long, value_parser = UserStatus::ALL.map(UserStatus::word))]
        status: Option<String>,
        /// Id of a tenant
        #[arg(long)]
        tenant: Option<String>,
        /// Only persons, or only systems
        #[arg(long, value_parser = ["person", "system"])]
        kind: Option<String>,
        /// Only those whose id, name, full name or login holds this text
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
        /// By what to sort them: created, name or login; with - before it the other way round
        #[arg(long, value_name = "BY", allow_hyphen_values = true, value_parser = sort)]
        sort: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Show a user
    Show(One),
    /// Show how the user's keys were used, day by day: requests, refusals by reason, networks
    Usage(UseOf),
    /// Change what a user is called, its scopes or approved APIs
    Update {
        /// Id of the user
        id: String,
        /// What people call it
        #[arg(long)]
        name: Option<String>,
        /// Replaces the scopes that narrow its keys
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
        /// Replaces the APIs it is approved for
        #[arg(long = "api", value_name = "API")]
        apis: Vec<String>,
        #[command(flatten)]
        who: Who,
        /// Take away what is set: without scopes nothing is narrowed, without apis all are approved
        #[arg(long, value_parser = ["name", "scopes", "apis", "login", "external-id", "display-name", "contact"])]
        clear: Vec<String>,
        #[command(flatten)]
        expected: IfVersion,
    },
    /// Let the user's keys work (again)
    Activate(One),
    /// Stop the user's keys for a while
    Suspend(Stop),
    /// Stop the user's keys after too many failed log-ins
    Lock(Stop),
    /// Stop the user's keys: the user has left
    Deactivate(Stop),
    /// Delete the user for good; a tombstone stays
    Delete(Stop),
}

/// Who a user is.
#[derive(clap::Args)]
pub struct Who {
    /// person, who joins and leaves (what a new user is), or system, which stays when people leave
    #[arg(long, value_parser = ["person", "system"])]
    kind: Option<String>,
    /// What it signs in with, such as an e-mail address; unique in its tenant, whatever the case
    #[arg(long)]
    login: Option<String>,
    /// Its id in the directory that it comes from
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,
    /// Its name in full
    #[arg(long, value_name = "NAME")]
    display_name: Option<String>,
    /// Whom to ask about it, such as an e-mail address
    #[arg(long)]
    contact: Option<String>,
}

impl Who {
    fn add_to(self, given: Given) -> Given {
        given
            .field("kind", self.kind)
            .field("login", self.login)
            .field("external_id", self.external_id)
            .field("display_name", self.display_name)
            .field("contact", self.contact)
    }
}

const SHOWN: &[Column] = &[
    Column::text("ID", "/id"),
    Column::text("TENANT", "/tenant_id"),
    Column::text("NAME", "/name"),
    Column::status("STATUS", "/status"),
    Column::text("SCOPES", "/scopes"),
    Column::text("APIS", "/apis"),
    Column::text("KIND", "/kind"),
    Column::text("LOGIN", "/login"),
    Column::text("EXTERNAL ID", "/external_id"),
    Column::text("DISPLAY NAME", "/display_name"),
    Column::text("CONTACT", "/contact"),
    Column::computed("LAST USED", last_use),
    Column::usage("USE", "/usage"),
    Column::time("CREATED", "/created_at"),
    Column::time("UPDATED", "/updated_at"),
    Column::text("VERSION", "/version"),
];

const COLUMNS: &[Column] = &[
    Column::text("ID", "/id"),
    Column::text("TENANT", "/tenant_id"),
    Column::text("NAME", "/name"),
    Column::status("STATUS", "/status"),
    Column::text("SCOPES", "/scopes"),
    Column::text("APIS", "/apis"),
    Column::text("KIND", "/kind"),
    Column::text("LOGIN", "/login"),
    Column::text("EXTERNAL ID", "/external_id"),
    Column::text("DISPLAY NAME", "/display_name"),
    Column::text("CONTACT", "/contact"),
    Column::time("CREATED", "/created_at"),
    Column::time("UPDATED", "/updated_at"),
    Column::text("VERSION", "/version"),
];

const LISTING: Listing = Listing {
    narrow: &[
        Column::text("ID", "/id"),
        Column::text("TENANT", "/tenant_id"),
        Column::status("STATUS", "/status"),
        Column::cut("NAME", "/name"),
    ],
    wide: COLUMNS,
};

const USERS: Records = Records {
    path: "/users",
    columns: COLUMNS,
};

fn sort(text: &str) -> Result<String, String> {
    Sort::parse(text, &sorted::USERS).map(Sort::word)
}

pub fn run(command: Command, remote: &Remote) -> Outcome {
    match command {
        Command::Create {
            id,
            tenant,
            name,
            status,
            scopes,
            apis,
            who,
        } => {
            let given = Given::default()
                .field("id", id)
                .field("tenant_id", tenant)
                .field("name", name)
                .field("status", status)
                .list("scopes", scopes)
                .list("apis", apis);
            let body = who.add_to(given).body();
            let user = remote.call(&Method::POST, "/users", Some(body))?;
            remote.print(&user, COLUMNS);
            warn_of_no_tenant(&user, remote);
            Ok(())
        }
        Command::List {
            status,
            tenant,
            kind,
            search,
            sort,
            paging,
        } => {
            let filters = [
                ("status", status.as_deref()),
                ("tenant", tenant.as_deref()),
                ("kind", kind.as_deref()),
                ("search", search.as_deref()),
                ("sort", sort.as_deref()),
            ];
            remote.list("/users", &paging, &filters, &LISTING)
        }
        Command::Show(one) => remote.show(&Method::GET, &USERS.path_of(&one.id), None, SHOWN),
        Command::Usage(of) => use_of_days::run(remote, &USERS.path_of(&of.id), &of),
        Command::Update {
            id,
            name,
            scopes,
            apis,
            who,
            clear,
            expected,
        } => {
            let given = Given::default()
                .clear(&clear)
                .field("name", name)
                .list("scopes", scopes)
                .list("apis", apis);
            USERS.change(remote, &id, who.add_to(given), &expected)
        }
        Command::Activate(one) => USERS.set_status(remote, &one.id, "active"),
        Command::Suspend(stop) => USERS.stop(remote, &stop, "suspended"),
        Command::Lock(stop) => USERS.stop(remote, &stop, "locked"),
        Command::Deactivate(stop) => USERS.stop(remote, &stop, "deactivated"),
        Command::Delete(stop) => {
            remote.show(&Method::DELETE, &USERS.path_to_stop(&stop), None, COLUMNS)
        }
    }
}

/// A user stays where it was made, and its id is taken for good.
fn warn_of_no_tenant(user: &Value, remote: &Remote) {
    if user
        .get("tenant_id")
        .is_some_and(|tenant| !tenant.is_null())
    {
        return;
    }
    let tenants = remote.call(&Method::GET, "/tenants?limit=1", None);
    let any = tenants.is_ok_and(|list| list.pointer("/items/0").is_some());
    if any {
        output::note(
            "Warning: the user belongs to no tenant, though there are tenants, and a user's tenant never changes. \
             If that is not meant, delete the user and create one with another id and --tenant TENANT.",
        );
    }
}
