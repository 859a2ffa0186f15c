//! The key service's JSON: the one place where what is loose outside becomes valid inside.

use super::fields::{Fields, Malformed, malformed};
use super::{Hours, Key, KeyStatus, Networks, Tenant, TenantStatus, Text, User, UserStatus};
use crate::credential::digest::Digest;
use crate::record::json::Json;

/// A well-formed answer to `/v1/resolve`.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// The sequence at which the whole answer was true.
    pub as_of: u64,
    /// What is known of each digest. One whose result was not well-formed has what was wrong with it; one
    /// without a result is missing here.
    pub results: Vec<(Digest, Result<Resolved, Malformed>)>,
    /// What was read as a refusal because it could not be understood, for the operator: unknown status
    /// words, ranges and hours that are none.
    pub doubts: Vec<Malformed>,
}

/// What the key service knows of a digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolved {
    /// Nobody knows it.
    Unknown,
    /// A key, with its user and tenant as far as it names any and they exist.
    Known {
        /// The key.
        key: Box<Key>,
        /// Its user.
        user: Option<User>,
        /// Its tenant.
        tenant: Option<Tenant>,
    },
}

/// Reads an answer to `/v1/resolve`.
///
/// # Errors
/// What is wrong with the answer as a whole; what is wrong with one result is in the answer.
pub fn parse_answer(body: &[u8]) -> Result<Answer, Malformed> {
    let json = Json::parse(body).map_err(|_| malformed("body", "is not JSON"))?;
    let answer = Fields::of("answer", &json)?;
    let results = answer
        .list("results")?
        .ok_or_else(|| answer.missing("results"))?;
    let mut doubts = Vec::new();
    Ok(Answer {
        as_of: answer.required_unsigned("as_of")?,
        results: results
            .iter()
            .filter_map(|result| parse_result(result, &mut doubts))
            .collect(),
        doubts,
    })
}

/// A result that does not even name its digest is left out: it can be nobody's.
fn parse_result(
    json: &Json,
    doubts: &mut Vec<Malformed>,
) -> Option<(Digest, Result<Resolved, Malformed>)> {
    let fields = Fields::of("result", json).ok()?;
    let digest = Digest::parse(fields.string("digest").ok()??)?;
    Some((digest, parse_resolved(&fields, doubts)))
}

fn parse_resolved(result: &Fields<'_>, doubts: &mut Vec<Malformed>) -> Result<Resolved, Malformed> {
    if !result.has("key") {
        return Err(result.missing("key"));
    }
    let Some(key) = result.object("key")? else {
        return Ok(Resolved::Unknown);
    };
    let key = parse_key(&key, doubts)?;
    let user = result
        .object("user")?
        .map(|user| parse_user(&user, doubts))
        .transpose()?;
    let tenant = result
        .object("tenant")?
        .map(|tenant| parse_tenant(&tenant, doubts))
        .transpose()?;
    // A record under another id than the key names would be believed for the wrong owner.
    if let Some(user) = &user
        && key.user_id.as_deref() != Some(&user.id)
    {
        return Err(malformed("user.id", "is not the key's user_id"));
    }
    if let Some(tenant) = &tenant
        && key.tenant_id.as_deref() != Some(&tenant.id)
    {
        return Err(malformed("tenant.id", "is not the key's tenant_id"));
    }
    let key = Box::new(key);
    Ok(Resolved::Known { key, user, tenant })
}

