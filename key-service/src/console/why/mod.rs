//! `/console/why`: one question, whose answer is the chain. A key in clear is taken by POST alone, and stands in no address
//! and in no answer; what may be shared is the address with the id of the key.

mod question;

use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;

use self::question::{Question, Read};
use super::api::Problem;
use super::audit_words::shown;
use super::chain::{chain, without_request};
use super::error::Stop;
use super::form::Sent;
use super::links;
use super::list::Asked;
use super::page::{Page, Section, Shown};
use super::parts::{Badge, Cell, Chain, Column, Field, Table, Time};
use super::records::{Explanation, Key, Reply};
use super::visit::Visit;
use crate::explain::log_line::Decided;

/// The page.
#[derive(askama::Template)]
#[template(path = "why.html")]
struct WhyPage {
    page: Page,
    /// What stands in the one field; never a key.
    ask: String,
    /// The request.
    fields: Vec<Field>,
    problem: Option<Problem>,
    answer: Option<Answer>,
}

impl WhyPage {
    /// Whether anything is said of the request.
    fn says_of_request(&self) -> bool {
        let said = |field: &Field| !field.value.is_empty() || field.error.is_some();
        self.fields.iter().any(said)
    }
}

/// An answer as it is shown.
struct Answer {
    allowed: bool,
    summary: String,
    /// What was decided otherwise at that time, in a sentence.
    then: Option<String>,
    chain: Chain,
    next_step: String,
    policy: String,
    /// What the client got.
    reply: Option<ClientSaw>,
    checks: Table,
    history: Table,
    /// The address that may be shared.
    share: Option<String>,
}

/// What the client got.
struct ClientSaw {
    status: u16,
    title: String,
    detail: String,
    body: String,
}

/// The form, or the answer about the key whose id is in the address.
pub async fn show(visit: Visit, asked: Asked) -> Result<Response, Stop> {
    let question = Question::of_address(&asked);
    if question.is_empty() {
        return Ok(page(&visit, &question, None, None).with(StatusCode::OK));
    }
    answer(&visit, question, asked.done()).await
}

/// The answer to what was typed.
pub async fn ask(visit: Visit, sent: Sent) -> Result<Response, Stop> {
    answer(&visit, Question::of_form(&sent), None).await
}

async fn answer(visit: &Visit, question: Question, done: Option<&str>) -> Result<Response, Stop> {
    let read = match question.read() {
        Ok(read) => read,
        Err(problem) => return refused(visit, &question, problem),
    };
    if let Read::Hint(hint) = &read {
        return Ok(super::see(&format!(
            "/console/keys?search={}",
            links::encoded(hint)
        )));
    }
    match explain(visit, &question, &read).await {
        Ok((explanation, decided)) => {
            let key = match &explanation.key_id {
                Some(id) => Some(visit.api.get::<Key>(&super::api::of("keys", id)).await?),
                None => None,
            };
            let answer = Answer::of(visit, &question, &explanation, key.as_ref(), &decided);
            let mut shown = page(visit, &question, None, Some(answer));
            shown.0.page = shown.0.page.after(done);
            Ok(shown.into_response())
        }
        Err(problem) => refused(visit, &question, problem),
    }
}

/// What is not an id may be a key.
async fn explain(
    visit: &Visit,
    question: &Question,
    read: &Read,
) -> Result<(Explanation, Decided), Problem> {
    let decided = read.decided();
    let mut last = Problem::unreadable();
    for body in question.bodies(read) {
        match visit.api.send(Method::POST, "explain", Some(body)).await {
            Ok(answer) => {
                let explanation = serde_json::from_value(answer);
                return explanation
                    .map(|explanation| (explanation, decided))
                    .map_err(|_| Problem::unreadable());
            }
            Err(problem) if problem.status == 404 => last = problem,
            Err(problem) => return Err(problem),
        }
    }
    Err(last)
}

fn refused(visit: &Visit, question: &Question, problem: Problem) -> Result<Response, Stop> {
    if problem.status == StatusCode::UNAUTHORIZED.as_u16() {
        return Err(problem.into());
    }
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::BAD_REQUEST);
    Ok(page(visit, question, Some(problem), None).with(status))
}

fn page(
    visit: &Visit,
    question: &Question,
    problem: Option<Problem>,
    answer: Option<Answer>,
) -> Shown<WhyPage> {
    let mut fields = question.fields();
    for field in &mut fields {
        let wrong = problem.iter().flat_map(|problem| &problem.errors);
        let mut of_field = wrong.filter(|wrong| wrong.field.rsplit('.').next() == Some(field.name));
        field.error = of_field.next().map(|wrong| wrong.message.clone());
    }
    Shown(WhyPage {
        page: visit.page(Section::Why, "Why?"),
        ask: question.echo(),
        fields,
        problem,
        answer,
    })
}

