//! Key services without a gateway, on either engine, as they would be run: what is acknowledged is on the disk.

use std::fs;
use support::failure::Result;
use support::fault_trials::Engine;
use support::key_service::{KeyService, Tokens};
use support::paths;
use support::ports::{self, Port};
use support::postgres::{Server, VERSIONS};
use support::records::credential;
use tempfile::TempDir;

/// One service on a file, or two on a server.
pub struct Services {
    /// The services.
    pub all: Vec<KeyService>,
    _server: Option<Server>,
    _ports: Vec<Port>,
    _folder: TempDir,
}

impl Services {
    /// Starts them on an empty database.
    pub async fn start(engine: Engine) -> Result<Self> {
        let parent = paths::target().join("tests");
        fs::create_dir_all(&parent)?;
        let folder = TempDir::with_prefix_in("figures-", parent)?;
        let server = match engine {
            Engine::Sqlite => None,
            Engine::Postgresql => Some(server()?),
        };
        let ports: Vec<Port> = match &server {
            None => vec![ports::reserve()],
            Some(_) => vec![ports::reserve(), ports::reserve()],
        };
        let tokens = Tokens {
            admin: credential("admin-token"),
            gateway: credential("gateway-token"),
        };
        let location = match &server {
            None => folder.path().join("keys.db").display().to_string(),
            Some(server) => server.url(DATABASE),
        };
        let mut all = Vec::new();
        for port in &ports {
            let port = port.number();
            let folder = folder.path().join(port.to_string());
            fs::create_dir(&folder)?;
            let (program, location, tokens) =
                (paths::key_service()?, location.clone(), tokens.clone());
            all.push(KeyService::start_on(program, port, &folder, location, tokens).await?);
        }
        Ok(Self {
            all,
            _server: server,
            _ports: ports,
            _folder: folder,
        })
    }

    /// The one that is asked.
    pub fn first(&self) -> &KeyService {
        &self.all[0]
    }

    /// The one that is furthest from it.
    pub fn last(&self) -> &KeyService {
        &self.all[self.all.len() - 1]
    }
}

const DATABASE: &str = "keys";

/// A server of the newest version with an empty database, as an operator would leave it: for tests alone, nothing is
/// forced to the disk.
pub fn server() -> Result<Server> {
    let mut server = Server::start(VERSIONS[VERSIONS.len() - 1])?;
    server.set("fsync = on\nfull_page_writes = on\nshared_buffers = 256MB\nmax_wal_size = 2GB")?;
    server.stop()?;
    server.resume()?;
    server.create(DATABASE)?;
    Ok(server)
}

/// Where that database is.
pub fn url(server: &Server) -> String {
    server.url(DATABASE)
}

/// What an engine is called in the tables.
pub fn name(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => "SQLite",
        Engine::Postgresql => "PostgreSQL",
    }
}
