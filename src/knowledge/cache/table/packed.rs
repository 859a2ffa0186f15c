//! Records as the table keeps them, and how they are written. [`super::reader`] reads them.
//!
//! The id of the entity comes first, then the kind; for a key the places at which its user and tenant were found; then
//! numbers in as few bytes as they need (LEB128), those too that are the lengths of texts. All texts are behind them, so
//! that they are looked at once for what is text at all.

use std::iter;
use std::net::IpAddr;

use ipnet::IpNet;

use super::super::entry::{EntityId, Entry, Record};
use crate::record::{Hours, Key, KeyStatus, Networks, Tenant, User, UserStatus};
use crate::time::Instant;

/// What a record is; its byte is its place in the list of [`Kind::of`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Key,
    User,
    NoUser,
    Tenant,
    NoTenant,
}

impl Kind {
    /// The kind of a byte.
    pub fn of(byte: u8) -> Option<Self> {
        const ALL: [Kind; 5] = [
            Kind::Key,
            Kind::User,
            Kind::NoUser,
            Kind::Tenant,
            Kind::NoTenant,
        ];
        ALL.get(usize::from(byte)).copied()
    }
}

/// Where a key's user and tenant were when it was written; zero where they were nowhere. They may have moved since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hints {
    pub user: u32,
    pub tenant: u32,
}

/// A record's number and when it was last confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    pub version: u64,
    pub confirmed: Instant,
}

// A status is its place in the list of all: two bits for a key's, three for a user's.
const _: () = assert!(KeyStatus::ALL.len() <= 1 << 2 && UserStatus::ALL.len() <= 1 << 3);

/// Bits of a key's flags behind those of its status.
pub mod of_key {
    pub const REPLACED: u16 = 1 << 2;
    pub const USER: u16 = 1 << 3;
    pub const TENANT: u16 = 1 << 4;
    pub const ENVIRONMENT: u16 = 1 << 5;
    pub const NOT_BEFORE: u16 = 1 << 6;
    pub const EXPIRES: u16 = 1 << 7;
    pub const REPLACED_AT: u16 = 1 << 8;
    pub const RANGES: u16 = 1 << 9;
    pub const NO_NETWORK: u16 = 1 << 10;
    pub const WINDOW: u16 = 1 << 11;
    pub const NO_HOUR: u16 = 1 << 12;
}

/// Bits of a user's flags behind those of its status.
pub mod of_user {
    pub const TENANT: u8 = 1 << 3;
    pub const SCOPES: u8 = 1 << 4;
    pub const APIS: u8 = 1 << 5;
}

/// The bit of a range's length that says that it is of IPv6.
pub const V6: u8 = 1 << 7;

/// Writes an entry.
pub fn write(id: &EntityId, entry: &Entry, hints: Hints) -> Vec<u8> {
    let mut bytes = Writer(Vec::with_capacity(256));
    bytes.0.extend(id.0);
    let known = Known {
        version: entry.version,
        confirmed: entry.confirmed,
    };
    match &entry.record {
        Record::Key(key, _) => bytes.key(key, hints, known),
        Record::User(Some(user)) => bytes.user(user, known),
        Record::User(None) => bytes.begin(Kind::NoUser, known),
        Record::Tenant(Some(tenant)) => bytes.tenant(tenant, known),
        Record::Tenant(None) => bytes.begin(Kind::NoTenant, known),
    }
    bytes.0
}

struct Writer(Vec<u8>);

impl Writer {
    fn begin(&mut self, kind: Kind, known: Known) {
        self.0.push(kind as u8);
        self.known(known);
    }

    fn known(&mut self, known: Known) {
        self.number(known.version);
        self.number(known.confirmed.millis());
    }

    fn number(&mut self, mut number: u64) {
        loop {
            let [low, ..] = number.to_le_bytes();
            number >>= 7;
            if number == 0 {
                return self.0.push(low & 0x7f);
            }
            self.0.push(low | 0x80);
        }
    }

