//! What administrators do, at random.

use crate::clients::UNUSED;
use crate::truth::{Entity, Key, Record, Tenant, User, stopping};
use crate::world::{Event, World};

impl World {
    /// An administrator does one thing, or many at once.
    pub fn administer(&self) {
        let times = if self.chance(0.05) {
            self.between(2, 12)
        } else {
            1
        };
        for _ in 0..times {
            self.administer_once();
        }
        self.wake_polls();
        if self.scenario.shares_its_log {
            let delay = self.around(self.scenario.administer_every);
            self.add(delay, Event::WriteOther);
        }
    }

    /// Somebody else writes to the log of changes: the cursor moves on, and nothing has changed.
    pub fn write_other(&self) {
        self.service.borrow_mut().truth.write_other();
        self.note(|| "something else is written".to_owned());
        self.wake_polls();
    }

    /// An administrator does one thing.
    pub fn administer_once(&self) {
        let kind = self.below(10);
        match kind {
            0..=6 => self.administer_key(),
            7..=8 => {
                let number = self.below(self.scenario.users);
                self.administer_user(number);
            }
            _ => {
                let number = self.below(self.scenario.tenants);
                let status = self.pick(&["active", "active", "active", "suspended"]);
                self.write(
                    Entity::Tenant(number),
                    Some(Record::Tenant(Tenant { status })),
                );
            }
        }
    }

    fn administer_key(&self) {
        let credential = self.popular();
        let known = {
            let service = self.service.borrow();
            service.truth.key(credential, service.truth.commit())
        };
        let entity = Entity::Key(credential);
        let Some(key) = known else {
            let key = self.new_key();
            self.write(entity, Some(Record::Key(key)));
            return;
        };
        let stopping: Vec<_> = stopping("key").map(|(status, _)| status).rev().collect();
        let kind = usize::try_from(self.below(10 + stopping.len() as u64)).unwrap();
        let soon = self.unix() + self.between(0, 3);
        let changed = match kind.checked_sub(stopping.len()) {
            None => Some(Key {
                status: stopping[kind],
                ..key
            }),
            Some(0) => Some(Key {
                expires_at: Some(soon),
                ..key
            }),
            Some(1) => Some(Key {
                not_before: Some(soon),
                expires_at: None,
                ..key
            }),
            Some(2) => None,
            Some(3) => {
                let replacement = self.popular();
                if replacement == credential {
                    return;
                }
                let new = self.new_key();
                self.write(Entity::Key(replacement), Some(Record::Key(new)));
                let replaced_by = Some(replacement);
                Some(Key {
                    replaced_by,
                    expires_at: Some(soon),
                    ..key
                })
            }
            Some(_) => Some(self.new_key()),
        };
        self.write(entity, changed.map(Record::Key));
    }

    /// A key is made that nobody uses.
    pub fn administer_unused(&self, number: u64) {
        let key = self.new_key();
        self.write(Entity::Key(UNUSED + number), Some(Record::Key(key)));
    }

    /// A key of which nothing is wrong, perhaps but for its owner.
    fn new_key(&self) -> Key {
        let user = match self.chance(0.05) {
            true => None,
            false => Some(self.below(self.scenario.users)),
        };
        let user_tenant = user.and_then(|user| {
            let service = self.service.borrow();
            match service
                .truth
                .after(Entity::User(user), service.truth.commit())
                .record
            {
                Some(Record::User(user)) => user.tenant,
                _ => None,
            }
        });
        let tenant = match self.below(10) {
            0 => None,
            1 => Some(self.below(self.scenario.tenants)),
            _ => user_tenant,
        };
        Key {
            user,
            tenant,
            status: "active",
            not_before: None,
            expires_at: None,
            replaced_by: None,
            scope: self.below(100),
        }
    }

    fn administer_user(&self, number: u64) {
        let status = match self.chance(0.7) {
            true => "active",
            false => self.pick(&["suspended", "locked", "pending", "deactivated", "deleted"]),
        };
        let tenant = match self.below(10) {
            0 => None,
            1 => Some(self.below(self.scenario.tenants)),
            _ => Some(number % self.scenario.tenants),
        };
        let user = User { tenant, status };
        self.write(Entity::User(number), Some(Record::User(user)));
    }

    fn write(&self, entity: Entity, record: Option<Record>) {
        let now = self.now();
        let mut service = self.service.borrow_mut();
        service.write(entity, record, now);
        self.oracle.borrow_mut().count("changes");
        let commit = service.truth.commit();
        let sequence = service.truth.sequence_after(commit);
        drop(service);
        self.note(|| format!("commit {commit}, sequence {sequence}: {entity:?} is {record:?}"));
    }
}
