//! `key-service serve`.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tracing_subscriber::EnvFilter;

use super::connection;
use super::console::Console;
use super::database::{Database, Pepper, open_when_there};
use super::listen::Listen;
use super::outcome::{Failure, Outcome};
use super::output::deliver;
use crate::domain::credential::Digester;
use crate::domain::time::{DAY, duration, now};
use crate::domain::token::{Role, Token, TokenEntry};
use crate::filter::Filter;
use crate::http::{self, ScannerKeys, Settings};
use crate::store::Store;
use crate::store::location::{CONNECTIONS, FEWEST_CONNECTIONS};
use crate::store::retention::Retention;
use crate::webhooks::{Client, MasterKey, Webhooks};

/// Requests under way at a stop get this long to finish.
const LONGEST_STOP: Duration = Duration::from_secs(10);
/// How often it is asked whether the database takes writes, where that is in doubt.
const PROBES: Duration = Duration::from_secs(1);
/// How often what is older than it is kept for is taken out.
const PRUNINGS: Duration = Duration::from_secs(3600);

const HELP: &str = "\
On the first start, an admin token is made and printed to stdout, once. Set KEYBOUND_ADMIN_TOKEN \
(20 characters or more) to choose it yourself, and KEYBOUND_GATEWAY_TOKEN to register a gateway's \
token likewise; a changed value replaces the one before. More tokens: key-service token create.";

#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Arguments {
    /// Address or name, and port, to listen on; a port alone is for this machine only, :8081 for every
    /// address of it. Port 0 takes a free one, which is printed
    #[arg(
        long,
        env = "KEYBOUND_LISTEN",
        default_value = "127.0.0.1:8081",
        value_name = "ADDRESS"
    )]
    listen: Listen,
    #[command(flatten)]
    database: Database,
    /// Connections to PostgreSQL at most: two listen and look, two write, the others read
    #[arg(
        long,
        env = "KEYBOUND_DATABASE_CONNECTIONS",
        default_value_t = CONNECTIONS,
        value_name = "COUNT",
        value_parser = clap::value_parser!(u32).range(i64::from(FEWEST_CONNECTIONS)..=1000)
    )]
    database_connections: u32,
    /// How long entries of the audit log are kept, 30d or more, such as 400d; forever keeps all
    #[arg(
        long,
        env = "KEYBOUND_AUDIT_RETENTION",
        default_value = "forever",
        value_name = "SPAN",
        value_parser = kept
    )]
    audit_retention: Kept,
    /// How long counts of use are kept, 30d or more; forever keeps all
    #[arg(
        long,
        env = "KEYBOUND_USAGE_RETENTION",
        default_value = "400d",
        value_name = "SPAN",
        value_parser = kept
    )]
    usage_retention: Kept,
    #[command(flatten)]
    pepper: Pepper,
    /// The filter's configuration, by which explain finds the verdicts: the JSON that Envoy hands to
    /// the plugin, or a file that holds it (Envoy's, a WasmPlugin, an EnvoyExtensionPolicy). Without it,
    /// what depends on a policy is not known. Variables that it names need not be set here: digests are
    /// made with --pepper-env
    #[arg(long, env = "KEYBOUND_FILTER_CONFIG", value_name = "FILE")]
    filter_config: Option<PathBuf>,
    /// The public keys of a scanner that reports leaked keys to /leaks/v1/secret-scanning, as GitHub publishes them at
    /// api.github.com/meta/public_keys/secret_scanning. A file that is replaced counts at once. Without it, that
    /// path is not there
    #[arg(long, env = "KEYBOUND_LEAK_SCANNER_KEYS", value_name = "FILE")]
    leak_scanner_keys: Option<PathBuf>,
    /// Name of the environment variable that holds the key from which the secrets of webhooks are derived, 32 characters
    /// or more. Without it no webhook can be made, and none is told of anything. With another key, all have other secrets
    #[arg(long, env = "KEYBOUND_WEBHOOK_KEY_ENV", value_name = "VARIABLE")]
    webhook_key_env: Option<String>,
    /// Send messages to private addresses too, and without TLS: for receivers in the network of the service
    #[arg(long, env = "KEYBOUND_WEBHOOK_ALLOW_PRIVATE")]
    webhook_allow_private: bool,
    #[command(flatten)]
    console: Console,
    /// How logs are written to stderr
    #[arg(long, env = "KEYBOUND_LOG_FORMAT", default_value = "text")]
    log_format: LogFormat,
    /// error, warn, info, debug or trace, or a filter such as key_service=debug
    #[arg(long, env = "RUST_LOG", default_value = "info", value_name = "FILTER")]
    log_level: String,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

