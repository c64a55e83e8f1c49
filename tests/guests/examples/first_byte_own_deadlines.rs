//! Asks for deadlines of its own, of no time at all and of centuries: neither may reach the host's clock.

use hostile_guests::http::{Request, attempt};
use hostile_guests::{guest, report};

guest!(|settings| {
    let deadlines = [0, 1, u64::MAX];
    report(deadlines.map(|deadline| {
        let mut request = Request::get(&settings.text("url"));
        request.deadline = Some(deadline);
        attempt(request)
    }))
});
