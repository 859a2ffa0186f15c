//! What happens to every request: who sends it, may they, how long may it take, and what is
//! counted and logged. Nothing under `/v1` or `/admin` is reached without a token, not even a 404.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use keybound::protocol::MARKER;

use super::app::{Actor, App};
use super::attempts::Wrong;
use super::problem::Problem;
use crate::domain::token::{Role, Token, TokenDigest, TokenEntry};
use crate::store::StoreError;

/// The parts of the service, by who may enter.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Area {
    Protocol,
    Admin,
    Open,
}

impl Area {
    fn of(path: &str) -> Self {
        match path.split('/').nth(1) {
            Some("v1") => Self::Protocol,
            Some("admin") => Self::Admin,
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
    if route == super::import::PATH {
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
    match app.store.token(&token?).await {
        Ok(Some(_)) => None,
        Ok(None) => Some(Problem::unauthorized("The bearer token is revoked.").into_response()),
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
    let token = presented(&request).map_err(|problem| Refused::of(Wrong::Missing, problem))?;
    let digest = token.digest();
    let Some(entry) = app.store.token(&digest).await.map_err(Refused::unsaid)? else {
        let problem = Problem::unauthorized("The bearer token is unknown or revoked.");
        return Err(Refused::of(Wrong::Unknown, problem));
    };
    let method = request.method();
    let reads = method == Method::GET || method == Method::HEAD || route == super::explain::PATH;
    permit(area, &entry, reads).map_err(|problem| Refused::of(Wrong::Forbidden, problem))?;
    request.extensions_mut().insert(Actor(entry.name));
    request.extensions_mut().insert(digest);
    Ok(request)
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
                "a request came with an unknown or revoked token"
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

fn permit(area: Area, entry: &TokenEntry, reads: bool) -> Result<(), Problem> {
    match (area, entry.role) {
        (Area::Open, _) | (Area::Protocol, Role::Gateway) | (Area::Admin, Role::Admin) => Ok(()),
        (Area::Admin, Role::Viewer) if reads => Ok(()),
        (Area::Admin, Role::Viewer) => Err(Problem::forbidden(
            "A viewer's token may only read. Use an admin's token.",
        )),
        (Area::Admin, Role::Gateway) => Err(Problem::forbidden(
            "A gateway's token does not open the admin API. Use an admin's or viewer's token.",
        )),
        (Area::Protocol, Role::Admin | Role::Viewer) => Err(Problem::forbidden(format!(
            "The token's role is {}. Gateways need a token of the role gateway.",
            entry.role.as_str()
        ))),
    }
}
