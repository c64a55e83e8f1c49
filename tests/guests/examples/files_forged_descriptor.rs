//! Makes a descriptor out of a number and reads through it.

use hostile_guests::wasip2::filesystem::types::Descriptor;
use hostile_guests::{guest, outcome, report};

guest!(|_| {
    // SAFETY: there is no such handle, which is for the host to find out.
    let folder = unsafe { Descriptor::from_handle(1) };
    report([outcome(folder.read_directory().map(drop))])
});
