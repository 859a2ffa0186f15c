//! A real browser, used as a person uses it: by the words on the page. What is not there fails the test, and says what
//! is there instead.

mod accessibility;
mod driver;
mod hands;
mod view;

pub use driver::OTHER_HOST;
pub use hands::Part;
pub use view::{DARK, LIGHT, NARROW, WIDE, ZOOMED};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use driver::{driver, kept};
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use std::fmt::Display;
use std::fs;
use support::client::{Request, Response};

/// What knows a page by its words.
const PAGE: &str = include_str!("page.js");

/// A browser that has never been used: no cookies, no history. Dropping it ends it; where the test fails, it first keeps
/// a picture of what it shows.
#[derive(Debug)]
pub struct Browser {
    client: Client,
    session: String,
    /// Port of 127.0.0.1 that paths without a host lead to.
    port: u16,
}

impl Browser {
    /// Starts one for a server on this port of 127.0.0.1.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(port: u16) -> Self {
        let driver = driver();
        let Value::Object(capabilities) = driver.capabilities() else {
            panic!("capabilities are an object");
        };
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{}", driver.port()))
            .await
            .unwrap_or_else(|error| panic!("no browser was started: {error}"));
        let session = client.session_id().await;
        let session = session.ok().flatten().expect("the session has an id");
        let browser = Self {
            client,
            session,
            port,
        };
        browser.view(WIDE).await;
        browser
    }

    /// Opens a path of the server, or an address of another.
    pub async fn open(&self, path: &str) {
        let address = self.address(path);
        self.must("open it", self.client.goto(&address).await).await;
    }

    /// Where a path of the server is.
    pub fn address(&self, path: &str) -> String {
        if path.starts_with('/') {
            format!("http://127.0.0.1:{}{path}", self.port)
        } else {
            path.to_owned()
        }
    }

    /// Loads the page anew.
    pub async fn reload(&self) {
        self.must("reload", self.client.refresh().await).await;
    }

    /// Goes back to the page before.
    pub async fn back(&self) {
        self.must("go back", self.client.back().await).await;
    }

    /// The address of the page; without the host where that is the server's.
    pub async fn url(&self) -> String {
        let url = self.client.current_url().await;
        let url = self.must("tell the address", url).await.to_string();
        match url.strip_prefix(&self.address("/")) {
            Some(rest) => format!("/{rest}"),
            None => url,
        }
    }

    /// The title of the page.
    pub async fn title(&self) -> String {
        self.must("tell the title", self.client.title().await).await
    }

    /// The status with which the page was answered.
    pub async fn status(&self) -> u64 {
        let status = self.look("status", &[], vec![]).await;
        status.as_u64().expect("a status is a number")
    }

    /// The page's source as it is now, for what must not be anywhere in it.
    pub async fn source(&self) -> String {
        let source = self.client.source().await;
        self.must("tell the source", source).await
    }

    /// What the browser warned of since it was asked last: what the content policy stopped, what was missing. That the
    /// page itself was answered with an error is no complaint; of one before it, it is.
    pub async fn complaints(&self) -> Vec<String> {
        let log = self.command("se/log", json!({"type": "browser"})).await;
        let page = self.client.current_url().await;
        let page = self.must("tell the address", page).await;
        let of_page = format!("{page} - Failed to load resource");
        let entries = log.as_array().into_iter().flatten();
        entries
            .filter(|entry| {
                ["WARNING", "SEVERE"].contains(&entry["level"].as_str().unwrap_or("SEVERE"))
            })
            .filter_map(|entry| entry["message"].as_str())
            .filter(|message| !message.starts_with(&of_page))
            .map(str::to_owned)
            .collect()
    }

    /// Everything on the page that came from another host.
    pub async fn strangers(&self) -> Vec<String> {
        let names = self.look("strangers", &[], vec![]).await;
        strings(&names)
    }

    /// A cookie with its attributes, as WebDriver tells it.
    pub async fn cookie(&self, name: &str) -> Option<Value> {
        let cookies = self.cookies().await;
        cookies.into_iter().find(|cookie| cookie["name"] == name)
    }

    /// All cookies of the page.
    pub async fn cookies(&self) -> Vec<Value> {
        let path = format!("/session/{}/cookie", self.session);
        let cookies = driver().ask("GET", &path, None).await;
        let cookies = self.must("tell the cookies", cookies).await;
        cookies.as_array().cloned().unwrap_or_default()
    }

    /// Loses all cookies, as on the day after.
    pub async fn forget_cookies(&self) {
        let forgotten = self.client.delete_all_cookies().await;
        self.must("forget cookies", forgotten).await;
    }

    /// Sends a request with the page's cookies, as the console's own pages would send it: for what no page offers.
    pub async fn forge(&self, request: Request) -> Response {
        let cookies: Vec<String> = self.cookies().await.iter().map(pair).collect();
        let host = format!("127.0.0.1:{}", self.port);
        let request = request
            .header("cookie", cookies.join("; "))
            .header("origin", format!("http://{host}"))
            .header("host", host)
            .header("sec-fetch-site", "same-origin");
        self.must("send a request", request.send(self.port).await)
            .await
    }

    /// Asks the page what `page.js` knows.
    async fn look(&self, operation: &str, parts: &[&str], words: Vec<Value>) -> Value {
        let mut arguments = vec![json!(operation), json!(parts)];
        arguments.extend(words);
        let found = self.client.execute(PAGE, arguments).await;
        let found = self.must("look at the page", found).await;
        if let Some(wrong) = found["wrong"].as_str() {
            self.fail(wrong).await;
        }
        found
    }

    /// A command of the driver that is not in the standard.
    async fn command(&self, name: &str, parameters: Value) -> Value {
        let path = format!("/session/{}/{name}", self.session);
        let answer = driver().ask("POST", &path, Some(&parameters)).await;
        self.must(name, answer).await
    }

    /// A command of the browser's own protocol.
    async fn devtools(&self, method: &str, parameters: Value) -> Value {
        let command = json!({"cmd": method, "params": parameters});
        self.command("goog/cdp/execute", command).await
    }

    async fn must<T, E: Display>(&self, what: &str, outcome: Result<T, E>) -> T {
        match outcome {
            Ok(value) => value,
            Err(error) => {
                self.fail(&format!("the browser cannot {what}: {error}"))
                    .await
            }
        }
    }

    /// Fails the test, with the page that was seen.
    async fn fail(&self, why: &str) -> ! {
        let address = self.client.current_url().await;
        let address = address.map_or_else(|error| error.to_string(), |url| url.to_string());
        let text = self
            .client
            .execute("return document.body.innerText", vec![])
            .await;
        let text = text.unwrap_or_default();
        panic!(
            "{why}\n--- the page {address} says\n{}",
            text.as_str().unwrap_or_default()
        )
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let session = format!("/session/{}", self.session);
        if std::thread::panicking() {
            let picture = driver().ask_now("GET", &format!("{session}/screenshot"));
            let picture = picture.ok().and_then(|picture| {
                let bytes = STANDARD.decode(picture.as_str()?).ok()?;
                let path = kept(&format!("{}.png", self.session));
                fs::write(&path, bytes).ok()?;
                Some(path)
            });
            if let Some(path) = picture {
                eprintln!("what the browser showed: {}", path.display());
            }
        }
        if let Err(error) = driver().ask_now("DELETE", &session) {
            eprintln!("the browser was not ended: {error}");
        }
    }
}

fn pair(cookie: &Value) -> String {
    let part = |name: &str| cookie[name].as_str().unwrap_or_default().to_owned();
    format!("{}={}", part("name"), part("value"))
}

/// A list of texts.
fn strings(value: &Value) -> Vec<String> {
    let values = value.as_array().into_iter().flatten();
    values
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}
