//! Records as the table keeps them: bytes that are read into records which are there already, so that a hit makes
//! none anew.
//!
//! The id of the entity comes first, then the kind; for a key the places at which its user and tenant were found; then
//! numbers in as few bytes as they need (LEB128), and texts behind their lengths.

use std::net::IpAddr;

use ipnet::IpNet;

use super::super::entry::{EntityId, Entry, Record};
use crate::record::{
    Hours, Key, KeyStatus, Networks, Scopes, Tenant, TenantStatus, Text, User, UserStatus,
};
use crate::time::Instant;

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Key,
    User,
    NoUser,
    Tenant,
    NoTenant,
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
mod of_key {
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
mod of_user {
    pub const TENANT: u8 = 1 << 3;
    pub const SCOPES: u8 = 1 << 4;
    pub const APIS: u8 = 1 << 5;
}

/// The bit of a range's length that says that it is of IPv6.
const V6: u8 = 1 << 7;

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

    fn text(&mut self, text: &str) {
        self.count(text.len());
        self.0.extend(text.as_bytes());
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
        self.text(&key.id);
        for text in [&key.user_id, &key.tenant_id, &key.environment] {
            text.iter().for_each(|text| self.text(text));
        }
        self.text(key.scopes.joined());
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
        self.text(&user.id);
        user.tenant_id.iter().for_each(|text| self.text(text));
        user.scopes
            .iter()
            .for_each(|scopes| self.text(scopes.joined()));
        if let Some(apis) = &user.apis {
            self.count(apis.len());
            apis.iter().for_each(|api| self.text(api));
        }
    }

    fn tenant(&mut self, tenant: &Tenant, known: Known) {
        self.begin(Kind::Tenant, known);
        self.0.push(tenant.status as u8);
        self.text(&tenant.id);
    }
}

