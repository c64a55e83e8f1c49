#![expect(clippy::disallowed_methods, reason = "a test arranges and inspects its own files")]

use super::*;

/// Asserts that a publication into an operator's directory is refused.
fn is_refused(directory: &Path, why: impl Fn(&PublishError) -> bool) {
    let error = units(directory).publish(&alike(1), NOW).unwrap_err();
    assert!(why(&error), "{error:?}");
    assert!(error.is_lasting());
    let error = error.to_string();
    assert!(error.contains(directory.to_str().unwrap()) && error.contains(": "), "{error}");
}

#[test]
fn publish_leaves_a_foreign_file_of_its_name_alone() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path();
    let taken = |error: &PublishError| matches!(error, PublishError::Taken(path) if *path == directory.join("aws"));
    put(directory.join("aws"), "mine");
    is_refused(directory, taken);
    assert_eq!(fs::read_to_string(directory.join("aws")).unwrap(), "mine");
    fs::remove_file(directory.join("aws")).unwrap();
    fs::create_dir(directory.join("aws")).unwrap();
    is_refused(directory, taken);
    fs::remove_dir(directory.join("aws")).unwrap();
    for target in ["/etc", "elsewhere", ".aws", ".aws/", ".aws/../elsewhere", ".aws/1-0", ".other/1-0000000000000000"] {
        symlink(target, directory.join("aws")).unwrap();
        is_refused(directory, taken);
        assert!(matches!(units(directory).withdraw(NOW), Err(PublishError::Taken(_))));
        assert_eq!(fs::read_link(directory.join("aws")).unwrap(), Path::new(target));
        fs::remove_file(directory.join("aws")).unwrap();
    }
    if rustix::process::geteuid().is_root() {
        let link = directory.join("aws");
        symlink(".aws/1-0000000000000000", &link).unwrap();
        std::os::unix::fs::lchown(&link, Some(4711), None).unwrap();
        is_refused(directory, taken);
        fs::remove_file(link).unwrap();
    }
    units(directory).publish(&alike(1), NOW).unwrap();
}

#[test]
fn publish_leaves_a_foreign_hidden_directory_alone() {
    let folder = tempfile::tempdir().unwrap();
    let hidden = folder.path().join(".aws");
    let foreign = |error: &PublishError| matches!(error, PublishError::Foreign(path) if *path == hidden);
    // As in a home.
    fs::create_dir(&hidden).unwrap();
    put(hidden.join("credentials"), "mine");
    fs::create_dir(hidden.join("7-0000000000000000")).unwrap();
    is_refused(folder.path(), foreign);
    assert_eq!(names(&hidden), ["7-0000000000000000", "credentials"]);
    fs::remove_dir_all(&hidden).unwrap();
    put(&hidden, "mine");
    is_refused(folder.path(), foreign);
    fs::remove_file(&hidden).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    symlink(elsewhere.path(), &hidden).unwrap();
    is_refused(folder.path(), foreign);
    assert!(names(elsewhere.path()).is_empty());
    fs::remove_file(&hidden).unwrap();
    fs::create_dir(&hidden).unwrap();
    allow(&hidden, 0o777);
    is_refused(folder.path(), |error| matches!(error, PublishError::File(FileError::Exposed { mode: 0o777, .. })));
    if rustix::process::geteuid().is_root() {
        allow(&hidden, 0o711);
        std::os::unix::fs::chown(&hidden, Some(4711), None).unwrap();
        is_refused(folder.path(), |error| matches!(error, PublishError::File(FileError::Owner { owner: 4711, .. })));
    }
}