    fn count(&mut self, count: usize) {
        self.number(u64::try_from(count).unwrap_or(u64::MAX));
    }

    fn texts<'a>(&mut self, texts: impl Iterator<Item = &'a str> + Clone) {
        texts.clone().for_each(|text| self.count(text.len()));
        texts.for_each(|text| self.0.extend(text.as_bytes()));
    }

    fn key(&mut self, key: &Key, hints: Hints, known: Known) {
        self.0.push(Kind::Key as u8);
        self.0.extend(hints.user.to_le_bytes());
        self.0.extend(hints.tenant.to_le_bytes());
        let has = |is_there: bool, bit: u16| if is_there { bit } else { 0 };
        let flags = key.status as u16
            | has(key.replaced, of_key::REPLACED)
            | has(key.user_id.is_some(), of_key::USER)
            | has(key.tenant_id.is_some(), of_key::TENANT)
            | has(key.environment.is_some(), of_key::ENVIRONMENT)
            | has(key.not_before.is_some(), of_key::NOT_BEFORE)
            | has(key.expires_at.is_some(), of_key::EXPIRES)
            | has(key.replaced_at.is_some(), of_key::REPLACED_AT)
            | match &key.networks {
                None => 0,
                Some(Networks::Ranges(_)) => of_key::RANGES,
                Some(Networks::Unreadable) => of_key::NO_NETWORK,
            }
            | match &key.hours {
                None => 0,
                Some(Hours::Window { .. }) => of_key::WINDOW,
                Some(Hours::Unreadable) => of_key::NO_HOUR,
            };
        self.0.extend(flags.to_le_bytes());
        self.known(known);
        for time in [key.not_before, key.expires_at, key.replaced_at] {
            time.into_iter().for_each(|time| self.number(time));
        }
        if let Some(Networks::Ranges(ranges)) = &key.networks {
            self.count(ranges.len());
            ranges.iter().for_each(|range| self.range(range));
        }
        if let Some(Hours::Window { days, from, to }) = &key.hours {
            let days = days.iter().rev();
            self.0
                .push(days.fold(0, |bits, begins| bits << 1 | u8::from(*begins)));
            self.0.extend(from.to_le_bytes());
            self.0.extend(to.to_le_bytes());
        }
        let owners = [&key.user_id, &key.tenant_id, &key.environment];
        let owners = owners.into_iter().flatten().map(|text| &**text);
        let texts = iter::once(&*key.id).chain(owners);
        self.texts(texts.chain([key.scopes.joined()]));
    }

    fn range(&mut self, range: &IpNet) {
        match range.addr() {
            IpAddr::V4(address) => {
                self.0.push(range.prefix_len());
                self.0.extend(address.octets());
            }
            IpAddr::V6(address) => {
                // 128 bits at most: 129 lengths, of which the last would need the eighth bit.
                self.0.push(V6 | (range.prefix_len() & !V6));
                self.0.push(u8::from(range.prefix_len() == 128));
                self.0.extend(address.octets());
            }
        }
    }

    fn user(&mut self, user: &User, known: Known) {
        self.begin(Kind::User, known);
        let has = |is_there: bool, bit: u8| if is_there { bit } else { 0 };
        self.0.push(
            user.status as u8
                | has(user.tenant_id.is_some(), of_user::TENANT)
                | has(user.scopes.is_some(), of_user::SCOPES)
                | has(user.apis.is_some(), of_user::APIS),
        );
        if let Some(apis) = &user.apis {
            self.count(apis.len());
        }
        let scopes = user.scopes.iter().map(|scopes| scopes.joined());
        let apis = user.apis.iter().flatten().map(|api| &**api);
        let texts = iter::once(&*user.id).chain(user.tenant_id.as_deref());
        self.texts(texts.chain(scopes).chain(apis));
    }

    fn tenant(&mut self, tenant: &Tenant, known: Known) {
        self.begin(Kind::Tenant, known);
        self.0.push(tenant.status as u8);
        self.texts(iter::once(&*tenant.id));
    }
}
