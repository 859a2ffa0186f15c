//! `POST /admin/v1/explain`: why a gateway decides on a request as it does.
//!
//! The verdict comes from the filter's own code, fed with this service's own answer of the protocol and the
//! filter's own configuration. Nothing is written: a viewer may ask.

mod history;
mod question;

use std::rc::Rc;

use crate::explain::{ApiRequest, ApiStanding, Explanation, Known, Owner, Question, Subject};
use axum::extract::State;
use axum::{Extension, Json};
use keybound::credential::{Fault, find};
use keybound::host::{Circumstances, Header};
use keybound::record::Chain;
use keybound::record::{Resolved, parse_answer};
use keybound::reply::Replies;
use keybound::request::Request;
use keybound::request::headers::Headers;
use keybound::verdict::Reason;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use self::history::{HistoryEntry, Past, Trails};
use self::question::{About, Asked, ExplainQuestion, Sent};
use super::app::App;
use super::body::Body;
use super::problem::Problem;
use super::resolve::answer;
use crate::domain::approval::{Approval, ApprovalStatus};
use crate::domain::credential::Digest;
use crate::domain::key::Key;
use crate::domain::refusal::Refusal;
use crate::domain::token::DIRECTORY;
use crate::domain::user::User;
use crate::store::resolve::{Found, Resolved as Answered};
use crate::store::{StoreError, View};

/// The only call with a body that changes nothing.
pub const PATH: &str = "/admin/v1/explain";

/// Why.
#[derive(Serialize, ToSchema)]
pub struct ExplainAnswer {
    /// `allowed`, or the code with which the gateway refuses, by the records of now.
    #[schema(example = "user_deactivated")]
    verdict: &'static str,
    /// False where the verdict depends on the filter's configuration, and the service was started without it:
    /// `allowed` then says only that nothing else refuses the request.
    conclusive: bool,
    /// The verdict and its cause in one line.
    #[schema(example = "refused: user_deactivated - the key's user usr_7 is deactivated")]
    summary: String,
    /// By which policy the request is judged, and why by that.
    policy: String,
    /// Every check, in the order in which they are made: the first that failed is the verdict.
    checks: Vec<ExplainCheck>,
    /// What to do about the verdict.
    next_step: String,
    /// The verdict on the records as they were at `request.at`, as far as the audit log knows; null where no
    /// earlier time is asked about, or the log does not reach back to it.
    then: Option<ExplainThen>,
    /// The last changes of the key, its user and its tenant, newest first.
    history: Vec<HistoryEntry>,
    /// What the client gets, where it is refused.
    reply: Option<ExplainReply>,
    /// Id of the key, where it is known.
    key_id: Option<String>,
    /// Id of its user, as the key names it.
    user_id: Option<String>,
    /// Id of its tenant, as the key names it.
    tenant_id: Option<String>,
}

/// The verdict at an earlier time.
#[derive(Serialize, ToSchema)]
struct ExplainThen {
    /// `allowed`, or the code with which the gateway refused.
    verdict: &'static str,
    /// The verdict and its cause in one line.
    summary: String,
    /// What the client got, where it was refused.
    reply: Option<ExplainReply>,
}

/// What the client gets instead of an answer of the upstream, but for the id of its request.
#[derive(Serialize, ToSchema)]
struct ExplainReply {
    /// The HTTP status.
    status: u16,
    /// The problem, or for gRPC the message.
    #[schema(example = "{\"title\":\"Invalid user associated with this key\"}")]
    body: String,
}

#[derive(Serialize, ToSchema)]
struct ExplainCheck {
    code: &'static str,
    /// `passed`, `failed` or `skipped`.
    result: &'static str,
    /// The values that made it so.
    detail: String,
}

/// A request with its headers as the filter reads them.
struct List<'a> {
    headers: Vec<Header<'a>>,
    sent: &'a Sent,
}

