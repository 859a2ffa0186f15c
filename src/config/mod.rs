//! Text to validated settings. Every error names its field; `docs/configuration.md` says what each means.

mod bounds;
mod credentials;
mod durations;
mod error;
mod fields;
mod key_service;
mod names;
mod policies;
mod reader;
mod settings;
mod unsupported;

#[cfg(test)]
mod tests;

use std::time::Duration;

pub use self::error::ConfigError;
pub use self::settings::*;

use self::durations::{DAY, SECOND};
use self::error::Path;
use self::key_service::Environment;
use self::names::{PRINTABLE, VISIBLE};
use self::reader::Value;
use crate::credential::KeyFormat;
use crate::json::Json;

/// Reads the filter's configuration. `environment` gives the values of environment variables.
///
/// # Errors
/// The first thing that is wrong; whoever reads it need not know this code.
pub fn parse(
    text: &[u8],
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Settings, ConfigError> {
    let json = json(text).map_err(|problem| ConfigError::new(&Path::root(), problem))?;
    let settings = settings(
        Value::root(json.clone(), &fields::CONFIGURATION),
        environment,
    )?;
    unsupported::refuse(&json)?;
    Ok(settings)
}

fn json(text: &[u8]) -> Result<Json, String> {
    if text.trim_ascii().is_empty() {
        return Err(
            "empty: the smallest that works is {\"key_service\": {\"cluster\": \"key_service\"}}, as text of \
             a google.protobuf.StringValue"
                .to_owned(),
        );
    }
    Json::parse(text).map_err(|error| {
        if is_struct(text) {
            "a google.protobuf.Struct, which arrives in binary form: write it as JSON text in a \
             google.protobuf.StringValue"
                .to_owned()
        } else {
            format!("not JSON: {error}")
        }
    })
}

/// Whether a text that is not JSON begins as a `google.protobuf.Struct` does: field 1, an entry of a map,
/// whose own field 1 is its name and field 2 its value.
fn is_struct(text: &[u8]) -> bool {
    const FIELD_1: u8 = 0x0a;
    const FIELD_2: u8 = 0x12;
    delimited(text, FIELD_1)
        .and_then(|(entry, _)| delimited(entry, FIELD_1))
        .is_some_and(|(_, value)| delimited(value, FIELD_2).is_some())
}

/// The content of the length-delimited field at the start of a protobuf message, and what follows it.
fn delimited(message: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, mut rest) = message.split_first()?;
    if *first != tag {
        return None;
    }
    let mut length = 0;
    for shift in [0, 7, 14, 21] {
        let (byte, after) = rest.split_first()?;
        rest = after;
        length |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return rest.split_at_checked(length);
        }
    }
    None
}

fn settings(value: Value, environment: Environment<'_>) -> Result<Settings, ConfigError> {
    let mut object = value.object()?;
    let key_service = key_service::key_service(object.take("key_service")?, environment)?;
    let credentials = credentials::locations(object.take("credentials")?)?;
    Ok(Settings {
        key_service,
        key_format: match object.take_optional("key_format")? {
            Some(format) => credentials::key_format(format)?,
            None => KeyFormat::default(),
        },
        digester: key_service::digester(object.take("digest")?, environment)?,
        strip_credential: object.take("strip_credential")?.boolean()?,
        identity_headers: credentials::identity_headers(
            object.take("identity_headers")?,
            &credentials,
        )?,
        credentials,
        policies: policies::policies(
            object.take("policies")?,
            object.take("routes")?,
            object.take("default_policy")?,
        )?,
        enforcement: object.take("enforcement")?.choice(&[
            ("enforce", Enforcement::Enforce),
            ("shadow", Enforcement::Shadow),
        ])?,
        preflight: object
            .take("preflight")?
            .choice(&[("pass", Preflight::Pass), ("check", Preflight::Check)])?,
        unavailable: object
            .take("unavailable")?
            .choice(&[("deny", Unavailable::Deny), ("allow", Unavailable::Allow)])?,
        rejection: rejection(object.take("rejection")?)?,
        freshness: bounds::freshness(object.take("freshness")?)?,
        warn_before: object
            .take("warn_before")?
            .duration(Duration::ZERO..=DAY * 365)?,
        limits: bounds::limits(object.take("limits")?)?,
        usage: bounds::usage(object.take("usage")?)?,
    })
}

fn rejection(value: Value) -> Result<Rejection, ConfigError> {
    let mut object = value.object()?;
    Ok(Rejection {
        detail: object.take("detail")?.choice(&[
            ("precise", Detail::Precise),
            ("class", Detail::Class),
            ("opaque", Detail::Opaque),
        ])?,
        realm: object.take("realm")?.text(&PRINTABLE)?.to_owned(),
        type_base: object.take_text("type_base", &VISIBLE)?,
        retry_after: object.take("retry_after")?.seconds(SECOND..=DAY)?,
    })
}
