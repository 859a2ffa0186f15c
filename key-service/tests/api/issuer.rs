//! A small provider of identities, which says whatever a test wants of whoever comes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::extract::{Form, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use key_service::domain::time::now;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use tokio::runtime::Runtime;

/// What the client is called there, and its secret.
pub const CLIENT: (&str, &str) = ("keybound console", "a secret/of the client");

/// How a token is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signed {
    /// With the key that is published.
    Rightly,
    /// With another key of the same name.
    ByAnother,
    /// By nobody: `alg: none`.
    Not,
    /// With the public key as a secret: `alg: HS256`.
    WithPublicKey,
    /// With the client's secret: `alg: HS256`.
    WithSecret,
}

/// The provider.
pub struct Issuer {
    pub url: String,
    state: Arc<Mutex<Issuing>>,
    /// Its end is that of the provider.
    runtime: Option<Runtime>,
}

struct Issuing {
    url: String,
    key: (String, EcdsaKeyPair),
    codes: HashMap<String, Code>,
    /// Tokens that were given, to be looked for where they must not be.
    given: Vec<String>,
    asked_for_keys: usize,
}

/// What a code is good for.
struct Code {
    challenge: String,
    redirect: String,
    claims: Value,
    signed: Signed,
}

fn new_key(name: &str) -> (String, EcdsaKeyPair) {
    let random = SystemRandom::new();
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let bytes = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    let key = EcdsaKeyPair::from_pkcs8(algorithm, bytes.as_ref(), &random).unwrap();
    (name.to_owned(), key)
}

impl Issuer {
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(Issuing {
            url: url.clone(),
            key: new_key("first"),
            codes: HashMap::new(),
            given: Vec::new(),
            asked_for_keys: 0,
        }));
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(configuration))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .with_state(Arc::clone(&state));
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self {
            url,
            state,
            runtime: Some(runtime),
        }
    }

    /// It is away from now on.
    pub fn leave(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(std::time::Duration::from_secs(5));
        }
    }

    /// It signs with another key from now on.
    pub fn change_key(&self) {
        let mut state = self.state.lock().unwrap();
        let name = format!("{} again", state.key.0);
        state.key = new_key(&name);
    }

    /// How often its keys were asked for.
    pub fn asked_for_keys(&self) -> usize {
        self.state.lock().unwrap().asked_for_keys
    }

    /// Tokens that it gave.
    pub fn given(&self) -> Vec<String> {
        self.state.lock().unwrap().given.clone()
    }

    /// What its page does where somebody signs in there: gives a code for these claims, and the address that the browser
    /// is sent back to, without its origin. `claims` stand over the usual ones; null takes one away.
    #[track_caller]
    pub fn sign_in(&self, authorize: &str, claims: &Value, signed: Signed) -> String {
        let (address, query) = authorize.split_once('?').unwrap();
        assert_eq!(address, format!("{}/authorize", self.url));
        let query: HashMap<_, _> = form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect();
        assert_eq!(query["response_type"], "code");
        assert_eq!(query["client_id"], CLIENT.0);
        assert_eq!(query["code_challenge_method"], "S256");
        assert_eq!(query["scope"], "openid email groups");
        let mut all = json!({
            "iss": self.url, "aud": CLIENT.0, "sub": "sub-1", "nonce": query["nonce"],
            "iat": now(), "exp": now() + 300,
        });
        for (name, value) in claims.as_object().unwrap() {
            all[name] = value.clone();
        }
        let all: Map<String, Value> = all.as_object().unwrap().clone();
        let all = all.into_iter().filter(|(_, value)| !value.is_null());
        let mut state = self.state.lock().unwrap();
        let code = format!("code-{}", state.codes.len() + state.given.len());
        let redirect = query["redirect_uri"].clone();
        let path = redirect.splitn(4, '/').nth(3).unwrap().to_owned();
        state.codes.insert(
            code.clone(),
            Code {
                challenge: query["code_challenge"].clone(),
                redirect,
                claims: Value::Object(all.collect()),
                signed,
            },
        );
        let answer = form_urlencoded::Serializer::new(String::new())
            .append_pair("code", &code)
            .append_pair("state", &query["state"])
            .append_pair("iss", &self.url)
            .finish();
        format!("/{path}?{answer}")
    }
}

