//! Readers that look all the time.

#![expect(clippy::disallowed_methods, reason = "a test arranges and inspects its own files")]

use super::*;
use std::fs::File;
use std::io::Read as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rustix::fs::{CWD, Mode, OFlags, openat};

const SWITCHES: u64 = 3000;

/// What a reader sees that opens the unit once: the files, or `None` if the unit was removed meanwhile.
fn look(directory: &Path) -> Option<Vec<String>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    assert!(fs::symlink_metadata(directory.join("aws")).is_ok(), "there is always a link");
    let unit = openat(CWD, directory.join("aws"), flags, Mode::empty()).ok()?;
    let mut seen = Vec::new();
    for name in ["a", "b", "conf/deep/c"] {
        let mut text = String::new();
        let mut file = File::from(openat(&unit, name, OFlags::RDONLY, Mode::empty()).ok()?);
        #[expect(clippy::disallowed_methods, reason = "its end is known")]
        file.read_to_string(&mut text).unwrap();
        seen.push(text);
    }
    Some(seen)
}

#[test]
fn publish_never_shows_a_torn_or_missing_unit_to_a_reader() {
    // In memory, where nothing slows the switches down.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let mut units = units(folder.path());
    units.publish(&alike(0), NOW).unwrap();
    let (published, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    let (whole, overtaken) = (AtomicU64::new(0), AtomicU64::new(0));
    let watch = |pause: Duration| {
        let mut newest = 0;
        while !is_over.load(Ordering::SeqCst) {
            let before = published.load(Ordering::SeqCst);
            let seen = look(folder.path());
            let after = published.load(Ordering::SeqCst);
            match seen {
                Some(seen) => {
                    assert!(seen.iter().all(|text| *text == seen[0]), "torn: {seen:?}");
                    let number = (before..=after + 1).find(|number| seen[0] == number.to_string().repeat(300));
                    let number = number.unwrap_or_else(|| panic!("between {before} and {after} it was {}", seen[0]));
                    assert!(number >= newest, "{number} after {newest}");
                    newest = number;
                    whole.fetch_add(1, Ordering::SeqCst);
                }
                // Who was not given the processor during dozens of switches begins again.
                None => {
                    assert!(after + 1 >= before + MAX_REPLACED as u64, "missing between {before} and {after}");
                    overtaken.fetch_add(1, Ordering::SeqCst);
                }
            }
            #[expect(clippy::disallowed_methods, reason = "a reader's pace")]
            std::thread::sleep(pause);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| watch(Duration::from_millis(1)));
        scope.spawn(|| watch(Duration::ZERO));
        for number in 1..=SWITCHES {
            units.publish(&alike(number), NOW).unwrap();
            published.store(number, Ordering::SeqCst);
            #[expect(clippy::disallowed_methods, reason = "a thousand switches a second are enough")]
            std::thread::sleep(Duration::from_millis(1));
        }
        is_over.store(true, Ordering::SeqCst);
    });
    let (whole, overtaken) = (whole.into_inner(), overtaken.into_inner());
    assert!(whole > SWITCHES && overtaken * 20 < whole, "{whole} looks, {overtaken} of them overtaken");
}
