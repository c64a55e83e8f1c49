//! Brings back a payload that is said to be larger than all its memory.

use hostile_guests::{bring, guest};

guest!(|_| {
    let memory = Box::leak(Box::new([0u8; 16]));
    // SAFETY: it is not. The host must look before it copies.
    bring(unsafe { Vec::from_raw_parts(memory.as_mut_ptr(), 0x7fff_0000, 0x7fff_0000) })
});