#[test]
fn publish_refuses_a_directory_that_others_can_write_to() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("out");
    fs::create_dir(&directory).unwrap();
    for mode in [0o777, 0o775, 0o757, 0o722] {
        allow(&directory, mode);
        is_refused(
            &directory,
            |error| matches!(error, PublishError::File(FileError::Exposed { mode: found, .. }) if *found == mode),
        );
    }
    assert!(names(&directory).is_empty());
    // Other users cannot rename there.
    allow(&directory, 0o1777);
    let mut open = units(&directory);
    open.publish(&alike(1), NOW).unwrap();
    // It is judged at each switch.
    allow(&directory, 0o777);
    assert!(matches!(open.publish(&alike(2), NOW), Err(PublishError::File(FileError::Exposed { .. }))));
    assert_eq!(read(&directory, "a"), "1".repeat(300));
    if rustix::process::geteuid().is_root() {
        allow(&directory, 0o755);
        std::os::unix::fs::chown(&directory, Some(4711), None).unwrap();
        assert!(matches!(open.publish(&alike(2), NOW), Err(PublishError::File(FileError::Owner { owner: 4711, .. }))));
    }
}

#[test]
fn publish_follows_no_link_in_place_of_its_directory() {
    let folder = tempfile::tempdir().unwrap();
    let (directory, elsewhere) = (folder.path().join("out"), folder.path().join("elsewhere"));
    fs::create_dir(&elsewhere).unwrap();
    symlink(&elsewhere, &directory).unwrap();
    is_refused(&directory, |error| matches!(error, PublishError::File(FileError::NotADirectory(_))));
    let slash = folder.path().join("out/");
    assert!(matches!(units(&slash).publish(&alike(1), NOW), Err(PublishError::File(FileError::NotADirectory(_)))));
    fs::remove_file(&directory).unwrap();
    // Meanwhile.
    let mut open = units(&directory);
    open.publish(&alike(1), NOW).unwrap();
    fs::rename(&directory, folder.path().join("moved")).unwrap();
    symlink(&elsewhere, &directory).unwrap();
    assert!(matches!(open.publish(&alike(2), NOW), Err(PublishError::File(FileError::NotADirectory(_)))));
    assert!(names(&elsewhere).is_empty());
    put(folder.path().join("file"), "");
    is_refused(&folder.path().join("file"), |error| matches!(error, PublishError::File(FileError::NotADirectory(_))));
}

#[test]
fn gc_follows_no_link_in_a_unit() {
    let folder = tempfile::tempdir().unwrap();
    let treasure = folder.path().join("treasure");
    fs::create_dir(&treasure).unwrap();
    put(treasure.join("file"), "mine");
    let directory = folder.path().join("out");
    let mut units = units(&directory);
    units.publish(&alike(1), NOW).unwrap();
    // The owner of the files does what he likes with them.
    let real = fs::canonicalize(units.link()).unwrap();
    fs::remove_dir_all(real.join("conf/deep")).unwrap();
    symlink(&treasure, real.join("conf/deep")).unwrap();
    symlink(treasure.join("file"), real.join("more")).unwrap();
    let pipe = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, real.join("pipe"), pipe, rustix::fs::Mode::RWXU, 0).unwrap();
    let minute = |number: u64| MonotonicTime::from_millis(number * 60_000);
    units.publish(&alike(2), minute(2)).unwrap();
    units.publish(&alike(3), minute(3)).unwrap();
    assert!(!real.exists());
    // A whole unit that is a link.
    let real = fs::canonicalize(units.link()).unwrap();
    fs::remove_dir_all(&real).unwrap();
    symlink(&treasure, &real).unwrap();
    for number in [3, 4, 5] {
        units.publish(&alike(number), minute(number + 1)).unwrap();
    }
    assert!(fs::symlink_metadata(&real).is_err());
    assert_eq!(fs::read_to_string(treasure.join("file")).unwrap(), "mine");
}

