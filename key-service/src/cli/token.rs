//! `key-service token`: bearer tokens, made where the database is.

use serde_json::json;

use super::client::Remote;
use super::database::{Database, block_on};
use super::outcome::{Failure, Outcome};
use super::output::{self, Column, print_line};
use crate::domain::text;
use crate::domain::time::now;
use crate::domain::token::{Role, Token};
use crate::store::Missing;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Make a token and print it, once
    #[command(after_help = "Example:\n  key-service token create --role gateway --name envoy-1")]
    Create {
        /// gateway: the protocol under /v1; admin: everything under /admin/v1; viewer: reading there
        #[arg(long, value_parser = role)]
        role: Role,
        /// Names the holder; stands in the audit log
        #[arg(long, value_parser = text::line)]
        name: String,
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

fn role(text: &str) -> Result<Role, String> {
    Role::parse(text)
}

pub fn run(command: Command, remote: &Remote) -> Outcome {
    block_on(async {
        match command {
            Command::Create {
                role,
                name,
                database,
            } => create(role, &name, remote.json, &database).await,
            Command::List { database } => list(remote.json, &database).await,
            Command::Revoke { name, database } => revoke(&name, remote.json, &database).await,
        }
    })
}

async fn create(role: Role, name: &str, json: bool, database: &Database) -> Outcome {
    let store = database.open(Missing::Create).await?;
    let mut write = store.write("command line", now()).await?;
    if write.token(name).await?.is_some() {
        return Err(Failure::Refused(format!(
            "there is or was a token named {name}: choose another name"
        )));
    }
    let token = Token::generate(role);
    write.put_token(name, role, &token.digest()).await?;
    // Before it is true: a token that nobody got is not made, and its name stays free.
    let text = match json {
        true => output::json_text(&json!({"name": name, "role": role, "token": token.reveal()})),
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
                Column::time("CREATED", "/created_at"),
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