/// A record that is read. Nothing where the bytes are none, which nobody has written.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    id: EntityId,
    kind: Kind,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        let (id, rest) = bytes.split_first_chunk()?;
        let (kind, rest) = rest.split_first()?;
        let kinds = [
            Kind::Key,
            Kind::User,
            Kind::NoUser,
            Kind::Tenant,
            Kind::NoTenant,
        ];
        Some(Self {
            id: EntityId(*id),
            kind: kinds.into_iter().find(|known| *known as u8 == *kind)?,
            rest,
        })
    }

    pub fn is_of(&self, id: &EntityId) -> bool {
        self.id == *id
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What is known of whatever kind of record.
    pub fn known(mut self) -> Option<Known> {
        if self.kind == Kind::Key {
            self.take_hints()?;
            self.flags()?;
        }
        self.numbers()
    }

    /// Makes an entry of it.
    pub fn entry(self) -> Option<Entry> {
        let (record, known) = match self.kind {
            Kind::Key => {
                let mut key = blank_key();
                let known = self.key(&mut key)?;
                (Record::key(key.into()), known)
            }
            Kind::User => {
                let mut user = blank_user();
                let known = self.user(&mut user)?;
                (Record::User(Some(user.into())), known)
            }
            Kind::Tenant => {
                let mut tenant = blank_tenant();
                let known = self.tenant(&mut tenant)?;
                (Record::Tenant(Some(tenant.into())), known)
            }
            Kind::NoUser => (Record::User(None), self.known()?),
            Kind::NoTenant => (Record::Tenant(None), self.known()?),
        };
        Some(Entry {
            record,
            version: known.version,
            confirmed: known.confirmed,
        })
    }

    /// Reads a key into one. What fails in the middle leaves one that is not to be used.
    pub fn key(mut self, key: &mut Key) -> Option<Known> {
        self.take_hints()?;
        let flags = self.flags()?;
        let known = self.numbers()?;
        let has = |bit: u16| flags & bit != 0;
        key.version = known.version;
        key.status = of_number(KeyStatus::ALL, flags & 0b11)?;
        key.replaced = has(of_key::REPLACED);
        key.not_before = self.optional_number(has(of_key::NOT_BEFORE))?;
        key.expires_at = self.optional_number(has(of_key::EXPIRES))?;
        key.replaced_at = self.optional_number(has(of_key::REPLACED_AT))?;
        fill(&mut key.id, self.text()?);
        self.optional_text(has(of_key::USER), &mut key.user_id)?;
        self.optional_text(has(of_key::TENANT), &mut key.tenant_id)?;
        self.optional_text(has(of_key::ENVIRONMENT), &mut key.environment)?;
        fill(key.scopes.text_mut(), self.text()?);
        self.networks(flags, &mut key.networks)?;
        key.hours = self.hours(flags)?;
        Some(known)
    }

    /// Reads a user into one, likewise.
    pub fn user(mut self, user: &mut User) -> Option<Known> {
        if self.kind != Kind::User {
            return None;
        }
        let known = self.numbers()?;
        let flags = self.byte()?;
        let has = |bit: u8| flags & bit != 0;
        user.version = known.version;
        user.status = of_number(UserStatus::ALL, (flags & 0b111).into())?;
        fill(&mut user.id, self.text()?);
        self.optional_text(has(of_user::TENANT), &mut user.tenant_id)?;
        if has(of_user::SCOPES) {
            fill(user.scopes.get_or_insert_default().text_mut(), self.text()?);
        } else {
            user.scopes = None;
        }
        if has(of_user::APIS) {
            let count = self.count()?;
            let apis = user.apis.get_or_insert_default();
            apis.truncate(count);
            for place in 0..count {
                let api = self.text()?;
                match apis.get_mut(place) {
                    Some(known) => fill(known, api),
                    None => apis.push(api.into()),
                }
            }
        } else {
            user.apis = None;
        }
        Some(known)
    }

    /// Whether it is a user or tenant of this id. What comes before the id is read for that.
    pub fn is_named(mut self, kind: Kind, name: &str) -> bool {
        let is_named = |reader: &mut Self| {
            reader.numbers()?;
            reader.byte()?;
            Some(reader.text_bytes()? == name.as_bytes())
        };
        self.kind == kind
            && matches!(kind, Kind::User | Kind::Tenant)
            && is_named(&mut self) == Some(true)
    }

    /// Reads a tenant into one, likewise.
    pub fn tenant(mut self, tenant: &mut Tenant) -> Option<Known> {
        if self.kind != Kind::Tenant {
            return None;
        }
        let known = self.numbers()?;
        tenant.version = known.version;
        tenant.status = of_number(TenantStatus::ALL, self.byte()?.into())?;
        fill(&mut tenant.id, self.text()?);
        Some(known)
    }

    /// Where a key's owners were; nothing where it is none.
    pub fn hints(mut self) -> Option<Hints> {
        self.take_hints()
    }

    fn take_hints(&mut self) -> Option<Hints> {
        if self.kind != Kind::Key {
            return None;
        }
        Some(Hints {
            user: u32::from_le_bytes(self.array()?),
            tenant: u32::from_le_bytes(self.array()?),
        })
    }

    fn flags(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.array()?))
    }

    fn numbers(&mut self) -> Option<Known> {
        Some(Known {
            version: self.number()?,
            confirmed: Instant::from_millis(self.number()?),
        })
    }

    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*byte)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*array)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn optional_number(&mut self, is_there: bool) -> Option<Option<u64>> {
        match is_there {
            true => self.number().map(Some),
            false => Some(None),
        }
    }

    fn count(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok()
    }

    fn text_bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.count()?;
        let (text, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(text)
    }

    fn text(&mut self) -> Option<&'a str> {
        str::from_utf8(self.text_bytes()?).ok()
    }

    fn optional_text(&mut self, is_there: bool, text: &mut Option<Text>) -> Option<()> {
        if is_there {
            fill(text.get_or_insert_default(), self.text()?);
        } else {
            *text = None;
        }
        Some(())
    }

    fn networks(&mut self, flags: u16, networks: &mut Option<Networks>) -> Option<()> {
        if flags & of_key::RANGES == 0 {
            *networks = (flags & of_key::NO_NETWORK != 0).then_some(Networks::Unreadable);
            return Some(());
        }
        let mut ranges = match networks.take() {
            Some(Networks::Ranges(ranges)) => ranges,
            Some(Networks::Unreadable) | None => Vec::new(),
        };
        ranges.clear();
        for _ in 0..self.count()? {
            ranges.push(self.range()?);
        }
        *networks = Some(Networks::Ranges(ranges));
        Some(())
    }

    fn range(&mut self) -> Option<IpNet> {
        let length = self.byte()?;
        if length & V6 == 0 {
            return IpNet::new(self.array::<4>()?.into(), length).ok();
        }
        let length = match self.byte()? {
            0 => length & !V6,
            _ => 128,
        };
        IpNet::new(self.array::<16>()?.into(), length).ok()
    }

    fn hours(&mut self, flags: u16) -> Option<Option<Hours>> {
        if flags & of_key::WINDOW == 0 {
            return Some((flags & of_key::NO_HOUR != 0).then_some(Hours::Unreadable));
        }
        let bits = self.byte()?;
        Some(Some(Hours::Window {
            days: std::array::from_fn(|day| bits >> day & 1 == 1),
            from: u16::from_le_bytes(self.array()?),
            to: u16::from_le_bytes(self.array()?),
        }))
    }
}

/// Fills a text; what it has on the heap stays.
fn fill(text: &mut Text, with: &str) {
    text.clear();
    text.push_str(with);
}

fn of_number<T: Copy, const N: usize>(all: [T; N], number: u16) -> Option<T> {
    all.get(usize::from(number)).copied()
}

/// A key to be filled.
pub fn blank_key() -> Key {
    Key {
        id: Text::default(),
        version: 0,
        user_id: None,
        tenant_id: None,
        environment: None,
        status: KeyStatus::Disabled,
        not_before: None,
        expires_at: None,
        replaced: false,
        replaced_at: None,
        scopes: Scopes::default(),
        networks: None,
        hours: None,
    }
}

/// A user to be filled.
pub fn blank_user() -> User {
    User {
        id: Text::default(),
        version: 0,
        tenant_id: None,
        status: UserStatus::Suspended,
        scopes: None,
        apis: None,
    }
}

/// A tenant to be filled.
pub fn blank_tenant() -> Tenant {
    Tenant {
        id: Text::default(),
        version: 0,
        status: TenantStatus::Suspended,
    }
}
