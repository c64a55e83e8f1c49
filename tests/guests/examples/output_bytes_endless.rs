//! Puts files for ever, whatever it is told, and large ones.

use hostile_guests::receiver;
use hostile_guests::receiver::{accepted, put};

receiver!(|_, _| {
    let large = vec![b'x'; 1 << 20];
    for n in 0u64.. {
        put(&format!("file-{n}"), &large);
    }
    accepted()
});
