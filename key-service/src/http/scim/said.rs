//! What bodies say of a user: whole resources, and the operations of a PATCH (RFC 7644, 3.5.2).

use serde_json::Value;

use super::names::{Attribute, boolean, member, name, without_urn};
use crate::domain::Patch;
use crate::domain::directory::Said;
use crate::domain::text::line;
use crate::http::problem::Problem;

/// What a resource says. Attributes that are not known here are passed over.
pub fn resource(body: &Value) -> Result<Said, Problem> {
    let mut said = Said::default();
    members(body, &mut said)?;
    match said.login {
        Patch::Set(_) => Ok(said),
        Patch::Keep => Err(invalid("userName is required.")),
    }
}

/// The same of one that takes the place of another: what it does not say is taken away, but for `active`.
pub fn replacement(body: &Value) -> Result<Said, Problem> {
    let mut said = resource(body)?;
    for field in [&mut said.external_id, &mut said.display_name] {
        if *field == Patch::Keep {
            *field = Patch::Set(None);
        }
    }
    Ok(said)
}

/// What the operations of a PATCH say, the later one of two about the same attribute.
pub fn operations(body: &Value) -> Result<Said, Problem> {
    let Some(Value::Array(operations)) = member(body, "Operations") else {
        return Err(Problem::scim(
            "invalidSyntax",
            "Operations is required: a list of operations.",
        ));
    };
    let mut said = Said::default();
    for operation in operations {
        let op = member(operation, "op").and_then(Value::as_str);
        let op = op.unwrap_or_default().to_ascii_lowercase();
        let path = match member(operation, "path") {
            None | Some(Value::Null) => "",
            Some(Value::String(path)) => without_urn(path.trim()),
            Some(_) => return Err(Problem::scim("invalidPath", "path must be a text.")),
        };
        match op.as_str() {
            "add" | "replace" => {
                let value = member(operation, "value");
                let value = value.ok_or_else(|| invalid(format!("{op} needs a value.")))?;
                match path {
                    "" => members(value, &mut said)?,
                    path => set(&mut said, path, value)?,
                }
            }
            "remove" if path.is_empty() => {
                return Err(Problem::scim("noTarget", "remove needs a path."));
            }
            "remove" => set(&mut said, path, &Value::Null)?,
            _ => {
                return Err(Problem::scim(
                    "invalidSyntax",
                    "op must be add, replace or remove.",
                ));
            }
        }
    }
    Ok(said)
}

fn members(object: &Value, said: &mut Said) -> Result<(), Problem> {
    let Some(members) = object.as_object() else {
        return Err(Problem::scim(
            "invalidSyntax",
            "must be an object of attributes.",
        ));
    };
    for (name_of_member, value) in members {
        match name(name_of_member) {
            // The service's own: what a body says of them does not count.
            Attribute::Id | Attribute::Meta | Attribute::Schemas => {}
            // Missing, for those that cannot be nothing.
            Attribute::Active | Attribute::UserName if value.is_null() => {}
            _ => set(said, name_of_member, value)?,
        }
    }
    Ok(())
}

/// Takes note of one attribute; null takes it away.
fn set(said: &mut Said, path: &str, value: &Value) -> Result<(), Problem> {
    match name(path) {
        Attribute::UserName => match optional(path, value)? {
            Some(login) => said.login = Patch::Set(login),
            None => return Err(fixed("userName", "is required")),
        },
        Attribute::Active if value.is_null() => return Err(fixed("active", "is true or false")),
        Attribute::Active => {
            let active = boolean(value).ok_or_else(|| invalid("active must be true or false."))?;
            said.active = Patch::Set(active);
        }
        Attribute::ExternalId => said.external_id = Patch::Set(optional(path, value)?),
        Attribute::DisplayName => said.display_name = Patch::Set(optional(path, value)?),
        Attribute::Emails => said.contact = Patch::Set(email(value)?),
        Attribute::Id | Attribute::Meta | Attribute::Schemas => {
            return Err(fixed(path, "is given by the service"));
        }
        Attribute::Other => {}
    }
    Ok(())
}

