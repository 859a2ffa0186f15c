//! Pages that say why there is no other.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::api::Problem;
use super::page::{Page, Shown};
use super::see;
use super::visit::Visit;
use crate::http::problem;
use crate::store::StoreError;

/// What is answered instead of a page.
pub struct Stop(Box<Response>);

impl From<Response> for Stop {
    fn from(response: Response) -> Self {
        Self(Box::new(response))
    }
}

impl From<Problem> for Stop {
    fn from(problem: Problem) -> Self {
        // The session ended between two questions.
        if problem.status == StatusCode::UNAUTHORIZED.as_u16() {
            return see("/console/sign-in?ended=1").into();
        }
        page(&problem).into()
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        let problem = problem::Problem::from(error);
        let status = problem.status();
        page(&Problem {
            status,
            title: "The key service cannot answer now".to_owned(),
            detail: problem.detail().to_owned(),
            ..Problem::default()
        })
        .into()
    }
}

impl IntoResponse for Stop {
    fn into_response(self) -> Response {
        *self.0
    }
}

/// A page about a problem.
#[derive(askama::Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    page: Page,
    problem: &'a Problem,
}

fn page(problem: &Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let page = ErrorPage {
        page: Page::plain(problem.title.clone()),
        problem,
    };
    Shown(page).with(status)
}

/// There is no such page.
pub async fn nothing_here(_: Visit) -> Response {
    page(&Problem {
        status: StatusCode::NOT_FOUND.as_u16(),
        title: "There is no such page".to_owned(),
        detail: "The address is mistyped, or the page is gone.".to_owned(),
        ..Problem::default()
    })
}

/// A form that was sent by a page of another site.
pub fn of_another_site() -> Response {
    page(&Problem {
        status: StatusCode::FORBIDDEN.as_u16(),
        title: "Sent from another site".to_owned(),
        detail: "Nothing was done: the form was sent by a page of another site. If it was this console's own, a proxy \
                 in between changes the host: start the service with --console-origin."
            .to_owned(),
        ..Problem::default()
    })
}