pub(super) fn parse_key(
    fields: &Fields<'_>,
    doubts: &mut Vec<Malformed>,
) -> Result<Key, Malformed> {
    Ok(Key {
        id: fields.required_name("id")?,
        version: fields.required_unsigned("version")?,
        user_id: fields.name("user_id")?,
        tenant_id: fields.name("tenant_id")?,
        environment: fields.name("environment")?,
        status: status(fields, doubts, KeyStatus::named, KeyStatus::Disabled)?,
        not_before: fields.time("not_before")?,
        expires_at: fields.time("expires_at")?,
        replaced: fields.name("replaced_by")?.is_some(),
        replaced_at: fields.time("replaced_at")?,
        scopes: fields.scopes("scopes")?.unwrap_or_default(),
        networks: fields.strings("networks")?.map(|ranges| {
            let networks = Networks::parse(ranges);
            if networks == Networks::Unreadable {
                doubts.push(fields.wrong(
                    "networks",
                    "no address range; counts as allowing no address",
                ));
            }
            networks
        }),
        hours: fields
            .object("hours")?
            .map(|hours| parse_hours(&hours, doubts))
            .transpose()?,
    })
}

/// The status that a word stands for, or the one that an unknown word counts as.
fn status<T>(
    fields: &Fields<'_>,
    doubts: &mut Vec<Malformed>,
    named: impl Fn(&str) -> Option<T>,
    unknown: T,
) -> Result<T, Malformed> {
    Ok(named(fields.required_string("status")?).unwrap_or_else(|| {
        doubts.push(fields.wrong("status", "an unknown word; counts as not active"));
        unknown
    }))
}

fn parse_hours(fields: &Fields<'_>, doubts: &mut Vec<Malformed>) -> Result<Hours, Malformed> {
    let days = fields
        .strings("days")?
        .ok_or_else(|| fields.missing("days"))?;
    let hours = Hours::parse(
        days,
        fields.required_string("from")?,
        fields.required_string("to")?,
    );
    if hours == Hours::Unreadable {
        doubts.push(malformed(
            fields.path,
            "no days and times; counts as allowing no hour",
        ));
    }
    Ok(hours)
}

pub(super) fn parse_user(
    fields: &Fields<'_>,
    doubts: &mut Vec<Malformed>,
) -> Result<User, Malformed> {
    Ok(User {
        id: fields.required_name("id")?,
        version: fields.required_unsigned("version")?,
        tenant_id: fields.name("tenant_id")?,
        status: status(fields, doubts, UserStatus::named, UserStatus::Suspended)?,
        scopes: fields.scopes("scopes")?,
        apis: fields
            .strings("apis")?
            .map(|apis| apis.into_iter().map(Text::from).collect()),
    })
}

