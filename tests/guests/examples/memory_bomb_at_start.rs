//! Takes memory while it is instantiated.

use hostile_guests::{guest, report};

guest!(|_| report(["started".to_owned()]));

/// Run when the component is instantiated.
#[unsafe(no_mangle)]
extern "C" fn _initialize() {
    while core::arch::wasm32::memory_grow(0, 16) != usize::MAX {}
}
