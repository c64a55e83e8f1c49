//! Takes memory and writes to it until there is none.

use hostile_guests::guest;

guest!(|_| {
    let mut held = Vec::new();
    loop {
        held.push(std::hint::black_box(vec![1u8; 1 << 20]));
    }
});
