//! Signing in with a token, and signing out.

use std::time::Instant;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::error::Stop;
use super::form::Sent;
use super::links::encoded;
use super::list::Asked;
use super::page::{Page, Shown};
use super::see;
use super::visit::{Console, Visit, held, may_enter, set};
use crate::domain::session::{Session, SignedInBy};
use crate::domain::time::now;
use crate::domain::token::{Token, TokenEntry};
use crate::http::guard::reach;
use crate::store::{StoreError, Urgency};

/// Where one signs in.
#[derive(askama::Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    page: Page,
    /// Where to go then.
    next: String,
    /// Why one is not signed in.
    problem: Option<String>,
    /// Who else vouches for people, and the way there.
    provider: Option<(String, String)>,
}

/// Who may not sign in, and why, in a sentence.
struct Refused(StatusCode, String);

/// The page for it.
pub async fn show(
    State(console): State<Console>,
    headers: HeaderMap,
    asked: Asked,
) -> Result<Response, Stop> {
    if let Some(session) = held(&console, &headers)
        && Visit::of(&console, session).await?.is_some()
    {
        return Ok(see(&next(asked.get("next"))));
    }
    let ended = asked.get("ended").map(|_| {
        "You are not signed in any more, so nothing was done. Sign in, and do it again.".to_owned()
    });
    Ok(page(&console, ended, asked.get("next")).with(StatusCode::OK))
}

fn page(console: &Console, problem: Option<String>, wanted: Option<&str>) -> Shown<SignInPage> {
    let next = next(wanted);
    let provider = console.settings.provider.as_ref();
    Shown(SignInPage {
        page: Page::plain("Sign in"),
        provider: provider.map(|provider| {
            let way = format!("/console/sign-in/oidc?next={}", encoded(&next));
            (provider.host().to_owned(), way)
        }),
        next,
        problem,
    })
}

/// The page that says why one is not signed in.
pub fn refusal(console: &Console, status: StatusCode, why: String, next: &str) -> Response {
    page(console, Some(why), Some(next)).with(status)
}

/// Where to go behind the sign-in: to a page of the console, and nowhere else.
pub fn next(wanted: Option<&str>) -> String {
    let is_ours = |path: &&str| {
        let rest = path.strip_prefix("/console");
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
            && path
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b'\\')
    };
    wanted.filter(is_ours).unwrap_or("/console").to_owned()
}

/// Signs in with a token.
pub async fn by_token(
    State(console): State<Console>,
    headers: HeaderMap,
    sent: Sent,
) -> Result<Response, Stop> {
    let wanted = sent.text("next");
    match token(&console, &sent).await? {
        Ok(by) => {
            let cookie = begin(&console, &headers, by).await?;
            let mut response = see(&next(wanted));
            response.headers_mut().extend(cookie);
            Ok(response)
        }
        Err(Refused(status, why)) => Ok(page(&console, Some(why), wanted).with(status)),
    }
}

/// What stands for whoever sent this token.
async fn token(console: &Console, sent: &Sent) -> Result<Result<SignedInBy, Refused>, StoreError> {
    let app = &console.app;
    let token = sent.text("token").and_then(|text| Token::chosen(text).ok());
    let digest = token.as_ref().map(Token::digest);
    let found = match &digest {
        Some(digest) => app.store.token(digest, now()).await?,
        None => None,
    };
    let Some((digest, entry)) = digest.zip(found) else {
        return Ok(Err(match app.sign_ins.count(Instant::now()) {
            Ok(()) => Refused(
                StatusCode::UNAUTHORIZED,
                "No such token: it is mistyped, revoked or has expired.".to_owned(),
            ),
            Err(wait) => Refused(
                StatusCode::TOO_MANY_REQUESTS,
                format!(
                    "Too many wrong tokens were tried. Try again in {} s.",
                    wait.as_secs() + 1
                ),
            ),
        }));
    };
    if let Some(why) = refused(console, &entry).await? {
        return Ok(Err(Refused(StatusCode::FORBIDDEN, why)));
    }
    Ok(Ok(SignedInBy::Token { digest, entry }))
}

/// Why somebody who is known gets no session.
async fn refused(console: &Console, entry: &TokenEntry) -> Result<Option<String>, StoreError> {
    if !may_enter(entry.grant.role) {
        return Ok(Some(format!(
            "The token's role is {}. The console is for the roles admin, viewer and developer.",
            entry.grant.role.as_str()
        )));
    }
    let reach = reach(&console.app.store, &entry.grant).await?;
    Ok(reach.is_none().then(|| {
        "The user of this token is gone or not active, so that the token opens nothing.".to_owned()
    }))
}

/// Begins a session, and gives what hands it to the browser.
pub async fn begin(
    console: &Console,
    headers: &HeaderMap,
    by: SignedInBy,
) -> Result<Option<(header::HeaderName, header::HeaderValue)>, StoreError> {
    let secret = Token::of_session();
    let now = now();
    let session = Session::begin(by, now);
    let store = &console.app.store;
    let mut write = store.write_as(Urgency::Change, session.name(), now).await?;
    write.put_session(&secret.digest(), &session).await?;
    write.commit().await?;
    Ok(set(&console.cookie(headers, secret.reveal())))
}

/// Signs out, here or wherever this name is signed in.
pub async fn out(
    State(console): State<Console>,
    headers: HeaderMap,
    visit: Visit,
    sent: Sent,
) -> Result<Response, Stop> {
    let store = &console.app.store;
    let mut write = store.write_as(Urgency::Stop, visit.name(), now()).await?;
    match sent.is_on("everywhere") {
        true => write.end_sessions_of(visit.name()).await?,
        false => write.end_session(visit.session()).await?,
    }
    write.commit().await?;
    let mut cookie = console.cookie(&headers, "");
    cookie.make_removal();
    let mut response = see("/console/sign-in");
    response.headers_mut().extend(set(&cookie));
    Ok(response.into_response())
}

#[cfg(test)]
mod tests {
    use super::next;

    #[test]
    fn nobody_is_sent_to_another_site() {
        for (wanted, right) in [
            ("/console/why?key_id=key_1", "/console/why?key_id=key_1"),
            ("/console", "/console"),
            ("/console?done=1", "/console?done=1"),
            ("/consoleevil", "/console"),
            ("//evil.example/console", "/console"),
            ("https://evil.example", "/console"),
            ("/console/\\evil", "/console"),
            ("/console/\r\nx: y", "/console"),
            ("/admin/v1/keys", "/console"),
        ] {
            assert_eq!(next(Some(wanted)), right, "{wanted}");
        }
        assert_eq!(next(None), "/console");
    }
}
