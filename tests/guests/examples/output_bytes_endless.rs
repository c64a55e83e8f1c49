//! Puts large files for ever, whatever the host answers.

use hostile_guests::receiver;
use hostile_guests::receiver::{accepted, put};

receiver!(|_, _| {
    let large = vec![b'x'; 1 << 20];
    for n in 0u64.. {
        put(&format!("file-{n}"), &large);
    }
    accepted()
});
