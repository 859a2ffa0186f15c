//! What a request must satisfy.

use super::{Authentication, Policies, Policy};

/// The policies that a request must satisfy: one, or several where its path can be read in several ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chosen<'a>(Choice<'a>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Choice<'a> {
    One(&'a Policy),
    /// Of those that a path can choose, the ones whose bits are set. A policy beyond the last bit is among them.
    Several(&'a Policies, u32),
    /// All that there are, whoever names them.
    All(&'a Policies),
}

/// All that a path can choose.
const EVERY: u32 = u32::MAX;

impl<'a> Chosen<'a> {
    /// One policy.
    pub const fn one(policy: &'a Policy) -> Self {
        Self(Choice::One(policy))
    }

    /// All that a path can choose.
    pub(super) const fn every(policies: &'a Policies) -> Self {
        Self(Choice::Several(policies, EVERY))
    }

    /// All that there are: those of paths, and those that the metadata of Envoy's routes can name.
    pub(super) const fn all(policies: &'a Policies) -> Self {
        Self(Choice::All(policies))
    }

    /// Those at some places among all that a path can choose.
    pub(super) fn at(policies: &'a Policies, places: impl Iterator<Item = usize>) -> Self {
        Self(Choice::Several(
            policies,
            places.map(bit).fold(0, |set, bit| set | bit),
        ))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &'a Policy> {
        let (one, several, all) = match self.0 {
            Choice::One(policy) => (Some(policy), None, None),
            Choice::Several(policies, set) => (None, Some((policies, set)), None),
            Choice::All(policies) => (Some(&policies.default), None, Some(policies)),
        };
        let all = all.into_iter().flat_map(|policies| &policies.named);
        let several = several.into_iter().flat_map(|(policies, set)| {
            (0_usize..)
                .map_while(move |place| Some((place, policies.of_any_path(place)?)))
                .filter(move |(place, _)| set == EVERY || set & bit(*place) != 0)
                .map(|(_, policy)| policy)
        });
        one.into_iter()
            .chain(several)
            .chain(all.map(|(_, policy)| policy))
    }

    /// Whether a key is needed: the strictest of them decides.
    pub fn authentication(&self) -> Authentication {
        match self.0 {
            Choice::One(policy) => policy.authentication,
            Choice::Several(..) | Choice::All(_) => {
                let each = self.iter().map(|policy| policy.authentication);
                each.max().unwrap_or_default()
            }
        }
    }

    /// Whether what they ask for holds for each; nothing where none of them asks.
    pub fn all_hold(&self, holds: impl Fn(&Policy) -> Option<bool>) -> Option<bool> {
        match self.0 {
            // So it is for nearly every request.
            Choice::One(policy) => holds(policy),
            Choice::Several(..) | Choice::All(_) => {
                self.iter().filter_map(holds).reduce(|all, one| all && one)
            }
        }
    }

    /// Whether it is every policy that there is.
    pub const fn is_all(&self) -> bool {
        matches!(self.0, Choice::All(_))
    }

    /// Whether it is every policy of the routes and the default, since nobody knows what the path is.
    pub const fn is_every(&self) -> bool {
        matches!(self.0, Choice::Several(_, EVERY))
    }
}

fn bit(place: usize) -> u32 {
    u32::try_from(place)
        .ok()
        .and_then(|place| 1_u32.checked_shl(place))
        .unwrap_or(EVERY)
}
