//! `key-service webhook`.

use ureq::http::Method;

use super::client::{Given, Listing, Paging, Remote, encoded};
use super::outcome::Outcome;
use super::output::{Column, note};
use super::record::One;
use crate::domain::webhook::EventKind;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Let somebody be told of what becomes of keys; prints the secret of the signatures, once
    #[command(
        after_help = "Example:\n  key-service webhook create --url https://hooks.example.com/keybound \\\n    --event key.expiring --event key.leaked --tenant ten_shop"
    )]
    Create {
        /// Where messages are sent
        #[arg(long)]
        url: String,
        /// What to tell of; may be given several times. Without any, of everything
        #[arg(long = "event", value_name = "EVENT", value_parser = names())]
        events: Vec<String>,
        /// Only of keys and users of this tenant
        #[arg(long, value_name = "ID")]
        tenant: Option<String>,
    },
    /// List webhooks
    List {
        /// Only those of this tenant
        #[arg(long, value_name = "ID")]
        tenant: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Show a webhook, without its secret
    Show(One),
    /// Take a webhook out, with all messages that it has not taken
    Delete(One),
    /// List messages that were not taken and that nobody tries any more
    Dead {
        /// Id of the webhook
        id: String,
        #[command(flatten)]
        paging: Paging,
    },
    /// Try such messages again
    Redeliver {
        /// Id of the webhook
        id: String,
        /// The id of one of them; all where it is missing
        #[arg(long, value_name = "ID")]
        message: Option<String>,
    },
}

fn names() -> Vec<&'static str> {
    EventKind::WORDS.iter().map(|(word, _)| *word).collect()
}

const COLUMNS: &[Column] = &[
    Column::text("ID", "/id"),
    Column::text("SECRET", "/secret"),
    Column::text("URL", "/url"),
    Column::text("TENANT", "/tenant_id"),
    Column::text("EVENTS", "/events"),
    Column::time("CREATED", "/created_at"),
];

const SHOWN: &[Column] = &[
    Column::text("ID", "/id"),
    Column::text("URL", "/url"),
    Column::text("TENANT", "/tenant_id"),
    Column::text("EVENTS", "/events"),
    Column::time("CREATED", "/created_at"),
];

const LISTING: Listing = Listing {
    narrow: &[
        Column::text("ID", "/id"),
        Column::text("TENANT", "/tenant_id"),
        Column::cut("URL", "/url"),
    ],
    wide: SHOWN,
};

const DEAD: &[Column] = &[
    Column::text("MESSAGE", "/event_id"),
    Column::text("EVENT", "/event"),
    Column::time("SINCE", "/created_at"),
    Column::cut("ERROR", "/last_error"),
];

const DEAD_LISTING: Listing = Listing {
    narrow: DEAD,
    wide: DEAD,
};

pub fn run(command: Command, remote: &Remote) -> Outcome {
    let path = |id: &str| format!("/webhooks/{}", encoded(id));
    match command {
        Command::Create {
            url,
            events,
            tenant,
        } => {
            let events = match events.is_empty() {
                true => names().into_iter().map(str::to_owned).collect(),
                false => events,
            };
            let body = Given::default()
                .field("url", Some(url))
                .list("events", events)
                .field("tenant_id", tenant)
                .body();
            remote.show(&Method::POST, "/webhooks", Some(body), COLUMNS)?;
            if !remote.json {
                note("Keep the secret now: it is not stored and cannot be shown again.");
            }
            Ok(())
        }
        Command::List { tenant, paging } => {
            let filters = [("tenant", tenant.as_deref())];
            remote.list("/webhooks", &paging, &filters, &LISTING)
        }
        Command::Show(one) => remote.show(&Method::GET, &path(&one.id), None, SHOWN),
        Command::Delete(one) => remote.show(&Method::DELETE, &path(&one.id), None, SHOWN),
        Command::Dead { id, paging } => {
            remote.list(&format!("{}/dead", path(&id)), &paging, &[], &DEAD_LISTING)
        }
        Command::Redeliver { id, message } => {
            let body = Given::default().field("event_id", message).body();
            let path = format!("{}/redeliver", path(&id));
            let columns = &[Column::text("REDELIVERED", "/redelivered")];
            remote.show(&Method::POST, &path, Some(body), columns)
        }
    }
}
