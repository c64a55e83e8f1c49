//! Uses contexts in every wrong order and size, opens a thousand, and keeps one while the call ends.

use hostile_guests::kerberos::{open, why};
use hostile_guests::{guest, report};

guest!(|settings| {
    let target = settings.text("target");
    let context = open(&target).expect("it is granted");
    let mut lines = Vec::new();
    let mut say = |what: &str, result: Result<usize, String>| {
        lines.push(format!("{what} {}", result.map_or_else(|why| why, |bytes| format!("ok {}", bytes > 0))));
    };
    let length = |bytes: Vec<u8>| bytes.len();
    say("wrap-early", context.wrap(b"early", true).map(length).map_err(|error| why(&error)));
    say("unwrap-early", context.unwrap(b"early").map(|it| it.message.len()).map_err(|error| why(&error)));
    say("first", context.step(&[]).map(|it| it.token.len()).map_err(|error| why(&error)));
    say("wrap-before", context.wrap(b"before", true).map(length).map_err(|error| why(&error)));
    say("megabyte", context.step(&vec![7; 1 << 20]).map(|it| it.token.len()).map_err(|error| why(&error)));
    say("nonsense", context.step(&[0x60; 64]).map(|it| it.token.len()).map_err(|error| why(&error)));
    say("after", context.step(&[]).map(|it| it.token.len()).map_err(|error| why(&error)));
    let many: Vec<_> = (0..1000).map(|_| open(&target)).collect();
    say("thousand", Ok(many.iter().filter(|it| it.is_err()).count()));
    lines.push(format!("opened {}", many.iter().filter(|it| it.is_ok()).count()));
    // The call ends with all of them open.
    many.into_iter().flatten().for_each(std::mem::forget);
    std::mem::forget(context);
    report(lines)
});
