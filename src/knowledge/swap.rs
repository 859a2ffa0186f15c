//! The one safe way of changing a value in the store that all workers of a process share.

use crate::host::Store;

/// How often a change is tried again when another worker was first.
const ATTEMPTS: usize = 16;

/// A number of a change that no value has: the host counts up from one.
const NO_CHANGE: Option<u32> = Some(u32::MAX);

/// Changes a value by compare-and-swap. `change` makes the new value of the old one, or nothing where it is
/// to stay; an absent value is empty to it. False where other workers were first too often.
///
/// A host writes an absent value whatever number is given, so of two first writers both would be believed.
/// An absent value is therefore made first, empty, under a number that no value has: who comes second fails,
/// and from then on compare-and-swap holds.
pub fn change(
    store: &impl Store,
    name: &str,
    mut change: impl FnMut(&[u8]) -> Option<Vec<u8>>,
) -> bool {
    for _ in 0..ATTEMPTS {
        let Some((value, last_change)) = store.get(name) else {
            if change(&[]).is_none() {
                return true;
            }
            store.set(name, &[], NO_CHANGE);
            continue;
        };
        let Some(new) = change(&value) else {
            return true;
        };
        if store.set(name, &new, last_change) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_util::{SharedData, test};
    use std::cell::Cell;

    /// A store in which another worker writes "other" between our reading and our writing, for a while.
    struct Busy {
        store: SharedData,
        others: Cell<u8>,
    }

    impl Store for Busy {
        fn get(&self, name: &str) -> Option<(Vec<u8>, Option<u32>)> {
            let value = self.store.get(name);
            if let Some(left) = self.others.get().checked_sub(1) {
                self.others.set(left);
                change(&self.store, name, |value| Some([value, b"other "].concat()));
            }
            value
        }

        fn set(&self, name: &str, value: &[u8], last_change: Option<u32>) -> bool {
            self.store.set(name, value, last_change)
        }
    }

    fn busy(others: u8) -> Busy {
        Busy {
            store: SharedData::default(),
            others: Cell::new(others),
        }
    }

    fn append(store: &impl Store) -> bool {
        change(store, "a", |value| Some([value, b"mine "].concat()))
    }

    #[test]
    fn no_write_of_another_is_lost_not_even_the_first() {
        let store = busy(3);
        assert!(append(&store));
        assert_eq!(store.get("a").unwrap().0, b"other other other mine ");
    }

    #[test]
    fn what_is_to_stay_is_not_even_made() {
        let store = SharedData::default();
        assert!(change(&store, "a", |_| None));
        assert_eq!(store.names(), 0);
    }

    #[test]
    fn it_gives_up_where_others_are_always_first() {
        assert!(!append(&busy(u8::MAX)));
    }
}
