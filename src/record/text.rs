//! Texts of records.

/// A text of a record. Where addresses have 64 bits, a short one, as nearly all are, lies within its record: with a
/// million keys each other place in memory that a hit has to look at costs more than all of its steps. In WebAssembly
/// the code for that would cost more than it saves.
#[cfg(target_pointer_width = "64")]
pub type Text = compact_str::CompactString;

/// A text of a record.
#[cfg(not(target_pointer_width = "64"))]
pub type Text = Box<str>;

/// A list of a record. Where workers read one memory in place, it is filled again and again.
#[cfg(target_pointer_width = "64")]
pub type List<T> = Vec<T>;

/// A list of a record.
#[cfg(not(target_pointer_width = "64"))]
pub type List<T> = Box<[T]>;

/// Bytes of a text that lie apart from its record.
#[cfg(target_pointer_width = "64")]
pub(crate) fn bytes_apart(text: &Text) -> usize {
    match text.is_heap_allocated() {
        true => text.capacity(),
        false => 0,
    }
}

/// Bytes of a text that lie apart from its record.
#[cfg(not(target_pointer_width = "64"))]
pub(crate) fn bytes_apart(text: &Text) -> usize {
    text.len()
}
