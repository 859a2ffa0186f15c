//! Words about what policies ask for, and what the request and the key have of it.

use super::{Question, words};
use keybound::host::Circumstances;
use keybound::policy::alike::are_alike;
use keybound::policy::statement;
use keybound::policy::{Chosen, Origin, Policy, RequiredScopes, Statement};
use keybound::record::Chain;
use keybound::request::path;

/// What a policy may ask for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asked {
    /// That the request states its user.
    User,
    /// That the request states its tenant.
    Tenant,
    /// An environment.
    Environment,
    /// An API.
    Api,
    /// Scopes.
    Scopes,
}

impl<C: Circumstances> Question<'_, C> {
    /// By which policies the request is judged, and why by those.
    pub(super) fn policy(&self, policies: Chosen<'_>) -> String {
        if !self.configured {
            return "Not known: this is what the filter does by default.".to_owned();
        }
        if policies.is_every() {
            let names: Vec<String> = policies
                .iter()
                .map(|policy| words::clause(&self.name(policy)))
                .collect();
            return format!(
                "Nobody knows what servers make of this path, so it must satisfy every policy of \"routes\" and \
                 the default, and states nothing: {}.",
                names.join(", ")
            );
        }
        let named: Vec<String> = policies
            .iter()
            .map(|policy| match self.origin(policy) {
                Origin::Metadata(name) => format!(
                    "The policy {name}, which the question names as the metadata of Envoy's route would."
                ),
                Origin::Route { index, policy } => format!(
                    "The policy {policy}, chosen by routes[{index}]; Envoy's route metadata, which would come \
                     first, is not known here."
                ),
                Origin::Default => "The default policy, since no entry of \"routes\" matches; Envoy's route \
                                    metadata, which would come first, is not known here."
                    .to_owned(),
            })
            .collect();
        match named.as_slice() {
            [one] => one.clone(),
            _ => format!(
                "{} The path can be read in several ways, so all of these must be satisfied.",
                named.join(" ")
            ),
        }
    }

    fn origin(&self, policy: &Policy) -> Origin<'_> {
        self.settings.policies.origin(policy, self.request)
    }

    fn name(&self, policy: &Policy) -> String {
        match self.origin(policy) {
            Origin::Metadata(name) | Origin::Route { policy: name, .. } => {
                format!("The policy {name}")
            }
            Origin::Default => "The default policy".to_owned(),
        }
    }

    /// What to say of a check that a policy asks for.
    pub(super) fn expectation(&self, asked: Asked, chain: &Chain, policies: Chosen<'_>) -> String {
        if !self.configured {
            return "Not known: depends on the policy, and the filter's configuration is not known here."
                .to_owned();
        }
        let sentences: Vec<String> = policies
            .iter()
            .filter_map(|policy| {
                let sentence = match asked {
                    Asked::User => {
                        let id = chain.key.user_id.as_deref();
                        self.stated(policy.user.as_ref()?, "user", id)
                    }
                    Asked::Tenant => {
                        let id = chain.key.tenant_id.as_deref();
                        self.stated(policy.tenant.as_ref()?, "tenant", id)
                    }
                    Asked::Environment => format!(
                        "asks for the environment {}, and the key {} has {}",
                        policy.environment.as_ref()?,
                        chain.key.id,
                        chain.key.environment.as_deref().unwrap_or("none")
                    ),
                    Asked::Api => approval(policy.api.as_ref()?, chain),
                    Asked::Scopes => scopes(policy.scopes.as_ref()?, chain),
                };
                Some(format!("{} {sentence}.", self.name(policy)))
            })
            .collect();
        if sentences.is_empty() {
            let what = match asked {
                Asked::User => "does not ask whether the request states its user",
                Asked::Tenant => "does not ask whether the request states its tenant",
                Asked::Environment => "does not ask for an environment",
                Asked::Api => "does not ask for an API",
                Asked::Scopes => "does not ask for scopes",
            };
            return format!("Not looked at: the policy {what}.");
        }
        sentences.join(" ")
    }

    /// Where a policy wants the key's owner to be stated, and what stands there.
    fn stated(&self, statement: &Statement, owner: &str, id: Option<&str>) -> String {
        let id = match id {
            Some(id) => format!("the key's {owner} is {id}"),
            None => format!("the key has no {owner}"),
        };
        let (place, stands) = match statement {
            Statement::Value(value) => {
                return format!("is for the {owner} {value} only, and {id}");
            }
            Statement::Header(name) => {
                let values = statement::headers_alike(self.request.headers, name)
                    .map(|(_, value)| words::shown(value))
                    .collect();
                (format!("the header {name}"), what_stands(values, "header"))
            }
            Statement::Query(name) => {
                let values = statement::parameters_alike(self.request.target().query, name);
                let values = values.iter().map(|value| words::shown(value)).collect();
                (
                    format!("the query parameter {name}"),
                    what_stands(values, "parameter"),
                )
            }
            Statement::PathSegment(index) => {
                let path = self.request.target().path;
                let readings = if path::is_plain(path) {
                    ""
                } else {
                    ", where a segment counts only if all servers read the same there"
                };
                (
                    format!("segment {index} of the path, counted from 0"),
                    format!("the path is {}{readings}", words::shown(path)),
                )
            }
            Statement::HostLabel(index) => (
                format!("label {index} of the host, counted from 0"),
                format!("the host is {}", words::shown(self.request.host_name())),
            ),
        };
        let stands = if self.holds_credentials(statement) {
            "its value is not shown, since it may be a credential".to_owned()
        } else {
            stands
        };
        format!("wants the {owner} stated in {place}: {stands}, and {id}")
    }

    /// Whether a credential may be where a policy wants a statement: a strange configuration, but no reason
    /// to show a key.
    fn holds_credentials(&self, statement: &Statement) -> bool {
        self.settings.credentials.iter().any(|location| {
            match statement {
                Statement::Value(_) | Statement::PathSegment(_) | Statement::HostLabel(_) => false,
                Statement::Query(parameter) => location
                    .query()
                    .is_some_and(|name| are_alike(parameter.as_bytes(), name)),
                Statement::Header(header) => match location.header() {
                    Some(name) => are_alike(header.as_bytes(), name),
                    // The pseudo-header would show the query as well.
                    None => header == ":path",
                },
            }
        })
    }
}

