//! Names another host in the request's path, as one does to a proxy.

use hostile_guests::http::{Request, attempt};
use hostile_guests::{guest, report};

guest!(|settings| {
    report(settings.lines("paths").into_iter().map(|path| {
        let mut request = Request::get(&settings.text("url"));
        request.path = Some(path);
        attempt(request)
    }))
});
