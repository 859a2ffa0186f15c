//! `/console/my/ask`: asking for an API.

use axum::http::Method;
use axum::response::Response;

use super::{Developer, PATH};
use crate::console::error::Stop;
use crate::console::form::{Body, FormPage, Sent};
use crate::console::list::Asked;
use crate::console::parts::Field;
use crate::console::see;

/// The form.
pub async fn form(developer: Developer, asked: Asked) -> Result<Response, Stop> {
    let mut page = page(&developer);
    if let (Some(field), Some(api)) = (page.fields.first_mut(), asked.get("api")) {
        field.value = api.to_owned();
    }
    page.show()
}

fn page(developer: &Developer) -> FormPage {
    FormPage {
        intro: vec![
            "An administrator decides. Once the request is approved, all your keys may use the API.".to_owned(),
        ],
        fields: vec![
            Field::line("api", "API")
                .help("As it is named where a request is refused with api_not_approved")
                .required(),
            Field::line("reason", "What for").help("For whoever decides"),
        ],
        back: PATH.to_owned(),
        ..FormPage::new(developer.page("Ask for an API"), format!("{PATH}/ask"), "Ask for it")
    }
}

/// Asks for it.
pub async fn send(developer: Developer, sent: Sent) -> Result<Response, Stop> {
    let body = Body::default()
        .with("user_id", developer.user.as_str())
        .with_some("api", sent.text("api"))
        .with_some("reason", sent.text("reason"));
    let api = &developer.visit.api;
    match api.send(Method::POST, "approvals", Some(body.json())).await {
        Ok(_) => Ok(see(&format!("{PATH}?done=asked"))),
        Err(problem) => page(&developer).refused(problem, &sent),
    }
}
