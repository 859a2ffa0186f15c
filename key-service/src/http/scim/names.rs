//! The names of attributes, as directories write them: in any case, and with the schema's URN before them or not.

use serde_json::Value;

/// The schema of users.
pub const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";

/// An attribute of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attribute {
    /// What the service itself gives: never changed.
    Id,
    /// Of the service likewise.
    Meta,
    /// Which schemas a body has.
    Schemas,
    /// The login.
    UserName,
    /// The id in the directory.
    ExternalId,
    /// The name in full.
    DisplayName,
    /// Whether the user is active.
    Active,
    /// E-mail addresses: one of them becomes the contact.
    Emails,
    /// One that is passed over.
    Other,
}

/// The attribute of this name. Of a path into one, as `emails[type eq "work"].value`, the outer one.
pub fn name(text: &str) -> Attribute {
    let text = without_urn(text.trim());
    let outer = text.split(['.', '[']).next().unwrap_or_default().trim();
    match outer.to_ascii_lowercase().as_str() {
        "id" => Attribute::Id,
        "meta" => Attribute::Meta,
        "schemas" => Attribute::Schemas,
        "username" => Attribute::UserName,
        "externalid" => Attribute::ExternalId,
        "displayname" => Attribute::DisplayName,
        "active" => Attribute::Active,
        "emails" => Attribute::Emails,
        _ => Attribute::Other,
    }
}

/// What stands behind the URN of users; all of it where there is none.
pub fn without_urn(text: &str) -> &str {
    let Some((before, after)) = text.split_at_checked(USER.len()) else {
        return text;
    };
    match before.eq_ignore_ascii_case(USER) {
        true => after.strip_prefix(':').unwrap_or(after),
        false => text,
    }
}

/// A boolean, which Microsoft Entra sends as a text.
pub fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(value) => Some(*value),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// The member of an object that has this name, in any case of its letters.
pub fn member<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    let members = object.as_object()?;
    let mut found = members
        .iter()
        .filter(|(key, _)| key.eq_ignore_ascii_case(name));
    found.next().map(|(_, value)| value)
}
