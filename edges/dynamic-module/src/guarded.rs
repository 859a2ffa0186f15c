//! What a fault of ours is allowed to cost.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// No panic gets out into Envoy; nothing comes back from one. What it says is in Envoy's own output, where panics are
/// written.
pub fn guarded<T>(act: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(act)).ok()
}
