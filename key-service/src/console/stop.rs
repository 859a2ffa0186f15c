//! Forms that stop a record: they say first what that does, and which keys are in use. And what is done at once, because
//! it stops nothing.

use axum::http::Method;
use axum::response::Response;
use serde_json::Value;

use super::error::Stop;
use super::form::{FormPage, Sent};
use super::page::Section;
use super::parts::Field;
use super::see;
use super::sign_in;
use super::visit::Visit;

/// Something that is stopped.
pub struct Stopping {
    /// Which part of the console its page is of.
    pub section: Section,
    /// What is done.
    pub title: String,
    /// What becomes of it.
    pub consequence: &'static str,
    /// Where the form is, and is sent.
    pub action: String,
    /// The page of the record.
    pub back: String,
    /// What stands on the button.
    pub submit: &'static str,
    /// What the API is asked for.
    pub method: Method,
    /// Where.
    pub api: String,
    /// Whether the API may be told to stop keys in use, too.
    pub asks: bool,
    /// What is typed beside it.
    pub fields: Vec<Field>,
    /// The word for what was done.
    pub done: &'static str,
}

impl Stopping {
    /// The form.
    pub fn form(&self, visit: &Visit) -> FormPage {
        let page = visit.page(self.section, self.title.clone());
        FormPage {
            intro: vec![self.consequence.to_owned()],
            fields: self.fields.clone(),
            stops: true,
            back: self.back.clone(),
            ..FormPage::new(page, self.action.clone(), self.submit)
        }
    }

    /// Does it, with this body.
    pub async fn send(
        self,
        visit: &Visit,
        sent: &Sent,
        body: Option<Value>,
    ) -> Result<Response, Stop> {
        let force = if self.asks { sent.forced() } else { "" };
        let path = format!("{}{force}", self.api);
        match visit.api.send(self.method.clone(), &path, body).await {
            Ok(_) => Ok(see(&format!("{}?done={}", self.back, self.done))),
            Err(problem) => self.form(visit).refused(problem, sent),
        }
    }
}

/// Changes something at once, and goes to the page of the record, or back to where the button was.
pub async fn at_once(
    visit: &Visit,
    sent: &Sent,
    api: &str,
    body: Value,
    (back, done): (String, &str),
) -> Result<Response, Stop> {
    visit.api.send(Method::PATCH, api, Some(body)).await?;
    let next = match sent.text("next") {
        Some(wanted) => sign_in::next(Some(wanted)),
        None => back,
    };
    let sign = if next.contains('?') { '&' } else { '?' };
    Ok(see(&format!("{next}{sign}done={done}")))
}
