//! Opens a thousand contexts, and keeps those that it gets while the call ends.

use hostile_guests::kerberos::open;
use hostile_guests::{guest, report};

guest!(|settings| {
    let target = settings.text("target");
    let opened: Vec<_> = (0..1000).map(|_| open(&target)).collect();
    let refused = opened.iter().filter_map(|it| it.as_ref().err()).next().cloned().unwrap_or_default();
    let kept: Vec<_> = opened.into_iter().flatten().map(std::mem::forget).collect();
    report([kept.len().to_string(), refused])
});
