//! Computes for ever.

use hostile_guests::guest;
use std::hint::black_box;

guest!(|_| {
    let mut n = 0u64;
    loop {
        n = black_box(n.wrapping_add(1));
    }
});
