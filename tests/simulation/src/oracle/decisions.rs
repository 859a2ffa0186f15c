//! What was decided, held against the truth.

use keybound::record;
use keybound::record::Chain;

use super::{Invariant, Oracle, unchanged};
use crate::agenda::Time;
use crate::scenario::{Feed, Scenario};
use crate::truth::{Entity, Key, Record, Tenant, Truth, User, verdict};

/// A decision.
#[derive(Debug)]
pub struct Decided<'a> {
    /// Of which VM.
    pub vm: usize,
    /// On which credential.
    pub credential: u64,
    /// When the VM was called.
    pub now: Time,
    /// When it decided: later, where its thread stood still in between.
    pub decided: Time,
    /// The VM's wall clock, in Unix seconds.
    pub unix: u64,
    /// When the request came.
    pub since: Time,
    /// Whether it waited.
    pub waited: bool,
    /// Requests that waited at this VM, itself not counted.
    pub waiting: usize,
    /// What was decided.
    pub outcome: Outcome<'a>,
}

/// What was decided.
#[derive(Debug, Clone, Copy)]
pub enum Outcome<'a> {
    /// The request went upstream as a user's.
    Allowed(&'a Chain),
    /// It was refused.
    Refused(&'static str, Option<&'a Chain>),
}

/// The records on which a decision rests.
struct Grounds {
    key: Key,
    user: Option<User>,
    tenant: Option<Tenant>,
    /// Which versions they are: of each entity, the place in its history.
    versions: Vec<(Entity, usize)>,
}

impl Oracle {
    /// Looks at a decision.
    pub fn decided(&mut self, truth: &Truth, scenario: &Scenario, decided: &Decided<'_>) {
        match decided.outcome {
            Outcome::Allowed(chain) => {
                self.count("allowed");
                self.decided_on(truth, scenario, decided, chain, None);
            }
            Outcome::Refused("key_unknown", _) => {
                self.count("unknown");
                self.decided_unknown(truth, scenario, decided);
            }
            Outcome::Refused("key_service_unavailable", _) => {
                self.count("unavailable");
                self.decided_unavailable(truth, scenario, decided);
            }
            Outcome::Refused("overloaded", _) => {
                self.count("overloaded");
                self.check(
                    Invariant::Bounded,
                    decided.waiting >= scenario.waiting_requests,
                    || {
                        format!(
                            "VM {} refuses as overloaded while {} wait",
                            decided.vm, decided.waiting
                        )
                    },
                );
            }
            Outcome::Refused(code, Some(chain)) => {
                self.count("refused");
                self.decided_on(truth, scenario, decided, chain, Some(code));
            }
            Outcome::Refused(code, None) => self.violated(Invariant::Verdict, || {
                format!(
                    "VM {} refuses credential {} as {code}",
                    decided.vm, decided.credential
                )
            }),
        }
    }

    /// A decision on records.
    fn decided_on(
        &mut self,
        truth: &Truth,
        scenario: &Scenario,
        decided: &Decided<'_>,
        chain: &Chain,
        code: Option<&'static str>,
    ) {
        let (vm, credential) = (decided.vm, decided.credential);
        let Some(grounds) = grounds(truth, credential, chain) else {
            self.violated(Invariant::Verdict, || {
                format!("VM {vm} decides on credential {credential} by records that never were: {chain:?}")
            });
            return;
        };
        let right = verdict(
            &grounds.key,
            grounds.user.as_ref(),
            grounds.tenant.as_ref(),
            decided.unix,
        );
        self.check(Invariant::Verdict, right == code, || {
            format!("VM {vm} decides on credential {credential} {code:?}, its own records mean {right:?}")
        });
        for (entity, index) in grounds.versions {
            self.rests_on(truth, scenario, decided, entity, index);
            if code.is_none() {
                let confirmed = self.confirmed_at(entity, scenario);
                let age = decided.now.saturating_sub(confirmed);
                self.check(Invariant::Confirmed, age < scenario.max_staleness, || {
                    format!("VM {vm} allows credential {credential} on {entity:?}, which was last confirmed {age} ms ago")
                });
            }
        }
    }

    /// A decision that rests on one version of an entity.
    fn rests_on(
        &mut self,
        truth: &Truth,
        scenario: &Scenario,
        decided: &Decided<'_>,
        entity: Entity,
        index: usize,
    ) {
        let history = truth.history(entity);
        let version = history[index];
        let (vm, now) = (decided.vm, decided.now);
        let settled = self.has_settled(now);
        let remembered = self.feed.is_remembered(&version);
        let witness = self.witnesses.entry(vm).or_default();
        let shown = witness
            .seen
            .entry((entity, truth.life(version.commit)))
            .or_default();
        let known = *shown;
        if settled && remembered {
            *shown = known.max(version.commit);
        }
        let Some(next) = history.get(index + 1) else {
            return;
        };
        self.check(Invariant::NeverOlder, next.commit > known || !settled, || {
            format!(
                "VM {vm} decides on {entity:?} by version {}, superseded by commit {}; it had known commit {known}",
                version.sequence, next.commit
            )
        });
        let lagged = self.lagged.get(&entity).copied().unwrap_or(0);
        let late = now.saturating_sub(next.at.max(lagged));
        let text = || {
            format!(
                "VM {vm} decides on {entity:?} by version {}, superseded {late} ms ago by commit {}",
                version.sequence, next.commit
            )
        };
        let allowed = matches!(decided.outcome, Outcome::Allowed(_));
        if allowed {
            self.check(Invariant::Confirmed, late < scenario.max_staleness, text);
        }
        if !self.is_calm(now) {
            return;
        }
        if scenario.feed == Feed::Followed {
            let obeyed = now < next.at.max(self.calm_from) + scenario.obeyed_within();
            let invariant = match next.at >= self.calm_from {
                true => Invariant::Obeyed,
                false => Invariant::Recovers,
            };
            self.check(invariant, obeyed, text);
        } else {
            // Who may not wait is refused by an old record, too: a refusal does not become one of 503 by age.
            let crowded = !allowed && decided.waiting >= scenario.waiting_requests;
            let bound = scenario.max_staleness + scenario.timeout;
            self.check(Invariant::Recovers, crowded || late < bound, text);
        }
    }

