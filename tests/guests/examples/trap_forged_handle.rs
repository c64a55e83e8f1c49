//! Makes a secret out of a number.

use hostile_guests::secrets::{Secret, reveal};
use hostile_guests::{guest, report};

guest!(|_| {
    // SAFETY: there is no such handle, which is for the host to find out.
    let secret = unsafe { Secret::from_handle(7) };
    report([reveal(&secret)])
});