async fn configuration(State(state): State<Arc<Mutex<Issuing>>>) -> Json<Value> {
    let url = state.lock().unwrap().url.clone();
    Json(json!({
        "issuer": url,
        "authorization_endpoint": format!("{url}/authorize"),
        "token_endpoint": format!("{url}/token"),
        "jwks_uri": format!("{url}/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "scopes_supported": ["openid", "email", "groups"],
        // What a careless one says must not count.
        "id_token_signing_alg_values_supported": ["ES256", "HS256", "none"],
    }))
}

async fn keys(State(state): State<Arc<Mutex<Issuing>>>) -> Json<Value> {
    let mut state = state.lock().unwrap();
    state.asked_for_keys += 1;
    let (name, key) = &state.key;
    let point = key.public_key().as_ref();
    Json(json!({"keys": [{
        "kty": "EC", "crv": "P-256", "use": "sig", "kid": name,
        "x": URL_SAFE_NO_PAD.encode(&point[1..33]), "y": URL_SAFE_NO_PAD.encode(&point[33..]),
    }]}))
}

async fn token(
    State(state): State<Arc<Mutex<Issuing>>>,
    headers: axum::http::HeaderMap,
    Form(sent): Form<HashMap<String, String>>,
) -> (StatusCode, Json<Value>) {
    let refused = |error: &str, detail: &str| {
        let body = json!({"error": error, "error_description": detail});
        (StatusCode::BAD_REQUEST, Json(body))
    };
    let encode =
        |text: &str| -> String { form_urlencoded::byte_serialize(text.as_bytes()).collect() };
    let basic = format!("{}:{}", encode(CLIENT.0), encode(CLIENT.1));
    let basic = base64::engine::general_purpose::STANDARD.encode(basic);
    if headers
        .get("authorization")
        .and_then(|value| value.to_str().ok())
        != Some(&format!("Basic {basic}"))
    {
        return refused("invalid_client", "who are you");
    }
    let mut state = state.lock().unwrap();
    let Some(code) = state.codes.remove(&sent["code"]) else {
        return refused("invalid_grant", "<b>this code is unknown or was used</b>");
    };
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(sent["code_verifier"].as_bytes()));
    if challenge != code.challenge || sent["redirect_uri"] != code.redirect {
        return refused("invalid_grant", "not yours");
    }
    let token = signed(&state.key, &code);
    let access = format!("access-{}", state.given.len());
    state.given.extend([token.clone(), access.clone()]);
    let body = json!({"access_token": access, "token_type": "Bearer", "id_token": token});
    (StatusCode::OK, Json(body))
}

fn signed((name, key): &(String, EcdsaKeyPair), code: &Code) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let algorithm = match code.signed {
        Signed::Rightly | Signed::ByAnother => "ES256",
        Signed::Not => "none",
        Signed::WithPublicKey | Signed::WithSecret => "HS256",
    };
    let head = part(&json!({"alg": algorithm, "typ": "JWT", "kid": name}));
    let text = format!("{head}.{}", part(&code.claims));
    let with_secret = |secret: &[u8]| {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
        ring::hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
    };
    let by = |key: &EcdsaKeyPair| {
        let signature = key.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
        signature.as_ref().to_vec()
    };
    let signature = match code.signed {
        Signed::Rightly => by(key),
        Signed::ByAnother => by(&new_key(name).1),
        Signed::Not => Vec::new(),
        Signed::WithPublicKey => with_secret(key.public_key().as_ref()),
        Signed::WithSecret => with_secret(CLIENT.1.as_bytes()),
    };
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}
