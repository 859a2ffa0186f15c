//! Headers that are the filter's alone, and what a client sent under their names.
//!
//! These are the identity headers and those that may hold a credential. A server that hands headers on as
//! variables (CGI, and what descends from it) makes `HTTP_X_USER_ID` of `x.user.id` and of `x!user*id` as
//! well: a name that differs from a reserved one in punctuation alone is an alias of it, and goes no further
//! either.

use super::IdentityHeaders;
use crate::credential::Location;
use crate::host::RemoveHeader;
use crate::request::headers::{Headers, length_bit};

/// How many identity headers there are.
const IDENTITY: usize = 5;

/// The names that are the filter's alone.
#[derive(Debug)]
pub struct Reserved {
    /// The identity headers in their order, a place each, then those that may hold a credential.
    names: Vec<Option<String>>,
    /// How long they are, see [`Headers::of_lengths`].
    lengths: u64,
}

/// What a client sent under reserved names.
#[derive(Debug, Default)]
pub struct Found<'a> {
    /// How often each identity header is there.
    pub identity: [usize; IDENTITY],
    /// Names that differ from a reserved one in punctuation alone.
    pub aliases: Vec<&'a str>,
}

impl Found<'_> {
    /// Whether there is any identity header or alias.
    pub fn is_any(&self) -> bool {
        !self.aliases.is_empty() || self.identity.iter().any(|count| *count > 0)
    }
}

impl Reserved {
    /// Reserves the names of a configuration.
    pub fn new(identity: &IdentityHeaders, credentials: &[Location]) -> Self {
        let credentials = credentials.iter().filter_map(Location::header);
        let credentials = credentials.map(|name| Some(name.to_owned()));
        let names: Vec<Option<String>> = identity
            .names()
            .into_iter()
            .cloned()
            .chain(credentials)
            .collect();
        let lengths = names.iter().flatten();
        Self {
            lengths: lengths.fold(0, |lengths, name| lengths | length_bit(name.len())),
            names,
        }
    }

    /// What a client sent under these names.
    pub fn find<'a>(&self, headers: Headers<'a>) -> Found<'a> {
        let mut found = Found::default();
        for (name, _) in headers.of_lengths(self.lengths) {
            match self.kind(name) {
                Kind::Reserved(place) => {
                    if let Some(count) = found.identity.get_mut(place) {
                        *count = count.saturating_add(1);
                    }
                }
                Kind::Alias => found.aliases.extend(std::str::from_utf8(name)),
                Kind::Free => {}
            }
        }
        found
    }

    /// Removes every header of a list that has a reserved name or an alias of one: what trailers must not
    /// bring, which are never read.
    pub fn remove_all(&self, headers: Headers<'_>, list: &mut impl RemoveHeader) {
        for (name, _) in headers.of_lengths(self.lengths) {
            if let (Ok(text), Kind::Reserved(_) | Kind::Alias) =
                (std::str::from_utf8(name), self.kind(name))
            {
                list.remove(text);
            }
        }
    }

    fn kind(&self, name: &[u8]) -> Kind {
        let mut kind = Kind::Free;
        for (place, reserved) in self.names.iter().enumerate() {
            let Some(reserved) = reserved else { continue };
            if name == reserved.as_bytes() {
                return Kind::Reserved(place);
            }
            if is_alias(name, reserved.as_bytes()) {
                kind = Kind::Alias;
            }
        }
        kind
    }
}

/// What a name is.
enum Kind {
    /// The reserved one of this place.
    Reserved(usize),
    /// One that differs from a reserved one in punctuation alone.
    Alias,
    /// Not ours.
    Free,
}

/// Whether two names are the same but for punctuation. Names are lower case.
fn is_alias(name: &[u8], reserved: &[u8]) -> bool {
    name.len() == reserved.len()
        && name.iter().zip(reserved).all(|(one, other)| {
            one == other || !(one.is_ascii_alphanumeric() || other.is_ascii_alphanumeric())
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Header;
    use crate::test_util::test;

    fn reserved() -> Reserved {
        let name = |name: &str| Some(name.to_owned());
        let identity = IdentityHeaders {
            key_id: name("x-key-id"),
            user_id: name("x-user-id"),
            tenant_id: None,
            scopes: name("x_scopes"),
            environment: None,
        };
        let credentials = [
            Location::Header("x-api-key".to_owned()),
            Location::Scheme {
                header: "authorization".to_owned(),
                scheme: "Bearer".to_owned(),
            },
            Location::Cookie("key".to_owned()),
            Location::Query("key".to_owned()),
        ];
        Reserved::new(&identity, &credentials)
    }

    fn list<'a>(names: &[&'a str]) -> Vec<Header<'a>> {
        names
            .iter()
            .map(|name| (name.as_bytes(), &b"1"[..]))
            .collect()
    }

    #[test]
    fn identity_headers_are_counted_and_aliases_named() {
        let sent = list(&[
            ":path",
            "x-user-id",
            "x.user.id",
            "x!user*id",
            "x-user-id",
            "x_api_key",
            "x-api-key",
            "x-scopes",
            "x_scopes",
            "x-user-ids",
            "xauserbid",
            "x-userid-",
            "cookie",
            "authorization",
        ]);
        let reserved = reserved();
        let found = reserved.find(Headers::new(&sent));
        assert_eq!(found.identity, [0, 2, 0, 1, 0]);
        assert_eq!(
            found.aliases,
            ["x.user.id", "x!user*id", "x_api_key", "x-scopes"]
        );
    }

    #[test]
    fn a_name_that_is_reserved_itself_is_no_alias() {
        let identity = IdentityHeaders {
            key_id: Some("x-user_id".to_owned()),
            user_id: Some("x-user-id".to_owned()),
            tenant_id: None,
            scopes: None,
            environment: None,
        };
        let sent = list(&["x-user-id", "x-user_id", "x_user_id"]);
        let reserved = Reserved::new(&identity, &[]);
        let found = reserved.find(Headers::new(&sent));
        assert_eq!(found.identity, [1, 1, 0, 0, 0]);
        assert_eq!(found.aliases, ["x_user_id"]);
    }

    #[test]
    fn of_trailers_nothing_reserved_is_left() {
        struct List(Vec<String>);
        impl RemoveHeader for List {
            fn remove(&mut self, name: &str) {
                self.0.retain(|known| known != name);
            }
        }
        let names = [
            "x-user-id",
            "x.user.id",
            "x-api-key",
            "cookie",
            "authorization",
            "grpc-status",
        ];
        let sent = list(&names);
        let mut list = List(names.map(str::to_owned).into());
        reserved().remove_all(Headers::new(&sent), &mut list);
        assert_eq!(list.0, ["grpc-status"]);
    }
}