/// Explains the verdict on a request: every check with its outcome, computed by the gateway's own code.
#[utoipa::path(
    post, path = PATH, tag = "explain", request_body = ExplainQuestion,
    responses(
        (status = 200, description = "Explained, whatever the verdict", body = ExplainAnswer),
        (status = 404, description = "There is no key of this id", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn explain(
    State(app): State<App>,
    Extension(view): Extension<View>,
    Body(question): Body<ExplainQuestion>,
) -> Result<Json<ExplainAnswer>, Problem> {
    let asked = Asked::of(question)?;
    asked.refuse_two_credentials(&app)?;
    let digest = match &asked.about {
        About::KeyId(id) => Some(view.by_id::<Key>(id).await?.ok_or_else(no_such_key)?.digest),
        About::Digest(digest) => Some(digest.clone()),
        About::Request | About::Key(_) => asked
            .credential(&app)
            .map(|credential| app.settings.digester.digest_bytes(&credential)),
    };
    let digests: Vec<Digest> = digest.into_iter().collect();
    let found = match digests.as_slice() {
        [] => None,
        digests => Some(view.resolve(digests).await?),
    };
    let trails = match first(found.as_ref()) {
        Some(Found { key, user, .. }) => {
            let approvals = match user {
                Some(user) => requests_for_lacking(&view, user).await?,
                None => Vec::new(),
            };
            Some(Trails::read(&view, key, approvals).await?)
        }
        None => None,
    };
    asked.answer(&app, &digests, found.as_ref(), trails.as_ref())
}

/// The newest requests of a user for APIs that are looked at.
const MOST_APPROVALS: i64 = 20;

/// The last requests of a user for APIs that it lacks.
async fn requests_for_lacking(view: &View, user: &User) -> Result<Vec<Approval>, StoreError> {
    let Some(had) = &user.apis else {
        return Ok(Vec::new());
    };
    let mut requests = view.last_approvals(&user.id, MOST_APPROVALS).await?;
    requests.retain(|request| !had.contains(&request.api));
    Ok(requests)
}

/// What is known of the one key that was asked for.
fn first(answered: Option<&Answered>) -> Option<&Found> {
    answered?.results.first()?.as_ref()
}

fn no_such_key() -> Problem {
    Problem::not_found("There is no key of this id.")
}

impl Asked {
    fn subject(&self) -> Subject<'_> {
        match &self.about {
            About::Request => Subject::Carried,
            About::Key(key) => Subject::Given(key.as_bytes()),
            About::KeyId(_) | About::Digest(_) => Subject::Named,
        }
    }

    /// The credential to look up, if the verdict depends on one.
    fn credential(&self, app: &App) -> Option<Vec<u8>> {
        let list = self.sent.list();
        let request = list.request();
        let question = self.question(app, &request);
        question.credential().map(std::borrow::Cow::into_owned)
    }

    fn question<'a>(&'a self, app: &'a App, request: &'a Request<'a, Sent>) -> Question<'a, Sent> {
        Question {
            settings: &app.settings.filter.settings,
            configured: app.settings.filter.given,
            request,
            subject: self.subject(),
            now: self.now,
            utc: &utc,
        }
    }

    /// Nobody could say which of the two is meant.
    fn refuse_two_credentials(&self, app: &App) -> Result<(), Refusal> {
        let field = match self.about {
            About::Request => return Ok(()),
            About::Key(_) => "key",
            About::KeyId(_) => "key_id",
            About::Digest(_) => "digest",
        };
        let list = self.sent.list();
        let request = list.request();
        let filter = &app.settings.filter.settings;
        let carried = find(&filter.credentials, &filter.key_format, request.headers);
        if carried == Err(Fault::Missing) {
            return Ok(());
        }
        Err(Refusal::field(
            field,
            "is given, and the request carries a credential as well: leave one of them out",
        ))
    }

    fn answer(
        &self,
        app: &App,
        digests: &[Digest],
        answered: Option<&Answered>,
        trails: Option<&Trails>,
    ) -> Result<Json<ExplainAnswer>, Problem> {
        let list = self.sent.list();
        let request = list.request();
        let question = self.question(app, &request);
        let chain = match answered {
            Some(answered) => chain(&answer(digests, answered)?)?,
            None => None,
        };
        let approvals: Vec<ApiRequest<'_>> = trails.map_or_else(Vec::new, |trails| {
            trails.approvals().filter_map(api_request).collect()
        });
        let known = chain.as_ref().zip(first(answered)).map(|(chain, found)| {
            let mut known = known((chain, found));
            known.owner = owner(found, trails);
            known.approvals = &approvals;
            known
        });
        let explanation = question.explain(known);
        let then = match (self.earlier, trails, digests.first()) {
            (Some(second), Some(trails), Some(digest)) => {
                let pasts = trails.during(second);
                then(&question, &pasts, digest, explanation.verdict)
            }
            _ => None,
        };
        let verdicts = [
            explanation.verdict,
            then.as_ref().and_then(|then| then.verdict),
        ];
        let history = trails.map_or_else(Vec::new, |trails| {
            trails.told(&verdicts, &explanation.approvals)
        });
        let filter = &app.settings.filter.settings;
        let replies = Replies::new(&filter.rejection, &filter.credentials);
        let reply = |verdict: Option<Reason>| {
            let reply = replies.reply(verdict?, &request);
            Some(ExplainReply {
                status: reply.status,
                body: String::from_utf8_lossy(&reply.body).into_owned(),
            })
        };
        let [now, at_that_time] = verdicts.map(reply);
        let mut told = told(explanation, then, history, app.settings.filter.given);
        told.reply = now;
        if let Some(then) = &mut told.then {
            then.reply = at_that_time;
        }
        if let Some(Found { key, .. }) = first(answered) {
            told.key_id = Some(key.id.clone());
            told.user_id.clone_from(&key.user_id);
            told.tenant_id.clone_from(&key.tenant_id);
        }
        Ok(Json(told))
    }
}

/// The explanation on the records of an earlier second. Where they changed in it, it is the last that gave
/// another verdict than those of now: that is what is asked about.
fn then(
    question: &Question<'_, Sent>,
    pasts: &[Past],
    digest: &Digest,
    now: Option<Reason>,
) -> Option<Explanation> {
    let mut told: Option<Explanation> = None;
    for past in pasts {
        let explanation = on(question, past, digest)?;
        if explanation.verdict != now || told.as_ref().is_none_or(|told| told.verdict == now) {
            told = Some(explanation);
        }
    }
    told
}

