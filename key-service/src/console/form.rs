//! Pages with a form: to make and change something, and to be told of the consequences before something is stopped. What
//! was typed stays in its fields where the API refuses it, beside what is wrong with it.

use axum::Form;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Map, Value};

use super::api::Problem;
use super::error::Stop;
use super::links;
use super::page::{Page, Shown};
use super::parts::{Field, Time};
use super::visit::Console;

/// A page with a form.
#[derive(askama::Template)]
#[template(path = "form.html")]
pub struct FormPage {
    /// Its frame.
    pub page: Page,
    /// What sending it does.
    pub intro: Vec<String>,
    /// Its fields.
    pub fields: Vec<Field>,
    /// What goes along unseen.
    pub hidden: Vec<(&'static str, String)>,
    /// Where it is sent.
    pub action: String,
    /// What stands on its button.
    pub submit: &'static str,
    /// Whether it stops something.
    pub stops: bool,
    /// Where one goes who does not send it.
    pub back: String,
    /// Why it was not done.
    pub problem: Option<Problem>,
}

impl FormPage {
    /// A form that is sent to this address.
    pub fn new(page: Page, action: impl Into<String>, submit: &'static str) -> Self {
        Self {
            page,
            intro: Vec::new(),
            fields: Vec::new(),
            hidden: Vec::new(),
            action: action.into(),
            submit,
            stops: false,
            back: "/console".to_owned(),
            problem: None,
        }
    }

    /// The form, for those who may send it.
    pub fn show(self) -> Result<Response, Stop> {
        match self.page.may_write {
            true => Ok(Shown(self).into_response()),
            false => Err(Problem {
                status: StatusCode::FORBIDDEN.as_u16(),
                title: "You may only read".to_owned(),
                detail: "Changes are made by those whose role is admin.".to_owned(),
                ..Problem::default()
            }
            .into()),
        }
    }

    /// The form with what was typed into it, and why it was not done. Whoever has no session any more signs in, and
    /// whoever may not send it gets no form.
    pub fn refused(mut self, problem: Problem, sent: &Sent) -> Result<Response, Stop> {
        if problem.status == StatusCode::UNAUTHORIZED.as_u16() || !self.page.may_write {
            return Err(problem.into());
        }
        for field in &mut self.fields {
            field.value = sent.text(field.name).unwrap_or_default().to_owned();
            let of_field = problem.errors.iter().find(|error| {
                let rest = error.field.strip_prefix(field.name);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
            });
            field.error = of_field.map(|error| match &error.rule {
                Some(rule) => format!("{} (rule {rule} of the tenant)", error.message),
                None => error.message.clone(),
            });
        }
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::BAD_REQUEST);
        self.problem = Some(problem);
        Ok(Shown(self).with(status))
    }

    /// The keys that it would stop, if that is why it was not done.
    fn keys_in_use(&self) -> Option<&[super::api::UsedKey]> {
        self.problem.as_ref()?.keys.as_deref()
    }
}

/// What a form has sent.
#[derive(Debug, Clone, Default)]
pub struct Sent(Vec<(String, String)>);

impl FromRequest<Console> for Sent {
    type Rejection = Stop;

    async fn from_request(request: Request, console: &Console) -> Result<Self, Stop> {
        match Form::<Vec<(String, String)>>::from_request(request, console).await {
            Ok(Form(pairs)) => Ok(Self(pairs)),
            Err(_) => Err(Problem {
                status: StatusCode::BAD_REQUEST.as_u16(),
                title: "The form cannot be read".to_owned(),
                detail: "Nothing was done. Go back, and send the form again.".to_owned(),
                ..Problem::default()
            }
            .into()),
        }
    }
}

impl Sent {
    /// These fields.
    #[cfg(test)]
    pub fn of(pairs: Vec<(String, String)>) -> Self {
        Self(pairs)
    }

    /// What stands in a field, if anything does.
    pub fn text(&self, name: &str) -> Option<&str> {
        let mut values = self.0.iter().filter(|(field, _)| field == name);
        let text = values.next().map(|(_, value)| value.trim())?;
        (!text.is_empty()).then_some(text)
    }

    /// Whether a switch is on.
    pub fn is_on(&self, name: &str) -> bool {
        self.text(name) == Some("true")
    }

    /// The words in a field, separated by spaces, commas or lines; nothing where it is empty.
    pub fn words(&self, name: &str) -> Option<Vec<String>> {
        let separated = |letter: char| letter.is_whitespace() || letter == ',';
        let words = self.text(name)?.split(separated);
        let words = words.filter(|word| !word.is_empty());
        Some(words.map(str::to_owned).collect())
    }

    /// What to add to the path of a call that stops something: whether it was said that keys in use may be stopped.
    pub fn forced(&self) -> &'static str {
        match self.is_on("force") {
            true => "?force=true",
            false => "",
        }
    }
}

/// The body of a call, made of fields.
#[derive(Debug, Default)]
pub struct Body(Map<String, Value>);

impl Body {
    /// With this field, null where there is nothing.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// With this field, or without where there is nothing.
    pub fn with_some(self, name: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// The body.
    pub fn json(self) -> Value {
        Value::Object(self.0)
    }
}
