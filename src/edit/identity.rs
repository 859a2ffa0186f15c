//! Who is calling, told to the upstream.

use std::borrow::Cow;

use crate::host::EditRequest;
use crate::record::Chain;

/// Names of the identity headers, lower case; `None` leaves one out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityHeaders {
    /// Id of the key.
    pub key_id: Option<String>,
    /// Id of the key's user.
    pub user_id: Option<String>,
    /// Id of the key's tenant.
    pub tenant_id: Option<String>,
    /// Effective scopes, joined by spaces.
    pub scopes: Option<String>,
    /// Environment of the key.
    pub environment: Option<String>,
}

impl IdentityHeaders {
    /// The names, in one order everywhere.
    pub fn names(&self) -> [&Option<String>; 5] {
        [
            &self.key_id,
            &self.user_id,
            &self.tenant_id,
            &self.scopes,
            &self.environment,
        ]
    }

    /// Tells the upstream who is calling, or that nobody is known to. Every identity header is set from the
    /// verified chain or removed in the same statement, so that none of the client's own can be left over.
    ///
    /// `sent` says how often the client sent each, in the order of [`Self::names`].
    pub fn apply(&self, chain: Option<&Chain>, sent: [usize; 5], request: &mut impl EditRequest) {
        let mut names = self.names().into_iter().zip(sent);
        let mut apply = |value: Option<Cow<'_, str>>| {
            let Some((Some(name), sent)) = names.next() else {
                return;
            };
            match value.filter(|value| !value.is_empty()) {
                // To add is cheaper than to look for what is not there.
                Some(value) if sent == 0 => request.add(name, value.as_bytes()),
                Some(value) => {
                    if sent > 1 {
                        // A host may replace the first of several and leave the others.
                        request.remove(name);
                    }
                    request.set(name, value.as_bytes());
                }
                None if sent > 0 => request.remove(name),
                None => {}
            }
        };
        let key = chain.map(|chain| &*chain.key);
        apply(key.map(|key| (&*key.id).into()));
        apply(key.and_then(|key| key.user_id.as_deref()).map(Cow::from));
        apply(key.and_then(|key| key.tenant_id.as_deref()).map(Cow::from));
        apply(chain.map(effective_scopes));
        apply(
            key.and_then(|key| key.environment.as_deref())
                .map(Cow::from),
        );
    }
}

