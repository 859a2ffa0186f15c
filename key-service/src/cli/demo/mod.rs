//! `key-service demo`: tenants, users and keys for every case that a gateway can meet.

mod cases;
mod made_up_use;

use super::client::Remote;
use super::database::{Database, Pepper, block_on};
use super::outcome::{Failure, Outcome};
use super::output::{self, Column};
use crate::domain::audit::Action;
use crate::domain::key::Key;
use crate::domain::tenant::{Tenant, TenantStatus};
use crate::domain::time::now;
use crate::domain::user::{User, UserKind, UserStatus};
use crate::store::{Missing, Write};
use cases::{CASES, LONG_AGO, Special, TENANTS, USERS};

#[derive(clap::Args)]
#[command(
    after_help = "The keys are the same on every run and known to everybody. Running it again changes nothing, \
    except that the keys which are about to expire are kept about to expire. --json prints a list of case, key, \
    expect_status, expect_code and note."
)]
pub struct Arguments {
    #[command(flatten)]
    database: Database,
    #[command(flatten)]
    pepper: Pepper,
    /// Make up a week of use and refusals as well, for the charts of the console
    #[arg(long)]
    with_use: bool,
}

pub fn run(arguments: &Arguments, remote: &Remote) -> Outcome {
    block_on(fill(arguments))?;
    let cases: Vec<serde_json::Value> = CASES
        .iter()
        .map(|case| {
            serde_json::json!({
                "case": case.name,
                "key": case.credential().reveal(),
                "expect_status": case.expect_status(),
                "expect_code": case.code,
                "note": case.note,
            })
        })
        .collect();
    if remote.json {
        output::json(&cases.into());
        return Ok(());
    }
    output::note(
        "DEMO DATA: these keys are published with the source. Never use this database for anything real.\n",
    );
    output::table(
        &cases,
        &[
            Column::text("CASE", "/case"),
            Column::text("KEY", "/key"),
            Column::text("STATUS", "/expect_status"),
            Column::text("CODE", "/expect_code"),
            Column::text("NOTE", "/note"),
        ],
    );
    Ok(())
}

async fn fill(arguments: &Arguments) -> Outcome {
    let digester = arguments.pepper.digester()?;
    let store = arguments.database.open(Missing::Create).await?;
    let now = now();
    let mut write = store.write("demo", now).await?;
    for &(id, name, status) in TENANTS {
        put_tenant(&mut write, id, name, status).await?;
    }
    for &(id, tenant, status) in USERS {
        put_user(&mut write, id, tenant, status).await?;
    }
    for case in CASES {
        if matches!(case.special, Special::NotStored) {
            continue;
        }
        let mut key = case.key(&case.credential(), &digester);
        let before = write.by_id::<Key>(&key.id).await?;
        case.special
            .apply(&mut key, before.as_ref(), now)
            .map_err(Failure::Refused)?;
        if let Some(before) = &before {
            (key.version, key.created_at, key.updated_at) =
                (before.version, before.created_at, before.updated_at);
        }
        write.put(Action::Create, before.as_ref(), key).await?;
    }
    if arguments.with_use {
        made_up_use::count(&mut write).await?;
    }
    write.commit().await?;
    store.close().await;
    Ok(())
}

async fn put_tenant(write: &mut Write, id: &str, name: &str, status: TenantStatus) -> Outcome {
    let before = write.by_id::<Tenant>(id).await?;
    let tenant = Tenant {
        id: id.to_owned(),
        version: before.as_ref().map_or(0, |before| before.version),
        name: Some(name.to_owned()),
        status,
        created_at: before.as_ref().map_or(LONG_AGO, |before| before.created_at),
        updated_at: before.as_ref().map_or(LONG_AGO, |before| before.updated_at),
    };
    write.put(Action::Create, before.as_ref(), tenant).await?;
    Ok(())
}

async fn put_user(write: &mut Write, id: &str, tenant: &str, status: UserStatus) -> Outcome {
    let before = write.by_id::<User>(id).await?;
    let user = User {
        id: id.to_owned(),
        version: before.as_ref().map_or(0, |before| before.version),
        tenant_id: Some(tenant.to_owned()),
        name: Some(format!("Demo user, {}", status.word())),
        status,
        scopes: None,
        apis: None,
        created_at: before.as_ref().map_or(LONG_AGO, |before| before.created_at),
        updated_at: before.as_ref().map_or(LONG_AGO, |before| before.updated_at),
        kind: UserKind::Person,
        login: None,
        login_key: None,
        external_id: None,
        display_name: None,
        contact: None,
        status_held: None,
    };
    write.put(Action::Create, before.as_ref(), user).await?;
    Ok(())
}
