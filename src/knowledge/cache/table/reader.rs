//! Reads what [`super::packed`] has written, into records which are there already, so that a hit makes none anew.

use ipnet::IpNet;

use super::super::entry::{EntityId, Entry, Record};
use super::packed::{Hints, Kind, Known, V6, of_key, of_user};
use crate::record::{
    Hours, Key, KeyStatus, Networks, Scopes, Tenant, TenantStatus, Text, User, UserStatus,
};
use crate::time::Instant;

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
