//! Keeps what it was given in a variable and all over its memory, and looks for that of an earlier call.

use hostile_guests::receiver;
use hostile_guests::receiver::{payload, report};
use std::sync::Mutex;

static KEPT: Mutex<Vec<String>> = Mutex::new(Vec::new());

receiver!(|_, deliveries| {
    let mut kept = KEPT.lock().expect("one thread");
    let before = kept.len();
    kept.push(payload(deliveries));
    let pages = core::arch::wasm32::memory_size(0);
    let old = core::arch::wasm32::memory_grow(0, 64);
    let mut found = 0;
    for step in 0..64 * 1024 {
        let at = (old * 65536 + step * 64) as *mut u8;
        // SAFETY: the pages from `old` on have just been added.
        unsafe {
            found += usize::from(std::ptr::read_volatile(at) != 0);
            std::ptr::write_volatile(at, 0x5a);
        }
    }
    report([format!("{before} {found} {pages}")])
});
