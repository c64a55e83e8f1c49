//! Answers, and loops when the host gives the answer's memory back.

use hostile_guests::{bring, guest};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, Ordering};

guest!(|_| {
    let obtained = bring(b"answered".to_vec());
    ANSWERED.store(true, Ordering::Relaxed);
    obtained
});

static ANSWERED: AtomicBool = AtomicBool::new(false);

struct Endless;

#[global_allocator]
static ALLOCATOR: Endless = Endless;

// SAFETY: all is left to the system's allocator, but for a `dealloc` that may not return.
unsafe impl GlobalAlloc for Endless {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        while ANSWERED.load(Ordering::Relaxed) {
            std::hint::black_box(0);
        }
        // SAFETY: as the caller's.
        unsafe { System.dealloc(memory, layout) }
    }
}
