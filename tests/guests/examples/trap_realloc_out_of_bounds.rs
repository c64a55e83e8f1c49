//! Has the host put the settings behind the end of its memory.

use hostile_guests::{guest, report};
use std::alloc::{GlobalAlloc, Layout};

guest!(|_| report(["called".to_owned()]));

struct Beyond;

#[global_allocator]
static ALLOCATOR: Beyond = Beyond;

// SAFETY: none of its memory is ever there.
unsafe impl GlobalAlloc for Beyond {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        0xffff_ff00 as *mut u8
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}
