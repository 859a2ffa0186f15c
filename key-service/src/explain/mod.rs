//! Why a request gets its verdict, in words for whoever administers the keys.
//!
//! The verdict and the outcome of each check come from [`keybound::verdict`], the policy from
//! [`keybound::policy`], the credential from [`keybound::credential`]: what stands here only finds words. None of
//! them holds a credential; all the rest that matters is named, so an explanation is not for clients.
//!
//! The filter itself explains nothing.

mod advice;
mod approvals;
mod credentials;
mod detail;
mod expectations;
pub mod log_line;
mod words;

#[cfg(test)]
mod tests;

pub use detail::concerned;

use std::borrow::Cow;

use keybound::credential::{self, Fault};
use keybound::edit::Reserved;
use keybound::gate::standing::Standing;
use keybound::gate::{Enforcement, Settings};
use keybound::host::Circumstances;
use keybound::policy::{Chosen, UnknownPolicy};
use keybound::record::Chain;
use keybound::request::Request;
use keybound::verdict::{self, Facts, Knowledge, Outcome, Reason};

/// What is to be explained.
pub struct Question<'a, C> {
    /// The filter's own configuration, or what the filter does by default.
    pub settings: &'a Settings,
    /// Whether the configuration is the gateway's. Else its policies are not known, nor what depends on them.
    pub configured: bool,
    /// The request. Its route's metadata names a policy only where the question does.
    pub request: &'a Request<'a, C>,
    /// Whose key.
    pub subject: Subject<'a>,
    /// When, in Unix seconds.
    pub now: u64,
    /// Writes Unix seconds as people read them, in UTC.
    pub utc: &'a dyn Fn(u64) -> String,
}

/// Whose key a question is about.
#[derive(Clone, Copy)]
pub enum Subject<'a> {
    /// That of the credential which the request carries, if it does.
    Carried,
    /// That of this credential, as if the request carried it.
    Given(&'a [u8]),
    /// One that is known by name: by its id or its digest.
    Named,
}

/// What the key service knows of a key.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The records that the verdict depends on.
    pub chain: &'a Chain,
    /// Id of the key that replaces it.
    pub replaced_by: Option<&'a str>,
    /// When it was revoked, in Unix seconds.
    pub revoked_at: Option<u64>,
    /// Why it was revoked.
    pub revoked_reason: Option<&'a str>,
    /// How its user came to its status, where a directory says so.
    pub owner: Option<Owner<'a>>,
    /// The last requests of its user for APIs, newest first.
    pub approvals: &'a [ApiRequest<'a>],
}

/// A request of a user for an API.
#[derive(Debug, Clone, Copy)]
pub struct ApiRequest<'a> {
    /// Its id.
    pub id: &'a str,
    /// The API.
    pub api: &'a str,
    /// What became of it.
    pub standing: ApiStanding,
    /// Who brought it there.
    pub by: &'a str,
    /// When, in Unix seconds.
    pub at: u64,
}

/// What became of a request for an API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiStanding {
    /// Nobody has decided yet.
    Pending,
    /// The user got the API. Where it lacks it now, somebody took it away again.
    Approved,
    /// The user did not get it.
    Denied,
}

/// A user whose status a directory changed.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    /// `person` or `system`.
    pub kind: &'static str,
    /// When its status was last changed, in Unix seconds.
    pub since: u64,
    /// By whom.
    pub by: &'a str,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Why the request is refused; nothing where it is allowed.
    pub verdict: Option<Reason>,
    /// Whether the verdict is that of the gateway: not where it depends on a configuration that is not known.
    pub conclusive: bool,
    /// The verdict and its cause in one line.
    pub summary: String,
    /// By which policy the request is judged, and why by that.
    pub policy: String,
    /// Every check, in the order of [`Reason::CHECKS`].
    pub checks: Vec<Check>,
    /// What to do about the verdict.
    pub next_step: String,
    /// Ids of the requests for APIs that the verdict is about.
    pub approvals: Vec<String>,
}

/// A check, with its outcome in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The reason that its failure is.
    pub reason: Reason,
    /// How it went.
    pub outcome: Outcome,
    /// The values that made it go so.
    pub detail: String,
}

impl Explanation {
    /// The code of the verdict: `allowed` or that of a reason.
    pub fn code(&self) -> &'static str {
        self.verdict.map_or("allowed", Reason::code)
    }
}