/// A span, or for ever.
#[derive(Clone, Copy)]
struct Kept(Option<i64>);

/// Days of use that are shown, and what an audit is for at least.
const KEPT_AT_LEAST: i64 = 30 * DAY;

fn kept(text: &str) -> Result<Kept, String> {
    if text == "forever" {
        return Ok(Kept(None));
    }
    match duration(text)? {
        kept if kept < KEPT_AT_LEAST => Err("must be 30d or more, or forever".to_owned()),
        kept => Ok(Kept(Some(kept))),
    }
}

pub fn run(arguments: Arguments, as_json: bool) -> Outcome {
    start_logging(&arguments)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Refused(format!("cannot start: {error}")))?;
    let outcome = runtime.block_on(serve(arguments, as_json));
    // A receiver that does not answer must not hold up the end: the message is sent again by whoever comes next.
    runtime.shutdown_background();
    outcome
}

fn start_logging(arguments: &Arguments) -> Outcome {
    let filter = EnvFilter::try_new(&arguments.log_level)
        .map_err(|error| Failure::Usage(format!("--log-level or RUST_LOG: {error}")))?;
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // It would be told on stderr, and a stderr that cannot be written, on a full disk say, is a panic.
        .log_internal_errors(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match arguments.log_format {
        LogFormat::Text => logs.init(),
        LogFormat::Json => logs.json().init(),
    }
    Ok(())
}

async fn serve(arguments: Arguments, as_json: bool) -> Outcome {
    // A file that may not grow is then an error of the write, as a full disk is, and not the end.
    let _too_large = signal(SignalKind::from_raw(libc::SIGXFSZ))
        .map_err(|error| Failure::Refused(format!("cannot wait for signals: {error}")))?;
    // Before anything is announced: who starts the service may stop it the moment it listens.
    let stop_signal = stop_signal()?;
    tokio::pin!(stop_signal);
    let digester = arguments.pepper.digester()?;
    let filter = filter(&arguments, &digester)?;
    let scanner_keys = arguments.leak_scanner_keys.as_deref();
    let scanner_keys = scanner_keys
        .map(ScannerKeys::open)
        .transpose()
        .map_err(|error| Failure::Usage(format!("--leak-scanner-keys: {error}")))?;
    let webhooks = webhooks(&arguments)?;
    let console = arguments.console.settings()?;
    let tls = match webhooks {
        Some(_) => Some(connection::tls()?),
        None => None,
    };
    // The address first: without it, no database is made and no token is printed in vain.
    let listener = arguments.listen.bind().await.map_err(|error| {
        Failure::Refused(format!(
            "cannot listen on {}: {error}. Stop what uses that address, or choose another with --listen",
            arguments.listen
        ))
    })?;
    let address = listener.local_addr().map_err(|error| {
        Failure::Refused(format!("cannot listen on {}: {error}", arguments.listen))
    })?;
    let database = arguments.database.database.clone();
    let database = database.with_connections(arguments.database_connections);
    let settings = Settings {
        digester,
        filter: Arc::new(filter),
        scanner_keys: scanner_keys.map(Arc::new),
        webhooks: webhooks.clone(),
        console,
        ..Settings::default()
    };
    let head_timeout = settings.head_timeout;
    let not_cloned = |error| Failure::Refused(format!("cannot listen twice: {error}"));
    let (waiting, listener) = twice(listener).map_err(not_cloned)?;
    let (opened, is_opened) = watch::channel(false);
    let told = http::serve(waiting, http::waiting(), head_timeout, is_opened);
    let open = async {
        let store = open_when_there(database).await;
        let _ = opened.send(true);
        store
    };
    let store = tokio::select! {
        (store, ()) = async { tokio::join!(open, told) } => store?,
        name = &mut stop_signal => {
            tracing::info!(signal = name, "stopped while the database was away");
            return Ok(());
        }
    };
    register_tokens(&store, as_json).await?;

    let (stop, stopping) = watch::channel(false);
    let router = http::router(store.clone(), settings, stopping.clone());
    let server = http::serve(listener, router, head_timeout, stopping);
    tokio::pin!(server);
    tracing::info!(%address, database = %arguments.database.database, "listening");
    let url = format!("http://{address}");
    let line = match as_json {
        true => json!({"listening": url}).to_string(),
        false => format!("listening on {url}"),
    };
    // The log says it too.
    let _ = deliver(&line);
    if store.sequence() == 0 {
        tracing::warn!(
            database = %arguments.database.database,
            "nothing was ever written to this database: if there ought to be keys in it, its volume is not \
             mounted. Until a tenant, user or key is written, gateways are answered 503 instead of \
             \"unknown\""
        );
    }

    let follower = tokio::spawn({
        let store = store.clone();
        async move { store.follow().await }
    });
    let prober = tokio::spawn(probe(store.clone()));
    let retention = Retention {
        audit: arguments.audit_retention.0,
        usage: arguments.usage_retention.0,
    };
    let sender = webhooks.zip(tls).map(|(webhooks, tls)| {
        let client = Client::new(&webhooks, tls);
        tokio::spawn(crate::webhooks::run(store.clone(), webhooks, client))
    });
    let pruner = tokio::spawn(prune(store.clone(), retention));
    tokio::select! {
        () = &mut server => {}
        name = &mut stop_signal => {
            tracing::info!(signal = name, "stopping");
            let _ = stop.send(true);
            if tokio::time::timeout(LONGEST_STOP, &mut server).await.is_err() {
                tracing::warn!("some requests did not finish in time and were cut off");
            }
        }
    }
    follower.abort();
    prober.abort();
    pruner.abort();
    if let Some(sender) = sender {
        sender.abort();
    }
    store.close().await;
    tracing::info!("stopped");
    Ok(())
}

fn filter(arguments: &Arguments, digester: &Digester) -> Result<Filter, Failure> {
    let Some(path) = &arguments.filter_config else {
        return Ok(Filter::default());
    };
    let text = std::fs::read(path).map_err(|error| {
        Failure::Usage(format!(
            "cannot read the filter's configuration {}: {error}",
            path.display()
        ))
    })?;
    let filter = Filter::parse(&text)
        .map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))?;
    if filter.peppers_otherwise(digester) {
        tracing::warn!(
            "one of the filter's digest.pepper_env and the service's --pepper-env is given and the \
             other is not: gateways would find no key"
        );
    }
    Ok(filter)
}

