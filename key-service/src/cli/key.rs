//! `key-service key`.

use std::path::PathBuf;

use serde_json::Value;
use ureq::http::Method;

use super::client::{Given, Listing, Paging, Remote};
use super::deliver::Destination;
use super::explain::key_of;
use super::outcome::Outcome;
use super::output::{self, Column, last_use};
use super::record::{IfVersion, One, Records, Stop};
use super::use_of_days::{self, UseOf};
use super::{import, issue};
use crate::domain::key::KeyStatus;
use crate::domain::when::{expiry, hours, when};
use crate::store::sorted::{self, Sort};

const CREATION: &str = "\
Examples:
  key-service key create --user usr_stock-sync --environment live \\
    --scope stock:read --network 10.0.0.0/8 --hours 'mon-fri 08:00-18:00' --expires 90d
  key-service key create --user usr_stock-sync --to-command 'vault kv put secret/stock-sync key=-'

Where the key cannot be handed over, it is revoked again, and the exit code is 1.";

const DELIVERY: &str = "\
Examples:
  key-service key rotate key_0aB1cD2eF3gH4iJ5 --grace 7d --to-file /run/secrets/stock-sync
  key-service key rotate key_0aB1cD2eF3gH4iJ5 --to-command 'vault kv put secret/stock-sync key=-'

Where the new key cannot be handed over, it is revoked again, the old one stays as it was, and the exit code is 1.";

#[derive(clap::Subcommand)]
pub enum Command {
    /// Create a key and print it, once
    #[command(after_help = CREATION)]
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
        to: Destination,
    },
    /// List keys, never their texts
    List {
        /// Only keys of this status
        #[arg(long, value_parser = KeyStatus::ALL.map(KeyStatus::word))]
        status: Option<String>,
        /// Id of a tenant
        #[arg(long)]
        tenant: Option<String>,
        /// Id of a user
        #[arg(long)]
        user: Option<String>,
        /// Only keys of persons, or only keys of systems
        #[arg(long, value_parser = ["person", "system"])]
        kind: Option<String>,
        /// Only keys whose user does not exist (missing), or exists and is not active (inactive)
        #[arg(long, value_parser = ["missing", "inactive"])]
        owner: Option<String>,
        /// Only keys that expire within this span, such as 30d
        #[arg(long, value_name = "SPAN")]
        expires_within: Option<String>,
        /// Only keys whose id, hint, name or user holds this text: the hint is what its owner can tell of
        /// a key. Never the key itself
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
        /// Only keys that were never used; none where no gateway has reported use yet
        #[arg(long)]
        never_used: bool,
        /// Only keys that were not used for this span, such as 90d, as far as use was reported
        #[arg(long, value_name = "SPAN")]
        unused_for: Option<String>,
        /// By what to sort them: created, name, last_used or expires; with - before it the other way round
        #[arg(long, value_name = "BY", allow_hyphen_values = true, value_parser = sort)]
        sort: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Show a key, never its text
    Show(One),
    /// Show how a key was used, day by day: requests, refusals by reason, networks
    Usage(UseOf),
    /// Change what a key may do
    Update {
        /// Id of the key
        id: String,
        #[command(flatten)]
        fences: Fences,
        /// Take away what is set
        #[arg(long, value_parser = ["name", "not-before", "expires-at", "networks", "hours", "purpose", "contact", "rotate-every"])]
        clear: Vec<String>,
        #[command(flatten)]
        expected: IfVersion,
    },
    /// Switch a key off
    Disable(Stop),
    /// Switch a disabled key on again
    Enable(One),
    /// Revoke a key, at once and for good
    Revoke {
        /// Id of the key
        #[arg(required_unless_present = "key_file", conflicts_with = "key_file")]
        id: Option<String>,
        /// File that holds the key itself, where its id is not known; - is standard input
        #[arg(long, value_name = "FILE")]
        key_file: Option<PathBuf>,
        /// For the audit log and whoever asks later
        #[arg(long)]
        reason: Option<String>,
    },
    /// Bring keys along that exist elsewhere
    Import(import::Arguments),
    /// Replace a key by a new one, which is printed once; both work for a while
    #[command(after_help = DELIVERY)]
    Rotate {
        /// Id of the key
        id: String,
        /// How long the old key works on: 24h where it is missing, 0s for not at all
        #[arg(long, value_name = "SPAN")]
        grace: Option<String>,
        #[command(flatten)]
        to: Destination,
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
    /// When it may be used, in UTC, such as 'mon-fri 08:00-18:00' or 'sat,sun 22:00-06:00'
    #[arg(long, value_parser = hours)]
    hours: Option<Value>,
    /// Begin of its life: a day such as 2027-01-31 (its begin, UTC), RFC 3339, a span from now such as 2d,
    /// or Unix seconds
    #[arg(long, value_parser = when, value_name = "TIME")]
    not_before: Option<i64>,
    /// End of its life: a day such as 2027-01-31 (the key works until the end of that day, UTC), RFC 3339,
    /// a span from now such as 90d, or Unix seconds
    #[arg(long, value_parser = expiry, value_name = "TIME")]
    expires: Option<i64>,
    /// What it is for
    #[arg(long)]
    purpose: Option<String>,
    /// Whom to ask about it, such as an e-mail address
    #[arg(long)]
    contact: Option<String>,
    /// How long after it was made it is to be rotated, such as 90d
    #[arg(long, value_name = "SPAN")]
    rotate_every: Option<String>,
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
            .field("purpose", self.purpose)
            .field("contact", self.contact)
            .field("rotate_every", self.rotate_every)
    }
}

