//! What happens to every request: who sends it, may they, how long may it take, and what is
//! counted and logged. Nothing under `/v1`, `/admin` or `/scim` is reached without a token, not even a 404. What is under
//! `/leaks` asks for a signature itself.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use keybound::protocol::MARKER;

use super::app::{Actor, App, Caller};
use super::attempts::Wrong;
use super::problem::Problem;
use crate::domain::reach::Reach;
use crate::domain::time::now;
use crate::domain::token::{Grant, Role, Token, TokenDigest};
use crate::domain::user::{User, UserStatus};
use crate::store::{Store, StoreError, View};

/// The parts of the service, by who may enter.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Area {
    Protocol,
    Admin,
    Scim,
    /// What scanners sign.
    Signed,
    Open,
}

impl Area {
    fn of(path: &str) -> Self {
        match path.split('/').nth(1) {
            Some("v1") => Self::Protocol,
            Some("admin") => Self::Admin,
            Some("scim") => Self::Scim,
            Some("leaks") => Self::Signed,
            _ => Self::Open,
        }
    }
}

pub async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let area = Area::of(request.uri().path());
    let method = request.method().clone();
    // The route, never the path: paths hold ids and whatever else a client sends.
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "unmatched".to_owned(), |path| path.as_str().to_owned());

    let mut response = match admit(&app, area, &route, request).await {
        Ok(request) => answer(&app, &route, request, next).await,
        Err(refused) => refused.answer(&app, area, began),
    };
    if area == Area::Scim {
        response = super::scim::fault::told(response);
    }
    if area == Area::Protocol {
        response
            .headers_mut()
            .insert(MARKER.0, HeaderValue::from_static(MARKER.1));
    }
    if area != Area::Open {
        response
            .headers_mut()
            .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    let status = response.status().as_u16();
    let took = began.elapsed();
    if let Some(failure) = response.extensions().get() {
        app.metrics.database_failed(*failure);
    }
    app.metrics.request(&method, &route, status, took);
    tracing::debug!(%method, route, status, micros = took.as_micros(), "request");
    response
}

async fn answer(app: &App, route: &str, request: Request, next: Next) -> Response {
    let token = request.extensions().get::<TokenDigest>().cloned();
    let running = next.run(request);
    if route == super::changes::PATH {
        let response = running.await;
        return still_admitted(app, token).await.unwrap_or(response);
    }
    // Bounded by its lines, and so is the time for which each part of them waits. Cut off between two parts, it
    // would have done half of what it was asked for.
    if [super::import::PATH, super::apply::PATH].contains(&route) {
        return running.await;
    }
    match tokio::time::timeout(app.settings.request_timeout, running).await {
        Ok(response) => response,
        Err(_) => {
            tracing::warn!(route, "a request took too long and was given up");
            Problem::unavailable("The request took too long.").into_response()
        }
    }
}

/// The refusal of a request whose token was revoked while it waited: it is told of no change any more.
async fn still_admitted(app: &App, token: Option<TokenDigest>) -> Option<Response> {
    match app.store.token(&token?, now()).await {
        Ok(Some(_)) => None,
        Ok(None) => Some(
            Problem::unauthorized("The bearer token is revoked or has expired.").into_response(),
        ),
        Err(error) => Some(Problem::from(error).into_response()),
    }
}

/// Lets a request pass whose token may do what it asks for.
async fn admit(
    app: &App,
    area: Area,
    route: &str,
    mut request: Request,
) -> Result<Request, Refused> {
    if area == Area::Open {
        return Ok(request);
    }
    if area == Area::Signed {
        // The handler asks for the signature, of the body that it reads.
        let view = View::new(
            app.store.clone(),
            Reach::Everything,
            super::scanner::ACTOR.to_owned(),
        );
        request.extensions_mut().insert(view);
        return Ok(request);
    }
    let Caller { entry, digest } = match request.extensions_mut().remove::<Caller>() {
        Some(caller) => caller,
        None => bearer(app, presented(&request)).await?,
    };
    let forbidden = |problem| Refused::of(Wrong::Forbidden, problem);
    let role = entry.grant.role;
    permit(area, role, request.method(), route).map_err(forbidden)?;
    if area == Area::Protocol {
        request.extensions_mut().insert(Actor(entry.name));
    } else {
        let reach = reach(&app.store, &entry.grant).await;
        let reach = reach.map_err(Refused::unsaid)?.ok_or_else(|| {
            let detail = "The user of the bearer token is gone or not active, so that the token opens nothing.";
            forbidden(Problem::unauthorized(detail))
        })?;
        let view = View::new(app.store.clone(), reach, entry.actor());
        request.extensions_mut().insert(view);
        request.extensions_mut().insert(role);
    }
    request.extensions_mut().insert(digest);
    Ok(request)
}

/// Whose token was presented.
async fn bearer(app: &App, presented: Result<Token, Problem>) -> Result<Caller, Refused> {
    let token = presented.map_err(|problem| Refused::of(Wrong::Missing, problem))?;
    let digest = token.digest();
    match app.store.token(&digest, now()).await {
        Ok(Some(entry)) => Ok(Caller { entry, digest }),
        Ok(None) => {
            let problem = Problem::unauthorized("The bearer token is unknown, revoked or expired.");
            Err(Refused::of(Wrong::Unknown, problem))
        }
        Err(error) => Err(Refused::unsaid(error)),
    }
}

