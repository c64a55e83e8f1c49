//! Fails because of a setting that there is not, and that would be a path in another file.

use hostile_guests::{Failure, Next, failure, guest};

guest!(|settings| Err(Failure {
    setting: Some(settings.text("blamed")),
    ..failure(Next::Misconfigured, "this setting is wrong")
}));