fn what_stands(values: Vec<String>, kind: &str) -> String {
    match values.as_slice() {
        [] => format!("the request has no such {kind}"),
        [value] => format!("the request states {value} there"),
        several => format!(
            "the request states {} there, and what is stated twice, be it under another spelling of the name, is \
             not stated",
            several.join(" and ")
        ),
    }
}

fn approval(api: &str, chain: &Chain) -> String {
    match &chain.user {
        None => {
            format!("asks for the API {api}, and there is no user who could be approved for it")
        }
        Some(user) => format!(
            "asks for the API {api}, and the user {} is approved for {}",
            user.id,
            words::apis(user)
        ),
    }
}

fn scopes(required: &RequiredScopes, chain: &Chain) -> String {
    let (kind, scopes, enough) = match required {
        RequiredScopes::All(scopes) => (
            "all",
            scopes,
            scopes.iter().all(|scope| chain.covers(scope)),
        ),
        RequiredScopes::Any(scopes) => (
            "one",
            scopes,
            scopes.iter().any(|scope| chain.covers(scope)),
        ),
    };
    let granted = words::scopes(&chain.key.scopes);
    let asks = format!(
        "asks for {kind} of the scopes {}, and the key {} has {granted}",
        scopes.join(", "),
        chain.key.id
    );
    let narrowed = chain
        .user
        .as_ref()
        .and_then(|user| Some((user, user.scopes.as_ref()?)))
        .map(|(user, of_user)| {
            format!(
                ", narrowed by its user {} to what {} cover",
                user.id,
                words::scopes(of_user)
            )
        })
        .unwrap_or_default();
    if enough {
        return format!("{asks}{narrowed}");
    }
    let missing: Vec<String> = scopes
        .iter()
        .filter(|scope| !chain.covers(scope))
        .map(|scope| match chain.key.scopes.cover(scope) {
            true => format!("{scope} (of the user)"),
            false => format!("{scope} (of the key)"),
        })
        .collect();
    format!("{asks}{narrowed}; missing: {}", missing.join(", "))
}
