//! Reads what [`super::packed`] has written, into records which are there already, so that a hit makes none anew.

use ipnet::IpNet;

use super::super::entry::{EntityId, Entry, Record};
use super::packed::{Hints, Kind, Known, V6, of_key, of_user};
use crate::record::{
    Hours, Key, KeyStatus, List, Networks, Scopes, Tenant, TenantStatus, Text, User, UserStatus,
    bytes_apart,
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
        Some(Self {
            id: EntityId(*id),
            kind: Kind::of(*kind)?,
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
                let known = self.user(&mut user, None)?;
                (Record::User(Some(user.into())), known)
            }
            Kind::Tenant => {
                let mut tenant = blank_tenant();
                let known = self.tenant(&mut tenant, None)?;
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
        self.networks(flags, &mut key.networks)?;
        key.hours = self.hours(flags)?;
        let id = self.count()?;
        let user = self.optional_count(has(of_key::USER))?;
        let tenant = self.optional_count(has(of_key::TENANT))?;
        let environment = self.optional_count(has(of_key::ENVIRONMENT))?;
        let scopes = self.count()?;
        let mut texts = self.texts()?;
        fill(&mut key.id, texts.take(id)?);
        texts.fill(user, &mut key.user_id)?;
        texts.fill(tenant, &mut key.tenant_id)?;
        texts.fill(environment, &mut key.environment)?;
        fill(key.scopes.text_mut(), texts.take(scopes)?);
        Some(known)
    }

    /// Reads a user into one, likewise. Where a key is given, nothing comes of another one than the key's.
    pub fn user(mut self, user: &mut User, of: Option<&Key>) -> Option<Known> {
        if self.kind != Kind::User {
            return None;
        }
        let known = self.numbers()?;
        let flags = self.byte()?;
        let has = |bit: u8| flags & bit != 0;
        user.version = known.version;
        user.status = of_number(UserStatus::ALL, (flags & 0b111).into())?;
        let apis = match has(of_user::APIS) {
            true => Some(self.count()?),
            false => None,
        };
        let id = self.count()?;
        let tenant = self.optional_count(has(of_user::TENANT))?;
        let scopes = self.optional_count(has(of_user::SCOPES))?;
        let lengths = self;
        for _ in 0..apis.unwrap_or_default() {
            self.count()?;
        }
        let mut texts = self.texts()?;
        fill_named(
            &mut user.id,
            texts.take(id)?,
            of.map(|key| key.user_id.as_ref()),
        )?;
        match tenant {
            Some(tenant) => fill_likely(
                user.tenant_id.get_or_insert_default(),
                texts.take(tenant)?,
                of.and_then(|key| key.tenant_id.as_ref()),
            ),
            None => user.tenant_id = None,
        }
        match scopes {
            Some(scopes) => {
                let text = texts.take(scopes)?;
                fill(user.scopes.get_or_insert_default().text_mut(), text);
            }
            None => user.scopes = None,
        }
        match apis {
            Some(count) => {
                lengths.apis(count, texts, user.apis.get_or_insert_default())?;
            }
            None => user.apis = None,
        }
        Some(known)
    }

    fn apis(mut self, count: usize, mut texts: Texts<'_>, apis: &mut List<Text>) -> Option<()> {
        apis.truncate(count);
        for place in 0..count {
            let api = texts.take(self.count()?)?;
            match apis.get_mut(place) {
                Some(known) => fill(known, api),
                None => apis.push(api.into()),
            }
        }
        Some(())
    }

    /// Reads a tenant into one, likewise.
    pub fn tenant(mut self, tenant: &mut Tenant, of: Option<&Key>) -> Option<Known> {
        if self.kind != Kind::Tenant {
            return None;
        }
        let known = self.numbers()?;
        tenant.version = known.version;
        tenant.status = of_number(TenantStatus::ALL, self.byte()?.into())?;
        let id = self.count()?;
        let id = self.texts()?.take(id)?;
        fill_named(&mut tenant.id, id, of.map(|key| key.tenant_id.as_ref()))?;
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

    #[inline]
    fn number(&mut self) -> Option<u64> {
        let first = self.byte()?;
        match first & 0x80 {
            0 => Some(first.into()),
            _ => self.longer_number(first),
        }
    }

    fn longer_number(&mut self, first: u8) -> Option<u64> {
        let mut number = u64::from(first & 0x7f);
        for shift in (7..64).step_by(7) {
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

    fn optional_count(&mut self, is_there: bool) -> Option<Option<usize>> {
        match is_there {
            true => self.count().map(Some),
            false => Some(None),
        }
    }

    /// All that is left.
    fn texts(self) -> Option<Texts<'a>> {
        str::from_utf8(self.rest).ok().map(Texts)
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

/// The texts of a record, one behind the other.
struct Texts<'a>(&'a str);

impl<'a> Texts<'a> {
    fn take(&mut self, length: usize) -> Option<&'a str> {
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(text)
    }

    fn fill(&mut self, length: Option<usize>, text: &mut Option<Text>) -> Option<()> {
        match length {
            Some(length) => fill(text.get_or_insert_default(), self.take(length)?),
            None => *text = None,
        }
        Some(())
    }
}

/// Bytes of a text that lies within its record.
const WITHIN: usize = size_of::<Text>();

/// Fills a text; what it has on the heap stays.
#[inline]
fn fill(text: &mut Text, with: &str) {
    if with.len() <= WITHIN && bytes_apart(text) == 0 {
        *text = Text::new(with);
    } else {
        text.clear();
        text.push_str(with);
    }
}

/// The same with a text that is likely to be a known one, of which a copy is cheaper.
#[inline]
fn fill_likely(text: &mut Text, with: &str, known: Option<&Text>) {
    match known {
        Some(known) if bytes_apart(text) == 0 && bytes_apart(known) == 0 && known == with => {
            *text = known.clone();
        }
        _ => fill(text, with),
    }
}

/// The same with one that must be a known one, where it is told which.
#[inline]
fn fill_named(text: &mut Text, with: &str, known: Option<Option<&Text>>) -> Option<()> {
    if let Some(known) = known
        && known.is_none_or(|known| known != with)
    {
        return None;
    }
    fill_likely(text, with, known.flatten());
    Some(())
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
