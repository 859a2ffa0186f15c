//! What an import will do, before it does it.

use std::collections::{HashMap, HashSet};

use super::known::Known;
use super::line::{id_taken, key_taken, no_owner, other_id};
use super::report::{Done, ImportReport};
use crate::domain::credential::Digest;
use crate::domain::key::{Expired, KeyImport};
use crate::domain::refusal::Refusal;
use crate::domain::time::now;
use crate::http::problem::Problem;
use crate::store::View;

/// Lines for which what is there is read at once.
const CHECKED: usize = 1000;

/// Refuses all lines if one of them is wrong, alone or beside the others and what is there.
pub(super) async fn check(
    view: &View,
    lines: &[(usize, Result<KeyImport, Refusal>)],
    expired: Expired,
) -> Result<(), Problem> {
    let mut report = ImportReport::default();
    let mut seen = Seen::default();
    for part in lines.chunks(CHECKED) {
        let good = part.iter().filter_map(|(_, line)| line.as_ref().ok());
        let known = Known::now(view, good).await?;
        for (number, line) in part {
            let refused = match line {
                Ok(line) => seen.refuse(&known, line, expired),
                Err(refusal) => Some(refusal.clone()),
            };
            if let Some(refusal) = refused {
                report.add(*number, Err(refusal));
            }
        }
    }
    if report.failed > 0 {
        return Err(Problem::invalid(report.errors()));
    }
    Ok(())
}

/// What the lines before will have written.
#[derive(Default)]
struct Seen<'a> {
    /// The id that its line gives a digest, if it does.
    digests: HashMap<&'a str, Option<&'a str>>,
    ids: HashSet<&'a str>,
}

impl<'a> Seen<'a> {
    fn refuse(&mut self, known: &Known, line: &'a KeyImport, expired: Expired) -> Option<Refusal> {
        let id = line.terms.id.as_deref();
        if known.lacks_owner(line) {
            return Some(no_owner());
        }
        if let Some(there) = known.digests.get(line.digest.as_str()) {
            return there
                .as_ref()
                .map_or_else(|| Some(key_taken()), |there| other_id(line, there));
        }
        if let Some(before) = self.digests.get(line.digest.as_str()) {
            let other = id.is_some() && *before != id;
            return other
                .then(|| Refusal::field("id", "a line before has the same key, and not this id"));
        }
        if let Some(id) = id
            && (self.ids.contains(id) || known.ids.contains(id))
        {
            return Some(id_taken());
        }
        if let Err(refusal) = known.key(line.clone(), expired, None, now()) {
            return Some(refusal);
        }
        self.digests.insert(line.digest.as_str(), id);
        self.ids.extend(id);
        None
    }
}

/// What the parts before would have written, where nothing is.
#[derive(Default)]
pub(super) struct Planned {
    /// The ids of keys, by their digests.
    digests: HashMap<String, String>,
    ids: HashSet<String>,
}

impl Planned {
    /// What becomes of a line because of those before it.
    pub(super) fn outcome(&self, line: &KeyImport) -> Option<Result<Done, Refusal>> {
        if let Some(there) = self.digests.get(line.digest.as_str()) {
            return Some(match other_id(line, there) {
                Some(refusal) => Err(refusal),
                None => Ok(Done::existing(there.clone())),
            });
        }
        let id = line.terms.id.as_ref()?;
        self.ids.contains(id).then(|| Err(id_taken()))
    }

    /// Takes note of a line that would be written.
    pub(super) fn add(&mut self, digest: &Digest, outcome: &Result<Done, Refusal>) {
        if let Ok(done) = outcome {
            self.ids.insert(done.id.clone());
            self.digests
                .insert(digest.as_str().to_owned(), done.id.clone());
        }
    }
}
