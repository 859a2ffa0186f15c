//! Policies and which request is judged by which.

use std::net::Ipv6Addr;
use std::ops::RangeInclusive;

use super::error::quoted;
use super::names::{Form, HEADER_NAME, METHOD, NOT_EMPTY, PATH, VISIBLE};
use super::reader::{Object, Value, did_you_mean};
use crate::policy::{
    Authentication, HostPattern, Policies, Policy, RequiredScopes, Route, RouteMatch, Statement,
};

const REFERENCE: Form = Form::new(|_| true, "the name of a policy");
const POLICY_OR_REFERENCE: Form = Form::new(|_| true, "a policy or the name of one");

type Named = [(String, Policy)];

/// The policies, the routes to them and the default policy of a whole configuration.
pub(super) fn policies(configuration: Object<'_>) -> Policies {
    let mut named = Vec::new();
    for (name, value) in configuration.value("policies").named() {
        if !VISIBLE.holds(name) {
            value.refuse(format_args!("its name must be {}", VISIBLE.description()));
        }
        named.push((name.to_owned(), policy(&value)));
    }
    let mut routes = Vec::new();
    for value in configuration.value("routes").list() {
        routes.extend(route(&value, &named));
    }
    let default = default(&configuration.value("default_policy"), &named);
    Policies::new(named, routes, default)
}

fn default(value: &Value<'_>, named: &Named) -> Policy {
    if value.is_object() {
        return policy(value);
    }
    let name = value.text(&POLICY_OR_REFERENCE);
    match named.iter().find(|(known, _)| *known == name) {
        Some((_, policy)) => policy.clone(),
        None => {
            refuse_unknown(value, &name, named);
            Policy::default()
        }
    }
}

/// Refuses a reference to a policy that does not exist.
fn refuse_unknown(value: &Value<'_>, name: &str, named: &Named) {
    let known: Vec<&str> = named.iter().map(|(known, _)| known.as_str()).collect();
    let remedy = match did_you_mean(name, &known) {
        Some(nearest) => format!("did you mean {}?", quoted(nearest)),
        None => "define it in \"policies\"".to_owned(),
    };
    value.refuse(format_args!(
        "there is no policy {}, {remedy}",
        quoted(name)
    ));
}

fn policy(value: &Value<'_>) -> Policy {
    let object = value.object();
    let policy = Policy {
        authentication: match object.word("authentication", &["required", "optional", "none"]) {
            "none" => Authentication::None,
            "optional" => Authentication::Optional,
            _ => Authentication::Required,
        },
        environment: object.optional_text("environment", &VISIBLE),
        api: object.optional_text("api", &NOT_EMPTY),
        scopes: scopes(object),
        user: statement(object, "user"),
        tenant: statement(object, "tenant"),
    };
    let nothing = Policy {
        authentication: Authentication::None,
        ..Policy::default()
    };
    if policy.authentication == Authentication::None && policy != nothing {
        object.refuse(format_args!(
            "asks something of a key although its \"authentication\" is \"none\", which looks at no key: \
             remove what it asks, or use \"required\" or \"optional\""
        ));
    }
    policy
}

fn scopes(policy: Object<'_>) -> Option<RequiredScopes> {
    let value = policy.optional("scopes")?;
    let (kind, scopes) = value.object().only(&["all", "any"])?;
    let scopes = scopes.texts(&VISIBLE);
    Some(match kind {
        "all" => RequiredScopes::All(scopes),
        _ => RequiredScopes::Any(scopes),
    })
}

fn statement(policy: Object<'_>, name: &'static str) -> Option<Statement> {
    const POSITIONS: RangeInclusive<usize> = 0..=1000;
    const KINDS: &[&str] = &["header", "path_segment", "query", "host_label", "value"];
    let value = policy.optional(name)?;
    let (kind, value) = value.object().only(KINDS)?;
    Some(match kind {
        "header" => Statement::Header(value.text(&HEADER_NAME).to_ascii_lowercase()),
        "path_segment" => Statement::PathSegment(value.number(POSITIONS)),
        "query" => Statement::Query(value.text(&NOT_EMPTY)),
        "host_label" => Statement::HostLabel(value.number(POSITIONS)),
        _ => Statement::Value(value.text(&VISIBLE)),
    })
}

fn route(value: &Value<'_>, named: &Named) -> Option<Route> {
    let object = value.object();
    let matches = route_match(&object.value("match"));
    let policy = object.value("policy");
    let name = policy.text(&REFERENCE);
    let index = Policies::index(named, &name);
    if index.is_none() {
        refuse_unknown(&policy, &name, named);
    }
    Some(Route {
        matches,
        policy: index?,
    })
}

fn route_match(value: &Value<'_>) -> RouteMatch {
    let object = value.object();
    let mut matches = RouteMatch {
        path: object.optional_text("path", &PATH),
        prefix: object.optional_text("prefix", &PATH),
        ..RouteMatch::default()
    };
    if let Some(methods) = object.optional("methods") {
        matches.methods = methods.texts(&METHOD);
    }
    if let Some(hosts) = object.optional("hosts") {
        for value in hosts.filled_list() {
            matches.hosts.extend(host(&value));
        }
    }
    matches
}

fn host(value: &Value<'_>) -> Option<HostPattern> {
    let text = value.text(&NOT_EMPTY);
    let pattern = host_pattern(&text);
    if pattern.is_none() {
        value.refuse(format_args!(
            "{} is no host such as \"api.example.com\", \"*.example.com\" or \"[2001:db8::1]\": give it \
             without a port (ports of requests are ignored), other alphabets as \"xn--\", and for any host \
             leave \"hosts\" out",
            quoted(&text)
        ));
    }
    pattern
}

/// A host or, after `*.`, a domain. A host that has a port is neither.
fn host_pattern(text: &str) -> Option<HostPattern> {
    let text = text.to_ascii_lowercase();
    match text.strip_prefix('*') {
        Some(below) => {
            is_domain(below.strip_prefix('.')?).then(|| HostPattern::Below(below.to_owned()))
        }
        None => (is_domain(&text) || is_address(&text)).then_some(HostPattern::Exact(text)),
    }
}

fn is_domain(text: &str) -> bool {
    text.split('.').all(|label| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    })
}

/// An IPv6 address in brackets; an IPv4 address looks like a domain.
fn is_address(text: &str) -> bool {
    text.strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
}
