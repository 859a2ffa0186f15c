//! `POST /leaks/v1/secret-scanning`: what a scanner of public places found, in the form of GitHub's secret scanning
//! partner program. It has no token; its signature is checked instead, and the route is there only where the service
//! was given the scanner's public keys.

use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::{Extension, Json};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use super::app::App;
use super::body::bytes;
use super::leaks::{Found, stop};
use super::problem::Problem;
use crate::domain::credential::Credential;
use crate::domain::input::parse;
use crate::domain::leak::{LeakOutcome, place};
use crate::domain::refusal::Refusal;
use crate::store::View;

/// Where scanners report.
pub const PATH: &str = "/leaks/v1/secret-scanning";

/// The name of scanners in the audit log.
pub const ACTOR: &str = "leak-scanner";

/// The headers that name the scanner's key, and hold its signature of the body.
const IDENTIFIER: &str = "github-public-key-identifier";
const SIGNATURE: &str = "github-public-key-signature";

/// What a scanner found.
#[derive(Deserialize, ToSchema)]
pub struct Scanned {
    /// What looks like a key.
    token: String,
    /// What the scanner calls keys of this kind.
    #[serde(rename = "type")]
    kind: String,
    /// Where it was found; may be empty.
    #[serde(default)]
    url: Option<String>,
    /// In what it was found, such as `content` or `commit`.
    #[serde(default)]
    source: Option<String>,
}

/// What a scanner is told of one of its finds.
#[derive(Serialize, ToSchema)]
pub struct Feedback {
    /// The SHA-256 of the token, in hexadecimal digits.
    token_hash: String,
    /// What the scanner calls keys of this kind.
    token_type: String,
    /// `true_positive` where it is, or was, a key; else `false_positive`.
    #[schema(example = "true_positive")]
    label: &'static str,
}

/// Takes what a scanner found, signed by ECDSA with P-256 and SHA-256 over the body as it was sent. Every key in it is
/// revoked, or flagged where the rules of its tenant say so.
#[utoipa::path(
    post, path = PATH, tag = "scanner", request_body = Vec<Scanned>,
    security(()),
    params(
        ("github-public-key-identifier" = String, Header, description = "Which of the scanner's keys has signed"),
        ("github-public-key-signature" = String, Header, description = "The signature, DER in base64"),
    ),
    responses(
        (status = 200, description = "What each of them is, in order", body = Vec<Feedback>),
        (status = 401, description = "The signature is not that of a key that the service was given", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "The service takes no reports of scanners", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn report(
    State(app): State<App>,
    Extension(view): Extension<View>,
    headers: HeaderMap,
    request: Request,
) -> Result<Json<Vec<Feedback>>, Problem> {
    let Some(keys) = &app.settings.scanner_keys else {
        return Err(Problem::nothing_here());
    };
    let (Some(identifier), Some(signature)) = (one(&headers, IDENTIFIER), one(&headers, SIGNATURE))
    else {
        return Err(refused(
            &app,
            "Both headers of the signature are needed, each once.",
        ));
    };
    // Before the body is read: who has no key need not be listened to.
    let Some(key) = keys.of(identifier) else {
        return Err(refused(
            &app,
            "The key that the signature names is not known here.",
        ));
    };
    let body = bytes(request, &app).await?;
    let signature = STANDARD.decode(signature).unwrap_or_default();
    if !key.has_signed(&body, &signature) {
        return Err(refused(
            &app,
            "The signature is not that of the body and the key named.",
        ));
    }
    let unreadable = |_| {
        Refusal::field(
            "",
            "must be a list of objects with token, type, url, source",
        )
    };
    let scanned: Vec<Scanned> =
        serde_json::from_value(parse("the body", &body)?).map_err(unreadable)?;
    let found: Vec<Found> = scanned.iter().map(|scanned| scanned.found(&app)).collect();
    let results = stop(&app, &view, &found).await?;
    let told = scanned
        .iter()
        .zip(results)
        .map(|(scanned, leaked)| Feedback {
            token_hash: hexadecimal(&Sha256::digest(scanned.token.as_bytes())),
            token_type: scanned.kind.clone(),
            label: match leaked.outcome {
                LeakOutcome::Unknown => "false_positive",
                LeakOutcome::Revoked
                | LeakOutcome::Flagged
                | LeakOutcome::RevokedBefore
                | LeakOutcome::FlaggedBefore => "true_positive",
            },
        });
    Ok(Json(told.collect()))
}

impl Scanned {
    /// What cannot be a key is no reason to pass over the others.
    fn found(&self, app: &App) -> Found {
        let credential = Credential::foreign(&self.token).ok();
        let url = self.url.as_deref().filter(|url| !url.trim().is_empty());
        let source = self.source.as_deref().unwrap_or_default();
        let at = match url {
            Some(url) => url.to_owned(),
            None => source.to_owned(),
        };
        Found {
            digest: credential.map(|credential| app.settings.digester.digest(&credential)),
            at: place(&at),
        }
    }
}

/// The value of a header that is there once.
fn one<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let (first, second) = (values.next(), values.next());
    first.filter(|_| second.is_none())?.to_str().ok()
}

/// Anybody may send such requests: some are told what is wrong, and those behind to wait.
fn refused(app: &App, detail: &'static str) -> Problem {
    let now = Instant::now();
    if let Some(more) = app.signatures.tell("scanner", now) {
        tracing::warn!(
            more_since_last_line = more,
            "a report of leaked keys came without the signature of a known scanner"
        );
    }
    match app.signatures.count(now) {
        Ok(()) => Problem::unsigned(detail),
        Err(wait) => Problem::too_many_signatures(wait),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
