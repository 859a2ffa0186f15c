//! A running service, and the few words in which the tests talk to it.

use std::path::PathBuf;
use std::time::Duration;

use key_service::domain::credential::Credential;
use key_service::domain::time::now;
use key_service::domain::token::{Role, Token};
use key_service::http::{Settings, router, serve};
use key_service::store::{Location, Missing, Store, Write};
use serde_json::{Value, json};
use sqlx::{Connection as _, SqliteConnection};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::engine::{self, Database};

/// The service on a port of its own. Tests are plain threads; it has its own.
pub struct Service {
    pub url: String,
    pub store: Store,
    pub admin: Token,
    pub viewer: Token,
    pub gateway: Token,
    /// What a stop does to requests; the listener goes on.
    pub stop: watch::Sender<bool>,
    _listening: watch::Sender<bool>,
    folder: TempDir,
    /// Before the database: its connections end first.
    runtime: Runtime,
    database: Option<Database>,
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: ureq::http::HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|error| panic!("{error} in {:?}", self.text))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The body of an answer that must have this status.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.json()
    }

    /// The wrong fields of a problem that must have this status.
    #[track_caller]
    pub fn problem(&self, status: u16) -> Vec<String> {
        let body = self.expect(status);
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(body["status"], status);
        assert_eq!(
            body["type"],
            format!("urn:keybound:problem:{}", body["code"].as_str().unwrap())
        );
        assert!(body["title"].is_string() && body["detail"].is_string());
        let errors = body["errors"].as_array().cloned().unwrap_or_default();
        errors
            .iter()
            .map(|error| error["field"].as_str().unwrap().to_owned())
            .collect()
    }
}

impl Service {
    pub fn start() -> Self {
        Self::start_with(Settings::default())
    }

    pub fn start_with(settings: Settings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (database, location) = engine::database(folder.path());
        let tokens = [Role::Admin, Role::Viewer, Role::Gateway].map(Token::generate);
        Self::start_on(settings, folder, (database, location), tokens)
    }

    /// Another service on the same database, which is PostgreSQL's. It ends before the first.
    pub fn replica(&self) -> Self {
        let location = Location::from(self.database().url().as_str());
        let tokens = [&self.admin, &self.viewer, &self.gateway].map(Token::clone);
        let folder = tempfile::tempdir().unwrap();
        Self::start_on(Settings::default(), folder, (None, location), tokens)
    }