pub(super) fn parse_tenant(
    fields: &Fields<'_>,
    doubts: &mut Vec<Malformed>,
) -> Result<Tenant, Malformed> {
    Ok(Tenant {
        id: fields.required_name("id")?,
        version: fields.required_unsigned("version")?,
        status: status(fields, doubts, TenantStatus::named, TenantStatus::Suspended)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Scopes;
    use crate::test_util::test;
    use crate::time::LAST_SECOND;

    const DIGEST: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

    fn answer(result: &str) -> Answer {
        let body = format!(r#"{{"as_of": 7, "results": [{{"digest": "{DIGEST}", {result}}}]}}"#);
        parse_answer(body.as_bytes()).unwrap()
    }

    fn doubts(result: &str) -> Vec<String> {
        answer(result)
            .doubts
            .into_iter()
            .map(|doubt| doubt.field)
            .collect()
    }

    fn one(result: &str) -> Result<Resolved, Malformed> {
        let mut answer = answer(result);
        assert_eq!(answer.as_of, 7);
        let (digest, resolved) = answer.results.pop().unwrap();
        assert_eq!(digest.bytes()[31], 31);
        resolved
    }

    const FULL: &str = r#""key": {"id": "key_01", "version": 4302, "user_id": "usr_7", "tenant_id": "ten_2",
        "environment": "live", "status": "active", "not_before": null, "expires_at": 1790000000,
        "replaced_by": "key_02", "replaced_at": 5, "scopes": ["orders:read"], "networks": ["10.0.0.0/8"],
        "hours": {"days": ["mon"], "from": "08:00", "to": "18:00"}, "new": {}},
        "user": {"id": "usr_7", "version": 991, "tenant_id": "ten_2", "status": "active", "scopes": [],
        "apis": ["orders"]}, "tenant": {"id": "ten_2", "version": 12, "status": "active"}"#;

    #[test]
    fn a_full_result_is_read() {
        let Ok(Resolved::Known {
            key,
            user: Some(user),
            tenant: Some(tenant),
        }) = one(FULL)
        else {
            panic!("{:?}", one(FULL));
        };
        assert_eq!(
            (&*key.id, key.version, key.status),
            ("key_01", 4302, KeyStatus::Active)
        );
        assert_eq!(
            (key.not_before, key.expires_at),
            (None, Some(1_790_000_000))
        );
        assert_eq!((key.replaced, key.replaced_at), (true, Some(5)));
        assert_eq!(key.scopes.joined(), "orders:read");
        assert_eq!(key.networks, Some(Networks::parse(["10.0.0.0/8"])));
        assert_eq!(key.hours, Some(Hours::parse(["mon"], "08:00", "18:00")));
        assert_eq!(user.scopes, Some(Scopes::default()));
        assert_eq!(user.apis.as_deref(), Some(&[Text::from("orders")][..]));
        assert_eq!(
            (&*tenant.id, tenant.status),
            ("ten_2", TenantStatus::Active)
        );
    }

    #[test]
    fn missing_and_null_are_the_same_and_an_empty_list_is_neither() {
        let Ok(Resolved::Known {
            key,
            user: None,
            tenant: None,
        }) = one(
            r#""key": {"id": "k", "version": 1, "status": "active", "networks": []}, "user": null"#,
        )
        else {
            panic!();
        };
        assert_eq!(
            (key.user_id, key.tenant_id, key.environment),
            (None, None, None)
        );
        assert_eq!((key.expires_at, key.hours), (None, None));
        assert_eq!(key.networks, Some(Networks::parse([])));
        assert_eq!(one(r#""key": null"#), Ok(Resolved::Unknown));
    }

    #[test]
    fn an_unknown_status_is_not_active() {
        let result = FULL.replace(r#""status": "active""#, r#""status": "brandnew""#);
        let Ok(Resolved::Known {
            key,
            user: Some(user),
            tenant: Some(tenant),
        }) = one(&result)
        else {
            panic!();
        };
        assert_eq!(key.status, KeyStatus::Disabled);
        assert_eq!(user.status, UserStatus::Suspended);
        assert_eq!(tenant.status, TenantStatus::Suspended);
        assert_eq!(
            doubts(&result),
            ["key.status", "user.status", "tenant.status"]
        );
        assert!(doubts(FULL).is_empty());
    }

    #[test]
    fn a_wrong_field_spoils_its_own_result_alone() {
        let long = "x".repeat(129);
        let many = format!("[{}]", vec![r#""mon""#; 257].join(","));
        for (from, to, field) in [
            (r#""id": "key_01""#, r#""id": 7"#, "key.id"),
            (r#""id": "key_01""#, r#""id": """#, "key.id"),
            (r#""id": "key_01""#, &format!(r#""id": "{long}""#), "key.id"),
            (r#""id": "key_01""#, r#""id": "a\r\nb""#, "key.id"),
            (r#""id": "key_01""#, r#""id": "k", "id": "k""#, "key.id"),
            (r#""id": "key_01", "#, "", "key.id"),
            ("4302", "-1", "key.version"),
            ("4302", "1.5", "key.version"),
            ("4302", "18446744073709551616", "key.version"),
            ("1790000000", r#""tomorrow""#, "key.expires_at"),
            (r#"["orders:read"]"#, r#""orders:read""#, "key.scopes"),
            (r#"["orders:read"]"#, r#"["a b"]"#, "key.scopes"),
            (r#"["10.0.0.0/8"]"#, "[7]", "key.networks"),
            (r#"["10.0.0.0/8"]"#, r#"[""]"#, "key.networks"),
            (r#"["orders:read"]"#, &many, "key.scopes"),
            (r#"["10.0.0.0/8"]"#, &many, "key.networks"),
            (r#"["mon"]"#, &many, "hours.days"),
            (
                r#""apis": ["orders"]"#,
                &format!(r#""apis": {many}"#),
                "user.apis",
            ),
            (
                r#"["orders:read"]"#,
                &format!(r#"["{long}"]"#),
                "key.scopes",
            ),
            (
                r#""apis": ["orders"]"#,
                &format!(r#""apis": ["{long}"]"#),
                "user.apis",
            ),
            ("1790000000", "253402300800", "key.expires_at"),
            ("1790000000", "1790000000000", "key.expires_at"),
            ("1790000000", "18446744073709551615", "key.expires_at"),
            (
                r#""not_before": null"#,
                r#""not_before": 253402300800"#,
                "key.not_before",
            ),
            (
                r#""replaced_at": 5"#,
                r#""replaced_at": 1790000000000"#,
                "key.replaced_at",
            ),
            (r#""days": ["mon"], "#, "", "hours.days"),
            (r#""id": "usr_7""#, r#""id": "usr_8""#, "user.id"),
            (r#""id": "ten_2""#, r#""id": "ten_3""#, "tenant.id"),
            (r#""version": 991"#, r#""version": null"#, "user.version"),
            (r#""key": {"#, r#""Key": {"#, "result.key"),
            (r#""key": {"#, r#""key": null, "key": {"#, "result.key"),
        ] {
            assert!(FULL.contains(from), "{from}");
            let error = one(&FULL.replacen(from, to, 1)).unwrap_err();
            assert_eq!(error.field, field, "{to}");
        }
        let body = format!(
            r#"{{"as_of": 1, "results": [{{"digest": "x", "key": null}}, 7, {{"digest": "{DIGEST}", "key": null}}]}}"#
        );
        assert_eq!(parse_answer(body.as_bytes()).unwrap().results.len(), 1);
    }

    #[test]
    fn the_longest_lists_and_the_last_time_are_read() {
        let long = format!("[{}]", vec![format!("{:x<128}", "mon"); 256].join(","));
        let long = long
            .replace("mon", r#""mon"#)
            .replace(",", r#"","#)
            .replace(']', r#""]"#);
        let many = format!("[{}]", vec![r#""mon""#; 256].join(","));
        let result = FULL
            .replace(r#"["orders:read"]"#, &long)
            .replace(r#"["orders"]"#, &long)
            .replace(r#"["mon"]"#, &many)
            .replace("1790000000", "253402300799");
        let Ok(Resolved::Known { key, user, .. }) = one(&result) else {
            panic!("{:?}", one(&result));
        };
        assert_eq!(key.scopes.iter().count(), 256);
        assert_eq!(user.unwrap().apis.unwrap().len(), 256);
        assert_eq!(key.hours, Some(Hours::parse(["mon"], "08:00", "18:00")));
        assert_eq!(key.expires_at, Some(LAST_SECOND));
    }

    #[test]
    fn an_answer_that_is_none_is_an_error() {
        for body in [
            "",
            "[]",
            "{}",
            r#"{"as_of": 1}"#,
            r#"{"as_of": "1", "results": []}"#,
            r#"{"as_of": 1, "as_of": 2, "results": []}"#,
            r#"{"as_of": 1, "results": {}}"#,
            r#"{"as_of": 1, "results": []"#,
            "<html>",
        ] {
            assert!(parse_answer(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn a_range_or_an_hour_that_cannot_be_read_closes_that_check() {
        let broken = FULL
            .replace("10.0.0.0/8", "10.0.0.0/99")
            .replace("08:00", "25:00");
        let Ok(Resolved::Known { key, .. }) = one(&broken) else {
            panic!();
        };
        assert_eq!(key.networks, Some(Networks::Unreadable));
        assert_eq!(key.hours, Some(Hours::Unreadable));
        assert_eq!(doubts(&broken), ["key.networks", "hours"]);
    }
}
