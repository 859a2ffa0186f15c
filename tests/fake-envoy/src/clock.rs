//! The module's clocks, which a test can set forward. The C library's function is replaced for the whole program; what
//! is added depends on the thread, and only where it is inside the module.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::time::Duration;

thread_local! {
    static AHEAD: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Sets the clocks of the module on this thread forward.
pub fn advance(by: Duration) {
    AHEAD.set(AHEAD.get() + by);
}

/// What the C library has under this name, which the standard library calls.
///
/// # Safety
/// As for the C library's.
#[cfg(not(miri))]
#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(
    clock: libc::clockid_t,
    time: *mut libc::timespec,
) -> libc::c_int {
    // SAFETY: the caller's arguments, as they are.
    let result = unsafe { libc::syscall(libc::SYS_clock_gettime, clock, time) };
    if result == 0 && crate::inside::is_inside() {
        let ahead = AHEAD.get();
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
