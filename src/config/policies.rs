//! Policies and which request is judged by which.

use std::net::Ipv6Addr;
use std::ops::RangeInclusive;

use super::error::{ConfigError, quoted};
use super::names::{Form, HEADER_NAME, METHOD, NOT_EMPTY, PATH, VISIBLE};
use super::reader::{Value, did_you_mean};
use crate::policy::{
    Authentication, HostPattern, Policies, Policy, RequiredScopes, Route, RouteMatch, Statement,
};

const REFERENCE: Form = Form::new(|_| true, "the name of a policy");
const POLICY_OR_REFERENCE: Form = Form::new(|_| true, "a policy or the name of one");

type Named = [(String, Policy)];

pub(super) fn policies(
    policies: Value,
    routes: Value,
    default: Value,
) -> Result<Policies, ConfigError> {
    let mut named = Vec::new();
    for (name, value) in policies.named()? {
        if !VISIBLE.holds(&name) {
            return Err(value.error(format!("its name must be {}", VISIBLE.description())));
        }
        named.push((name, policy(value)?));
    }
    let routes = routes
        .list()?
        .into_iter()
        .map(|value| route(value, &named))
        .collect::<Result<_, _>>()?;
    let default = if default.is_object() {
        policy(default)?
    } else {
        let name = default.text(&POLICY_OR_REFERENCE)?;
        named
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, policy)| policy.clone())
            .ok_or_else(|| unknown(&default, name, &named))?
    };
    Ok(Policies::new(named, routes, default))
}

/// A reference to a policy that does not exist.
fn unknown(value: &Value, name: &str, named: &Named) -> ConfigError {
    let known = named.iter().map(|(known, _)| known.as_str());
    let remedy = match did_you_mean(name, known) {
        Some(nearest) => format!("did you mean {}?", quoted(nearest)),
        None => "define it in \"policies\"".to_owned(),
    };
    value.error(format!("there is no policy {}, {remedy}", quoted(name)))
}

fn policy(value: Value) -> Result<Policy, ConfigError> {
    let mut object = value.object()?;
    let policy = Policy {
        authentication: object.take("authentication")?.choice(&[
            ("required", Authentication::Required),
            ("optional", Authentication::Optional),
            ("none", Authentication::None),
        ])?,
        environment: object.take_text("environment", &VISIBLE)?,
        api: object.take_text("api", &NOT_EMPTY)?,
        scopes: object.take_optional("scopes")?.map(scopes).transpose()?,
        user: object.take_optional("user")?.map(statement).transpose()?,
        tenant: object.take_optional("tenant")?.map(statement).transpose()?,
    };
    let nothing = Policy {
        authentication: Authentication::None,
        ..Policy::default()
    };
    if policy.authentication == Authentication::None && policy != nothing {
        return Err(object.error(
            "asks something of a key although its \"authentication\" is \"none\", which looks at no key: \
             remove what it asks, or use \"required\" or \"optional\"",
        ));
    }
    Ok(policy)
}

fn scopes(value: Value) -> Result<RequiredScopes, ConfigError> {
    let (kind, scopes) = value.object()?.take_only(["all", "any"])?;
    let scopes = scopes.texts(&VISIBLE)?;
    Ok(match kind {
        "all" => RequiredScopes::All(scopes),
        _ => RequiredScopes::Any(scopes),
    })
}

fn statement(value: Value) -> Result<Statement, ConfigError> {
    const POSITIONS: RangeInclusive<usize> = 0..=1000;
    let (kind, value) =
        value
            .object()?
            .take_only(["header", "path_segment", "query", "host_label", "value"])?;
    Ok(match kind {
        "header" => Statement::Header(value.text(&HEADER_NAME)?.to_ascii_lowercase()),
        "path_segment" => Statement::PathSegment(value.number(POSITIONS)?),
        "query" => Statement::Query(value.text(&NOT_EMPTY)?.to_owned()),
        "host_label" => Statement::HostLabel(value.number(POSITIONS)?),
        _ => Statement::Value(value.text(&VISIBLE)?.to_owned()),
    })
}

fn route(value: Value, named: &Named) -> Result<Route, ConfigError> {
    let mut object = value.object()?;
    let matches = route_match(object.take("match")?)?;
    let policy = object.take("policy")?;
    let name = policy.text(&REFERENCE)?;
    Ok(Route {
        matches,
        policy: Policies::index(named, name).ok_or_else(|| unknown(&policy, name, named))?,
    })
}

fn route_match(value: Value) -> Result<RouteMatch, ConfigError> {
    let mut object = value.object()?;
    Ok(RouteMatch {
        path: object.take_text("path", &PATH)?,
        prefix: object.take_text("prefix", &PATH)?,
        methods: match object.take_optional("methods")? {
            Some(methods) => methods.texts(&METHOD)?,
            None => Vec::new(),
        },
        hosts: match object.take_optional("hosts")? {
            Some(hosts) => hosts
                .filled_list()?
                .iter()
                .map(host)
                .collect::<Result<_, _>>()?,
            None => Vec::new(),
        },
    })
}

fn host(value: &Value) -> Result<HostPattern, ConfigError> {
    let text = value.text(&NOT_EMPTY)?;
    host_pattern(text).ok_or_else(|| {
        value.error(format!(
            "{} is no host such as \"api.example.com\", \"*.example.com\" or \"[2001:db8::1]\": give it \
             without a port (ports of requests are ignored), other alphabets as \"xn--\", and for any host \
             leave \"hosts\" out",
            quoted(text)
        ))
    })
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