impl Check {
    /// The outcome in the word that stands for it in answers.
    pub const fn result(&self) -> &'static str {
        match self.outcome {
            Outcome::Passed => "passed",
            Outcome::Failed => "failed",
            Outcome::Skipped => "skipped",
        }
    }
}

/// Why a request passes whoever sends it.
#[derive(Clone, Copy)]
enum Open<'a> {
    /// It is a CORS preflight.
    Preflight,
    /// The policy asks for no key.
    Unasked(Chosen<'a>),
    /// The policy asks for a key only of those who send one.
    Optional(Chosen<'a>),
}

impl<'a, C: Circumstances> Question<'a, C> {
    /// The credential to look up before [`Question::explain`], where the verdict depends on one.
    pub fn credential(&self) -> Option<Cow<'a, [u8]>> {
        match self.standing() {
            Standing::Presents(_, credential) => credential,
            _ => None,
        }
    }

    /// The explanation, with what is known of the key: nothing where nobody knows it.
    pub fn explain(&self, known: Option<Known<'_>>) -> Explanation {
        match self.standing() {
            Standing::Preflight => self.passed_by(Open::Preflight),
            Standing::Unasked(policies) => self.passed_by(Open::Unasked(policies)),
            Standing::Anonymous(policies) => self.passed_by(Open::Optional(policies)),
            Standing::PolicyUnknown(unknown) => self.without_policy(&unknown),
            Standing::Faulty(policies, fault) => {
                self.judged(policies, Knowledge::Fault(fault), None)
            }
            Standing::Presents(policies, _) => {
                let knowledge =
                    known.map_or(Knowledge::Unknown, |known| Knowledge::Known(known.chain));
                self.judged(policies, knowledge, known)
            }
        }
    }

    /// How the request stands at the gateway, with the credential, or nothing where the key is known by name.
    fn standing(&self) -> Standing<'a, Option<Cow<'a, [u8]>>> {
        let settings = self.settings;
        let reserved = Reserved::new(&settings.identity_headers, &settings.credentials);
        match Standing::of(settings, &reserved, self.request, || self.find()) {
            // What it asks for is not known, and the key is.
            Standing::PolicyUnknown(_) if !self.configured => {
                Standing::by(Chosen::one(settings.policies.default_policy()), || {
                    self.find()
                })
            }
            standing => standing,
        }
    }

    fn find(&self) -> Result<Option<Cow<'a, [u8]>>, Fault> {
        let format = &self.settings.key_format;
        match self.subject {
            Subject::Carried => {
                credential::find(&self.settings.credentials, format, self.request.headers).map(Some)
            }
            Subject::Given([]) => Err(Fault::Missing),
            Subject::Given(credential) if format.accepts(credential) => {
                Ok(Some(Cow::Borrowed(credential)))
            }
            Subject::Given(_) => Err(Fault::Malformed),
            Subject::Named => Ok(None),
        }
    }

    fn judged(
        &self,
        policies: Chosen<'_>,
        knowledge: Knowledge<'_>,
        known: Option<Known<'_>>,
    ) -> Explanation {
        let facts = Facts {
            knowledge,
            policies,
            request: self.request,
            now: self.now,
        };
        let verdict = verdict::decide(&facts);
        let checks: Vec<Check> = verdict::explain(&facts)
            .into_iter()
            .map(|(reason, outcome)| {
                let outcome = self.seen(reason, outcome);
                let detail = match known {
                    Some(known) => self.known(reason, outcome, known, policies),
                    None => self.unknown(reason, outcome),
                };
                Check {
                    reason,
                    outcome,
                    detail,
                }
            })
            .collect();
        // Whether a key is asked for, and where it is looked for, is the configuration's to say.
        let carried_none =
            verdict == Some(Reason::KeyMissing) && matches!(self.subject, Subject::Carried);
        let conclusive = self.configured || !(verdict.is_none() || carried_none);
        let cause = |reason: Reason| {
            let failed = checks.iter().find(|check| check.reason == reason);
            failed.map_or("", |check| check.detail.as_str())
        };
        let summary = match (verdict, known) {
            (None, Some(known)) if !conclusive => not_known(&format!(
                "all that does not depend on it passes: {}",
                words::identity(known.chain)
            )),
            (None, Some(known)) => format!("allowed: {}", words::identity(known.chain)),
            (None, None) => "allowed".to_owned(),
            (Some(reason), _) if !conclusive => not_known(&words::clause(cause(reason))),
            (Some(reason), _) => self.refused(reason, cause(reason)),
        };
        Explanation {
            verdict,
            conclusive,
            summary,
            policy: self.policy(policies),
            checks,
            next_step: match conclusive {
                true => self.advice(verdict, known, policies),
                false => TO_KNOW.to_owned(),
            },
            approvals: match (verdict, known) {
                (Some(Reason::ApiNotApproved), Some(known)) => approvals::last(known, policies)
                    .map(|request| request.id.to_owned())
                    .collect(),
                _ => Vec::new(),
            },
        }
    }

    /// Where the credential is not at hand, nothing can be said about how it was sent.
    fn seen(&self, reason: Reason, outcome: Outcome) -> Outcome {
        let about_sending = matches!(
            reason,
            Reason::KeyMissing | Reason::KeyDuplicated | Reason::KeyMalformed
        );
        match self.subject {
            Subject::Named if about_sending => Outcome::Skipped,
            Subject::Named | Subject::Carried | Subject::Given(_) => outcome,
        }
    }

    fn passed_by(&self, open: Open<'a>) -> Explanation {
        let (because, policy, next_step) = match open {
            Open::Preflight => (
                "a CORS preflight passes without a key (the setting \"preflight\" is \"pass\")",
                "None: a preflight passes before a policy is chosen.".to_owned(),
                "Nothing is to be done; the request that follows the preflight is judged on its own.",
            ),
            Open::Unasked(policies) => (
                "the policy asks for no key (its \"authentication\" is \"none\")",
                self.policy(policies),
                "Nothing is to be done; if a key should be asked for, change the policy or the route that \
                 chooses it.",
            ),
            Open::Optional(policies) => (
                "the request carries no credential, and the policy asks for none (its \"authentication\" is \
                 \"optional\")",
                self.policy(policies),
                "Nothing is to be done; to be known to the upstream, the client has to send its key.",
            ),
        };
        let (summary, next_step) = match self.configured {
            true => (format!("allowed: without identity - {because}"), next_step),
            false => (not_known(because), TO_KNOW),
        };
        Explanation {
            verdict: None,
            conclusive: self.configured,
            summary,
            policy,
            checks: skipped(&format!("Not looked at: {because}.")),
            next_step: next_step.to_owned(),
            approvals: Vec::new(),
        }
    }

    fn without_policy(&self, unknown: &UnknownPolicy) -> Explanation {
        let name = words::shown(&unknown.0);
        let known: Vec<&str> = self.settings.policies.names().collect();
        let known = match known.as_slice() {
            [] => "the configuration names none".to_owned(),
            known => format!("there are {}", known.join(", ")),
        };
        let cause = format!("There is no policy {name}: {known}.");
        Explanation {
            verdict: Some(Reason::PolicyUnknown),
            conclusive: true,
            summary: self.refused(Reason::PolicyUnknown, &cause),
            policy: cause,
            checks: skipped("Not looked at: there is no policy to check by."),
            next_step: format!(
                "Correct the name in the route's metadata (filter_metadata.keybound.policy), or define the \
                 policy {name} in the filter's configuration."
            ),
            approvals: Vec::new(),
        }
    }

    fn refused(&self, reason: Reason, cause: &str) -> String {
        let state = match self.settings.enforcement {
            Enforcement::Enforce => "refused",
            Enforcement::Shadow => "refused in shadow only, so it goes on unchanged",
        };
        let cause = words::clause(cause);
        format!("{state}: {} - {cause}", reason.code())
    }
}

/// What to do about a verdict that depends on a configuration which is not known.
const TO_KNOW: &str = "Start the key service with the filter's configuration (serve --filter-config FILE), and ask \
                       again.";

fn not_known(rest: &str) -> String {
    format!(
        "not known: depends on the policy, and the filter's configuration is not known here - {rest}"
    )
}

fn skipped(detail: &str) -> Vec<Check> {
    let check = |reason| Check {
        reason,
        outcome: Outcome::Skipped,
        detail: detail.to_owned(),
    };
    Reason::CHECKS.into_iter().map(check).collect()
}
