//! The provider of identities: its addresses and keys, which are fetched when the first person signs in, and what it says
//! of whoever comes back from it.

use std::borrow::Cow;
use std::fmt;
use std::pin::Pin;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openidconnect::core::{
    CoreAuthenticationFlow, CoreClient, CoreClientAuthMethod, CoreIdToken, CoreJwsSigningAlgorithm,
    CoreProviderMetadata,
};
use openidconnect::http::{Method, Request, Response};
use openidconnect::{
    AsyncHttpClient, AuthType, AuthorizationCode, ClaimsVerificationError, ClientId, ClientSecret,
    CsrfToken, DiscoveryError, IssuerUrl, Nonce, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl,
    RequestTokenError, Scope, SignatureVerificationError, TokenResponse as _,
};
use tokio::sync::{Mutex, Semaphore};
use ureq::Agent;

use super::roles::{Claims, Roles};

/// How long its addresses and keys are taken for right.
const KEPT: Duration = Duration::from_secs(3600);
/// How often it is asked for its keys, where tokens come that none of them has signed: not for each that is made up.
const BETWEEN: Duration = Duration::from_secs(30);
/// Questions to it at a time.
const AT_A_TIME: usize = 8;
/// Bytes of an answer at most.
const LARGEST_ANSWER: u64 = 1024 * 1024;
/// Letters of its own words that are shown.
const LONGEST_WORDS: usize = 300;

/// Signatures of a key that the provider alone has. Those that a secret makes, and none at all, count for nothing.
const SIGNATURES: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// A provider of identities.
pub struct Provider {
    issuer: IssuerUrl,
    client_id: ClientId,
    secret: Option<ClientSecret>,
    redirect: RedirectUrl,
    /// Who is what.
    pub roles: Roles,
    line: Line,
    known: Mutex<Option<Known>>,
}

/// The way to it.
struct Line {
    agent: Agent,
    questions: Semaphore,
}

impl fmt::Debug for Provider {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Provider({})", self.issuer.as_str())
    }
}

/// Its addresses and keys.
struct Known {
    at: Instant,
    /// When they were last asked for because of a key that is not among them.
    missed_at: Option<Instant>,
    metadata: CoreProviderMetadata,
}

/// What a browser holds while its user is at the provider, and brings back from there: whoever has not begun does not end,
/// and a code that was made for another is worth nothing.
pub struct Flow {
    /// Comes back with the browser.
    pub state: String,
    /// Comes back in the token.
    pub nonce: String,
    /// Proves that whoever asks for the token is whoever asked for the code (RFC 7636).
    pub verifier: String,
    /// Where to go then.
    pub next: String,
}

/// Why nobody is signed in.
#[derive(Debug)]
pub enum NotVouched {
    /// The provider cannot be asked, or gives no answer that could be read.
    Away(String),
    /// It vouches for nobody, or by something that does not count.
    Refused(String),
}

/// A question that got no answer.
#[derive(Debug)]
struct NoAnswer(String);

impl fmt::Display for NoAnswer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for NoAnswer {}

impl Provider {
    /// A provider. It is not asked for anything yet. `agent` follows nobody elsewhere. The error names what is wrong with
    /// the address.
    pub fn new(
        issuer: String,
        client_id: String,
        secret: Option<String>,
        redirect: String,
        roles: Roles,
        agent: Agent,
    ) -> Result<Self, String> {
        Ok(Self {
            issuer: IssuerUrl::new(issuer).map_err(|error| error.to_string())?,
            client_id: ClientId::new(client_id),
            secret: secret.map(ClientSecret::new),
            redirect: RedirectUrl::new(redirect).map_err(|error| error.to_string())?,
            roles,
            line: Line {
                agent,
                questions: Semaphore::new(AT_A_TIME),
            },
            known: Mutex::default(),
        })
    }

    /// What people know it by.
    pub fn host(&self) -> &str {
        self.issuer.url().host_str().unwrap_or_default()
    }

