//! Puts files below a file, and a file where a directory has to be.

use hostile_guests::receiver;
use hostile_guests::receiver::{put, report};

receiver!(|_, _| report([
    put("a", "file"),
    put("a/b", "below it"),
    put("a/b/c", "further below"),
    put("d/e", "in a directory"),
    put("d", "in its place"),
    put("ab", "a neighbour"),
]));
