//! `key-service key`.

use std::path::{Path, PathBuf};

use serde_json::Value;
use ureq::http::Method;

use super::client::{Given, Paging, Remote};
use super::output::Column;
use super::record::{One, Records};
use super::when::{hours, when};
use super::{Failure, Outcome};

const IMPORT_HELP: &str = r#"A line holds either the key or its digest (base64url, made as the gateway makes it), and what else
there is to say:
  {"key": "old-key-in-clear", "user_id": "usr_a", "scopes": ["orders:read"], "expires_at": 1790000000}
  {"digest": "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0", "user_id": "usr_b", "status": "disabled"}
Further fields: id, tenant_id, environment, name, not_before, networks, hours, hint.
Without --partial, a wrong line keeps all of them out. Importing again changes nothing."#;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Create a key and print it, once
    #[command(
        after_help = "Example:\n  key-service key create --user usr_stock-sync --environment live \\\n    --scope stock:read --network 10.0.0.0/8 --hours 'mon,tue,wed,thu,fri 08:00-18:00' --expires 90d"
    )]
    Create {
        /// Id of its user
        #[arg(long)]
        user: String,
        /// Id; a new one is made where it is missing
        #[arg(long)]
        id: Option<String>,
        /// Id of its tenant, which must be its user's; that is also the default
        #[arg(long)]
        tenant: Option<String>,
        /// Such as live or test; it becomes part of the key
        #[arg(long)]
        environment: Option<String>,
        #[command(flatten)]
        fences: Fences,
        #[command(flatten)]
        remote: Remote,
    },
    /// List keys, never their texts
    List {
        /// active, disabled or revoked
        #[arg(long)]
        status: Option<String>,
        /// Id of a tenant
        #[arg(long)]
        tenant: Option<String>,
        /// Id of a user
        #[arg(long)]
        user: Option<String>,
        /// Only keys whose user does not exist (missing), or exists and is not active (inactive)
        #[arg(long, value_parser = ["missing", "inactive"])]
        owner: Option<String>,
        /// Only keys that expire within this span, such as 30d
        #[arg(long, value_name = "SPAN")]
        expires_within: Option<String>,
        /// Only keys that were never used
        #[arg(long)]
        never_used: bool,
        #[command(flatten)]
        paging: Paging,
        #[command(flatten)]
        remote: Remote,
    },
    /// Show a key, never its text
    Show(One),
    /// Change what a key may do
    Update {
        /// Id of the key
        id: String,
        #[command(flatten)]
        fences: Fences,
        /// Take away what is set
        #[arg(long, value_parser = ["name", "not-before", "expires-at", "networks", "hours"])]
        clear: Vec<String>,
        #[command(flatten)]
        remote: Remote,
    },
    /// Switch a key off
    Disable(One),
    /// Switch a disabled key on again
    Enable(One),
    /// Revoke a key, at once and for good
    Revoke {
        /// Id of the key
        id: String,
        /// For the audit log and whoever asks later
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        remote: Remote,
    },
    /// Bring keys along that exist elsewhere
    #[command(after_help = IMPORT_HELP)]
    Import {
        /// File with a JSON object a line; - is standard input
        file: PathBuf,
        /// Import the lines that are right even though others are not
        #[arg(long)]
        partial: bool,
        #[command(flatten)]
        remote: Remote,
    },
    /// Replace a key by a new one, which is printed once; both work for a while
    Rotate {
        /// Id of the key
        id: String,
        /// How long the old key works on: 24h where it is missing, 0s for not at all
        #[arg(long, value_name = "SPAN")]
        grace: Option<String>,
        #[command(flatten)]
        remote: Remote,
    },
}

/// What a key may do, and when and where.
#[derive(clap::Args)]
pub struct Fences {
    /// What people call it
    #[arg(long)]
    name: Option<String>,
    /// What it may do, such as orders:read, orders:* or *; may be given several times
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// Where it may be used from, such as 10.0.0.0/8; may be given several times
    #[arg(long = "network", value_name = "NETWORK")]
    networks: Vec<String>,
    /// When it may be used, in UTC, such as 'mon,tue,fri 08:00-18:00'
    #[arg(long, value_parser = hours)]
    hours: Option<Value>,
    /// Begin of its life: RFC 3339, a span from now such as 2d, or Unix seconds
    #[arg(long, value_parser = when, value_name = "TIME")]
    not_before: Option<i64>,
    /// End of its life: RFC 3339, a span from now such as 90d, or Unix seconds
    #[arg(long, value_parser = when, value_name = "TIME")]
    expires: Option<i64>,
}

