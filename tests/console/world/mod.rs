//! A key service with its console, alone or with a gateway in front, and the people and records that stories need.

mod stories;

pub use stories::{Migration, OffBoarding, Overnight, WrongTenant};

use crate::browser::Browser;
use serde_json::{Value, json};
use std::fs;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use support::client::{Request, Response};
use support::config::{Config, Ports};
use support::failure::Result;
use support::gateway::Gateway;
use support::key_service::{KeyService, Tokens, filter_configuration};
use support::paths;
use support::ports::{self, Port};
use support::postgres::{Server, VERSIONS};
use support::records::credential;
use support::wait;
use tempfile::TempDir;

/// The server that all tests share, where they run on PostgreSQL. It ends with this process.
static SERVER: LazyLock<Option<Server>> = LazyLock::new(|| {
    let named = std::env::var("KEYBOUND_TEST_DATABASE").unwrap_or_default();
    if ["", "sqlite"].contains(&named.as_str()) {
        return None;
    }
    let version = named.strip_prefix("postgresql-").unwrap_or_default();
    assert!(
        VERSIONS.contains(&version),
        "KEYBOUND_TEST_DATABASE={named} is neither sqlite nor postgresql-{{{}}}",
        VERSIONS.join(",")
    );
    Some(Server::start(version).unwrap())
});

/// A running key service. Dropping it ends it, and the gateway with it.
#[derive(Debug)]
pub struct World {
    home: Home,
    /// Its database of PostgreSQL.
    database: Option<String>,
    /// The roles of all tokens that were made.
    holders: Vec<String>,
}

#[derive(Debug)]
enum Home {
    Alone {
        service: Box<KeyService>,
        _folder: TempDir,
        _port: Port,
    },
    Behind(Box<Gateway>),
}

impl World {
    /// A key service alone, which knows the policies of the gateway: for what is about pages.
    pub async fn start() -> Self {
        let database = database();
        let home = alone(database.as_deref()).await;
        let home = home.unwrap_or_else(|error| panic!("{error}"));
        Self {
            home,
            database,
            holders: Vec::new(),
        }
    }

    /// A key service and an Envoy with the filter that asks it: for what pages change at the gateway.
    pub async fn with_gateway() -> Self {
        let database = database();
        let builder = Gateway::real().settings(settings());
        let builder = match &database {
            Some(name) => builder.records_in(&url(name)),
            None => builder,
        };
        let gateway = Box::new(builder.start().await);
        Self {
            home: Home::Behind(gateway),
            database,
            holders: Vec::new(),
        }
    }

    /// The key service.
    pub fn service(&mut self) -> &mut KeyService {
        match &mut self.home {
            Home::Alone { service, .. } => service,
            Home::Behind(gateway) => gateway.key_service(),
        }
    }

    /// The gateway.
    ///
    /// # Panics
    /// When there is none.
    pub fn gateway(&self) -> &Gateway {
        match &self.home {
            Home::Alone { .. } => panic!("this world has no gateway"),
            Home::Behind(gateway) => gateway,
        }
    }

    /// A browser in which nobody has signed in.
    pub async fn browser(&mut self) -> Browser {
        Browser::start(self.service().port()).await
    }

    /// A browser in which somebody with a token of this role has signed in, for instance
    /// `&["admin"]` or `&["developer", "--user", "usr_1"]`.
    pub async fn signed_in(&mut self, role: &[&str]) -> Browser {
        let token = self.token(role);
        let browser = self.browser().await;
        sign_in(&browser, &token).await;
        browser
    }

    /// Makes a token of this role. Its holder is called as the role is, and one more of the same with a number.
    ///
    /// # Panics
    /// When it is not made.
    pub fn token(&mut self, role: &[&str]) -> String {
        let others = self.holders.iter().filter(|holder| *holder == role[0]);
        let name = match others.count() {
            0 => role[0].to_owned(),
            others => format!("{}-{}", role[0], others + 1),
        };
        self.holders.push(role[0].to_owned());
        let create = ["token", "create", "--name", &name, "--role"];
        let made = self.service().command(&[&create[..], role].concat());
        let token = made.unwrap_or_else(|error| panic!("{error}"))["token"].take();
        let token = token.as_str().expect("a token").to_owned();
        self.hides(&token);
        token
    }