    /// Whether an answer says that it is from another one (RFC 9207).
    pub fn is_other(&self, issuer: &str) -> bool {
        issuer != self.issuer.as_str()
    }

    /// Where the browser goes, and what it must bring back from there.
    pub async fn begin(&self, next: &str) -> Result<(String, Flow), NotVouched> {
        let metadata = self.metadata(false).await?;
        let groups = Scope::new("groups".to_owned());
        let has_groups = metadata
            .scopes_supported()
            .is_some_and(|scopes| scopes.contains(&groups));
        let client = CoreClient::from_provider_metadata(metadata, self.client_id.clone(), None);
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let mut request = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                CsrfToken::new_random,
                Nonce::new_random,
            )
            .add_scope(Scope::new("email".to_owned()))
            .set_pkce_challenge(challenge)
            .set_redirect_uri(Cow::Borrowed(&self.redirect));
        if has_groups {
            request = request.add_scope(groups);
        }
        let (url, state, nonce) = request.url();
        let flow = Flow {
            state: state.into_secret(),
            nonce: nonce.secret().clone(),
            verifier: verifier.into_secret(),
            next: next.to_owned(),
        };
        Ok((url.into(), flow))
    }

    /// What it says of whoever brought this code back.
    pub async fn finish(&self, code: &str, flow: Flow) -> Result<Claims, NotVouched> {
        let metadata = self.metadata(false).await?;
        let token = self.exchange(&metadata, code, flow.verifier).await?;
        let nonce = Nonce::new(flow.nonce);
        let verified = match self.verify(metadata, &token, &nonce) {
            // It may have changed its keys.
            Err(ClaimsVerificationError::SignatureVerification(
                SignatureVerificationError::NoMatchingKey,
            )) => {
                let metadata = self.metadata(true).await?;
                self.verify(metadata, &token, &nonce)
            }
            verified => verified,
        };
        verified.map_err(|error| {
            NotVouched::Refused(format!(
                "The provider's token does not count: {}.",
                shown(&error.to_string())
            ))
        })?;
        claims(&token).ok_or_else(unreadable)
    }

    /// The identity token for a code, in text: nothing of it is looked at yet.
    async fn exchange(
        &self,
        metadata: &CoreProviderMetadata,
        code: &str,
        verifier: String,
    ) -> Result<CoreIdToken, NotVouched> {
        let client = CoreClient::from_provider_metadata(
            metadata.clone(),
            self.client_id.clone(),
            self.secret.clone(),
        )
        .set_auth_type(auth_type(metadata));
        let request = client
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .map_err(|_| {
                NotVouched::Away("The provider's configuration names no token endpoint.".to_owned())
            })?
            .set_pkce_verifier(PkceCodeVerifier::new(verifier))
            .set_redirect_uri(Cow::Borrowed(&self.redirect));
        let answer = request.request_async(&self.line).await;
        let answer = answer.map_err(|error| match error {
            RequestTokenError::ServerResponse(answer) => {
                let detail = answer.error_description().map(String::as_str);
                NotVouched::Refused(said(answer.error().as_ref(), detail))
            }
            RequestTokenError::Request(error) => NotVouched::Away(away(&error)),
            // What it holds may be secret.
            _ => unreadable(),
        })?;
        answer.id_token().cloned().ok_or_else(|| {
            NotVouched::Refused("The provider's answer holds no identity token.".to_owned())
        })
    }

    fn verify(
        &self,
        metadata: CoreProviderMetadata,
        token: &CoreIdToken,
        nonce: &Nonce,
    ) -> Result<(), ClaimsVerificationError> {
        let client = CoreClient::from_provider_metadata(metadata, self.client_id.clone(), None);
        let verifier = client.id_token_verifier().set_allowed_algs(SIGNATURES);
        token.claims(&verifier, nonce).map(drop)
    }

    /// Its addresses and keys. `misses` says that one of those that are known is not enough.
    async fn metadata(&self, misses: bool) -> Result<CoreProviderMetadata, NotVouched> {
        let mut known = self.known.lock().await;
        let is_good = |known: &&Known| match misses {
            true => known.missed_at.is_some_and(|at| at.elapsed() < BETWEEN),
            false => known.at.elapsed() < KEPT,
        };
        if let Some(known) = known.as_ref().filter(is_good) {
            return Ok(known.metadata.clone());
        }
        let found = CoreProviderMetadata::discover_async(self.issuer.clone(), &self.line).await;
        let metadata = found.map_err(|error| {
            NotVouched::Away(match error {
                DiscoveryError::Request(error) => away(&error),
                DiscoveryError::Response(_, _, said) | DiscoveryError::Validation(said) => {
                    format!(
                        "The provider's configuration cannot be had: {}.",
                        shown(&said)
                    )
                }
                _ => "The provider's configuration cannot be read.".to_owned(),
            })
        })?;
        *known = Some(Known {
            at: Instant::now(),
            missed_at: misses.then(Instant::now),
            metadata: metadata.clone(),
        });
        Ok(metadata)
    }
}

