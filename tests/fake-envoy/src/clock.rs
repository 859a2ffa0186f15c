//! The module's clocks, which a test can set forward. The C library's function is replaced for the whole program; what
//! is added depends on the Envoy of the thread, and only where that is inside the module.
#![allow(unsafe_code)]

use std::time::{Duration, SystemTime};

use crate::inside::{enter, is_inside};
use crate::threads::ahead_millis;

/// Sees that what is added is added. A linker may take another function of this name, as that of a sanitizer, where
/// nothing else is wanted of this file.
pub fn check() {
    let ahead = Duration::from_millis(ahead_millis());
    let before = SystemTime::now();
    let inside = enter(SystemTime::now);
    let apart = inside.duration_since(before).unwrap_or_default();
    assert!(
        apart >= ahead,
        "the clocks cannot be set: {apart:?}, not {ahead:?}"
    );
}

/// What the C library has under this name, which the standard library calls.
///
/// # Safety
/// As for the C library's.
#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(
    clock: libc::clockid_t,
    time: *mut libc::timespec,
) -> libc::c_int {
    // SAFETY: the caller's arguments, as they are.
    let result = unsafe { libc::syscall(libc::SYS_clock_gettime, clock, time) };
    if result == 0 && is_inside() {
        let ahead = Duration::from_millis(ahead_millis());
        // SAFETY: the kernel has just written there.
        let time = unsafe { &mut *time };
        time.tv_sec += i64::try_from(ahead.as_secs()).unwrap_or(0);
        time.tv_nsec += i64::from(ahead.subsec_nanos());
        if time.tv_nsec >= 1_000_000_000 {
            time.tv_sec += 1;
            time.tv_nsec -= 1_000_000_000;
        }
    }
    libc::c_int::try_from(result).unwrap_or(-1)
}
