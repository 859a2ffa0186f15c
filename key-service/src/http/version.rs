//! Versions of records as entity tags (RFC 9110, 8.8.3): whoever changes what another has changed meanwhile is told, and
//! overwrites nothing.

use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::problem::Problem;
use crate::domain::refusal::Refusal;
use crate::store::stored::Stored;

/// Bytes of a digest that make a tag.
const OF_DIGEST: usize = 16;

/// Says that an answer is that of an earlier request with the same `Idempotency-Key`.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// What tells one state of something from every other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag(String);

impl Tag {
    /// That of a record of this version.
    pub fn of_version(version: i64) -> Self {
        Self(version.to_string())
    }

    /// That of something that has no version.
    pub fn of_content(content: &impl Serialize) -> Result<Self, serde_json::Error> {
        let digest = Sha256::digest(serde_json::to_vec(content)?);
        let begin = digest.get(..OF_DIGEST).unwrap_or(&digest);
        Ok(Self(URL_SAFE_NO_PAD.encode(begin)))
    }

    /// That of a plan that is told from others by this text.
    pub fn of_plan(plan: &str) -> Self {
        Self(plan.to_owned())
    }

    /// What stands between the quotes.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Something with the tag of its state.
pub struct Tagged<T> {
    tag: Tag,
    body: T,
}

impl<T> Tagged<T> {
    /// Something of this state.
    pub fn new(tag: Tag, body: T) -> Self {
        Self { tag, body }
    }

    /// Something that shows a record of this version.
    pub fn at(version: i64, body: T) -> Self {
        Self::new(Tag::of_version(version), body)
    }
}

impl<T: Stored> Tagged<T> {
    /// A record.
    pub fn record(record: T) -> Self {
        Self::at(record.version(), record)
    }
}

impl<T: Serialize> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        let mut response = Json(self.body).into_response();
        if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", self.tag.as_str())) {
            response.headers_mut().insert(header::ETAG, tag);
        }
        response
    }
}

/// Something that a request has made: this one, or an earlier one that it repeats.
pub struct Made<T> {
    /// What was made.
    pub what: Tagged<T>,
    /// It was made by an earlier request.
    pub before: bool,
}

impl<T: Serialize> IntoResponse for Made<T> {
    fn into_response(self) -> Response {
        let mut response = (StatusCode::CREATED, self.what).into_response();
        if self.before {
            let said = HeaderValue::from_static("true");
            response.headers_mut().insert(REPLAYED, said);
        }
        response
    }
}

/// The states that a request is for (RFC 9110, 13.1.1); none where it is for any.
#[derive(Debug, Default)]
pub struct IfMatch(Option<Vec<String>>);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Self::of(&parts.headers)?)
    }
}

impl IfMatch {
    fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let wrong = || {
            let message =
                "must be an etag as the service gave it, such as \"4711\" with its quotes, or *";
            Refusal::field("if-match", message)
        };
        let mut tags = Vec::new();
        let mut any = false;
        for line in headers.get_all(header::IF_MATCH) {
            let mut rest = line.to_str().map_err(|_| wrong())?.trim();
            while !rest.is_empty() {
                if let Some(after) = rest.strip_prefix('*') {
                    any = true;
                    rest = after;
                } else {
                    let (weak, quoted) = match rest.strip_prefix("W/") {
                        Some(quoted) => (true, quoted),
                        None => (false, rest),
                    };
                    let quoted = quoted.strip_prefix('"').ok_or_else(wrong)?;
                    let (tag, after) = quoted.split_once('"').ok_or_else(wrong)?;
                    // A weak one is never equal to another here.
                    tags.extend((!weak).then(|| tag.to_owned()));
                    rest = after;
                }
                rest = rest.trim_start();
                match rest.strip_prefix(',') {
                    Some(after) => rest = after.trim_start(),
                    None if rest.is_empty() => {}
                    None => return Err(wrong()),
                }
            }
        }
        let given = headers.contains_key(header::IF_MATCH);
        Ok(Self((given && !any).then_some(tags)))
    }

    fn holds(&self, tag: &Tag) -> bool {
        self.0
            .as_ref()
            .is_none_or(|tags| tags.iter().any(|one| one == tag.as_str()))
    }

    /// Refuses what is for another version of a record.
    pub fn check(&self, record: &impl Stored) -> Result<(), Problem> {
        let version = record.version();
        match self.holds(&Tag::of_version(version)) {
            true => Ok(()),
            false => Err(Problem::other_version(version)),
        }
    }

    /// Refuses what is for another state of something without a version.
    pub fn check_tag(&self, tag: &Tag, remedy: &str) -> Result<(), Problem> {
        match self.holds(tag) {
            true => Ok(()),
            false => Err(Problem::other_state(remedy)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&'static str]) -> Result<IfMatch, Refusal> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::IF_MATCH, HeaderValue::from_static(line));
        }
        IfMatch::of(&headers)
    }

    #[test]
    fn a_state_is_asked_for_by_strong_tags_and_by_any() {
        let seven = Tag::of_version(7);
        for lines in [
            &[][..],
            &["*"],
            &["\"7\""],
            &["\"6\", \"7\""],
            &["\"6\"", "\"7\""],
            &[" \"7\" , "],
        ] {
            assert!(read(lines).unwrap().holds(&seven), "{lines:?}");
        }
        for lines in [&["\"6\""][..], &["W/\"7\""], &["\"77\""], &[""]] {
            assert!(!read(lines).unwrap().holds(&seven), "{lines:?}");
        }
        for lines in ["7", "\"7", "\"7\" \"8\"", "\"6\", 7", "w/\"7\""] {
            assert!(read(&[lines]).is_err(), "{lines}");
        }
    }
}
