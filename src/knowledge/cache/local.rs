//! A bounded map of one worker: a hit costs one hash look-up and no host call.

use hashbrown::HashTable;

use super::entry::EntityId;

/// What takes memory beside its own place in a map.
pub trait Weighed {
    /// Bytes of it, about.
    fn bytes(&self) -> usize;
}

/// A map that never holds more entries, nor more bytes, than its limits. Where it is full, the first entry under a moving hand that
/// was not read since the hand last passed makes room (the CLOCK algorithm: F. J. Corbató, "A Paging
/// Experiment with the Multics System", 1968): nearly as good as least-recently-used, and a hit writes one
/// flag only.
#[derive(Debug)]
pub struct Bounded<V> {
    /// Places of ids. The ids themselves are in the slots only, so that the index of a million stays small.
    index: HashTable<u32>,
    slots: Vec<Slot<V>>,
    limit: usize,
    most_bytes: usize,
    bytes: usize,
    hand: usize,
    evicted: u64,
}

#[derive(Debug)]
struct Slot<V> {
    id: EntityId,
    value: V,
    read: bool,
}

impl<V: Weighed> Bounded<V> {
    /// An empty map for at most `limit` entries, of so many bytes together; for one at least.
    pub fn new(limit: usize, most_bytes: usize) -> Self {
        Self {
            index: HashTable::new(),
            slots: Vec::new(),
            limit: limit.max(1),
            most_bytes,
            bytes: 0,
            hand: 0,
            evicted: 0,
        }
    }

    /// Reads an entry, which makes it likelier to stay.
    pub fn get(&mut self, id: &EntityId) -> Option<&mut V> {
        let place = self.find(id)?;
        self.slots.get_mut(place).map(|slot| &mut slot.value)
    }

    /// Looks at an entry, which is no likelier to stay for that.
    #[cfg(target_pointer_width = "64")]
    pub fn peek(&self, id: &EntityId) -> Option<&V> {
        self.at(self.place(id)?)
    }

    /// Where an entry is until the next one is added or removed. It is likelier to stay for that.
    pub fn find(&mut self, id: &EntityId) -> Option<usize> {
        let place = self.place(id)?;
        self.slots.get_mut(place)?.read = true;
        Some(place)
    }

    /// The entry at a place.
    pub fn at(&self, place: usize) -> Option<&V> {
        self.slots.get(place).map(|slot| &slot.value)
    }

    fn place(&self, id: &EntityId) -> Option<usize> {
        let known = |place: &u32| slot_at(&self.slots, *place).is_some_and(|slot| slot.id == *id);
        let place = self.index.find(id.spread(), known)?;
        usize::try_from(*place).ok()
    }

    /// What an entry takes. Its slot counts twice and its place in the index with it, for both grow by doubling.
    fn weight(value: &V) -> usize {
        let slot = size_of::<Slot<V>>().saturating_add(size_of::<u32>());
        slot.saturating_mul(2).saturating_add(value.bytes())
    }

    /// Adds or replaces an entry.
    pub fn insert(&mut self, id: EntityId, value: V) {
        let bytes = Self::weight(&value);
        if let Some(known) = self.get(&id) {
            let before = Self::weight(known);
            if bytes <= before {
                *known = value;
                self.bytes = self.bytes.saturating_sub(before).saturating_add(bytes);
                return;
            }
            self.remove(&id);
        }
        let place = self.make_room(bytes);
        let slot = Slot {
            id,
            value,
            read: false,
        };
        self.bytes = self.bytes.saturating_add(bytes);
        match place.and_then(|place| self.slots.get_mut(place)) {
            Some(free) => *free = slot,
            None => self.slots.push(slot),
        }
        let last = self.slots.len().saturating_sub(1);
        self.point(&id, place.unwrap_or(last));
    }

    /// Lets entries go until there is room for one more of so many bytes. Gives the place of the last that went,
    /// which the new one takes, so that the hand comes to it last; none where nobody had to go.
    fn make_room(&mut self, bytes: usize) -> Option<usize> {
        while self.slots.len() >= self.limit || self.lacks(bytes) {
            let victim = self.victim();
            let Some(slot) = self.slots.get(victim) else {
                break;
            };
            let (id, freed) = (slot.id, Self::weight(&slot.value));
            self.evicted = self.evicted.saturating_add(1);
            if self.lacks(bytes.saturating_sub(freed)) {
                self.remove(&id);
            } else {
                self.unpoint(&id);
                self.bytes = self.bytes.saturating_sub(freed);
                return Some(victim);
            }
        }
        None
    }

    /// Whether there is no room for so many bytes more.
    fn lacks(&self, bytes: usize) -> bool {
        self.bytes.saturating_add(bytes) > self.most_bytes
    }

    /// Removes an entry.
    pub fn remove(&mut self, id: &EntityId) {
        let Some(place) = self.unpoint(id) else {
            return;
        };
        // The last one takes the place that becomes free.
        let last = self.slots.len().saturating_sub(1);
        let moved = self
            .slots
            .get(last)
            .map(|slot| slot.id)
            .filter(|_| last != place);
        if let Some(moved) = &moved {
            self.unpoint(moved);
        }
        if place < self.slots.len() {
            let removed = self.slots.swap_remove(place);
            let freed = Self::weight(&removed.value);
            self.bytes = self.bytes.saturating_sub(freed);
        }
        if let Some(moved) = &moved {
            self.point(moved, place);
        }
    }

