//! Puts files that are more than it may together, then smaller ones, then one that is all too large alone.

use hostile_guests::receiver;
use hostile_guests::receiver::{put, report};

receiver!(|_, _| {
    let large = vec![b'x'; 40_000];
    let mut lines: Vec<_> = (0..4).map(|n| put(&format!("large-{n}"), &large)).collect();
    lines.push(put("small", "x"));
    lines.push(put("whole", vec![b'x'; 200_000]));
    report(lines)
});