const LISTING: Listing = Listing {
    narrow: &[
        Column::text("ID", "/id"),
        Column::text("HINT", "/hint"),
        Column::text("USER", "/user_id"),
        Column::works(),
    ],
    wide: &[
        Column::text("ID", "/id"),
        Column::text("HINT", "/hint"),
        Column::text("USER", "/user_id"),
        Column::text("TENANT", "/tenant_id"),
        Column::status("STATUS", "/status"),
        Column::works(),
        Column::text("SCOPES", "/scopes"),
        Column::time("EXPIRES", "/expires_at"),
        Column::computed("LAST USED", last_use),
        Column::text("NAME", "/name"),
    ],
};

const SHOWN: &[Column] = &[
    Column::text("ID", "/id"),
    Column::text("HINT", "/hint"),
    Column::text("NAME", "/name"),
    Column::text("USER", "/user_id"),
    Column::text("TENANT", "/tenant_id"),
    Column::text("ENVIRONMENT", "/environment"),
    Column::status("STATUS", "/status"),
    Column::works(),
    Column::text("SCOPES", "/scopes"),
    Column::text("NETWORKS", "/networks"),
    Column::text("HOURS", "/hours"),
    Column::time("NOT BEFORE", "/not_before"),
    Column::time("EXPIRES", "/expires_at"),
    Column::text("PURPOSE", "/purpose"),
    Column::text("CONTACT", "/contact"),
    Column::text("ROTATE EVERY", "/rotate_every"),
    Column::text("REPLACED BY", "/replaced_by"),
    Column::time("REPLACED", "/replaced_at"),
    Column::time("REVOKED", "/revoked_at"),
    Column::text("REASON", "/revoked_reason"),
    Column::time("LEAKED", "/leaked_at"),
    Column::computed("LAST USED", last_use),
    Column::time("LAST REFUSED", "/last_rejected_at"),
    Column::usage("USE", "/usage"),
    Column::time("CREATED", "/created_at"),
    Column::time("UPDATED", "/updated_at"),
    Column::text("VERSION", "/version"),
];

const KEYS: Records = Records {
    path: "/keys",
    columns: SHOWN,
};

fn sort(text: &str) -> Result<String, String> {
    Sort::parse(text, &sorted::KEYS).map(Sort::word)
}

pub fn run(command: Command, remote: &Remote) -> Outcome {
    match command {
        Command::Create {
            user,
            id,
            tenant,
            environment,
            fences,
            to,
        } => {
            let given = Given::default()
                .field("user_id", Some(user))
                .field("id", id)
                .field("tenant_id", tenant)
                .field("environment", environment);
            let body = fences.add_to(given).body();
            issue::create(remote, body, &to)
        }
        Command::List {
            status,
            tenant,
            user,
            kind,
            owner,
            expires_within,
            search,
            never_used,
            unused_for,
            sort,
            paging,
        } => {
            let filters = [
                ("status", status.as_deref()),
                ("tenant", tenant.as_deref()),
                ("user", user.as_deref()),
                ("kind", kind.as_deref()),
                ("owner", owner.as_deref()),
                ("expires_within", expires_within.as_deref()),
                ("search", search.as_deref()),
                ("never_used", never_used.then_some("true")),
                ("unused_for", unused_for.as_deref()),
                ("sort", sort.as_deref()),
            ];
            remote.list("/keys", &paging, &filters, &LISTING)
        }
        Command::Show(one) => remote.show(&Method::GET, &KEYS.path_of(&one.id), None, SHOWN),
        Command::Usage(of) => use_of_days::run(remote, &KEYS.path_of(&of.id), &of),
        Command::Update {
            id,
            fences,
            clear,
            expected,
        } => {
            let given = fences.add_to(Given::default().clear(&clear));
            KEYS.change(remote, &id, given, &expected)
        }
        Command::Import(arguments) => import::run(&arguments, remote),
        Command::Disable(stop) => KEYS.stop(remote, &stop, "disabled"),
        Command::Enable(one) => KEYS.set_status(remote, &one.id, "active"),
        Command::Revoke {
            id,
            key_file,
            reason,
        } => {
            let given = Given::default().field("reason", reason.clone());
            match (id, key_file) {
                (None, Some(file)) => {
                    let body = given.field("key", Some(key_of(&file)?));
                    revoke(remote, "/keys/revoke", body, reason)
                }
                (id, _) => {
                    let path = format!("{}/revoke", KEYS.path_of(&id.unwrap_or_default()));
                    revoke(remote, &path, given, reason)
                }
            }
        }
        Command::Rotate { id, grace, to } => {
            let body = Given::default().field("grace", grace).body();
            issue::rotate(remote, &KEYS.path_of(&id), body, &to)
        }
    }
}

fn revoke(remote: &Remote, path: &str, given: Given, reason: Option<String>) -> Outcome {
    let answer = remote.call(&Method::POST, path, Some(given.body()))?;
    remote.print(&answer, SHOWN);
    let stands = answer.get("revoked_reason").and_then(Value::as_str);
    if let (Some(given), Some(stands)) = (reason.as_deref(), stands)
        && given != stands
    {
        output::note(&format!(
            "The key was revoked before, because of {stands:?}. That reason stands: this one was not kept."
        ));
    }
    Ok(())
}