/// A text; null and blank are none.
fn optional(path: &str, value: &Value) -> Result<Option<String>, Problem> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) if text.trim().is_empty() => Ok(None),
        Value::String(text) => {
            let text = line(text).map_err(|wrong| invalid(format!("{path} {wrong}.")))?;
            Ok(Some(text))
        }
        _ => Err(invalid(format!("{path} must be a text."))),
    }
}

/// The address of a user among those of `emails`: the primary one, or the first.
fn email(value: &Value) -> Result<Option<String>, Problem> {
    let chosen = match value {
        Value::Array(all) => {
            let is_primary =
                |email: &&Value| member(email, "primary").and_then(boolean) == Some(true);
            all.iter().find(is_primary).or_else(|| all.first())
        }
        other => Some(other),
    };
    match chosen {
        None => Ok(None),
        Some(object @ Value::Object(_)) => {
            optional("emails", member(object, "value").unwrap_or(&Value::Null))
        }
        Some(text) => optional("emails", text),
    }
}

fn invalid(detail: impl Into<String>) -> Problem {
    Problem::scim("invalidValue", detail)
}

fn fixed(attribute: &str, why: &str) -> Problem {
    Problem::scim(
        "mutability",
        format!("{attribute} {why}: it cannot be taken away or changed so."),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patched(operations_sent: Value) -> Said {
        let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": operations_sent});
        operations(&body).ok().unwrap()
    }

    #[test]
    fn both_forms_of_a_deactivation_are_read() {
        let off = Said {
            active: Patch::Set(false),
            ..Said::default()
        };
        for form in [
            // Okta.
            json!([{"op": "replace", "value": {"active": false}}]),
            // Microsoft Entra, with and without its flag for the standard.
            json!([{"op": "Replace", "path": "active", "value": "False"}]),
            json!([{"op": "replace", "path": "active", "value": false}]),
            json!([{"op": "Add", "path": "urn:ietf:params:scim:schemas:core:2.0:User:active", "value": "false"}]),
            json!([{"op": "REPLACE", "path": "urn:ietf:params:scim:schemas:core:2.0:user", "value": {"Active": "False"}}]),
            json!([{"op": "replace", "value": {"urn:ietf:params:scim:schemas:core:2.0:User:active": false}}]),
            json!([{"op": "add", "path": "active", "value": true}, {"op": "replace", "path": "active", "value": false}]),
        ] {
            assert_eq!(patched(form.clone()), off, "{form}");
        }
    }

    #[test]
    fn what_is_not_known_is_passed_over_and_one_address_is_the_contact() {
        let said = patched(json!([
            {"op": "Replace", "path": "name.givenName", "value": "Anna"},
            {"op": "Add", "path": "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department", "value": "7"},
            {"op": "replace", "path": "emails[type eq \"work\"].value", "value": "anna@example.com"},
            {"op": "remove", "path": "displayName"},
        ]));
        let expected = Said {
            contact: Patch::Set(Some("anna@example.com".to_owned())),
            display_name: Patch::Set(None),
            ..Said::default()
        };
        assert_eq!(said, expected);
        let emails = json!([{"value": "a@x"}, {"value": "b@x", "primary": "True"}]);
        let said =
            resource(&json!({"userName": "a", "emails": emails, "title": 7, "active": null}));
        let said = said.ok().unwrap();
        assert_eq!(said.contact, Patch::Set(Some("b@x".to_owned())));
        assert_eq!(said.active, Patch::Keep);
    }

    #[test]
    fn wrong_operations_are_refused() {
        for form in [
            json!("none"),
            json!([7]),
            json!([{"op": "move", "path": "active", "value": true}]),
            json!([{"op": "replace", "path": "active"}]),
            json!([{"op": "replace", "path": "active", "value": "yes"}]),
            json!([{"op": "replace", "path": 7, "value": 1}]),
            json!([{"op": "replace", "value": "active"}]),
            json!([{"op": "remove"}]),
            json!([{"op": "remove", "path": "active"}]),
            json!([{"op": "remove", "path": "userName"}]),
            json!([{"op": "replace", "path": "id", "value": "usr_x"}]),
            json!([{"op": "replace", "path": "userName", "value": 7}]),
            json!([{"op": "replace", "path": "userName", "value": "a\nb"}]),
        ] {
            let body = json!({"Operations": form});
            assert!(operations(&body).is_err(), "{form}");
        }
    }
}
