//! Ends the process, if the host lets it: with success.

use hostile_guests::wasip2::cli::exit::exit;
use hostile_guests::{guest, report};

guest!(|_| {
    exit(Ok(()));
    report(["went on".to_owned()])
});
