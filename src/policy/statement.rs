//! Whose a request says that it is.
//!
//! What is stated must mean the same to whoever serves the request. What is there twice, be it under names
//! that some server takes for one, is not stated, since nobody knows which of the two the upstream believes.

use crate::host::Circumstances;
use crate::policy::alike::are_alike;
use crate::request::Request;
use crate::request::headers::Headers;
use crate::request::path::{self, Case};
use crate::request::percent::{decode, decode_entirely};

/// Where a request states a user or a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    /// A request header; the name is lower case.
    Header(String),
    /// A segment of the path without query, from 0, percent-decoded.
    PathSegment(usize),
    /// A query parameter, percent-decoded.
    Query(String),
    /// A label of the host, from 0, from the left.
    HostLabel(usize),
    /// This value, whatever the request says.
    Value(String),
}

impl Statement {
    /// Whether the request states this id.
    pub fn is_of(&self, request: &Request<'_, impl Circumstances>, id: Option<&str>) -> bool {
        let Some(id) = id.map(str::as_bytes) else {
            return false;
        };
        match self {
            Self::Header(name) => header(request.headers, name, id),
            Self::Value(value) => value.as_bytes() == id,
            Self::PathSegment(index) => segment(request.target().path, *index, id),
            Self::Query(name) => parameter(request, name, id),
            // Hosts have no case (RFC 9110 section 4.2.3): the lower-case form is the one compared.
            Self::HostLabel(index) => request
                .host_name()
                .split(|byte| *byte == b'.')
                .nth(*index)
                .is_some_and(|label| label.to_ascii_lowercase() == id),
        }
    }
}

/// Whether a header states an id. A list states none of its elements, nor all of them.
fn header(headers: Headers<'_>, name: &str, id: &[u8]) -> bool {
    let mut alike = headers_alike(headers, name);
    let first = alike.next();
    alike.next().is_none() && first == Some((name.as_bytes(), id)) && !id.contains(&b',')
}

/// The headers that some server takes for the one of a name; `x.tenant` is `HTTP_X_TENANT` in CGI as well.
pub fn headers_alike<'a>(
    headers: Headers<'a>,
    name: &'a str,
) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
    headers.iter().filter(move |(given, _)| {
        *given == name.as_bytes() || (!given.starts_with(b":") && are_alike(given, name))
    })
}

/// Whether a segment of the path is an id in all readings of the path.
fn segment(path: &[u8], index: usize, id: &[u8]) -> bool {
    fn at(path: &[u8], index: usize) -> Option<&[u8]> {
        let segments = path.strip_prefix(b"/")?;
        segments.split(|byte| *byte == b'/').nth(index)
    }
    // Some servers cut the path before they decode it, and some after.
    let is_there = |path: &[u8]| {
        at(path, index).is_some_and(|segment| *decode(segment) == *id)
            && at(&decode(path), index) == Some(id)
    };
    match path::is_plain(path) {
        true => at(path, index) == Some(id),
        false => path::readings(path, Case::Kept)
            .is_some_and(|readings| readings.iter().all(|read| is_there(read))),
    }
}

/// Whether a parameter of the query states an id. A form has blanks for plus signs, a path has not.
fn parameter(request: &Request<'_, impl Circumstances>, name: &str, id: &[u8]) -> bool {
    let target = request.target();
    parameters_alike(target.query, name).len() == 1
        // Where it is decoded too early, the query begins there.
        && !decode_entirely(target.path).contains(&b'?')
        && target.parameters(name).next().is_some_and(|value| {
            *decode(value) == *id && *decode_entirely(value) == *id && !value.contains(&b'+')
        })
}

