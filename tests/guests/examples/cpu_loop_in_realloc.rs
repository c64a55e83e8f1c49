//! Loops while the host puts the settings into its memory.

use hostile_guests::{guest, report};
use std::alloc::{GlobalAlloc, Layout};

guest!(|_| report(["called".to_owned()]));

struct Endless;

#[global_allocator]
static ALLOCATOR: Endless = Endless;

// SAFETY: it never returns.
unsafe impl GlobalAlloc for Endless {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        loop {
            std::hint::black_box(0);
        }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}