#[test]
fn gc_removes_nothing_that_was_not_created_here() {
    let folder = tempfile::tempdir().unwrap();
    units(folder.path()).publish(&alike(1), NOW).unwrap();
    let hidden = folder.path().join(".aws");
    let mine = ["1", "1-abc", "01-0000000000000000", "notes", ".link-", ".link-x"];
    mine.iter().for_each(|name| put(hidden.join(name), "mine"));
    let left = ["9-0000000000000000", ".link-9-0000000000000000"];
    fs::create_dir_all(hidden.join(left[0]).join("half/of")).unwrap();
    symlink("anywhere", hidden.join(left[1])).unwrap();
    let mut units = units(folder.path());
    units.publish(&alike(2), NOW).unwrap();
    units.withdraw(NOW).unwrap();
    let names = names(&hidden);
    assert!(mine.iter().all(|name| names.contains(&(*name).to_owned())), "{names:?}");
    assert!(!left.iter().any(|name| names.contains(&(*name).to_owned())), "{names:?}");
}

#[test]
fn publish_by_two_processes_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = units(folder.path());
    first.publish(&alike(1), NOW).unwrap();
    let error = units(folder.path()).publish(&alike(2), NOW).unwrap_err();
    assert!(matches!(error, PublishError::Busy(_)) && !error.is_lasting(), "{error}");
    drop(first);
    units(folder.path()).publish(&alike(2), NOW).unwrap();
}

#[test]
fn gc_goes_on_after_a_unit_that_cannot_be_removed() {
    let folder = tempfile::tempdir().unwrap();
    let mut units = units(folder.path());
    let hour = |number: u64| MonotonicTime::from_millis(number * 3_600_000);
    let mut names = Vec::new();
    for number in 0..4 {
        names.push(units.publish(&alike(number), hour(number)).unwrap().unit.unwrap());
        if number < 3 {
            // Deeper than anything that was made here. All units are still there.
            let deep = "x/".repeat(40);
            fs::create_dir_all(folder.path().join(format!(".aws/{}/{deep}", names.last().unwrap()))).unwrap();
        }
    }
    let stuck: Vec<String> = names[..3].iter().map(ToString::to_string).collect();
    assert_eq!(there(folder.path()).len(), 4);
    for number in 4..8 {
        names.push(units.publish(&alike(number), hour(number)).unwrap().unit.unwrap());
    }
    let mut expected = stuck.clone();
    expected.extend(names[6..].iter().map(ToString::to_string));
    assert_eq!(there(folder.path()), expected, "the current one, the one before, and what can't be removed");
    let secrets = |unit: &String| folder.path().join(".aws").join(unit).join("a").exists();
    assert!(!stuck.iter().any(secrets), "what could be removed of them was");
    assert!(units.withdraw(hour(9)).is_err());
    assert_eq!(there(folder.path()), stuck);
}

#[test]
fn publish_refuses_a_directory_below_a_writable_one() {
    let folder = tempfile::tempdir().unwrap();
    let open = folder.path().join("open");
    fs::create_dir(&open).unwrap();
    let link = folder.path().join("link");
    symlink(&open, &link).unwrap();
    for (mode, is_good) in [(0o777, false), (0o757, false), (0o755, true), (0o1777, true)] {
        allow(&open, mode);
        for directory in [open.join("out"), open.join("made/out"), link.join("out")] {
            let published = units(&directory).publish(&alike(1), NOW);
            assert_eq!(check(&directory).is_ok(), is_good, "{mode:o} {}", directory.display());
            match published {
                Ok(_) => assert!(is_good, "{mode:o}"),
                Err(error) => {
                    let names_it = matches!(&error, PublishError::File(FileError::Exposed { path, mode: found, .. }) if
                        fs::canonicalize(path).unwrap() == open && *found == mode);
                    assert!(names_it && !is_good && error.is_lasting(), "{error:?}");
                }
            }
        }
    }
    if rustix::process::geteuid().is_root() {
        // The group of all workers, and another user's.
        allow(&open, 0o775);
        std::os::unix::fs::chown(&open, None, Some(4712)).unwrap();
        assert!(matches!(check(&open.join("out")), Err(PublishError::File(FileError::Exposed { .. }))));
        allow(&open, 0o755);
        std::os::unix::fs::chown(&open, Some(4711), None).unwrap();
        assert!(matches!(check(&open.join("out")), Err(PublishError::File(FileError::Owner { owner: 4711, .. }))));
    }
}
