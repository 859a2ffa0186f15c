//! `key-service token`: bearer tokens, made where the database is.

use serde_json::json;

use super::client::Remote;
use super::database::{Database, block_on};
use super::outcome::{Failure, Outcome};
use super::output::{self, Column, print_line};
use crate::domain::refusal::{FieldError, Refusal};
use crate::domain::time::{Span, now};
use crate::domain::token::{self, Grant, Role, TokenEntry};
use crate::store::Missing;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Make a token and print it, once
    #[command(after_help = EXAMPLES)]
    Create {
        /// gateway: the protocol under /v1; admin: everything under /admin/v1; viewer: reading there; scim: the users
        /// of one tenant under /scim/v2, for a directory; developer: one user's own keys
        #[arg(long, value_parser = role)]
        role: Role,
        /// Names the holder; stands in the audit log
        #[arg(long, value_parser = token::name)]
        name: String,
        /// Id of a tenant: an admin or viewer sees and changes that one alone; a directory must have one
        #[arg(long)]
        tenant: Option<String>,
        /// Id of the user whose keys a developer sees and makes
        #[arg(long)]
        user: Option<String>,
        /// How long it is good, such as 90d; for ever where it is missing
        #[arg(long, value_name = "SPAN", value_parser = Span::parse)]
        expires: Option<Span>,
        #[command(flatten)]
        database: Database,
    },
    /// List the tokens, never their texts
    List {
        #[command(flatten)]
        database: Database,
    },
    /// Revoke a token; a running service refuses it from its next request on
    Revoke {
        /// Name of the token
        name: String,
        #[command(flatten)]
        database: Database,
    },
}

const EXAMPLES: &str = "\
Examples:
  key-service token create --role gateway --name envoy-1
  key-service token create --role admin --name anna --expires 90d
  key-service token create --role admin --name shop-admins --tenant ten_shop
  key-service token create --role scim --name okta --tenant ten_shop
  key-service token create --role developer --name ben --user usr_ben";

fn role(text: &str) -> Result<Role, String> {
    Role::parse(text)
}

pub fn run(command: Command, remote: &Remote) -> Outcome {
    block_on(async {
        match command {
            Command::Create {
                role,
                name,
                tenant,
                user,
                expires,
                database,
            } => {
                let grant = Grant {
                    role,
                    tenant_id: tenant,
                    user_id: user,
                    expires_at: None,
                };
                create(grant, expires, &name, remote.json, &database).await
            }
            Command::List { database } => list(remote.json, &database).await,
            Command::Revoke { name, database } => revoke(&name, remote.json, &database).await,
        }
    })
}

async fn create(
    mut grant: Grant,
    expires: Option<Span>,
    name: &str,
    json: bool,
    database: &Database,
) -> Outcome {
    grant
        .check()
        .map_err(|wrong| Failure::Usage(told(&wrong)))?;
    let store = database.open(Missing::Create).await?;
    let now = now();
    grant.expires_at = expires.map(|span| now + span.seconds());
    let mut write = store.write("command line", now).await?;
    let made = write.make_token(name, grant).await?;
    let (token, TokenEntry { grant, .. }) = made.map_err(refused)?;
    // Before it is true: a token that nobody got is not made, and its name stays free.
    let text = match json {
        true => output::json_text(&json!({
            "name": name, "role": grant.role, "tenant_id": grant.tenant_id, "user_id": grant.user_id,
            "expires_at": grant.expires_at, "token": token.reveal(),
        })),
        false => token.reveal().to_owned(),
    };
    output::deliver(&text).map_err(|error| {
        Failure::Refused(format!(
            "the token could not be written to standard output ({error}), so none was made"
        ))
    })?;
    write.commit().await.map_err(|error| {
        Failure::Refused(format!(
            "the token above was not made, so it opens nothing: {error}"
        ))
    })?;
    store.close().await;
    Ok(())
}

fn refused(refusal: Refusal) -> Failure {
    Failure::Refused(match refusal {
        Refusal::Conflict(message) => message,
        // Whom it is for does not exist.
        Refusal::Invalid(wrong) => {
            let told = wrong.iter().map(|wrong| {
                let list = option(wrong);
                format!("--{list}: {}: see key-service {list} list", wrong.message)
            });
            told.collect::<Vec<_>>().join("; ")
        }
    })
}

/// What is wrong with an option.
fn told(wrong: &FieldError) -> String {
    format!("--{} {}", option(wrong), wrong.message)
}

fn option(wrong: &FieldError) -> &str {
    wrong.field.trim_end_matches("_id")
}

async fn list(json: bool, database: &Database) -> Outcome {
    let store = database.open(Missing::Refuse).await?;
    let tokens = store.tokens().await?;
    store.close().await;
    let tokens =
        serde_json::to_value(tokens).map_err(|error| Failure::Refused(error.to_string()))?;
    if json {
        output::json(&tokens);
    } else {
        output::table(
            tokens.as_array().map(Vec::as_slice).unwrap_or_default(),
            &[
                Column::text("NAME", "/name"),
                Column::text("ROLE", "/role"),
                Column::text("TENANT", "/tenant_id"),
                Column::text("USER", "/user_id"),
                Column::time("CREATED", "/created_at"),
                Column::time("EXPIRES", "/expires_at"),
                Column::time("REVOKED", "/revoked_at"),
            ],
        );
    }
    Ok(())
}

async fn revoke(name: &str, json: bool, database: &Database) -> Outcome {
    let store = database.open(Missing::Refuse).await?;
    let mut write = store.write("command line", now()).await?;
    let Some(token) = write.token(name).await? else {
        return Err(Failure::Refused(format!(
            "there is no token named {name}: see key-service token list"
        )));
    };
    if token.revoked_at.is_none() {
        write.revoke_token(&token).await?;
        write.commit().await?;
    }
    store.close().await;
    match json {
        true => output::json(&json!({"revoked": name})),
        false => print_line(&format!("revoked {name}")),
    }
    Ok(())
}
