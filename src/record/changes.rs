//! The key service's JSON of changes.

use std::rc::Rc;

use super::fields::{Fields, Malformed, malformed};
use super::wire::{parse_key, parse_tenant, parse_user};
use super::{Key, Tenant, Text, User};
use crate::credential::digest::Digest;
use crate::protocol::{MOST_CHANGES, is_name};
use crate::record::json::Json;

/// A well-formed answer to `/v1/changes`.
#[derive(Debug, PartialEq, Eq)]
pub struct Changes {
    /// The sequence up to which the answer tells everything.
    pub cursor: u64,
    /// Whether nothing that was known before is to be believed.
    pub reset: bool,
    /// What has changed, in order.
    pub changes: Vec<Change>,
    /// How many there were, with those that this filter has no use for.
    pub given: usize,
    /// What could not be understood, for the operator.
    pub doubts: Vec<Malformed>,
}

/// One change.
#[derive(Debug, PartialEq, Eq)]
pub struct Change {
    /// Its number.
    pub sequence: u64,
    /// What has changed.
    pub changed: Changed,
}

/// What has changed, and how it is now.
#[derive(Debug, PartialEq, Eq)]
pub enum Changed {
    /// The key of a digest.
    Key(Digest, Content<Key>),
    /// The user of an id.
    User(Text, Content<User>),
    /// The tenant of an id.
    Tenant(Text, Content<Tenant>),
}

/// How an entity is after a change.
#[derive(Debug, PartialEq, Eq)]
pub enum Content<T> {
    /// As this says.
    Record(Rc<T>),
    /// There is none any more.
    Gone,
    /// It cannot be understood: it has to be asked for.
    Unreadable,
}

/// Reads an answer to `/v1/changes` that was asked for what came after a sequence.
///
/// # Errors
/// What is wrong with the answer as a whole. A change that does not even say what has changed is such a
/// fault: it may be about anything.
pub fn parse_changes(body: &[u8], after: u64) -> Result<Changes, Malformed> {
    let json = Json::parse(body).map_err(|_| malformed("body", "is not JSON"))?;
    let answer = Fields::of("answer", &json)?;
    let mut doubts = Vec::new();
    let mut changes = Vec::new();
    let cursor = answer.required_unsigned("cursor")?;
    let reset = answer.boolean("reset")?;
    let list = answer
        .list("changes")?
        .ok_or_else(|| answer.missing("changes"))?;
    if reset {
        return Ok(Changes {
            cursor,
            reset,
            changes,
            given: 0,
            doubts,
        });
    }
    if cursor < after {
        return Err(answer.wrong("cursor", "goes back without a reset"));
    }
    if list.len() > MOST_CHANGES {
        return Err(answer.wrong("changes", "are more than were asked for"));
    }
    let mut last = after;
    for json in list {
        let fields = Fields::of("change", json)?;
        let sequence = fields.required_unsigned("seq")?;
        if sequence <= last || sequence > cursor {
            return Err(fields.wrong("seq", "is not in order, or not within the answer"));
        }
        last = sequence;
        if let Some(changed) = parse_change(&fields, &mut doubts)? {
            changes.push(Change { sequence, changed });
        }
    }
    Ok(Changes {
        cursor,
        reset,
        changes,
        given: list.len(),
        doubts,
    })
}