/// The values of the parameters that some server takes for the one of a name, decoded. Semicolons separate
/// parameters for some, and what is encoded separates them where it is decoded too early.
pub fn parameters_alike(query: Option<&[u8]>, name: &str) -> Vec<Vec<u8>> {
    decode_entirely(query.unwrap_or_default())
        .split(|byte| matches!(byte, b'&' | b';'))
        .filter_map(|piece| {
            let mut parts = piece.splitn(2, |byte| *byte == b'=');
            let given = parts.next().filter(|given| are_alike(given, name))?;
            (!given.is_empty()).then(|| parts.next().unwrap_or_default().to_vec())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_util::{Sent, test};

    fn states(headers: &[(&str, &str)], statement: &Statement, id: &str) -> bool {
        statement.is_of(&Sent::new(headers).request(), Some(id))
    }

    #[test]
    fn a_request_states_what_is_there_exactly_once() {
        let header = Statement::Header("x-tenant".to_owned());
        assert!(states(&[("x-tenant", "ten_1")], &header, "ten_1"));
        assert!(!states(&[("x-tenant", "ten_2")], &header, "ten_1"));
        assert!(!states(&[("x-tenant", "TEN_1")], &header, "ten_1"));
        assert!(!states(&[("x-tenant", "")], &header, "ten_1"));
        assert!(!states(
            &[("x-tenant", "ten_1"), ("x-tenant", "ten_1")],
            &header,
            "ten_1"
        ));
        assert!(!states(&[], &header, "ten_1"));
        assert!(!header.is_of(&Sent::new(&[("x-tenant", "")]).request(), None));

        let query = Statement::Query("tenant".to_owned());
        assert!(states(
            &[(":path", "/?a=1&tenant=ten%5f1")],
            &query,
            "ten_1"
        ));
        assert!(!states(
            &[(":path", "/?tenant=ten_1&tenant=ten_1")],
            &query,
            "ten_1"
        ));
        assert!(!states(&[(":path", "/tenant=ten_1")], &query, "ten_1"));
        assert!(!states(&[(":path", "/?tenant")], &query, "ten_1"));

        let value = Statement::Value("ten_1".to_owned());
        assert!(states(&[], &value, "ten_1"));
        assert!(!states(&[], &value, "ten_2"));
    }

    #[test]
    fn path_segments_are_counted_from_the_left() {
        let at = Statement::PathSegment;
        assert!(states(
            &[(":path", "/v1/ten_1/orders?x=/a/b")],
            &at(1),
            "ten_1"
        ));
        assert!(states(&[(":path", "/v1/te%6E_1")], &at(1), "ten_1"));
        // To who decodes it once and then cuts it, this is the segment "%61".
        assert!(!states(&[(":path", "/a%2F%2561/a/")], &at(1), "a"));
        // What an upstream may read as another path states nothing.
        assert!(!states(&[(":path", "/v1/a%2Fb")], &at(1), "a/b"));
        assert!(!states(
            &[(":path", "/v1/ten_1/..;/ten_2")],
            &at(1),
            "ten_1"
        ));
        assert!(!states(
            &[(":path", "/v1/ten_1/..;/ten_2")],
            &at(1),
            "ten_2"
        ));
        assert!(states(&[(":path", "/V1/Ten_1;v=1/")], &at(0), "V1"));
        assert!(!states(&[(":path", "/V1/ten_1;v=1/")], &at(1), "ten_1"));
        assert!(!states(&[(":path", "/v1/ten_1")], &at(0), "ten_1"));
        assert!(!states(&[(":path", "/v1")], &at(1), "ten_1"));
        assert!(!states(&[(":path", "/v1//ten_1")], &at(1), "ten_1"));
        assert!(!states(&[(":path", "/?/ten_1")], &at(1), "ten_1"));
        assert!(!states(&[(":path", "*")], &at(0), "*"));
        assert!(!states(&[], &at(0), "ten_1"));
    }

    #[test]
    fn host_labels_have_no_case_and_no_port() {
        let at = Statement::HostLabel;
        for host in ["ten1.api.example.com", "TEN1.api.example.com:8443"] {
            assert!(states(&[(":authority", host)], &at(0), "ten1"), "{host}");
            assert!(states(&[(":authority", host)], &at(3), "com"), "{host}");
            assert!(!states(&[(":authority", host)], &at(4), "com"), "{host}");
        }
        assert!(!states(
            &[(":authority", "ten1.example.com")],
            &at(0),
            "TEN1"
        ));
        assert!(states(
            &[(":authority", "[2001:db8::1]:80")],
            &at(0),
            "[2001:db8::1]"
        ));
        assert!(states(
            &[(":authority", "[2001:db8::1]")],
            &at(0),
            "[2001:db8::1]"
        ));
    }

    #[test]
    fn a_parameter_that_may_be_read_as_the_same_takes_the_statement_away() {
        let tenant = Statement::Query("tenant_id".to_owned());
        let states = |query: &str| states(&[(":path", &format!("/?{query}"))], &tenant, "ten_1");
        for query in [
            "tenant_id=ten_1",
            "te%6Eant_id=ten_1",
            "a=1&tenant_id=ten_1&b",
            "tenant_id=ten_1&tenant=ten_2&id=ten_2&tenant_ids=x&xtenant_id=x&tenant_id2=x",
            "tenant_id=ten_1&x=tenant_id&&=&;",
            "tenant_id=ten_1&filter[tenant]=x&q=caf%C3%A9",
        ] {
            assert!(states(query), "{query}");
        }
        for other in [
            "tenant_id",
            "te%6Eant_id",
            "tenant%5fid",
            "tenant%255fid",
            "+tenant_id",
            "%20tenant_id",
            "tenant_id+",
            "%09tenant_id",
            "%0atenant_id",
            "%2Btenant_id",
            "tenant_id[]",
            "tenant_id[0]",
            "tenant_id[a][b]",
            "tenant_id%5B%5D",
            "tenant_id%5b",
            "[tenant_id]",
            "[tenant_id][0]",
            "tenant[id",
            "tenant%5Bid",
            "tenant_id%00",
            "tenant_id%00x",
            "%00tenant_id",
            "tenant.id",
            "tenant%2eid",
            "tenant id",
            "tenant+id",
            "Tenant_Id",
            "TENANT_ID",
            "%54enant_id",
            "tenantId",
            "tenant-id",
            "_tenant_id",
            "!tenant_id",
            "?tenant_id",
            "ten\u{ad}ant_id",
            "%ef%bd%94enant_id",
            "tenant_%C4%B1d",
            "tenant_id%c0%80",
            "x%26tenant_id",
            "x%3Btenant_id",
            "x=1;tenant_id",
            ";tenant_id",
            "amp;tenant_id",
        ] {
            for query in [
                format!("tenant_id=ten_1&{other}=ten_2"),
                format!("{other}=ten_2&tenant_id=ten_1"),
                format!("tenant_id=ten_1&{other}=ten_1"),
                format!("tenant_id=ten_1&{other}"),
            ] {
                assert!(!states(&query), "{query}");
            }
        }
        for query in [
            "Tenant_id=ten_1",
            "tenant_id[]=ten_1",
            "+tenant_id=ten_1",
            "a=1;tenant_id=ten_1",
            "tenant_id=ten_1;a=1",
            "tenant_id=ten%255f1",
            "tenant_id=ten_1%20",
            "tenant_id=ten_1,ten_2",
            "tenant_id=ten_1%26tenant_id=ten_2",
            "tenant_id=ten_1%00",
            "",
        ] {
            assert!(!states(query), "{query}");
        }
    }

    #[test]
    fn a_value_means_the_same_in_a_form() {
        let tenant = Statement::Query("tenant".to_owned());
        for (query, id, is_stated) in [
            ("tenant=a%2Bb", "a+b", true),
            ("tenant=a+b", "a+b", false),
            ("tenant=a+b", "a b", false),
            ("tenant=a%20b", "a b", true),
            ("tenant=50%25", "50%", true),
            ("tenant=%2541", "%41", false),
            ("tenant=a=b", "a=b", true),
        ] {
            let target = format!("/?{query}");
            assert_eq!(
                states(&[(":path", &target)], &tenant, id),
                is_stated,
                "{query}"
            );
        }
    }

    #[test]
    fn a_query_begins_at_the_first_question_mark() {
        let tenant = Statement::Query("tenant".to_owned());
        for path in ["/x%3Ftenant=ten_2?tenant=ten_1", "/x%253F?tenant=ten_1"] {
            assert!(!states(&[(":path", path)], &tenant, "ten_1"), "{path}");
        }
    }

    #[test]
    fn a_header_states_once_and_in_one_line() {
        let tenant = Statement::Header("x-tenant-id".to_owned());
        let right = ("x-tenant-id", "ten_1");
        assert!(states(
            &[right, ("x-tenant", "ten_2"), (":path", "/")],
            &tenant,
            "ten_1"
        ));
        for other in [
            "x-tenant-id",
            "x_tenant_id",
            "x.tenant.id",
            "x-tenant_id",
            "x~tenant|id",
            "xtenantid",
        ] {
            assert!(
                !states(&[right, (other, "ten_2")], &tenant, "ten_1"),
                "{other}"
            );
            assert!(
                !states(&[(other, "ten_2"), right], &tenant, "ten_1"),
                "{other}"
            );
        }
        assert!(!states(&[("x_tenant_id", "ten_1")], &tenant, "ten_1"));
        for list in ["ten_1,ten_2", "ten_1, ten_1", "ten_1,"] {
            assert!(!states(&[("x-tenant-id", list)], &tenant, "ten_1"));
            assert!(!states(&[("x-tenant-id", list)], &tenant, list));
        }
        let path = Statement::Header("path".to_owned());
        assert!(states(&[(":path", "/"), ("path", "ten_1")], &path, "ten_1"));
    }
}