    fn start_on(
        settings: Settings,
        folder: TempDir,
        (database, location): (Option<Database>, Location),
        [admin, viewer, gateway]: [Token; 3],
    ) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let (stop, stopping) = watch::channel(false);
        let (listening, closing) = watch::channel(false);
        let (store, url) = runtime.block_on(async {
            let store = Store::open(location, Missing::Create).await.unwrap();
            if engine::is_postgresql() {
                let store = store.clone();
                tokio::spawn(async move { store.follow().await });
            }
            let mut write = store.write("test", now()).await.unwrap();
            for (name, role, token) in [
                ("anna", Role::Admin, &admin),
                ("vera", Role::Viewer, &viewer),
                ("envoy", Role::Gateway, &gateway),
            ] {
                assert!(write.put_token(name, role, &token.digest()).await.unwrap());
            }
            write.commit().await.unwrap();
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            let head_timeout = settings.head_timeout;
            let router = router(store.clone(), settings, stopping);
            tokio::spawn(serve(listener, router, head_timeout, closing));
            (store, url)
        });
        Self {
            url,
            store,
            admin,
            viewer,
            gateway,
            stop,
            _listening: listening,
            folder,
            runtime,
            database,
        }
    }

    /// With the records that most tests need: tenant `ten_a`, its user `usr_a`.
    pub fn furnished() -> Self {
        let service = Self::start();
        service
            .post("/admin/v1/tenants", &json!({"id": "ten_a"}))
            .expect(201);
        service
            .post(
                "/admin/v1/users",
                &json!({"id": "usr_a", "tenant_id": "ten_a"}),
            )
            .expect(201);
        service
    }

    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// Its database, where the tests run on PostgreSQL.
    pub fn database(&self) -> &Database {
        self.database.as_ref().unwrap()
    }

    /// Another program that writes to its database.
    pub fn execute(&self, sql: &str) {
        if let (Some(server), Some(database)) = (engine::server(), &self.database) {
            server.ask(&database.name, sql).unwrap();
            return;
        }
        let path = self.folder.path().join("keybound.db");
        Runtime::new().unwrap().block_on(async {
            let mut connection = SqliteConnection::connect(path.to_str().unwrap())
                .await
                .unwrap();
            let sql = sqlx::AssertSqlSafe(sql.to_owned());
            sqlx::query(sql).execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
        });
    }

    pub fn send(
        &self,
        method: &str,
        path: &str,
        token: Option<&Token>,
        body: Option<&[u8]>,
    ) -> Answer {
        let authorization = token.map(|token| format!("Bearer {}", token.reveal()));
        let mut headers = vec![("content-type", "application/json")];
        headers.extend(
            authorization
                .as_deref()
                .map(|value| ("authorization", value)),
        );
        self.send_with(method, path, &headers, body)
    }

    pub fn send_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Answer {
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            // The console's tests want to see where they are sent.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .build()
            .into();
        let response = match body {
            Some(body) => agent.run(request.body(body).unwrap()),
            None => agent.run(request.body(()).unwrap()),
        };
        let mut response = response.unwrap();
        Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: response.body_mut().read_to_string().unwrap(),
        }
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, Some(&self.admin), None)
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(
            "POST",
            path,
            Some(&self.admin),
            Some(body.to_string().as_bytes()),
        )
    }

    pub fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send(
            "PATCH",
            path,
            Some(&self.admin),
            Some(body.to_string().as_bytes()),
        )
    }

    pub fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, Some(&self.admin), None)
    }

    /// Imports keys, one a line.
    pub fn import(&self, lines: &str) -> Answer {
        let authorization = format!("Bearer {}", self.admin.reveal());
        let headers = [
            ("authorization", authorization.as_str()),
            ("content-type", "application/x-ndjson"),
        ];
        self.send_with(
            "POST",
            "/admin/v1/keys/import",
            &headers,
            Some(lines.as_bytes()),
        )
    }

    /// Makes a key of `usr_a` with these further fields.
    pub fn make_key(&self, fields: &Value) -> Value {
        let mut body = json!({"user_id": "usr_a", "environment": "live"});
        for (name, value) in fields.as_object().unwrap() {
            body[name] = value.clone();
        }
        self.post("/admin/v1/keys", &body).expect(201)
    }

    pub fn resolve(&self, digests: &[&str]) -> Value {
        let body = json!({"digests": digests}).to_string();
        self.send(
            "POST",
            "/v1/resolve",
            Some(&self.gateway),
            Some(body.as_bytes()),
        )
        .expect(200)
    }

    pub fn changes(&self, query: &str) -> Value {
        self.send(
            "GET",
            &format!("/v1/changes{query}"),
            Some(&self.gateway),
            None,
        )
        .expect(200)
    }

    /// Does something with the store.
    pub fn wait_for<T>(&self, work: impl AsyncFnOnce() -> T) -> T {
        self.runtime.block_on(work())
    }

    /// Does something in one write that the admin API would not do.
    pub fn write(&self, work: impl AsyncFnOnce(&mut Write)) {
        self.runtime.block_on(async {
            let mut write = self.store.write("test", now()).await.unwrap();
            work(&mut write).await;
            write.commit().await.unwrap();
        });
    }
}

/// Asserts that a record has all these fields; it may have more.
#[track_caller]
pub fn assert_holds(record: &Value, fields: &Value) {
    for (name, value) in fields.as_object().unwrap() {
        assert_eq!(&record[name], value, "{name}");
    }
}

/// The digest of a key in clear, without a pepper.
pub fn digest(secret: &Value) -> String {
    let credential = Credential::foreign(secret.as_str().unwrap()).unwrap();
    key_service::domain::credential::Digester::default()
        .digest(&credential)
        .as_str()
        .to_owned()
}
