//! Fails with a text that is none.

use hostile_guests::{Next, failure, guest};

guest!(|_| {
    // SAFETY: it is not. The host must look before it believes.
    Err(failure(Next::Denied, unsafe { String::from_utf8_unchecked(vec![b'a', 0xff, 0xc0, 0x80]) }))
});
