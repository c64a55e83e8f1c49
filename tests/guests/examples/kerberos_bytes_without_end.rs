//! Has a context protect messages until the host protects no more, first before it is established.

use hostile_guests::kerberos::{open, why};
use hostile_guests::{guest, report};

/// More than any limit.
const MESSAGES: usize = 5000;

guest!(|settings| {
    let message = vec![7; 1 << 20];
    let context = open(&settings.text("target")).expect("it is granted");
    let early = (0..MESSAGES).map(|_| context.wrap(&message, true).expect_err("it is not established"));
    let early: Vec<String> = early.map(|error| why(&error)).take_while(|why| !why.starts_with("denied")).collect();
    let last = context.unwrap(&message).expect_err("nothing is left");
    report([format!("{} {}", early.len(), early.first().cloned().unwrap_or_default()), why(&last)])
});