/// How far a token reaches; nothing where it is that of a user who may not do anything.
pub(crate) async fn reach(store: &Store, grant: &Grant) -> Result<Option<Reach>, StoreError> {
    let Some(id) = &grant.user_id else {
        let tenant = grant.tenant_id.clone().map(Reach::Tenant);
        let all = matches!(grant.role, Role::Admin | Role::Viewer).then_some(Reach::Everything);
        return Ok(tenant.or(all));
    };
    let user = store.by_id::<User>(id).await?;
    let active = user.filter(|user| user.status == UserStatus::Active);
    Ok(active.map(|user| Reach::User {
        id: user.id,
        tenant: user.tenant_id,
    }))
}

/// A request that does not pass.
struct Refused {
    /// What is wrong with its token; nothing where that could not be found out.
    wrong: Option<Wrong>,
    problem: Box<Problem>,
}

impl Refused {
    fn of(wrong: Wrong, problem: Problem) -> Self {
        Self {
            wrong: Some(wrong),
            problem: Box::new(problem),
        }
    }

    fn unsaid(error: StoreError) -> Self {
        Self {
            wrong: None,
            problem: Box::new(error.into()),
        }
    }

    fn answer(self, app: &App, area: Area, now: Instant) -> Response {
        if let Some(wrong) = self.wrong {
            app.metrics.token_refused(wrong);
        }
        if self.wrong != Some(Wrong::Unknown) {
            return (*self.problem).into_response();
        }
        let area = area.name();
        if let Some(more) = app.attempts.tell(area, now) {
            tracing::warn!(
                path_area = area,
                more_since_last_line = more,
                "a request came with an unknown, revoked or expired token"
            );
        }
        match app.attempts.count(now) {
            Ok(()) => (*self.problem).into_response(),
            Err(wait) => Problem::too_many_attempts(wait).into_response(),
        }
    }
}

impl Area {
    fn name(self) -> &'static str {
        match self {
            Self::Protocol => "/v1",
            Self::Admin => "/admin",
            Self::Scim => "/scim",
            Self::Signed => "/leaks",
            Self::Open => "/",
        }
    }
}

fn presented(request: &Request) -> Result<Token, Problem> {
    let mut headers = request.headers().get_all(header::AUTHORIZATION).iter();
    match (headers.next(), headers.next()) {
        (None, _) => Err(Problem::unauthorized(
            "A token is needed: send \"authorization: Bearer <token>\".",
        )),
        (Some(header), None) => Token::from_authorization(header.as_bytes()).ok_or_else(|| {
            Problem::unauthorized("The authorization header must be \"Bearer <token>\".")
        }),
        (Some(_), Some(_)) => Err(Problem::unauthorized(
            "The authorization header is given twice.",
        )),
    }
}

/// What a developer may ask for, beside what only reads.
const DEVELOPERS: [(&Method, &str); 4] = [
    (&Method::POST, super::approvals::PATH),
    (&Method::POST, super::keys::PATH),
    (&Method::POST, super::keys::ROTATE),
    (&Method::POST, super::keys::REVOKE),
];

/// Refuses what a role is not for. How far the token reaches within it is the view's to say.
fn permit(area: Area, role: Role, method: &Method, route: &str) -> Result<(), Problem> {
    let reads = method == Method::GET || method == Method::HEAD || route == super::explain::PATH;
    let forbidden = |detail: &str| Err(Problem::forbidden(detail));
    match (area, role) {
        (Area::Open | Area::Signed, _)
        | (Area::Protocol, Role::Gateway)
        | (Area::Admin, Role::Admin)
        | (Area::Scim, Role::Scim) => Ok(()),
        (Area::Admin, Role::Viewer | Role::Developer) if route == super::export::PATH => forbidden(
            "An export holds the digests of keys, by which guesses can be tried. Use an admin's token.",
        ),
        (Area::Admin, Role::Developer) if route == super::tokens::PATH => {
            forbidden("A developer's token neither sees nor makes tokens. Use an admin's token.")
        }
        (Area::Admin, Role::Viewer | Role::Developer) if reads => Ok(()),
        (Area::Admin, Role::Viewer) if route == super::apply::DIFF => Ok(()),
        (Area::Admin, Role::Viewer) => {
            forbidden("A viewer's token may only read. Use an admin's token.")
        }
        (Area::Admin, Role::Developer) if DEVELOPERS.contains(&(method, route)) => Ok(()),
        (Area::Admin, Role::Developer) => forbidden(
            "A developer's token may read, make, rotate and revoke the user's own keys, and ask for APIs. Use an admin's token.",
        ),
        (Area::Admin, Role::Gateway) => forbidden(
            "A gateway's token does not open the admin API. Use an admin's or viewer's token.",
        ),
        (Area::Admin, Role::Scim) => {
            forbidden("A directory's token opens /scim/v2 alone. Use an admin's or viewer's token.")
        }
        (Area::Protocol, role) => Err(Problem::forbidden(format!(
            "The token's role is {}. Gateways need a token of the role gateway.",
            role.as_str()
        ))),
        (Area::Scim, role) => Err(Problem::forbidden(format!(
            "The token's role is {}. Directories need a token of the role scim.",
            role.as_str()
        ))),
    }
}
