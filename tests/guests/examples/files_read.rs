//! Looks for folders that it could read.

use hostile_guests::wasip2::filesystem::preopens::get_directories;
use hostile_guests::wasip2::filesystem::types::{DescriptorFlags, OpenFlags, PathFlags};
use hostile_guests::{guest, outcome, report};

guest!(|_| report(get_directories().into_iter().map(|(folder, name)| {
    let file = folder.open_at(PathFlags::empty(), "etc/passwd", OpenFlags::empty(), DescriptorFlags::READ);
    format!("{name} {}", outcome(file.map(drop)))
})));