/// Reads a change; nothing where it is of a kind that the filter does not know, and so holds nothing of.
fn parse_change(
    fields: &Fields<'_>,
    doubts: &mut Vec<Malformed>,
) -> Result<Option<Changed>, Malformed> {
    Ok(Some(match fields.required_string("kind")? {
        "key" => {
            let digest = Digest::parse(fields.required_string("digest")?)
                .ok_or_else(|| fields.wrong("digest", "is no base64url of 32 bytes"))?;
            Changed::Key(digest, content(fields, "key", doubts, parse_key))
        }
        "user" => {
            let id = fields.required_name("id")?;
            let user = content(fields, "user", doubts, parse_user);
            let user = of_id(user, |user: &User| user.id == id, doubts);
            Changed::User(id, user)
        }
        "tenant" => {
            let id = fields.required_name("id")?;
            let tenant = content(fields, "tenant", doubts, parse_tenant);
            let tenant = of_id(tenant, |tenant: &Tenant| tenant.id == id, doubts);
            Changed::Tenant(id, tenant)
        }
        kind if is_name(kind) => return Ok(None),
        _ => return Err(fields.wrong("kind", "must be 1 to 128 bytes of visible ASCII")),
    }))
}

fn content<T>(
    fields: &Fields<'_>,
    name: &'static str,
    doubts: &mut Vec<Malformed>,
    parse: impl Fn(&Fields<'_>, &mut Vec<Malformed>) -> Result<T, Malformed>,
) -> Content<T> {
    let read = |doubts: &mut Vec<Malformed>| match fields.object(name)? {
        Some(record) => Ok(Content::Record(Rc::new(parse(&record, doubts)?))),
        None if fields.has(name) => Ok(Content::Gone),
        None => Err(fields.missing(name)),
    };
    read(doubts).unwrap_or_else(|malformed| {
        doubts.push(malformed);
        Content::Unreadable
    })
}

/// A record under another id than the change names is not to be believed for either.
fn of_id<T>(
    content: Content<T>,
    matches: impl Fn(&T) -> bool,
    doubts: &mut Vec<Malformed>,
) -> Content<T> {
    match content {
        Content::Record(record) if !matches(&record) => {
            doubts.push(malformed("change.id", "is not that of the record"));
            Content::Unreadable
        }
        content => content,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{KeyStatus, TenantStatus, UserStatus};
    use crate::test_util::test;

    const DIGEST: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

    fn parse(body: &str) -> Result<Changes, Malformed> {
        parse_changes(body.replace("DIGEST", DIGEST).as_bytes(), 10)
    }

    fn one(change: &str) -> Result<(Changed, Vec<String>), Malformed> {
        let body = format!(r#"{{"cursor": 12, "reset": false, "changes": [{change}]}}"#);
        let mut answer = parse(&body)?;
        assert_eq!(answer.cursor, 12);
        let change = answer.changes.pop().expect("a change");
        assert_eq!(change.sequence, 11);
        let doubts = answer.doubts.into_iter().map(|doubt| doubt.field);
        Ok((change.changed, doubts.collect()))
    }

    #[test]
    fn each_kind_is_read() {
        let (key, _) = one(
            r#"{"seq": 11, "kind": "key", "id": "k", "digest": "DIGEST", "key": {"id": "k", "version": 11, "status": "revoked"}}"#,
        )
        .unwrap();
        let Changed::Key(digest, Content::Record(key)) = key else {
            panic!("{key:?}");
        };
        assert_eq!((digest.bytes()[31], key.status), (31, KeyStatus::Revoked));
        let (user, _) = one(
            r#"{"seq": 11, "kind": "user", "id": "u", "user": {"id": "u", "version": 11, "status": "locked"}, "new": 1}"#,
        )
        .unwrap();
        let Changed::User(id, Content::Record(user)) = user else {
            panic!("{user:?}");
        };
        assert_eq!((&*id, user.status), ("u", UserStatus::Locked));
        let (tenant, _) = one(
            r#"{"seq": 11, "kind": "tenant", "id": "t", "tenant": {"id": "t", "version": 11, "status": "active"}}"#,
        )
        .unwrap();
        let Changed::Tenant(id, Content::Record(tenant)) = tenant else {
            panic!("{tenant:?}");
        };
        assert_eq!((&*id, tenant.status), ("t", TenantStatus::Active));
    }

    #[test]
    fn what_is_gone_and_what_cannot_be_read_are_told_apart() {
        for (change, gone) in [
            (
                r#"{"seq": 11, "kind": "key", "id": "k", "digest": "DIGEST", "key": null}"#,
                true,
            ),
            (
                r#"{"seq": 11, "kind": "key", "id": "k", "digest": "DIGEST"}"#,
                false,
            ),
            (
                r#"{"seq": 11, "kind": "key", "id": "k", "digest": "DIGEST", "key": 7}"#,
                false,
            ),
            (
                r#"{"seq": 11, "kind": "key", "id": "k", "digest": "DIGEST", "key": {"id": "k"}}"#,
                false,
            ),
        ] {
            let (changed, doubts) = one(change).unwrap();
            let Changed::Key(_, content) = changed else {
                panic!("{changed:?}");
            };
            let expected = if gone {
                Content::Gone
            } else {
                Content::Unreadable
            };
            assert_eq!((content, doubts.is_empty()), (expected, gone), "{change}");
        }
        let other = r#"{"seq": 11, "kind": "user", "id": "u", "user": {"id": "v", "version": 11, "status": "active"}}"#;
        let (changed, doubts) = one(other).unwrap();
        assert_eq!(changed, Changed::User("u".into(), Content::Unreadable));
        assert_eq!(doubts, ["change.id"]);
    }

    #[test]
    fn a_kind_that_is_not_known_changes_nothing() {
        let body = r#"{"cursor": 12, "reset": false, "changes": [{"seq": 11, "kind": "plan", "id": "p"}]}"#;
        assert!(parse(body).unwrap().changes.is_empty());
    }

    #[test]
    fn a_reset_needs_no_changes_and_may_go_back() {
        let answer = parse(r#"{"cursor": 3, "reset": true, "changes": []}"#).unwrap();
        assert_eq!((answer.cursor, answer.reset), (3, true));
    }

    #[test]
    fn what_may_be_about_anything_is_no_answer() {
        let many = vec![r#"{"seq": 11, "kind": "plan", "id": "p"}"#; MOST_CHANGES + 1].join(",");
        for (body, field) in [
            ("<html>", "body"),
            ("[]", "answer"),
            (r#"{"reset": false, "changes": []}"#, "answer.cursor"),
            (r#"{"cursor": 12, "changes": []}"#, "answer.reset"),
            (
                r#"{"cursor": 12, "reset": "no", "changes": []}"#,
                "answer.reset",
            ),
            (r#"{"cursor": 12, "reset": false}"#, "answer.changes"),
            (
                r#"{"cursor": 9, "reset": false, "changes": []}"#,
                "answer.cursor",
            ),
            (
                &format!(r#"{{"cursor": 12, "reset": false, "changes": [{many}]}}"#),
                "answer.changes",
            ),
        ] {
            assert_eq!(parse(body).unwrap_err().field, field, "{body:.80}");
        }
        for (change, field) in [
            ("7", "change"),
            (r#"{"kind": "user", "id": "u"}"#, "change.seq"),
            (r#"{"seq": 10, "kind": "user", "id": "u"}"#, "change.seq"),
            (r#"{"seq": 13, "kind": "user", "id": "u"}"#, "change.seq"),
            (r#"{"seq": 11, "id": "u"}"#, "change.kind"),
            (r#"{"seq": 11, "kind": "", "id": "u"}"#, "change.kind"),
            (r#"{"seq": 11, "kind": "user"}"#, "change.id"),
            (r#"{"seq": 11, "kind": "user", "id": "a b"}"#, "change.id"),
            (
                r#"{"seq": 11, "kind": "key", "id": "k", "digest": "x"}"#,
                "change.digest",
            ),
            (
                r#"{"seq": 11, "kind": "plan", "id": "p"}, {"seq": 11, "kind": "plan", "id": "p"}"#,
                "change.seq",
            ),
        ] {
            assert_eq!(one(change).unwrap_err().field, field, "{change}");
        }
    }
}
