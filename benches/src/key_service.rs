//! A key service that answers from memory, so that what is measured is the filter.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::HeaderName;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keybound::protocol;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use support::failure::Result;
use tokio::net::TcpListener;

use crate::population::{Kind, Population};

/// The one number of the sequence: nothing ever changes here.
const SEQUENCE: u64 = 10_000_000;

const MARKER: [(HeaderName, &str); 1] = [(
    HeaderName::from_static(protocol::MARKER.0),
    protocol::MARKER.1,
)];

type Known = Arc<HashMap<[u8; 32], (Kind, u32)>>;

/// Answers until the program ends.
pub async fn serve(populations: &[Population]) -> Result<u16> {
    let mut known = HashMap::new();
    for population in populations {
        for number in 0..population.keys {
            let digest = Sha256::digest(population.kind.credential(number));
            known.insert(digest.into(), (population.kind, number));
        }
    }
    let routes = Router::new()
        .route("/v1/resolve", post(resolve))
        .route("/v1/changes", get(changes))
        .with_state(Arc::new(known));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Ok(port)
}

#[derive(Deserialize)]
struct Asked {
    digests: Vec<String>,
}

async fn resolve(State(known): State<Known>, Json(asked): Json<Asked>) -> impl IntoResponse {
    let results: Vec<Value> = asked
        .digests
        .iter()
        .map(|text| {
            let digest: Option<[u8; 32]> = URL_SAFE_NO_PAD
                .decode(text)
                .ok()
                .and_then(|bytes| bytes.try_into().ok());
            match digest.and_then(|digest| known.get(&digest)) {
                Some((kind, number)) => {
                    let (key, user, tenant) = kind.records(*number);
                    json!({"digest": text, "key": key, "user": user, "tenant": tenant})
                }
                None => json!({"digest": text, "key": null}),
            }
        })
        .collect();
    (MARKER, Json(json!({"as_of": SEQUENCE, "results": results})))
}

#[derive(Deserialize)]
struct After {
    after: Option<u64>,
    wait: Option<u64>,
}

/// A feed in which nothing happens.
async fn changes(Query(question): Query<After>) -> impl IntoResponse {
    if question.after == Some(SEQUENCE) {
        tokio::time::sleep(Duration::from_secs(question.wait.unwrap_or(0))).await;
    }
    let reset = question.after != Some(SEQUENCE);
    (
        MARKER,
        Json(json!({"cursor": SEQUENCE, "reset": reset, "changes": []})),
    )
}