    /// What must not be in Envoy's logs.
    pub fn hides(&self, secret: &str) {
        if let Home::Behind(gateway) = &self.home {
            gateway.secret(secret);
        }
    }

    /// Calls the admin API, and takes anything but success for a failure of the test.
    pub async fn must(&mut self, method: &str, path: &str, body: Value) -> Value {
        let answer = self.service().must(method, path, Some(&body)).await;
        answer.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Sends a request through the gateway until it is refused with this code; until it passes where there is none.
    pub async fn answered(&self, request: &Request, code: Option<&str>) -> Response {
        let gateway = self.gateway();
        wait::until(&format!("the answer to be {code:?}"), async || {
            let answer = gateway.send(request).await;
            match (answer.header("x-keybound-code"), answer.status) {
                (None, 200) if code.is_none() => Ok(answer),
                (seen, _) if code.is_some() && seen == code => Ok(answer),
                _ => Err(format!("{} {}", answer.status, answer.text())),
            }
        })
        .await
        .unwrap_or_else(|error| panic!("{error}"))
    }

    /// The line of the access log of the only request for this path, as an operator copies it.
    pub async fn log_line(&self, path: &str) -> String {
        self.gateway().logged(path).await.to_string()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // With the service still connected; it is gone a moment later.
        if let (Some(server), Some(name)) = (SERVER.as_ref(), &self.database) {
            let _ = server.remove(name);
        }
    }
}

/// Signs in by the page that everybody signs in by.
pub async fn sign_in(browser: &Browser, token: &str) {
    browser.open("/console/sign-in").await;
    browser.fill("Token", token).await;
    browser.click("Sign in").await;
}

/// A request with a key.
pub fn with_key(request: Request, key: &str) -> Request {
    request.header("authorization", format!("Bearer {key}"))
}

fn url(database: &str) -> String {
    let server = SERVER.as_ref().expect("the tests run on PostgreSQL");
    server.url(database)
}

/// Makes a database, where the tests run on PostgreSQL.
fn database() -> Option<String> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let server = SERVER.as_ref()?;
    let name = format!("console_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    server
        .create(&name)
        .unwrap_or_else(|error| panic!("{error}"));
    Some(name)
}

async fn alone(database: Option<&str>) -> Result<Home> {
    let parent = paths::target().join("tests");
    fs::create_dir_all(&parent)?;
    let folder = TempDir::with_prefix_in("console-", parent)?;
    // Nobody starts this filter: what counts are its policies.
    let mut config = Config::shipped(Ports::SHIPPED, folder.path())?;
    config.merge_settings(&settings());
    fs::write(filter_configuration(folder.path()), config.filter_text())?;
    let location = match database {
        Some(name) => url(name),
        None => folder.path().join("keys.db").display().to_string(),
    };
    let tokens = Tokens {
        admin: credential("admin-token"),
        gateway: credential("gateway-token"),
    };
    let port = ports::reserve();
    let program = paths::key_service()?;
    let service =
        KeyService::start_on(program, port.number(), folder.path(), location, tokens).await?;
    Ok(Home::Alone {
        service: Box::new(service),
        _folder: folder,
        _port: port,
    })
}

/// The settings of the filter that all stories share.
fn settings() -> Value {
    json!({
        // On a slow machine the key service may take its time.
        "key_service": {"timeout": "5s"},
        "credentials": [{"bearer": "authorization"}],
        "usage": {"every": "1s"},
        "policies": {
            "read-stock": {"environment": "live", "scopes": {"all": ["stock:read"]}},
            "reports": {"api": "reports"},
            "write-stock": {"environment": "live", "scopes": {"all": ["stock:write"]}},
            "summaries": {
                "tenant": {"value": stories::CONTENT}, "scopes": {"all": ["summaries:create"]},
            },
        },
        "routes": [
            {"match": {"prefix": "/stock", "methods": ["GET"]}, "policy": "read-stock"},
            {"match": {"prefix": "/stock"}, "policy": "write-stock"},
            {"match": {"prefix": "/reports"}, "policy": "reports"},
            {"match": {"prefix": "/v1/summaries"}, "policy": "summaries"},
        ],
    })
}
