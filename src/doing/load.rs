//! What a panic carries.

use core::any::Any;
use core::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a panic carries.
pub(crate) type Panic = Box<dyn Any + Send>;

/// Drops what nobody wants. It is the program's own and may panic in that, too; what that one carries is not dropped any more, or there would be no end of it.
pub(crate) fn drop_panic(panic: Panic) {
    if let Err(second) = catch_unwind(AssertUnwindSafe(move || drop(panic))) {
        #[expect(clippy::mem_forget, reason = "dropping it is what may never end")]
        mem::forget(second);
    }
}

/// Of several panics the first goes on.
pub(crate) fn keep_first(first: &mut Option<Panic>, next: Option<Panic>) {
    match next {
        Some(next) if first.is_some() => drop_panic(next),
        Some(next) => *first = Some(next),
        None => {}
    }
}
