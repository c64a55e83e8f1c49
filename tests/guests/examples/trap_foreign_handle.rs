//! Passes one kind of resource for another.

use hostile_guests::secrets::{Secret, reveal};
use hostile_guests::wasip2::http::types::Fields;
use hostile_guests::{guest, report};

guest!(|_| {
    let fields = Fields::new();
    // SAFETY: the handle is there and is no secret's, which is for the host to find out.
    let secret = unsafe { Secret::from_handle(fields.handle()) };
    report([reveal(&secret)])
});
