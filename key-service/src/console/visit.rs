//! Who asks for a page: the session that their browser holds, looked up at every request, so that a token that is revoked
//! and a user who is stopped are out at the next.

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use cookie::{Cookie, SameSite};

use super::api::Api;
use super::error::Stop;
use super::links::encoded;
use super::page::{Page, Section};
use super::settings::Settings;
use super::{reads, see};
use crate::domain::session::{Session, SignedInBy};
use crate::domain::time::now;
use crate::domain::token::{Role, Token, TokenDigest, TokenEntry};
use crate::http::app::{App, Caller};
use crate::http::guard::reach;

/// What the pages share.
#[derive(Clone)]
pub struct Console(Arc<Shared>);

/// What is in it.
pub struct Shared {
    /// What the service shares.
    pub app: App,
    /// How the console is reached.
    pub settings: Settings,
    /// The admin API.
    api: Router,
}

impl std::ops::Deref for Console {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Console {
    /// What the pages share from now on.
    pub fn new(app: App, settings: Settings, api: Router) -> Self {
        Self(Arc::new(Shared { app, settings, api }))
    }

    /// Whether the browser reaches the console by TLS.
    pub fn is_secure(&self, headers: &HeaderMap) -> bool {
        match &self.settings.origin {
            Some(origin) => origin.is_secure(),
            // Whoever makes this up harms their own cookie alone.
            None => headers
                .get("x-forwarded-proto")
                .is_some_and(|scheme| scheme == "https"),
        }
    }

    /// The cookie of a session. Behind TLS it is bound to this host and never sent in clear.
    pub fn cookie(&self, headers: &HeaderMap, secret: &str) -> Cookie<'static> {
        let secure = self.is_secure(headers);
        let name = if secure { SECURE_COOKIE } else { COOKIE };
        Cookie::build((name, secret.to_owned()))
            .path("/")
            .http_only(true)
            // Lax, or the link in a ticket would open the sign-in page. Forms of other sites are refused beside it.
            .same_site(SameSite::Lax)
            .secure(secure)
            .build()
    }
}

/// Name of the cookie.
const COOKIE: &str = "keybound";
/// Name of the cookie behind TLS (RFC 6265bis, section 4.1.3.2).
const SECURE_COOKIE: &str = "__Host-keybound";

/// What a browser holds of a session.
pub fn held(console: &Console, headers: &HeaderMap) -> Option<TokenDigest> {
    let wanted = match console.is_secure(headers) {
        true => SECURE_COOKIE,
        false => COOKIE,
    };
    let lines = headers.get_all(header::COOKIE).iter();
    let texts = lines.filter_map(|line| line.to_str().ok());
    let cookies = texts.flat_map(Cookie::split_parse).filter_map(Result::ok);
    let mut named = cookies.filter(|cookie| cookie.name() == wanted);
    let token = Token::chosen(named.next()?.value()).ok()?;
    Some(token.digest())
}

/// Somebody who is signed in and asks for a page.
#[derive(Clone)]
pub struct Visit {
    /// What they may do.
    entry: TokenEntry,
    /// Of the session.
    session: TokenDigest,
    /// The admin API, as they see it.
    pub api: Api,
}

impl Visit {
    /// The visit of whoever holds this session; nothing where that is over.
    pub async fn of(console: &Console, session: TokenDigest) -> Result<Option<Self>, Stop> {
        let store = &console.app.store;
        let Some(found) = store.session(&session, now()).await? else {
            return Ok(None);
        };
        let (entry, digest) = entry(found, &session);
        if !may_enter(entry.grant.role) || reach(store, &entry.grant).await?.is_none() {
            return Ok(None);
        }
        let caller = Caller {
            entry: entry.clone(),
            digest,
        };
        Ok(Some(Self {
            api: Api::new(console.api.clone(), caller),
            entry,
            session,
        }))
    }

    /// Their name.
    pub fn name(&self) -> &str {
        &self.entry.name
    }

    /// What they are here as.
    pub fn role(&self) -> Role {
        self.entry.grant.role
    }

    /// The user whose own keys they see alone.
    pub fn user(&self) -> Option<&str> {
        self.entry.grant.user_id.as_deref()
    }

    /// The tenant that they see alone.
    pub fn tenant(&self) -> Option<&str> {
        self.entry.grant.tenant_id.as_deref()
    }

    /// Whether they may change what they see.
    pub fn may_write(&self) -> bool {
        self.role() == Role::Admin
    }

    /// Their session.
    pub fn session(&self) -> &TokenDigest {
        &self.session
    }

    /// The frame of a page for them.
    pub fn page(&self, section: Section, title: impl Into<String>) -> Page {
        Page::of(self, section, title.into())
    }
}

/// Whether this role has pages.
pub fn may_enter(role: Role) -> bool {
    matches!(role, Role::Admin | Role::Viewer | Role::Developer)
}

fn entry(session: Session, digest: &TokenDigest) -> (TokenEntry, TokenDigest) {
    match session.by {
        SignedInBy::Token { digest, entry } => (entry, digest),
        SignedInBy::Identity { name, grant } => {
            let entry = TokenEntry {
                owner: grant.tenant_id.clone(),
                name,
                grant,
                created_at: 0,
                revoked_at: None,
            };
            (entry, digest.clone())
        }
    }
}

impl FromRequestParts<Console> for Visit {
    type Rejection = Stop;

    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Self, Stop> {
        let visit = match held(console, &parts.headers) {
            Some(session) => Self::of(console, session).await?,
            None => None,
        };
        visit.ok_or_else(|| {
            // Where they wanted to go, if coming back there does what they wanted.
            let wanted = parts.uri.path_and_query().map(|wanted| wanted.as_str());
            match wanted.filter(|_| reads(&parts.method)) {
                Some(wanted) => {
                    Stop::from(see(&format!("/console/sign-in?next={}", encoded(wanted))))
                }
                None => Stop::from(see("/console/sign-in?ended=1")),
            }
        })
    }
}

/// Somebody who may see more than what is their own.
pub struct Staff(pub Visit);

impl FromRequestParts<Console> for Staff {
    type Rejection = Stop;

    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Self, Stop> {
        let visit = Visit::from_request_parts(parts, console).await?;
        match visit.role() {
            Role::Developer => Err(see("/console/my").into()),
            _ => Ok(Self(visit)),
        }
    }
}

/// The header that hands a cookie to the browser.
pub fn set(cookie: &Cookie<'_>) -> Option<(header::HeaderName, HeaderValue)> {
    let value = HeaderValue::from_str(&cookie.to_string()).ok()?;
    Some((header::SET_COOKIE, value))
}
