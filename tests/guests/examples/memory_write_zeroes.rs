//! Has the host make zeroes: more than there is memory, for a stream that takes everything.

use hostile_guests::wasip2::cli::stderr::get_stderr;
use hostile_guests::{guest, outcome, report};

guest!(|settings| {
    let zeroes = settings.number("bytes");
    report([outcome(get_stderr().write_zeroes(zeroes))])
});