impl Answer {
    fn of(
        visit: &Visit,
        question: &Question,
        explanation: &Explanation,
        key: Option<&Key>,
        decided: &Decided,
    ) -> Self {
        let then = then(explanation, decided);
        let reply = match (&explanation.then, &then) {
            (Some(earlier), Some(_)) => earlier.reply.as_ref(),
            _ => explanation.reply.as_ref(),
        };
        Self {
            allowed: explanation.verdict == "allowed",
            summary: explanation.summary.clone(),
            then,
            chain: chain(&asked_for(question, explanation), key, visit),
            next_step: explanation.next_step.clone(),
            policy: explanation.policy.clone(),
            reply: reply.map(client_saw),
            checks: checks(explanation),
            history: history(explanation),
            share: explanation.key_id.as_deref().map(|id| question.share(id)),
        }
    }
}

/// The explanation as far as it was asked for: of no request there is nothing to say, unless it is what breaks the chain.
fn asked_for(question: &Question, explanation: &Explanation) -> Explanation {
    let asked = explanation.clone();
    if question.is_of_request() {
        return asked;
    }
    let asked = without_request(asked);
    match asked.verdict == explanation.verdict {
        true => asked,
        false => explanation.clone(),
    }
}

/// What was decided at that time, where that is not what would be decided now: by the line of the access log, else by the
/// audit log.
fn then(explanation: &Explanation, decided: &Decided) -> Option<String> {
    let (code, by) = match (decided.code(), &explanation.then) {
        (Some(code), _) => (code, "the access log says"),
        (None, Some(then)) => (then.verdict.as_str(), "the audit log says"),
        (None, None) => return None,
    };
    let shadowed = match decided {
        Decided::Shadowed(_) => " in shadow only, so that it went on",
        _ => "",
    };
    (code != explanation.verdict || !shadowed.is_empty()).then(|| {
        let cause = explanation
            .then
            .as_ref()
            .filter(|then| then.verdict == code);
        let cause = cause.map_or(String::new(), |then| format!(" ({})", then.summary));
        format!(
            "At that time it was {code}{shadowed}, {by}{cause}. By the records of now it is {}.",
            explanation.verdict
        )
    })
}

fn client_saw(reply: &Reply) -> ClientSaw {
    let problem: Value = serde_json::from_str(&reply.body).unwrap_or_default();
    let text = |name: &str| problem[name].as_str().unwrap_or_default().to_owned();
    ClientSaw {
        status: reply.status,
        title: text("title"),
        detail: text("detail"),
        body: reply.body.clone(),
    }
}

fn checks(explanation: &Explanation) -> Table {
    let row = |check: &super::records::Check| {
        let result = match check.result.as_str() {
            "passed" => Badge::good("passed"),
            "failed" => Badge::bad("failed"),
            _ => Badge::plain(&check.result),
        };
        vec![
            Cell::Code(check.code.clone()),
            Cell::Badge(result),
            Cell::Text(check.detail.clone()),
        ]
    };
    Table {
        caption: "Every check, in the order in which they are made".to_owned(),
        columns: ["Check", "Result", "Values"].map(Column::plain).to_vec(),
        rows: explanation.checks.iter().map(row).collect(),
        empty: "No check is made.".to_owned(),
    }
}

fn history(explanation: &Explanation) -> Table {
    let row = |change: &super::records::Change| {
        let record = format!("{} {}", change.kind, change.id);
        vec![
            Cell::Time(Time(change.at)),
            Cell::Text(change.actor.clone()),
            match links::record(&change.kind, &change.id) {
                Some(href) => Cell::Link { href, text: record },
                None => Cell::Text(record),
            },
            Cell::Text(format!(
                "{}: {} → {}",
                change.field,
                shown(Some(&change.from)),
                shown(Some(&change.to))
            )),
            match change.cause {
                true => Cell::Badge(Badge::warning("the cause")),
                false => Cell::None(""),
            },
        ]
    };
    Table {
        caption: "The last changes of the key, its user and its tenant".to_owned(),
        columns: ["Time", "Who", "Record", "Change", "Verdict"]
            .map(Column::plain)
            .to_vec(),
        rows: explanation.history.iter().map(row).collect(),
        empty: "The audit log says nothing of them.".to_owned(),
    }
}