impl Line {
    async fn ask(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, NoAnswer> {
        let no_answer = |error: &dyn fmt::Display| NoAnswer(error.to_string());
        let question = self.questions.acquire().await;
        let _question = question.map_err(|error| no_answer(&error))?;
        let agent = self.agent.clone();
        let asked = tokio::task::spawn_blocking(move || {
            let answer = match *request.method() {
                Method::GET => agent.run(request.map(drop)),
                _ => agent.run(request),
            }?;
            let (head, mut body) = answer.into_parts();
            let body = body.with_config().limit(LARGEST_ANSWER).read_to_vec()?;
            Ok::<_, ureq::Error>(Response::from_parts(head, body))
        });
        let answer = asked.await.map_err(|error| no_answer(&error))?;
        answer.map_err(|error| no_answer(&error))
    }
}

impl<'a> AsyncHttpClient<'a> for Line {
    type Error = NoAnswer;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Vec<u8>>, NoAnswer>> + Send + 'a>>;

    fn call(&'a self, request: Request<Vec<u8>>) -> Self::Future {
        Box::pin(self.ask(request))
    }
}

/// How it wants to be told who asks.
fn auth_type(metadata: &CoreProviderMetadata) -> AuthType {
    let methods = metadata.token_endpoint_auth_methods_supported();
    let has = |method| methods.is_some_and(|methods| methods.contains(&method));
    match has(CoreClientAuthMethod::ClientSecretPost)
        && !has(CoreClientAuthMethod::ClientSecretBasic)
    {
        true => AuthType::RequestBody,
        false => AuthType::BasicAuth,
    }
}

/// Everything that a token claims, but for an address that its owner has not shown to be theirs. It is verified already.
fn claims(token: &CoreIdToken) -> Option<Claims> {
    let text = token.to_string();
    let payload = URL_SAFE_NO_PAD.decode(text.split('.').nth(1)?).ok()?;
    let mut claims: Claims = serde_json::from_slice(&payload).ok()?;
    let verified = claims.get("email_verified");
    // Some providers write truth as a text.
    if verified.is_some_and(|verified| *verified != true && *verified != "true") {
        claims.remove("email");
    }
    Some(claims)
}

/// Why the provider refuses, in its own words.
pub fn said(error: &str, detail: Option<&str>) -> String {
    match detail {
        Some(detail) => format!(
            "The provider refuses: {} ({}).",
            shown(detail),
            shown(error)
        ),
        None => format!("The provider refuses: {}.", shown(error)),
    }
}

/// The words of another, no longer than a page can bear.
fn shown(words: &str) -> String {
    let words = words.trim().trim_end_matches('.');
    words.chars().take(LONGEST_WORDS).collect()
}

fn away(error: &NoAnswer) -> String {
    format!("The provider cannot be reached: {}.", shown(&error.0))
}

fn unreadable() -> NotVouched {
    NotVouched::Away("The provider's answer cannot be read.".to_owned())
}
