//! Begins a context again and again with a service that its KDC does not know.

use hostile_guests::kerberos::{open, why};
use hostile_guests::{guest, report};

guest!(|settings| {
    let context = open(&settings.text("target")).expect("it is granted");
    let tried = (0..100).map(|_| context.step(&[]).map(|it| it.token.len()).map_err(|error| why(&error)));
    let again = tried.filter(|result| result.as_ref().is_err_and(|why| why == "wrong-state")).count();
    report([format!("{again} of 100 wrong-state")])
});