/// The explanation on earlier records; nothing where they are none that a gateway of today could read.
fn on(question: &Question<'_, Sent>, past: &Past, digest: &Digest) -> Option<Explanation> {
    let chain = match past.key {
        Some(_) => chain(&past.answer(digest.as_str())).ok()?,
        None => None,
    };
    let field = |name: &str| past.key.as_ref().and_then(|key| key.get(name));
    let text = |name: &str| field(name).and_then(Value::as_str);
    let known = chain.as_ref().map(|chain| Known {
        chain,
        replaced_by: text("replaced_by"),
        revoked_at: field("revoked_at").and_then(Value::as_u64),
        revoked_reason: text("revoked_reason"),
        owner: None,
        approvals: &[],
    });
    Some(question.explain(known))
}

/// What the gateway makes of our answer of the protocol.
fn chain(answer: &impl Serialize) -> Result<Option<Chain>, Problem> {
    let body = serde_json::to_vec(answer).map_err(|_| Problem::internal())?;
    let unusable = |problem: &dyn std::fmt::Display| {
        tracing::error!(%problem, "gateways cannot read the record of a key");
        Problem::internal()
    };
    let mut answer = parse_answer(&body).map_err(|problem| unusable(&problem))?;
    match answer.results.pop() {
        None => Ok(None),
        Some((_, Err(problem))) => Err(unusable(&problem)),
        Some((_, Ok(Resolved::Unknown))) => Ok(None),
        Some((_, Ok(Resolved::Known { key, user, tenant }))) => Ok(Some(Chain {
            key: Rc::new(*key),
            user: user.map(Rc::new),
            tenant: tenant.map(Rc::new),
        })),
    }
}

fn known<'a>((chain, found): (&'a Chain, &'a Found)) -> Known<'a> {
    let Key {
        replaced_by,
        revoked_at,
        revoked_reason,
        ..
    } = &found.key;
    Known {
        chain,
        replaced_by: replaced_by.as_deref(),
        revoked_at: revoked_at.and_then(|at| u64::try_from(at).ok()),
        revoked_reason: revoked_reason.as_deref(),
        owner: None,
        approvals: &[],
    }
}

/// A request as it stands, with who brought it there.
fn api_request(approval: &Approval) -> Option<ApiRequest<'_>> {
    let standing = match approval.status {
        ApprovalStatus::Pending => ApiStanding::Pending,
        ApprovalStatus::Approved => ApiStanding::Approved,
        ApprovalStatus::Denied => ApiStanding::Denied,
    };
    let at = approval.decided_at.unwrap_or(approval.created_at);
    Some(ApiRequest {
        id: &approval.id,
        api: &approval.api,
        standing,
        by: approval
            .decided_by
            .as_deref()
            .unwrap_or(&approval.requested_by),
        at: u64::try_from(at).ok()?,
    })
}

/// Who said that the user of a key is gone, where that was a directory: it knows who has left.
fn owner<'a>(found: &Found, trails: Option<&'a Trails>) -> Option<Owner<'a>> {
    let (since, by) = trails?.user_status()?;
    if !by.starts_with(DIRECTORY) {
        return None;
    }
    Some(Owner {
        kind: found.user.as_ref()?.kind.as_str(),
        since: u64::try_from(since).ok()?,
        by,
    })
}

fn told(
    explanation: Explanation,
    then: Option<Explanation>,
    history: Vec<HistoryEntry>,
    configured: bool,
) -> ExplainAnswer {
    let verdict = explanation.code();
    let policy = match configured {
        true => explanation.policy,
        false => format!(
            "{} The service was started without --filter-config.",
            explanation.policy
        ),
    };
    let checks = explanation.checks.into_iter().map(|check| ExplainCheck {
        code: check.reason.code(),
        result: check.result(),
        detail: check.detail,
    });
    ExplainAnswer {
        verdict,
        conclusive: explanation.conclusive,
        summary: explanation.summary,
        policy,
        checks: checks.collect(),
        next_step: explanation.next_step,
        then: then.map(|then| ExplainThen {
            verdict: then.code(),
            summary: then.summary,
            reply: None,
        }),
        history,
        reply: None,
        key_id: None,
        user_id: None,
        tenant_id: None,
    }
}

fn utc(seconds: u64) -> String {
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .map_or_else(
            || format!("the Unix second {seconds}"),
            |time| time.to_string(),
        )
}

impl Sent {
    fn list(&self) -> List<'_> {
        let headers = self.headers.iter();
        List {
            headers: headers
                .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
                .collect(),
            sent: self,
        }
    }
}

impl List<'_> {
    fn request(&self) -> Request<'_, Sent> {
        Request::new(Headers::new(&self.headers), self.sent)
    }
}

impl Circumstances for Sent {
    fn source_address(&self) -> Option<Vec<u8>> {
        self.source_address.clone().map(String::into_bytes)
    }

    fn route_policy(&self) -> Option<Vec<u8>> {
        self.policy.clone().map(String::into_bytes)
    }
}
