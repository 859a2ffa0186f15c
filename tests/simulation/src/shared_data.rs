//! Envoy's shared data, with its exact semantics (proxy-wasm-cpp-host, `SharedData`).
//!
//! A value that is absent is written whatever number is given; number 0 writes without a condition; nothing
//! is ever deleted; values are copied; the numbers of changes count all writes of the process together.

use std::collections::HashMap;

/// All values of the process.
#[derive(Debug)]
pub struct SharedData {
    values: HashMap<String, (Vec<u8>, u32)>,
    next_change: u32,
}

impl SharedData {
    /// Nothing written yet. The numbers of changes start anywhere.
    pub fn new(next_change: u32) -> Self {
        Self {
            values: HashMap::new(),
            next_change,
        }
    }

    /// A value and the number of its last change.
    pub fn get(&self, name: &str) -> Option<(Vec<u8>, u32)> {
        self.values.get(name).cloned()
    }

    /// Writes a value, unless another number is given than that of its last change.
    pub fn set(&mut self, name: &str, value: &[u8], last_change: u32) -> bool {
        let change = self.next_change;
        match self.values.get_mut(name) {
            Some((_, known)) if last_change != 0 && last_change != *known => return false,
            Some(place) => *place = (value.to_vec(), change),
            None => {
                self.values
                    .insert(name.to_owned(), (value.to_vec(), change));
            }
        }
        self.next_change = change.checked_add(1).unwrap_or(1);
        true
    }

    /// How many values there are.
    pub fn names(&self) -> usize {
        self.values.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_write_is_not_guarded_and_numbers_count_all_writes() {
        let mut data = SharedData::new(u32::MAX - 1);
        assert!(data.set("a", b"1", 4711));
        assert!(data.set("b", b"1", 0));
        assert_eq!(data.get("a"), Some((b"1".to_vec(), u32::MAX - 1)));
        assert!(!data.set("a", b"2", u32::MAX));
        assert!(data.set("a", b"2", u32::MAX - 1));
        assert_eq!(data.get("a"), Some((b"2".to_vec(), 1)));
        assert!(data.set("a", b"3", 0));
        assert_eq!((data.names(), data.get("c")), (2, None));
    }
}
