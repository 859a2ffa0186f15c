//! A bounded map of one VM: a hit costs one hash look-up and no host call.

use std::hash::Hasher;

use hashbrown::HashTable;

use super::entry::EntityId;

/// A map that never holds more than its limit. Where it is full, the first entry under a moving hand that
/// was not read since the hand last passed makes room (the CLOCK algorithm: F. J. Corbató, "A Paging
/// Experiment with the Multics System", 1968): nearly as good as least-recently-used, and a hit writes one
/// flag only.
#[derive(Debug)]
pub struct Bounded<V> {
    /// Places of ids. The ids themselves are in the slots only, so that the index of a million stays small.
    index: HashTable<u32>,
    slots: Vec<Slot<V>>,
    limit: usize,
    hand: usize,
    evicted: u64,
}

#[derive(Debug)]
struct Slot<V> {
    id: EntityId,
    value: V,
    read: bool,
}

impl<V> Bounded<V> {
    /// An empty map for at most `limit` entries, at least one.
    pub fn new(limit: usize) -> Self {
        Self {
            index: HashTable::new(),
            slots: Vec::new(),
            limit: limit.max(1),
            hand: 0,
            evicted: 0,
        }
    }

    /// Reads an entry, which makes it likelier to stay.
    pub fn get(&mut self, id: &EntityId) -> Option<&mut V> {
        let place = self.place(id)?;
        let slot = self.slots.get_mut(place)?;
        slot.read = true;
        Some(&mut slot.value)
    }

    fn place(&self, id: &EntityId) -> Option<usize> {
        let known = |place: &u32| slot_at(&self.slots, *place).is_some_and(|slot| slot.id == *id);
        let place = self.index.find(spread(id), known)?;
        usize::try_from(*place).ok()
    }

    /// Adds or replaces an entry.
    pub fn insert(&mut self, id: EntityId, value: V) {
        if let Some(known) = self.get(&id) {
            *known = value;
            return;
        }
        let slot = Slot {
            id,
            value,
            read: false,
        };
        if self.slots.len() < self.limit {
            self.slots.push(slot);
            self.point(&id, self.slots.len().saturating_sub(1));
            return;
        }
        let victim = self.victim();
        if let Some(old) = self.slots.get(victim).map(|slot| slot.id) {
            self.unpoint(&old);
        }
        if let Some(place) = self.slots.get_mut(victim) {
            *place = slot;
            self.evicted = self.evicted.saturating_add(1);
        }
        self.point(&id, victim);
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
            self.slots.swap_remove(place);
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
        self.index.insert_unique(spread(id), place, |place| {
            slot_at(slots, *place).map_or(0, |slot| spread(&slot.id))
        });
    }

    /// Takes the place of an id out of the index. The slot there still has this id.
    fn unpoint(&mut self, id: &EntityId) -> Option<usize> {
        let slots = &self.slots;
        let known = |place: &u32| slot_at(slots, *place).is_some_and(|slot| slot.id == *id);
        let entry = self.index.find_entry(spread(id), known).ok()?;
        let (place, _) = entry.remove();
        usize::try_from(place).ok()
    }

    /// Removes all entries.
    pub fn clear(&mut self) {
        self.index.clear();
        self.slots.clear();
        self.hand = 0;
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
            let at = self.hand;
            self.hand = if at.saturating_add(1) < self.slots.len() {
                at.saturating_add(1)
            } else {
                0
            };
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

/// Ids are hashes already: their first eight bytes are as good as any hash of them.
fn spread(id: &EntityId) -> u64 {
    let mut spread = Spread::default();
    spread.write_u64(id.number());
    spread.finish()
}

/// A hasher for numbers that are spread already or counted up, as ids and the host's contexts are. A
/// multiplication mixes them, so that those chosen to share their low bits do not share a place.
#[derive(Debug, Default)]
pub struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        // The multiplier is 2^64 divided by the golden ratio (Knuth, TAOCP volume 3, section 6.4).
        let mixed = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::test;

    fn id(number: u64) -> EntityId {
        EntityId::user(&number.to_string())
    }

    #[test]
    fn it_holds_no_more_than_its_limit_and_forgets_what_is_not_read() {
        let mut map = Bounded::new(10);
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
        let mut map = Bounded::new(100);
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
}
