//! Whether a thread is inside the module at the moment, and which functions of Envoy the module has called there.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

/// How often each function was called, by its name without the prefix that all have.
pub type Calls = BTreeMap<&'static str, usize>;

thread_local! {
    static IS_INSIDE: Cell<bool> = const { Cell::new(false) };
    static LIES: Cell<bool> = const { Cell::new(false) };
    static CALLS: RefCell<Calls> = const { RefCell::new(BTreeMap::new()) };
}

/// Whether this thread runs code of the module, which an allocator asks that counts what the module allocates.
pub fn is_inside() -> bool {
    IS_INSIDE.get()
}

/// Calls the module.
pub fn enter<T>(hook: impl FnOnce() -> T) -> T {
    let before = IS_INSIDE.replace(true);
    let result = hook();
    IS_INSIDE.set(before);
    result
}

/// Is called by the module.
pub fn called<T>(name: &'static str, act: impl FnOnce() -> T) -> T {
    let before = IS_INSIDE.replace(false);
    // A thread that ends has no counts any more.
    let _ = CALLS.try_with(|calls| *calls.borrow_mut().entry(name).or_default() += 1);
    let result = act();
    IS_INSIDE.set(before);
    result
}

/// What the module has called on this thread within `act`.
pub fn counted<T>(act: impl FnOnce() -> T) -> (T, Calls) {
    let before = CALLS.take();
    let result = act();
    (result, CALLS.replace(before))
}

/// On this thread, says of headers that there are more than memory can hold, within `act`: whoever makes room for
/// them panics.
pub fn lies_about_headers(act: &mut dyn FnMut()) {
    LIES.set(true);
    act();
    LIES.set(false);
}

/// Whether it does.
pub fn lies() -> bool {
    LIES.get()
}
