//! Leaves a mark in a variable and all over its memory, and looks for the one of an earlier call.

use hostile_guests::{guest, report};
use std::sync::atomic::{AtomicU32, Ordering};

guest!(|_| {
    let calls = CALLS.fetch_add(1, Ordering::Relaxed);
    let pages = core::arch::wasm32::memory_size(0);
    let old = core::arch::wasm32::memory_grow(0, 256);
    let found = (0..256 * 1024).filter(|step| {
        // SAFETY: the pages from `old` on have just been added.
        unsafe { std::ptr::read_volatile((old * 65536 + step * 64) as *const u8) != 0 }
    });
    let found = found.count();
    for step in 0..256 * 1024 {
        // SAFETY: as above.
        unsafe { std::ptr::write_volatile((old * 65536 + step * 64) as *mut u8, 0x5a) };
    }
    report([format!("{calls} {found} {pages}")])
});

static CALLS: AtomicU32 = AtomicU32::new(0);