    fn decided_unknown(&mut self, truth: &Truth, scenario: &Scenario, decided: &Decided<'_>) {
        let Decided {
            vm,
            credential,
            now,
            since,
            waited,
            ..
        } = *decided;
        let told = self
            .witnesses
            .entry(vm)
            .or_default()
            .unknown
            .get(&credential)
            .copied();
        let Some(told) = told else {
            self.violated(Invariant::UnknownIfSaid, || {
                format!("VM {vm} says that credential {credential} is unknown, and nobody has told it so")
            });
            return;
        };
        let age = now.saturating_sub(told.asked);
        let remembered = if waited {
            told.arrived >= since
        } else {
            age < scenario.negative_for
        };
        self.check(Invariant::UnknownIfSaid, remembered, || {
            format!(
                "VM {vm} says that credential {credential} is unknown, as it was told {age} ms ago"
            )
        });
        let entity = Entity::Key(credential);
        let index = crate::truth::position(truth.history(entity), told.commit);
        self.rests_on(truth, scenario, decided, entity, index);
    }

    fn decided_unavailable(&mut self, truth: &Truth, scenario: &Scenario, decided: &Decided<'_>) {
        let Decided {
            vm,
            credential,
            decided,
            since,
            ..
        } = *decided;
        self.check(Invariant::Recovers, since < self.calm_from, || {
            format!("VM {vm} refuses credential {credential} as unavailable in calm weather")
        });
        let Some(told) = self
            .witnesses
            .entry(vm)
            .or_default()
            .known
            .get(&credential)
            .copied()
        else {
            return;
        };
        // What was fresh when the VM was called may be too old when it comes to it.
        let age = decided.saturating_sub(told.asked);
        let usable = scenario.roomy
            && age + self.aged_by_jumps(told.asked) < scenario.max_staleness
            && told.resets == self.feed.resets
            && unchanged(truth, credential, told.commit);
        self.check(Invariant::OutageOutlived, !usable, || {
            format!("VM {vm} refuses credential {credential} as unavailable, though it was told of it {age} ms ago")
        });
    }
}

/// The versions that a chain names, if they all were true at some time.
fn grounds(truth: &Truth, credential: u64, chain: &Chain) -> Option<Grounds> {
    let entity = Entity::Key(credential);
    let (index, record) = find(truth, entity, Some(chain.key.version))?;
    let Some(Record::Key(key)) = record else {
        return None;
    };
    let mut versions = vec![(entity, index)];
    if !is_key(credential, &key, &chain.key) {
        return None;
    }
    let mut user = None;
    match key.user {
        None if chain.user.is_some() => return None,
        None => {}
        Some(number) => {
            let entity = Entity::User(number);
            let version = chain.user.as_ref().map(|user| user.version);
            let (index, record) = find(truth, entity, version)?;
            versions.push((entity, index));
            if let (Some(Record::User(known)), Some(given)) = (record, &chain.user) {
                let same = status(&given.status) == known.status
                    && *given.id == *format!("usr_{number}")
                    && given.tenant_id.as_deref() == id("ten", known.tenant).as_deref();
                user = same.then_some(known);
                same.then_some(())?;
            }
        }
    }
    let mut tenant = None;
    match key.tenant {
        None if chain.tenant.is_some() => return None,
        None => {}
        Some(number) => {
            let entity = Entity::Tenant(number);
            let version = chain.tenant.as_ref().map(|tenant| tenant.version);
            let (index, record) = find(truth, entity, version)?;
            versions.push((entity, index));
            if let (Some(Record::Tenant(known)), Some(given)) = (record, &chain.tenant) {
                let same = format!("{:?}", given.status).to_lowercase() == known.status
                    && *given.id == *format!("ten_{number}");
                tenant = same.then_some(known);
                same.then_some(())?;
            }
        }
    }
    Some(Grounds {
        key,
        user,
        tenant,
        versions,
    })
}

/// The last time that an entity had a version, or had none at all.
fn find(truth: &Truth, entity: Entity, version: Option<u64>) -> Option<(usize, Option<Record>)> {
    let history = truth.history(entity);
    let index = history.iter().rposition(|known| match version {
        Some(version) => known.record.is_some() && known.sequence == version,
        None => known.record.is_none(),
    })?;
    Some((index, history[index].record))
}

fn is_key(credential: u64, known: &Key, given: &record::Key) -> bool {
    *given.id == *format!("key_{credential}")
        && format!("{:?}", given.status).to_lowercase() == known.status
        && given.user_id.as_deref() == id("usr", known.user).as_deref()
        && given.tenant_id.as_deref() == id("ten", known.tenant).as_deref()
        && given.not_before == known.not_before
        && given.expires_at == known.expires_at
        && given.replaced == known.replaced_by.is_some()
        && given.scopes.iter().next() == Some(&*format!("scope:{}", known.scope))
}

fn status(status: &record::UserStatus) -> String {
    format!("{status:?}").to_lowercase()
}

fn id(kind: &str, number: Option<u64>) -> Option<String> {
    number.map(|number| format!("{kind}_{number}"))
}
