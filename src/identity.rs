//! Who is calling, told to the upstream.

use std::borrow::Cow;

use crate::config::IdentityHeaders;
use crate::edit::EditRequest;
use crate::headers::Headers;
use crate::verdict::Chain;

impl IdentityHeaders {
    /// Tells the upstream who is calling, or that nobody is known to. Every identity header is set from the
    /// verified chain or removed in the same statement, so that none of the client's own can be left over.
    pub fn apply(
        &self,
        chain: Option<&Chain>,
        headers: Headers<'_>,
        request: &mut impl EditRequest,
    ) {
        let mut apply = |name: &Option<String>, value: Option<Cow<'_, str>>| {
            let Some(name) = name else { return };
            let sent = headers.count(name);
            match value.filter(|value| !value.is_empty()) {
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
        apply(&self.key_id, key.map(|key| (&*key.id).into()));
        apply(
            &self.user_id,
            key.and_then(|key| key.user_id.as_deref()).map(Cow::from),
        );
        apply(
            &self.tenant_id,
            key.and_then(|key| key.tenant_id.as_deref()).map(Cow::from),
        );
        apply(&self.scopes, chain.map(effective_scopes));
        apply(
            &self.environment,
            key.and_then(|key| key.environment.as_deref())
                .map(Cow::from),
        );
    }
}

/// The key's scopes that the user's cover, joined by spaces.
fn effective_scopes(chain: &Chain) -> Cow<'_, str> {
    let scopes = &chain.key.scopes;
    if scopes.iter().all(|scope| chain.user_covers(scope)) {
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
