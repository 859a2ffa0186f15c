//! A line of an import.

use crate::domain::credential::{Credential, DIGEST, Digest, Digester, FOREIGN};
use crate::domain::input::rules::object;
use crate::domain::input::{input, parse, read};
use crate::domain::key::{KeyImport, KeyStatus, KeyTerms};
use crate::domain::reach::Reach;
use crate::domain::refusal::Refusal;
use crate::domain::text::{ID, LINE};
use crate::domain::words::Status as _;

input! {
    /// A key that exists elsewhere. Either `key` or `digest` must be there.
    ImportLine {
        /// The key in clear. It is not stored.
        key: Option<Credential> = optional(FOREIGN),
        /// Its digest, made as the gateway makes it.
        digest: Option<Digest> = optional(DIGEST),
        /// What people find it by again, where only its digest is given.
        hint: Option<String> = optional(LINE),
        /// Its owner; missing is an orphan.
        user_id: Option<String> = optional(ID),
        /// `active` where it is missing.
        status: Option<KeyStatus> = optional(KeyStatus::RULE),
        /// All else.
        terms: KeyTerms = inline(object::<KeyTerms>()),
    }
}

/// The refusal of an id that another key has.
pub fn id_taken() -> Refusal {
    Refusal::field("id", "another key has this id")
}

/// The refusal of a key that is there already, and not the caller's to know of.
pub fn key_taken() -> Refusal {
    Refusal::field("", "the key is there already")
}

/// Refused where the key is there already, under an id that is not the one of the line.
pub fn other_id(line: &KeyImport, there: &str) -> Option<Refusal> {
    let id = line.terms.id.as_deref()?;
    (id != there).then(|| Refusal::field("id", format!("the key is there already, as {there}")))
}

/// The refusal of an owner who does not exist for the caller.
pub fn no_owner() -> Refusal {
    Refusal::field("user_id", "there is no user of this id")
}

/// A line of a caller who reaches no further than this: its key becomes one of the caller's tenant.
pub fn within(reach: &Reach, mut line: KeyImport) -> Result<KeyImport, Refusal> {
    let Some(tenant) = reach.tenant() else {
        return Ok(line);
    };
    if line
        .terms
        .tenant_id
        .as_deref()
        .is_some_and(|id| id != tenant)
    {
        return Err(Refusal::field("tenant_id", "there is no tenant of this id"));
    }
    line.terms.tenant_id = Some(tenant.to_owned());
    Ok(line)
}

/// Reads a line, and makes the digest of a key in clear.
pub fn read_line(line: &[u8], digester: &Digester) -> Result<KeyImport, Refusal> {
    let line: ImportLine = read(parse("the line", line)?)?;
    let (digest, hint) = match (line.key, line.digest) {
        (Some(key), None) => (digester.digest(&key), Some(key.hint())),
        (None, Some(digest)) => (digest, line.hint),
        _ => return Err(Refusal::field("", "needs either key or digest")),
    };
    Ok(KeyImport {
        digest,
        hint,
        status: line.status.unwrap_or(KeyStatus::Active),
        user_id: line.user_id,
        terms: line.terms,
    })
}