    /// Puts a place into the index. The slot there has this id.
    fn point(&mut self, id: &EntityId, place: usize) {
        let Ok(place) = u32::try_from(place) else {
            return;
        };
        let slots = &self.slots;
        self.index.insert_unique(id.spread(), place, |place| {
            slot_at(slots, *place).map_or(0, |slot| slot.id.spread())
        });
    }

    /// Takes the place of an id out of the index. The slot there still has this id.
    fn unpoint(&mut self, id: &EntityId) -> Option<usize> {
        let slots = &self.slots;
        let known = |place: &u32| slot_at(slots, *place).is_some_and(|slot| slot.id == *id);
        let entry = self.index.find_entry(id.spread(), known).ok()?;
        let (place, _) = entry.remove();
        usize::try_from(place).ok()
    }

    /// Removes all entries, and gives their memory back.
    pub fn clear(&mut self) {
        self.index = HashTable::new();
        self.slots = Vec::new();
        self.bytes = 0;
        self.hand = 0;
    }

    /// Removes all entries; from now on there are other limits.
    pub fn limit(&mut self, limit: usize, most_bytes: usize) {
        self.clear();
        self.limit = limit.max(1);
        self.most_bytes = most_bytes;
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// How many entries have made room since the last call.
    pub fn take_evicted(&mut self) -> u64 {
        std::mem::take(&mut self.evicted)
    }

    fn victim(&mut self) -> usize {
        // After one round every flag is cleared, so the second round finds one at once.
        for _ in 0..self.slots.len().saturating_mul(2) {
            // Entries may have gone from under the hand.
            let at = if self.hand < self.slots.len() {
                self.hand
            } else {
                0
            };
            self.hand = at.saturating_add(1);
            match self.slots.get_mut(at) {
                Some(slot) if slot.read => slot.read = false,
                _ => return at,
            }
        }
        0
    }
}

fn slot_at<V>(slots: &[Slot<V>], place: u32) -> Option<&Slot<V>> {
    slots.get(usize::try_from(place).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_util::test;

    impl Weighed for u64 {
        fn bytes(&self) -> usize {
            0
        }
    }

    impl Weighed for String {
        fn bytes(&self) -> usize {
            self.len()
        }
    }

    fn id(number: u64) -> EntityId {
        EntityId::user(&number.to_string())
    }

    #[test]
    fn it_holds_no_more_than_its_limit_and_forgets_what_is_not_read() {
        let mut map = Bounded::new(10, usize::MAX);
        for number in 0..10 {
            map.insert(id(number), number);
        }
        for number in 10..1000 {
            assert_eq!(map.get(&id(3)), Some(&mut 3), "after {number}");
            map.insert(id(number), number);
            assert_eq!(map.len(), 10);
            assert_eq!(map.get(&id(number)), Some(&mut number.clone()));
        }
        assert_eq!(map.take_evicted(), 990);
        assert_eq!(map.take_evicted(), 0);
    }

    #[test]
    fn what_is_removed_is_gone_and_the_rest_is_found() {
        let mut map = Bounded::new(100, usize::MAX);
        for number in 0..100 {
            map.insert(id(number), number);
        }
        for number in (0..100).step_by(3) {
            map.remove(&id(number));
            map.remove(&id(number));
        }
        for number in 0..100 {
            assert_eq!(map.get(&id(number)).is_some(), number % 3 != 0, "{number}");
        }
        assert_eq!(map.len(), 66);
        map.insert(id(1), 7);
        assert_eq!((map.len(), map.get(&id(1))), (66, Some(&mut 7)));
    }

    #[test]
    fn it_holds_no_more_bytes_than_its_limit_whatever_their_sizes() {
        const MOST: usize = 20_000;
        let mut map = Bounded::new(1000, MOST);
        let mut random = crate::knowledge::backoff::Random::new(7);
        let mut most = 0;
        for number in 0..10_000 {
            let (name, length) = (random.number() % 300, random.number() % 3000);
            let text = "x".repeat(usize::try_from(length).unwrap());
            map.insert(id(name), text.clone());
            assert_eq!(map.get(&id(name)), Some(&mut text.clone()), "{number}");
            if number % 7 == 0 {
                map.remove(&id(random.number() % 300));
            }
            let held: usize = map.slots.iter().map(|slot| slot.value.len()).sum();
            let counted: usize = map
                .slots
                .iter()
                .map(|slot| Bounded::weight(&slot.value))
                .sum();
            assert_eq!((map.bytes, map.index.len()), (counted, map.slots.len()));
            assert!(counted <= MOST, "{counted}");
            most = most.max(held);
        }
        assert!(most > MOST / 2, "{most}");
        assert!(map.take_evicted() > 1000);
        // One that is too large for all stands alone.
        map.insert(id(1), "x".repeat(2 * MOST));
        assert_eq!(map.len(), 1);
        map.limit(1, MOST);
        map.insert(id(2), "x".to_owned());
        map.insert(id(3), "y".to_owned());
        assert_eq!((map.len(), map.get(&id(3))), (1, Some(&mut "y".to_owned())));
    }
}