impl Fences {
    fn add_to(self, given: Given) -> Given {
        given
            .field("name", self.name)
            .list("scopes", self.scopes)
            .list("networks", self.networks)
            .field("hours", self.hours)
            .field("not_before", self.not_before)
            .field("expires_at", self.expires)
    }
}

const LISTED: &[Column] = &[
    Column::text("ID", "/id"),
    Column::text("HINT", "/hint"),
    Column::text("USER", "/user_id"),
    Column::text("TENANT", "/tenant_id"),
    Column::status("STATUS", "/status"),
    Column::text("SCOPES", "/scopes"),
    Column::time("EXPIRES", "/expires_at"),
    Column::time("LAST USED", "/last_used_at"),
    Column::text("NAME", "/name"),
];

const SHOWN: &[Column] = &[
    Column::text("ID", "/id"),
    Column::text("HINT", "/hint"),
    Column::text("NAME", "/name"),
    Column::text("USER", "/user_id"),
    Column::text("TENANT", "/tenant_id"),
    Column::text("ENVIRONMENT", "/environment"),
    Column::status("STATUS", "/status"),
    Column::text("SCOPES", "/scopes"),
    Column::text("NETWORKS", "/networks"),
    Column::text("HOURS", "/hours"),
    Column::time("NOT BEFORE", "/not_before"),
    Column::time("EXPIRES", "/expires_at"),
    Column::text("REPLACED BY", "/replaced_by"),
    Column::time("REPLACED", "/replaced_at"),
    Column::time("REVOKED", "/revoked_at"),
    Column::text("REASON", "/revoked_reason"),
    Column::time("LAST USED", "/last_used_at"),
    Column::usage("USE", "/usage"),
    Column::time("CREATED", "/created_at"),
    Column::time("UPDATED", "/updated_at"),
];

const ISSUED: &[Column] = &[
    Column::text("KEY", "/secret"),
    Column::text("ID", "/id"),
    Column::text("USER", "/user_id"),
    Column::text("TENANT", "/tenant_id"),
    Column::text("SCOPES", "/scopes"),
    Column::time("EXPIRES", "/expires_at"),
];

const KEYS: Records = Records {
    path: "/keys",
    columns: SHOWN,
};

pub fn run(command: Command) -> Outcome {
    match command {
        Command::Create {
            user,
            id,
            tenant,
            environment,
            fences,
            remote,
        } => {
            let given = Given::default()
                .field("user_id", Some(user))
                .field("id", id)
                .field("tenant_id", tenant)
                .field("environment", environment);
            let body = fences.add_to(given).body();
            remote.show(&Method::POST, "/keys", Some(body), ISSUED)
        }
        Command::List {
            status,
            tenant,
            user,
            owner,
            expires_within,
            never_used,
            paging,
            remote,
        } => {
            let query = paging.query(&[
                ("status", status.as_deref()),
                ("tenant", tenant.as_deref()),
                ("user", user.as_deref()),
                ("owner", owner.as_deref()),
                ("expires_within", expires_within.as_deref()),
                ("never_used", never_used.then_some("true")),
            ]);
            remote.list("/keys", &query, LISTED)
        }
        Command::Show(one) => one
            .remote
            .show(&Method::GET, &KEYS.path_of(&one.id), None, SHOWN),
        Command::Update {
            id,
            fences,
            clear,
            remote,
        } => KEYS.change(&remote, &id, fences.add_to(Given::default().clear(&clear))),
        Command::Import {
            file,
            partial,
            remote,
        } => import(&file, partial, &remote),
        Command::Disable(one) => KEYS.set_status(&one, "disabled"),
        Command::Enable(one) => KEYS.set_status(&one, "active"),
        Command::Revoke { id, reason, remote } => {
            let body = Given::default().field("reason", reason).body();
            remote.show(
                &Method::POST,
                &format!("{}/revoke", KEYS.path_of(&id)),
                Some(body),
                SHOWN,
            )
        }
        Command::Rotate { id, grace, remote } => {
            let body = Given::default().field("grace", grace).body();
            remote.show(
                &Method::POST,
                &format!("{}/rotate", KEYS.path_of(&id)),
                Some(body),
                ISSUED,
            )
        }
    }
}

fn import(file: &Path, partial: bool, remote: &Remote) -> Outcome {
    let lines = if file.as_os_str() == "-" {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(file)
    };
    let lines = lines
        .map_err(|error| Failure::Usage(format!("cannot read {}: {error}", file.display())))?;
    let query = if partial { "?partial=true" } else { "" };
    remote.report(
        &format!("/keys/import{query}"),
        lines,
        &[
            Column::text("LINE", "/line"),
            Column::text("RESULT", "/result"),
            Column::text("ID", "/id"),
            Column::text("WARNINGS", "/warnings"),
            Column::text("ERRORS", "/errors"),
        ],
    )
}
