//! Calls itself for ever.

use hostile_guests::{guest, report};
use std::sync::atomic::{AtomicUsize, Ordering};

guest!(|_| report([down(1).to_string()]));

static DEEPER: AtomicUsize = AtomicUsize::new(0);

/// Through a pointer that the compiler can't know, so that it makes no loop of it; without anything in memory, so that
/// it is the host's stack that runs out.
#[inline(never)]
fn down(n: u64) -> u64 {
    DEEPER.store(down as fn(u64) -> u64 as usize, Ordering::Relaxed);
    // SAFETY: it was stored as what it is read as.
    let deeper: fn(u64) -> u64 = unsafe { std::mem::transmute(DEEPER.load(Ordering::Relaxed)) };
    deeper(n.wrapping_add(1)).rotate_left(3) ^ n
}