/// The key's scopes that the user's cover, joined by spaces.
fn effective_scopes(chain: &Chain) -> Cow<'_, str> {
    let scopes = &chain.key.scopes;
    let narrowed = chain.user.as_ref().is_none_or(|user| user.scopes.is_some());
    if !narrowed || scopes.iter().all(|scope| chain.user_covers(scope)) {
        return Cow::Borrowed(scopes.joined());
    }
    let mut effective = String::new();
    for scope in scopes.iter().filter(|scope| chain.user_covers(scope)) {
        if !effective.is_empty() {
            effective.push(' ');
        }
        effective.push_str(scope);
    }
    Cow::Owned(effective)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edit::Reserved;
    use crate::host::RemoveHeader;
    use crate::request::headers::Headers;
    use crate::test_util::{Sent, chain, test};

    fn names() -> IdentityHeaders {
        let name = |name: &str| Some(name.to_owned());
        IdentityHeaders {
            key_id: name("x-key-id"),
            user_id: name("x-user-id"),
            tenant_id: name("x-tenant-id"),
            scopes: name("x-key-scopes"),
            environment: None,
        }
    }

    fn applied(
        names: &IdentityHeaders,
        chain: Option<&Chain>,
        sent: &[(&str, &str)],
    ) -> Vec<(String, String)> {
        let mut sent = Sent::new(sent);
        let found = Reserved::new(names, &[]).find(Headers::new(&sent.headers));
        names.apply(chain, found.identity, &mut sent.handed);
        let mut headers: Vec<(String, String)> = sent
            .handed
            .headers
            .into_iter()
            .map(|(name, value)| (name, String::from_utf8(value).unwrap()))
            .collect();
        headers.sort();
        headers
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    const SPOOFED: [(&str, &str); 6] = [
        ("x-key-id", "evil"),
        ("x-key-id", "twice"),
        ("x-key-scopes", "*"),
        ("x-other", "kept"),
        ("x-tenant-id", "evil"),
        ("x-user-id", "evil"),
    ];

    #[test]
    fn a_verified_chain_replaces_whatever_the_client_sent() {
        let told = [
            ("x-key-id", "key_1"),
            ("x-key-scopes", "orders:read stock:*"),
            ("x-tenant-id", "ten_1"),
            ("x-user-id", "usr_1"),
        ];
        assert_eq!(
            applied(&names(), Some(&chain(|_, _, _| {})), &[]),
            pairs(&told)
        );
        let mut with_other = pairs(&told);
        with_other.insert(2, ("x-other".to_owned(), "kept".to_owned()));
        assert_eq!(
            applied(&names(), Some(&chain(|_, _, _| {})), &SPOOFED),
            with_other
        );
    }

    #[test]
    fn a_host_that_replaces_only_the_first_of_several_leaves_none() {
        struct Host(Vec<(String, Vec<u8>)>);
        impl EditRequest for Host {
            fn set(&mut self, name: &str, value: &[u8]) {
                match self.0.iter_mut().find(|(known, _)| known == name) {
                    Some((_, first)) => *first = value.to_vec(),
                    None => self.add(name, value),
                }
            }
            fn add(&mut self, name: &str, value: &[u8]) {
                self.0.push((name.to_owned(), value.to_vec()));
            }
        }
        impl RemoveHeader for Host {
            fn remove(&mut self, name: &str) {
                self.0.retain(|(known, _)| known != name);
            }
        }
        let sent = [(&b"x-user-id"[..], &b"evil"[..]), (b"x-user-id", b"twice")];
        let sent =
            sent.map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), value.to_vec()));
        let mut host = Host(sent.into());
        names().apply(Some(&chain(|_, _, _| {})), [0, 2, 0, 0, 0], &mut host);
        let users: Vec<&[u8]> = host
            .0
            .iter()
            .filter(|(name, _)| name == "x-user-id")
            .map(|(_, value)| value.as_slice())
            .collect();
        assert_eq!(users, [b"usr_1"]);
    }

    #[test]
    fn without_a_chain_none_is_left() {
        assert_eq!(
            applied(&names(), None, &SPOOFED),
            pairs(&[("x-other", "kept")])
        );
        assert_eq!(applied(&names(), None, &[]), []);
    }

    #[test]
    fn what_the_key_does_not_have_sets_no_header() {
        let poor = chain(|key, _, _| {
            key.tenant_id = None;
            key.scopes = crate::record::Scopes::default();
        });
        assert_eq!(
            applied(&names(), Some(&poor), &SPOOFED),
            pairs(&[
                ("x-key-id", "key_1"),
                ("x-other", "kept"),
                ("x-user-id", "usr_1")
            ])
        );
    }

    #[test]
    fn a_name_that_is_left_out_is_the_clients_own() {
        let none = IdentityHeaders {
            key_id: None,
            user_id: None,
            tenant_id: None,
            scopes: None,
            environment: Some("x-environment".to_owned()),
        };
        assert_eq!(
            applied(
                &none,
                Some(&chain(|_, _, _| {})),
                &[("x-key-id", "own"), ("x-environment", "test")]
            ),
            pairs(&[("x-environment", "live"), ("x-key-id", "own")])
        );
    }

    #[test]
    fn scopes_are_those_that_the_users_cover() {
        let scopes = |granted: &[&str]| Some(crate::record::Scopes::new(granted.iter().copied()));
        for (granted, told) in [
            (scopes(&["*"]), Some("orders:read stock:*")),
            (scopes(&["stock:*"]), Some("stock:*")),
            (scopes(&["orders:*", "stock:read"]), Some("orders:read")),
            (scopes(&[]), None),
            (None, Some("orders:read stock:*")),
        ] {
            let narrowed = chain(|_, user, _| user.scopes = granted.clone());
            let headers = applied(&names(), Some(&narrowed), &[]);
            let shown = headers.iter().find(|(name, _)| name == "x-key-scopes");
            assert_eq!(shown.map(|(_, value)| value.as_str()), told, "{granted:?}");
        }
    }
}
