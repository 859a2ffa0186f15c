//! Signing in by OpenID Connect, with the authorization code flow, PKCE, a nonce and a state. The provider vouches for
//! somebody; what they may do is said by the file of roles, or by the user that they are.

use std::time::Instant;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::error::Stop;
use super::identity::{Claims, Flow, NotVouched, Provider, said};
use super::list::Asked;
use super::see;
use super::sign_in::{begin, next, refusal};
use super::visit::{Console, set};
use crate::domain::session::SignedInBy;
use crate::domain::text::line;
use crate::domain::token::{Grant, IDENTITY, Role};
use crate::store::StoreError;

mod held;

/// Where the browser is sent to the provider.
pub const START: &str = "/console/sign-in/oidc";
/// Where the provider sends it back to.
pub const CALLBACK: &str = "/console/sign-in/oidc/callback";

/// Sends the browser to the provider.
pub async fn start(
    State(console): State<Console>,
    headers: HeaderMap,
    asked: Asked,
) -> Result<Response, Stop> {
    let next = next(asked.get("next"));
    let begun = match &console.settings.provider {
        Some(provider) => provider.begin(&next).await,
        None => Err(not_configured()),
    };
    let (location, flow) = match begun.and_then(|(url, flow)| Ok((location(&url)?, flow))) {
        Ok(begun) => begun,
        Err(why) => return Ok(refused(&console, why, &next)),
    };
    let mut response = (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response();
    let cookie = held::cookie(&console, &headers, &flow);
    response.headers_mut().extend(set(&cookie));
    Ok(response)
}

fn location(url: &str) -> Result<HeaderValue, NotVouched> {
    HeaderValue::from_str(url)
        .map_err(|_| NotVouched::Away("The provider's address cannot be read.".to_owned()))
}

fn not_configured() -> NotVouched {
    NotVouched::Refused("The service was started without --oidc-issuer.".to_owned())
}

/// Takes the browser that comes back, and what the provider says of whoever sits before it.
pub async fn finish(
    State(console): State<Console>,
    headers: HeaderMap,
    asked: Asked,
) -> Result<Response, Stop> {
    let flow = held::held(&console, &headers);
    let wanted = next(flow.as_ref().map(|flow| flow.next.as_str()));
    let by = match &console.settings.provider {
        Some(provider) => match vouched(provider, &asked, flow).await {
            Ok(claims) => identity(&console, provider, &claims).await?,
            Err(why) => Err(why),
        },
        None => Err(not_configured()),
    };
    let mut response = match by {
        Ok(by) => {
            let cookie = begin(&console, &headers, by).await?;
            let mut response = see(&wanted);
            response.headers_mut().extend(cookie);
            response
        }
        Err(why) => refused(&console, why, &wanted),
    };
    // A code is good once, and so is what was made for it.
    if let Some((name, value)) = set(&held::removal(&console, &headers)) {
        response.headers_mut().append(name, value);
    }
    Ok(response)
}

/// What the provider says of whoever the browser brings back.
async fn vouched(
    provider: &Provider,
    asked: &Asked,
    flow: Option<Flow>,
) -> Result<Claims, NotVouched> {
    let refuse = |why: &str| Err(NotVouched::Refused(why.to_owned()));
    // First of all: what else stands in the address may be anybody's.
    let Some(flow) = flow.filter(|flow| asked.get("state") == Some(&flow.state)) else {
        return refuse(
            "This sign-in was not begun in this browser, or more than ten minutes ago. Begin again.",
        );
    };
    if asked
        .get("iss")
        .is_some_and(|issuer| provider.is_other(issuer))
    {
        return refuse("The answer is from another provider.");
    }
    if let Some(error) = asked.get("error") {
        return refuse(&said(error, asked.get("error_description")));
    }
    match asked.get("code") {
        Some(code) => provider.finish(code, flow).await,
        None => refuse("The provider's answer holds no code."),
    }
}

/// What somebody may do: what the file of roles gives them, or what is their own.
async fn identity(
    console: &Console,
    provider: &Provider,
    claims: &Claims,
) -> Result<Result<SignedInBy, NotVouched>, StoreError> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let names: Vec<&str> = [text("email"), text("sub")].into_iter().flatten().collect();
    let called = names.first().copied().unwrap_or_default();
    let refuse = |why: String| Ok(Err(NotVouched::Refused(why)));
    let Ok(name) = line(&format!("{IDENTITY}{called}")) else {
        return refuse(
            "The name that the provider gives is too long, or no line of text.".to_owned(),
        );
    };
    if let Some(grant) = provider.roles.grant(claims) {
        return Ok(Ok(SignedInBy::Identity { name, grant }));
    }
    let users = console.app.store.active_users_called(&names).await?;
    let [user] = users.as_slice() else {
        return refuse(match users.is_empty() {
            true => format!(
                "The provider vouches for {called}, who has no role here: no claim gives one, and no active user has \
                 this external_id or login."
            ),
            false => format!(
                "The provider vouches for {called}, and more than one active user has this external_id or login."
            ),
        });
    };
    let grant = Grant {
        user_id: Some(user.id.clone()),
        ..Role::Developer.into()
    };
    Ok(Ok(SignedInBy::Identity { name, grant }))
}

/// The page that says why nobody is signed in.
fn refused(console: &Console, why: NotVouched, next: &str) -> Response {
    match why {
        NotVouched::Refused(why) => refusal(console, StatusCode::FORBIDDEN, why, next),
        NotVouched::Away(why) => {
            if let Some(more) = console.app.sign_ins.tell("oidc", Instant::now()) {
                tracing::warn!(
                    %why,
                    more_since_last_line = more,
                    "nobody could sign in by OpenID Connect"
                );
            }
            let why = format!("{why} Signing in with a token goes on.");
            refusal(console, StatusCode::BAD_GATEWAY, why, next)
        }
    }
}
