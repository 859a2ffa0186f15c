//! How the key service is reached, and the secrets shared with it.

use std::time::Duration;

use super::durations::{MINUTE, SECOND};
use super::names::{NOT_EMPTY, PATH, VARIABLE, VISIBLE};
use super::reader::{Object, Value};
use crate::credential::digest::Digester;
use crate::gate::{KeyService, Secret};
use crate::knowledge::feed::Changes;

/// Values of environment variables.
pub(super) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

pub(super) fn key_service(value: &Value<'_>, environment: Environment<'_>) -> KeyService {
    let object = value.object();
    let cluster = object.text("cluster", &NOT_EMPTY);
    let authority = object.optional_text("authority", &VISIBLE);
    if authority.is_none() && !VISIBLE.holds(&cluster) {
        object.refuse(format_args!(
            "the cluster's name cannot serve as \"authority\", which must be visible ASCII: give one"
        ));
    }
    KeyService {
        authority: authority.unwrap_or_else(|| cluster.clone()),
        cluster,
        path: object.text("path", &PATH).trim_end_matches('/').to_owned(),
        token: token(object, environment),
        timeout: object.duration("timeout", Duration::from_millis(1)..=MINUTE),
        changes: changes(&object.value("changes")),
    }
}

fn token(object: Object<'_>, environment: Environment<'_>) -> Option<Secret> {
    let in_text = object.optional("token");
    let in_variable = object.optional("token_env");
    let token = match (in_text, in_variable) {
        (None, None) => return None,
        (Some(token), None) => token.text(&VISIBLE),
        (None, Some(variable)) => {
            let token = read(&variable, environment);
            if !VISIBLE.holds(&token) {
                variable.refuse(format_args!(
                    "the variable's value must be visible ASCII: it has a space, a line break or another \
                     character that cannot be sent"
                ));
            }
            token
        }
        (Some(_), Some(variable)) => {
            variable.refuse(format_args!(
                "given together with \"token\": keep one of the two"
            ));
            return None;
        }
    };
    Some(Secret::new(token))
}

fn changes(value: &Value<'_>) -> Changes {
    let object = value.object();
    Changes {
        enabled: object.boolean("enabled"),
        wait: object.seconds("wait", SECOND..=MINUTE),
    }
}

pub(super) fn digester(value: &Value<'_>, environment: Environment<'_>) -> Digester {
    match value.object().optional("pepper_env") {
        Some(variable) => Digester::peppered(read(&variable, environment).as_bytes()),
        None => Digester::plain(),
    }
}

/// What is in the environment variable that is named.
fn read(variable: &Value<'_>, environment: Environment<'_>) -> String {
    let name = variable.text(&VARIABLE);
    let state = match environment(&name) {
        None => "not set",
        Some(value) if value.is_empty() => "empty",
        Some(value) => return value,
    };
    // What is not written as names of variables usually are may be the secret itself.
    let conventional = |byte: u8| byte.is_ascii_uppercase() || matches!(byte, b'0'..=b'9' | b'_');
    let shown = match name.bytes().all(conventional) {
        true => name.as_str(),
        false => "named here",
    };
    variable.refuse(format_args!(
        "the environment variable {shown} is {state}: add it to the plugin's \
         vm_config.environment_variables"
    ));
    String::new()
}
