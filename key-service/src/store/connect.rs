//! Connecting to PostgreSQL, and bringing the tables up to date. No error repeats the URL.

use std::str::FromStr;
use std::time::Duration;

use sqlx::migrate::{Migrate as _, MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::time::timeout;

use super::error::{OpenError, StoreError, sql_state};

/// How the tables came to be.
static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgresql");
/// How long the first connection may take.
const LONGEST: Duration = Duration::from_secs(10);
/// Migrations from each multiple of this on are those that older services do not survive.
const GENERATION: i64 = 1000;

/// Parameters of a URL that are taken. Of others the library would write the value to the log.
const PARAMETERS: [&str; 12] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "user",
];

/// How to connect. The error does not repeat the URL.
pub(super) fn options(url: &str) -> Result<PgConnectOptions, String> {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let query = query.split_once('#').map_or(query, |(query, _)| query);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let name = pair.split_once('=').map_or(pair, |(name, _)| name);
        let known = PARAMETERS.contains(&name) || name.starts_with("options[");
        if !known {
            return Err(format!(
                "the URL of the database has a parameter that is not known, or a password in which ? is not \
                 written as %3F; parameters are {}",
                PARAMETERS.join(", ")
            ));
        }
    }
    let options = PgConnectOptions::from_str(url).map_err(|_| {
        "the URL of the database is not postgres://USER@HOST:PORT/DATABASE, or one of its parameters has no such \
         value; in a password, / is written as %2F, @ as %40"
            .to_owned()
    })?;
    Ok(options
        .application_name("key-service")
        // Where somebody wants to see them, the server tells of slow statements.
        .log_slow_statements(tracing::log::LevelFilter::Off, Duration::ZERO))
}

/// Opens the first connection.
pub(super) async fn connect(options: &PgConnectOptions) -> Result<PgConnection, OpenError> {
    let Ok(connected) = timeout(LONGEST, PgConnection::connect_with(options)).await else {
        let line = format!(
            "the database's server did not answer in {} s",
            LONGEST.as_secs()
        );
        return Err(OpenError::Away(line));
    };
    connected.map_err(|error| {
        let line = cannot_connect(&error);
        // A certificate does not get better by itself.
        let is_tls = matches!(error, sqlx::Error::Tls(_));
        match StoreError::from(error) {
            StoreError::Away(_) if !is_tls => OpenError::Away(line),
            _ => OpenError::Refused(line),
        }
    })
}

/// Brings the tables up to date, one service at a time.
pub(super) async fn prepare(connection: &mut PgConnection, create: bool) -> Result<(), String> {
    let unreadable = |error: sqlx::Error| format!("cannot read the database: {error}");
    let encoding: String = sqlx::query_scalar("SHOW server_encoding")
        .fetch_one(&mut *connection)
        .await
        .map_err(unreadable)?;
    if encoding != "UTF8" {
        return Err(format!(
            "the database has the encoding {encoding}: make one with ENCODING 'UTF8'"
        ));
    }
    let made: bool = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await
        .map_err(unreadable)?;
    if !made && !create {
        return Err(
            "the database holds nothing of a key service: check --database, or start the service once"
                .to_owned(),
        );
    }
    let mut applied = Vec::new();
    if made {
        let found = connection.list_applied_migrations("_sqlx_migrations").await;
        applied = found.map_err(|error| format!("cannot read the database: {error}"))?;
    }
    let ours = MIGRATIONS.iter().map(|migration| migration.version);
    let generation = ours.clone().max().unwrap_or(0) / GENERATION;
    if applied
        .iter()
        .any(|other| other.version / GENERATION > generation)
    {
        return Err(
            "the database was written by a newer key-service, which this version does not survive: use that version"
                .to_owned(),
        );
    }
    // A role that may make no tables, and a database that takes no writes, are enough where there is nothing to do.
    if ours
        .clone()
        .all(|version| applied.iter().any(|other| other.version == version))
    {
        return Ok(());
    }
    let mut migrator = Migrator {
        migrations: MIGRATIONS.migrations.clone(),
        ..Migrator::DEFAULT
    };
    migrator.set_ignore_missing(true);
    migrator.run(&mut *connection).await.map_err(|error| match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)
            if sql_state(&error) == Some("42501") =>
        {
            "the role may make no tables in the database: make it the database's owner, or grant it CREATE on the \
             schema"
                .to_owned()
        }
        other => format!("cannot bring the database up to date: {other}"),
    })
}

/// What to do where there is no connection.
fn cannot_connect(error: &sqlx::Error) -> String {
    match sql_state(error) {
        Some("28P01" | "28000") => format!(
            "the database does not let this role in ({error}): check user and password, in the URL, PGPASSWORD or \
             the file that PGPASSFILE names, and the server's pg_hba.conf"
        ),
        Some("3D000") => {
            format!("there is no such database ({error}): make it with CREATE DATABASE")
        }
        Some("53300") => {
            format!("the database has too many connections ({error}): see --database-connections")
        }
        _ => format!("cannot connect to the database: {error}"),
    }
}
