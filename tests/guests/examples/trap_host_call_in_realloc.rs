//! Calls the host while the host puts the settings into its memory.

use hostile_guests::wasip2::clocks::monotonic_clock;
use hostile_guests::{guest, report};
use std::alloc::{GlobalAlloc, Layout, System};

guest!(|_| report(["called".to_owned()]));

struct Calling;

#[global_allocator]
static ALLOCATOR: Calling = Calling;

// SAFETY: all is left to the system's allocator.
unsafe impl GlobalAlloc for Calling {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        monotonic_clock::now();
        // SAFETY: as the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as the caller's.
        unsafe { System.dealloc(memory, layout) }
    }
}