/// What it takes to send messages to webhooks.
fn webhooks(arguments: &Arguments) -> Result<Option<Arc<Webhooks>>, Failure> {
    let Some(name) = &arguments.webhook_key_env else {
        return Ok(None);
    };
    let text = std::env::var(name).map_err(|_| {
        Failure::Usage(format!(
            "the environment variable {name}, named by --webhook-key-env, is not set"
        ))
    })?;
    let master = MasterKey::new(&text)
        .map_err(|error| Failure::Usage(format!("{name}, named by --webhook-key-env, {error}")))?;
    Ok(Some(Arc::new(Webhooks {
        master,
        allow_private: arguments.webhook_allow_private,
    })))
}

/// Makes sure that somebody can use the service: the tokens of the environment are registered, and
/// where there has never been an admin's, one is made.
async fn register_tokens(store: &Store, as_json: bool) -> Outcome {
    register(store, Role::Admin, "KEYBOUND_ADMIN_TOKEN").await?;
    register(store, Role::Gateway, "KEYBOUND_GATEWAY_TOKEN").await?;
    let tokens = store.tokens().await?;
    let of_all =
        |token: &TokenEntry| token.grant.role == Role::Admin && token.grant.tenant_id.is_none();
    if !tokens.iter().any(of_all) {
        let mut write = store.write("first start", now()).await?;
        // Another service that starts at the same moment may have made one since.
        if write.token(FIRST_ADMIN).await?.is_some() {
            return Ok(());
        }
        let token = Token::generate(Role::Admin);
        write
            .put_token(FIRST_ADMIN, Role::Admin, &token.digest())
            .await?;
        // Before it is true: the next start makes one that somebody sees.
        let line = match as_json {
            true => json!({"admin_token": token.reveal()}).to_string(),
            false => format!("admin token, shown this once: {}", token.reveal()),
        };
        deliver(&line).map_err(|error| {
            Failure::Refused(format!(
                "the admin token could not be written to standard output ({error}), so none was made. \
                 Start with another output, or set KEYBOUND_ADMIN_TOKEN"
            ))
        })?;
        write.commit().await?;
    }
    if !tokens
        .iter()
        .any(|token| token.grant.role == Role::Gateway && token.revoked_at.is_none())
    {
        tracing::warn!(
            "there is no gateway token, so every gateway is refused: make one with \
             key-service token create --role gateway, or set KEYBOUND_GATEWAY_TOKEN"
        );
    }
    Ok(())
}

