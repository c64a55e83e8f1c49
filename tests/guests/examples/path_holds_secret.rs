//! Tells a secret that it may read to readers of the audit log: in paths, hosts, methods and names.

use hostile_guests::http::{Method, Request, attempt, get};
use hostile_guests::secret_values;
use hostile_guests::secrets::{line, open};
use hostile_guests::sockets::resolve;
use hostile_guests::{guest, outcome, report};

guest!(|settings| {
    let value = secret_values::reveal(&open(&settings.text("secret")).expect("a granted secret"));
    let value = String::from_utf8(value.expect("a granted value")).expect("text");
    let url = settings.text("url");
    report([
        get(&format!("{url}/{value}")),
        get(&format!("{url}/denied/{value}")),
        get(&format!("http://{value}.test/")),
        attempt(Request::get(&url).method(Method::Other(value.to_uppercase()))),
        outcome(resolve(&format!("{value}.test"))),
        line(open(&value).map(|_| "opened".to_owned())),
    ])
});
