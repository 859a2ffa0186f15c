//! `key-service tenant rules`.

use ureq::http::Method;

use super::client::{Given, Remote, encoded};
use super::outcome::Outcome;
use super::output::Column;
use super::record::One;
use crate::domain::key_rules::{OnLeak, Owners, Required};

#[derive(clap::Subcommand)]
pub enum Command {
    /// Show what the keys of a tenant must have
    Show(One),
    /// Say what the keys of a tenant must have, in the place of what was said before
    #[command(
        after_help = "Keys that are there stay as they are, and can always be disabled and revoked: \"key-service review\" \
                      names those that break a rule.\n\nExample:\n  key-service tenant rules set ten_shop --max-lifetime 90d \
                      --require purpose --require contact \\\n    --forbid-scope '*' --owners system"
    )]
    Set {
        /// Id of the tenant
        id: String,
        /// How long a key may live, such as 90d
        #[arg(long, value_name = "SPAN")]
        max_lifetime: Option<String>,
        /// A field that a key must have; may be given several times
        #[arg(long, value_name = "FIELD", value_parser = Required::WORDS.iter().map(|(word, _)| *word).collect::<Vec<_>>())]
        require: Vec<String>,
        /// A regular expression that the whole name of a key must match
        #[arg(long, value_name = "PATTERN")]
        name_pattern: Option<String>,
        /// A scope that no key may have, as it is written there; may be given several times
        #[arg(long = "forbid-scope", value_name = "SCOPE")]
        forbid_scopes: Vec<String>,
        /// Who may own keys
        #[arg(long, value_parser = Owners::WORDS.iter().map(|(word, _)| *word).collect::<Vec<_>>())]
        owners: Option<String>,
        /// What becomes of a key that is reported to be public
        #[arg(long, value_parser = OnLeak::WORDS.iter().map(|(word, _)| *word).collect::<Vec<_>>())]
        on_leak: Option<String>,
    },
    /// Take the rules of a tenant away
    Clear(One),
}

const COLUMNS: &[Column] = &[
    Column::text("MAX LIFETIME", "/max_lifetime"),
    Column::text("REQUIRE", "/require"),
    Column::text("NAME PATTERN", "/name_pattern"),
    Column::text("FORBID SCOPES", "/forbid_scopes"),
    Column::text("OWNERS", "/owners"),
    Column::text("ON LEAK", "/on_leak"),
];

pub fn run(command: Command, remote: &Remote) -> Outcome {
    let path = |id: &str| format!("/tenants/{}/key-rules", encoded(id));
    match command {
        Command::Show(one) => remote.show(&Method::GET, &path(&one.id), None, COLUMNS),
        Command::Set {
            id,
            max_lifetime,
            require,
            name_pattern,
            forbid_scopes,
            owners,
            on_leak,
        } => {
            let rules = Given::default()
                .field("max_lifetime", max_lifetime)
                .list("require", require)
                .field("name_pattern", name_pattern)
                .list("forbid_scopes", forbid_scopes)
                .field("owners", owners)
                .field("on_leak", on_leak);
            let body = rules.change()?;
            remote.show(&Method::PUT, &path(&id), Some(body), COLUMNS)
        }
        Command::Clear(one) => remote.show(&Method::DELETE, &path(&one.id), None, COLUMNS),
    }
}
