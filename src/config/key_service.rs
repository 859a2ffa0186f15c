//! How the key service is reached, and the secrets shared with it.

use std::time::Duration;

use super::durations::{MINUTE, SECOND};
use super::error::ConfigError;
use super::names::{NOT_EMPTY, PATH, VARIABLE, VISIBLE};
use super::reader::{Object, Value};
use super::settings::{Changes, KeyService, Secret};
use crate::digest::Digester;

/// Values of environment variables.
pub(super) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

pub(super) fn key_service(
    value: Value,
    environment: Environment<'_>,
) -> Result<KeyService, ConfigError> {
    let mut object = value.object()?;
    let cluster = object.take("cluster")?.text(&NOT_EMPTY)?.to_owned();
    let authority = match object.take_text("authority", &VISIBLE)? {
        Some(authority) => authority,
        None if VISIBLE.holds(&cluster) => cluster.clone(),
        None => {
            return Err(object.error(
                "the cluster's name cannot serve as \"authority\", which must be visible ASCII: give one",
            ));
        }
    };
    Ok(KeyService {
        cluster,
        authority,
        path: object
            .take("path")?
            .text(&PATH)?
            .trim_end_matches('/')
            .to_owned(),
        token: token(&mut object, environment)?,
        timeout: object
            .take("timeout")?
            .duration(Duration::from_millis(1)..=MINUTE)?,
        changes: changes(object.take("changes")?)?,
    })
}

fn token(object: &mut Object, environment: Environment<'_>) -> Result<Option<Secret>, ConfigError> {
    let in_text = object.take_optional("token")?;
    let in_variable = object.take_optional("token_env")?;
    match (in_text, in_variable) {
        (None, None) => Ok(None),
        (Some(_), Some(variable)) => {
            Err(variable.error("given together with \"token\": keep one of the two"))
        }
        (Some(token), None) => Ok(Some(Secret::new(token.text(&VISIBLE)?.to_owned()))),
        (None, Some(variable)) => {
            let token = read(&variable, environment)?;
            if !VISIBLE.holds(&token) {
                return Err(variable.error(
                    "the variable's value must be visible ASCII: it has a space, a line break or another \
                     character that cannot be sent",
                ));
            }
            Ok(Some(Secret::new(token)))
        }
    }
}

fn changes(value: Value) -> Result<Changes, ConfigError> {
    let mut object = value.object()?;
    Ok(Changes {
        enabled: object.take("enabled")?.boolean()?,
        wait: object.take("wait")?.seconds(SECOND..=MINUTE)?,
    })
}

pub(super) fn digester(
    value: Value,
    environment: Environment<'_>,
) -> Result<Digester, ConfigError> {
    Ok(match value.object()?.take_optional("pepper_env")? {
        Some(variable) => Digester::peppered(read(&variable, environment)?.as_bytes()),
        None => Digester::plain(),
    })
}

/// What is in the environment variable that is named.
fn read(variable: &Value, environment: Environment<'_>) -> Result<String, ConfigError> {
    let name = variable.text(&VARIABLE)?;
    let missing = |state| {
        // What is not written as names of variables usually are may be the secret itself.
        let conventional =
            |byte: u8| byte.is_ascii_uppercase() || matches!(byte, b'0'..=b'9' | b'_');
        let shown = match name.bytes().all(conventional) {
            true => name,
            false => "named here",
        };
        variable.error(format!(
            "the environment variable {shown} is {state}: add it to the plugin's \
             vm_config.environment_variables"
        ))
    };
    match environment(name) {
        None => Err(missing("not set")),
        Some(value) if value.is_empty() => Err(missing("empty")),
        Some(value) => Ok(value),
    }
}
