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
mod sizes;

#[cfg(test)]
mod tests;

use std::time::Duration;

pub use self::durations::parse as duration;
pub use self::error::ConfigError;
pub use self::reader::did_you_mean;

use self::durations::{DAY, SECOND};
use self::error::{Place, Problems};
use self::key_service::Environment;
use self::names::{PRINTABLE, VISIBLE};
use self::reader::Value;
use crate::credential::KeyFormat;
use crate::gate::{Enforcement, Preflight, Settings, Unavailable};
use crate::record::json::Json;
use crate::reply::{Detail, Rejection};

/// Reads the filter's configuration. `environment` gives the values of environment variables.
///
/// # Errors
/// The first thing that is wrong; whoever reads it need not know this code.
pub fn parse(
    text: &[u8],
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Settings, ConfigError> {
    let problems = Problems::default();
    let settings = read(text, environment, &problems);
    problems.or(settings)
}

/// Reads the filter's configuration for whoever wants to know all that is wrong with it.
///
/// # Errors
/// Every problem, but those that only follow from another.
#[cfg(not(target_os = "wasi"))]
pub fn check(
    text: &[u8],
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Settings, Vec<ConfigError>> {
    let problems = Problems::default();
    let settings = read(text, environment, &problems);
    problems.or_all(settings)
}

fn read(text: &[u8], environment: Environment<'_>, problems: &Problems) -> Settings {
    let root = Place::Root(problems);
    let json = json(text, &root);
    settings(
        &Value::given(root, &json, &fields::CONFIGURATION),
        environment,
    )
}

/// The text as JSON; `null` where it is none, which is refused.
fn json(text: &[u8], root: &Place<'_>) -> Json {
    match Json::parse(text) {
        Ok(json) => return json,
        Err(_) if text.trim_ascii().is_empty() => root.refuse(format_args!(
            "empty: the smallest that works is {{\"key_service\": {{\"cluster\": \"key_service\"}}}}, as text of \
             a google.protobuf.StringValue"
        )),
        Err(_) if is_struct(text) => root.refuse(format_args!(
            "a google.protobuf.Struct, which arrives in binary form: write it as JSON text in a \
             google.protobuf.StringValue"
        )),
        Err(error) => root.refuse(format_args!("not JSON: {error}")),
    }
    Json::Null
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

fn settings(value: &Value<'_>, environment: Environment<'_>) -> Settings {
    let object = value.object();
    let key_service = key_service::key_service(&object.value("key_service"), environment);
    let credentials = credentials::locations(&object.value("credentials"));
    let limits = object.value("limits");
    Settings {
        key_service,
        key_format: match object.optional("key_format") {
            Some(format) => credentials::key_format(&format),
            None => KeyFormat::default(),
        },
        digester: key_service::digester(&object.value("digest"), environment),
        strip_credential: object.boolean("strip_credential"),
        internal_redirects: object.boolean("internal_redirects"),
        guarded_routes: object.boolean("guarded_routes"),
        identity_headers: credentials::identity_headers(
            &object.value("identity_headers"),
            &credentials,
        ),
        credentials,
        policies: policies::policies(object),
        enforcement: match object.word("enforcement", &["enforce", "shadow"]) {
            "shadow" => Enforcement::Shadow,
            _ => Enforcement::Enforce,
        },
        preflight: match object.word("preflight", &["pass", "check"]) {
            "pass" => Preflight::Pass,
            _ => Preflight::Check,
        },
        unavailable: match object.word("unavailable", &["deny", "allow"]) {
            "allow" => Unavailable::Allow,
            _ => Unavailable::Deny,
        },
        rejection: rejection(&object.value("rejection")),
        freshness: bounds::freshness(&object.value("freshness")),
        warn_before: object.duration("warn_before", Duration::ZERO..=DAY * 365),
        cache: bounds::cache(limits.object()),
        fetch: bounds::fetch(limits.object()),
        usage: bounds::usage(&object.value("usage")),
    }
}

fn rejection(value: &Value<'_>) -> Rejection {
    let object = value.object();
    Rejection {
        detail: match object.word("detail", &["precise", "class", "opaque"]) {
            "precise" => Detail::Precise,
            "class" => Detail::Class,
            _ => Detail::Opaque,
        },
        realm: object.text("realm", &PRINTABLE),
        type_base: object.optional_text("type_base", &VISIBLE),
        retry_after: object.seconds("retry_after", SECOND..=DAY),
    }
}
