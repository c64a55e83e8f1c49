//! Puts files where they would lie outside of the output directory, hide in it, or be something else than files.

use hostile_guests::receiver;
use hostile_guests::receiver::{put, report};

receiver!(|_, _| {
    let long = "x".repeat(101);
    let very_long = "x/".repeat(500_000);
    let paths = [
        "../x",
        "/etc/passwd",
        "a/../../x",
        "..",
        ".",
        "",
        "/",
        "a/",
        "a//b",
        ".hidden",
        "a/.b",
        "a\\..\\x",
        "C:\\x",
        "CON:",
        "\\\\.\\pipe\\x",
        "file:///etc/passwd",
        "a\0b",
        "a\nb",
        "a b",
        "~/x",
        "$HOME/x",
        "%2e%2e/x",
        "\u{ff0e}\u{ff0e}/x",
        "\u{2024}\u{2024}/x",
        "*",
        "a/b/c/d/e/f/g/h/i",
        &long,
        &very_long,
    ];
    report(paths.into_iter().map(|path| put(path, "x").split(' ').next().expect("a word").to_owned()))
});