/// The name of the token that the first start makes.
const FIRST_ADMIN: &str = "first-admin";

async fn register(store: &Store, role: Role, variable: &str) -> Outcome {
    let Some(text) = std::env::var_os(variable).filter(|text| !text.is_empty()) else {
        return Ok(());
    };
    let token = text
        .to_str()
        .ok_or_else(|| "may hold only visible ASCII characters, no spaces".to_owned())
        .and_then(Token::chosen)
        .map_err(|message| Failure::Usage(format!("{variable} {message}")))?;
    let name = format!("{}-from-environment", role.as_str());
    // Where it is there already, a database that takes no writes at the moment is enough.
    let known = store.token(&token.digest(), now()).await?;
    if known.is_some_and(|known| known.name == name && known.grant == role.into()) {
        return Ok(());
    }
    let mut write = store.write("environment", now()).await?;
    if !write.put_token(&name, role, &token.digest()).await? {
        return Err(Failure::Usage(format!(
            "{variable} holds a token that is registered under another name: use another token"
        )));
    }
    write.commit().await?;
    Ok(())
}

/// Two of one: what is answered before there is a database, and what after.
fn twice(listener: TcpListener) -> std::io::Result<(TcpListener, TcpListener)> {
    let listener = listener.into_std()?;
    Ok((
        TcpListener::from_std(listener.try_clone()?)?,
        TcpListener::from_std(listener)?,
    ))
}

/// Takes out what is older than it is kept for.
async fn prune(store: Store, retention: Retention) {
    let mut ticks = tokio::time::interval(PRUNINGS);
    loop {
        ticks.tick().await;
        if let Err(error) = store.prune(retention, now()).await {
            tracing::warn!(%error, "what is older than it is kept for was not taken out; tried again in an hour");
        }
    }
}

/// Knows of a full disk before somebody has to be stopped.
async fn probe(store: Store) {
    let mut ticks = tokio::time::interval(PROBES);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        store.probe().await;
    }
}

/// Listens for both signals from now on, and gives what comes when one does.
pub fn stop_signal() -> Result<impl Future<Output = &'static str>, Failure> {
    let listen = |kind| {
        signal(kind).map_err(|error| Failure::Refused(format!("cannot wait for signals: {error}")))
    };
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    })
}
