//! Servlet containers drop parameters from a path, decode it and resolve its dots, each in its own order. What
//! Tomcat says that it read, behind Envoy as it is shipped, is what the request was judged for.

use serde_json::json;
use support::client::{Connection, Request, Response};
use support::gateway::Gateway;
use support::records;
use support::servlet::Tomcat;

/// What leads from one folder to another, if somebody reads it so.
const PIECES: [&str; 53] = [
    "/admin",
    "/admin",
    "/admin",
    "/v1",
    "/v1",
    "/v1",
    "/public",
    "/public",
    "/a",
    "/users",
    "/ten_one",
    "/ten_one",
    "/ten_two",
    "/ten_two",
    "/..;",
    "/..;",
    "/..;",
    "/%2e%2e;",
    "/%2e%2e;",
    "/%2e%2e;",
    "/%2e%2e;",
    "/..%3b",
    "/..%3b",
    "/..%3b",
    "/%2e%2e%3b",
    "/..;a=b",
    "/admin;v=1",
    "/v1;",
    "/ten_one;",
    "/.;",
    "/ten_one;/ten_two",
    "/ADMIN",
    "/Ten_One",
    "/%61dmin",
    "/%2561dmin",
    "/%2e;",
    "/..",
    "/.",
    "/%2e%2e",
    "/%252e%252e",
    "/...;",
    "/.%09.",
    "/..%20",
    "/..+",
    "/%ef%bc%8e.",
    "//",
    "/;x",
    ";",
    "%3b",
    "%2f",
    "%252f",
    "\\..",
    "%3f",
];

/// What was seen to get around a policy, and its kin.
const KNOWN: [&str; 10] = [
    "/a/%2e%2e;/admin/users/..%3b/%2e%2e;",
    "/z/%2e%2e;/v1/ten_two/orders/..%3b/%2e%2e;/..%3b/%2e%2e;",
    "/public/%2e%2e;/admin/..%3b/%2e%2e;/public/x",
    "/public/%2e%2e;/v1/ten_two/..%3b/..;/..;/public",
    "/v1/ten_one/%2e%2e;/ten_two/..%3b/%2e%2e;",
    "/v1/ten_one;/%2e%2e;/ten_two",
    "/v1;/ten_two/..%3b/ten_one",
    "/v1/;/ten_two",
    "/v1/;ten_one/ten_two",
    "/public/..%3b/..;/..;/admin",
];

/// Numbers that look random and are the same each time (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % bound as u64).unwrap()
    }

    fn path(&mut self) -> String {
        let pieces = 1 + self.below(8);
        // Most paths are made of what nobody refuses.
        let known = if self.below(4) > 0 { 30 } else { PIECES.len() };
        let path: String = (0..pieces).map(|_| PIECES[self.below(known)]).collect();
        if path.starts_with('/') {
            path
        } else {
            format!("/{path}")
        }
    }
}

/// Sends on one connection, and on another one where Envoy closed it.
struct Sender {
    port: u16,
    connection: Connection,
}

impl Sender {
    async fn send(&mut self, request: &Request) -> Response {
        let response = self.connection.send(request).await.unwrap();
        if response.header("connection") == Some("close") {
            self.connection = Connection::open(self.port).await.unwrap();
        }
        response
    }
}

/// What the request was not allowed to reach, if it was read as that.
fn is_forbidden(read: &str, has_key: bool) -> bool {
    let mut segments = read.split('/').skip(1);
    match segments.next() {
        Some("public") => false,
        _ if !has_key => true,
        Some("admin") => true,
        Some("v1") => segments.next() != Some("ten_one"),
        _ => false,
    }
}

async fn random_paths(port: u16, seed: u64) {
    let gateway = Gateway::scripted()
        .settings(json!({
            "policies": {
                "admin": {"scopes": {"all": ["admin"]}},
                "mine": {"tenant": {"path_segment": 1}},
                "open": {"authentication": "none"},
            },
            "routes": [
                {"match": {"prefix": "/admin"}, "policy": "admin"},
                {"match": {"prefix": "/v1"}, "policy": "mine"},
                {"match": {"prefix": "/public"}, "policy": "open"},
            ],
        }))
        .configure(move |config| {
            config.clusters()[0]["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
                ["address"]["socket_address"]["port_value"] = json!(port);
        })
        .quiet()
        .start()
        .await;
    let key = gateway.knows(records::active("one"));
    let mut numbers = Numbers(seed);
    let random: Vec<String> = (0..1500).map(|_| numbers.path()).collect();
    let mut sender = Sender {
        port: gateway.port(),
        connection: Connection::open(gateway.port()).await.unwrap(),
    };
    let (mut served, mut refused, mut leaked) = (0, 0, Vec::new());

    for path in KNOWN
        .iter()
        .copied()
        .chain(random.iter().map(String::as_str))
    {
        for has_key in [true, false] {
            let request = Request::get(path);
            let request = if has_key {
                request.header("x-api-key", &key)
            } else {
                request
            };
            let response = sender.send(&request).await;
            if response.header("x-keybound-code").is_some() {
                refused += 1;
            } else if response.status == 200 {
                served += 1;
                let text = response.text();
                let read = text.lines().next().unwrap_or_default();
                if is_forbidden(read, has_key) {
                    leaked.push(format!("{path} (key: {has_key}) is read as {read}"));
                }
            }
        }
    }

    assert!(
        leaked.is_empty(),
        "{} leaks: {:#?}",
        leaked.len(),
        &leaked[..leaked.len().min(20)]
    );
    // Neither all nor nothing comes through.
    assert!(
        served > 100 && refused > 1000,
        "{served} served, {refused} refused"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Java and `make tomcat`"]
async fn whatever_the_path() {
    let tomcat = Tomcat::start().await.unwrap();

    random_paths(tomcat.strict(), 1).await;
    random_paths(tomcat.lenient(), 2).await;
}
