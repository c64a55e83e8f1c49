#![expect(clippy::disallowed_methods, reason = "a test arranges and inspects its own files")]

use super::*;

#[test]
fn publish_puts_all_files_behind_one_link() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("made/out");
    let mut units = units(&directory);
    let published = units.publish(&outputs(&[("a", "1"), ("conf/b", "2"), ("conf/deep/c", "")]), NOW).unwrap();
    assert_eq!((published.switch, published.notified), (PublishOutcome::Done, HookNotified::NotYet));
    assert_eq!(published.unit.unwrap().number(), 1);
    assert_eq!(
        (read(&directory, "a"), read(&directory, "conf/b"), read(&directory, "conf/deep/c")),
        ("1".into(), "2".into(), String::new())
    );
    assert_eq!(names(&directory), [".aws", "aws"]);
    assert_eq!(there(&directory), [published.unit.unwrap().to_string()]);
    let link = fs::read_link(units.link()).unwrap();
    assert_eq!(link, Path::new(".aws").join(published.unit.unwrap().to_string()), "it is relative");
    assert_eq!(mode(&directory.join(".aws")), 0o711);
    let real = fs::canonicalize(units.link()).unwrap();
    for (path, expected) in [("", 0o700), ("a", 0o600), ("conf", 0o700), ("conf/deep", 0o700), ("conf/deep/c", 0o600)] {
        assert_eq!(mode(&real.join(path)), expected, "{path}");
    }
}

#[test]
fn publish_keeps_the_previous_unit_until_the_next_switch() {
    let folder = tempfile::tempdir().unwrap();
    let mut units = units(folder.path());
    let hour = |number: u64| MonotonicTime::from_millis(number * 3_600_000);
    let first = units.publish(&alike(1), hour(1)).unwrap().unit.unwrap();
    let second = units.publish(&alike(2), hour(2)).unwrap().unit.unwrap();
    assert_eq!(there(folder.path()), [first.to_string(), second.to_string()]);
    let third = units.publish(&alike(3), hour(3)).unwrap().unit.unwrap();
    assert_eq!(there(folder.path()), [second.to_string(), third.to_string()]);
    let fourth = units.publish(&alike(4), hour(4)).unwrap().unit.unwrap();
    assert_eq!(there(folder.path()), [third.to_string(), fourth.to_string()]);
    // Also if another process goes on.
    drop(units);
    let fifth = self::units(folder.path()).publish(&alike(5), NOW).unwrap().unit.unwrap();
    assert_eq!(there(folder.path()), [third.to_string(), fourth.to_string(), fifth.to_string()]);
    assert_eq!(fifth.number(), 5);
}

#[test]
fn publish_in_quick_succession_keeps_a_bounded_number_of_units() {
    let folder = tempfile::tempdir().unwrap();
    let mut units = units(folder.path());
    for number in 1..=40_u64 {
        units.publish(&alike(number), MonotonicTime::from_millis(number)).unwrap();
        let kept = usize::try_from(number).unwrap().min(MAX_REPLACED + 1);
        assert_eq!(there(folder.path()).len(), kept);
    }
    units.publish(&alike(41), MonotonicTime::from_millis(10_030)).unwrap();
    assert_eq!(there(folder.path()).len(), 41 - 29, "those that were replaced less than ten seconds ago");
}

#[test]
fn publish_of_the_same_files_switches_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut units = units(folder.path());
    let first = units.publish(&alike(1), NOW).unwrap();
    let look = |path: &str| {
        let stat = fs::symlink_metadata(folder.path().join(path)).unwrap();
        (stat.ino(), stat.mtime_nsec(), stat.ctime_nsec())
    };
    let before = (look("aws"), look("aws/a"), look(".aws"));
    for _ in 0..2 {
        let again = units.publish(&alike(1), NOW).unwrap();
        assert_eq!((again.unit, again.switch), (first.unit, PublishOutcome::NotNeeded));
        // Also by a process that starts.
        units = {
            drop(units);
            self::units(folder.path())
        };
    }
    drop(units);
    assert_eq!((look("aws"), look("aws/a")), (before.0, before.1));
}

#[test]
fn publish_replaces_a_unit_that_was_changed() {
    let folder = tempfile::tempdir().unwrap();
    let mut units = units(folder.path());
    units.publish(&alike(1), NOW).unwrap();
    let real = || fs::canonicalize(folder.path().join("aws")).unwrap();
    let harms: [&dyn Fn(); 8] = [
        &|| put(real().join("a"), "other"),
        &|| put(real().join("new"), ""),
        &|| fs::remove_file(real().join("conf/deep/c")).unwrap(),
        &|| allow(&real().join("b"), 0o644),
        &|| allow(&real().join("conf"), 0o755),
        &|| fs::rename(real().join("a"), real().join("conf/a")).unwrap(),
        &|| {
            fs::copy(real().join("a"), folder.path().join("copy")).unwrap();
            fs::remove_file(real().join("a")).unwrap();
            symlink(folder.path().join("copy"), real().join("a")).unwrap();
        },
        &|| fs::remove_dir_all(real()).unwrap(),
    ];
    for harm in harms {
        harm();
        assert_eq!(units.publish(&alike(1), NOW).unwrap().switch, PublishOutcome::Done);
        assert_eq!(units.publish(&alike(1), NOW).unwrap().switch, PublishOutcome::NotNeeded);
    }
    assert_eq!(mode(&real().join("b")), 0o600);
}

#[test]
fn publish_sets_mode_and_owner_before_the_switch() {
    let folder = tempfile::tempdir().unwrap();
    units(folder.path()).publish(&alike(1), NOW).unwrap();
    let mut access = FileAccess { mode: "0640".parse().unwrap(), ..FileAccess::default() };
    if rustix::process::geteuid().is_root() {
        access = FileAccess { owner: Some(Uid::from_raw(4711)), group: Some(Gid::from_raw(4712)), ..access };
    }
    let mut units = units_for(folder.path(), access);
    // The same bytes for others are another unit.
    assert_eq!(units.publish(&alike(1), NOW).unwrap().switch, PublishOutcome::Done);
    assert_eq!(units.publish(&alike(1), NOW).unwrap().switch, PublishOutcome::NotNeeded);
    let real = fs::canonicalize(units.link()).unwrap();
    for (path, expected) in [("", 0o750), ("a", 0o640), ("conf", 0o750), ("conf/deep", 0o750), ("conf/deep/c", 0o640)] {
        let stat = fs::symlink_metadata(real.join(path)).unwrap();
        assert_eq!(stat.mode() & 0o7777, expected, "{path}");
        if let (Some(owner), Some(group)) = (access.owner, access.group) {
            assert_eq!((stat.uid(), stat.gid()), (owner.as_raw(), group.as_raw()), "{path}");
        }
    }
    assert_eq!(fs::symlink_metadata(folder.path().join(".aws")).unwrap().uid(), rustix::process::geteuid().as_raw());
}

#[test]
fn withdraw_removes_every_unit() {
    let folder = tempfile::tempdir().unwrap();
    let mut units = units(folder.path());
    units.publish(&alike(1), NOW).unwrap();
    units.publish(&alike(2), NOW).unwrap();
    let withdrawn = units.withdraw(NOW).unwrap();
    assert_eq!((withdrawn.unit, withdrawn.switch), (None, PublishOutcome::Done));
    assert_eq!((names(folder.path()), there(folder.path())), (vec![".aws".to_owned()], vec![]));
    assert_eq!(units.withdraw(NOW).unwrap().switch, PublishOutcome::NotNeeded);
    assert_eq!(units.publish(&alike(3), NOW).unwrap().switch, PublishOutcome::Done);
    // Where nothing was ever published, nothing is made.
    let empty = folder.path().join("empty");
    assert_eq!(self::units(&empty).withdraw(NOW).unwrap().switch, PublishOutcome::NotNeeded);
    assert!(!empty.exists());
}

#[test]
fn publish_follows_a_recreated_directory() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("run");
    let mut units = units(&directory);
    units.publish(&alike(1), NOW).unwrap();
    fs::remove_dir_all(&directory).unwrap();
    assert_eq!(units.publish(&alike(1), NOW).unwrap().switch, PublishOutcome::Done);
    fs::remove_dir_all(directory.join(".aws")).unwrap();
    assert_eq!(units.publish(&alike(1), NOW).unwrap().switch, PublishOutcome::Done);
    assert_eq!(read(&directory, "a"), "1".repeat(300));
}

#[test]
fn publish_remembers_the_unit_that_the_hook_reported() {
    let folder = tempfile::tempdir().unwrap();
    let mut units = units(folder.path());
    let notified = |units: &mut UnitPublisher, number| units.publish(&alike(number), NOW).unwrap().notified;
    assert_eq!(notified(&mut units, 1), HookNotified::NotYet);
    assert_eq!(notified(&mut units, 1), HookNotified::NotYet, "the hook did not run yet");
    let unit = units.publish(&alike(1), NOW).unwrap().unit.unwrap();
    units.record_notified(unit, NOW).unwrap();
    drop(units);
    let mut units = self::units(folder.path());
    assert_eq!(notified(&mut units, 1), HookNotified::Already);
    assert_eq!(notified(&mut units, 2), HookNotified::NotYet);
}

#[test]
fn publish_refuses_a_file_that_is_also_a_directory() {
    let folder = tempfile::tempdir().unwrap();
    let mut units = units(folder.path());
    let first = units.publish(&alike(1), NOW).unwrap().unit.unwrap();
    let error = units.publish(&outputs(&[("conf", "file"), ("conf-d", ""), ("conf/a", "")]), NOW).unwrap_err();
    assert!(matches!(&error, PublishError::Collision(path) if path.as_str() == "conf"), "{error}");
    assert_eq!(there(folder.path()), [first.to_string()]);
    assert_eq!(read(folder.path(), "a"), "1".repeat(300));
}

#[test]
fn publish_of_no_files_is_an_empty_unit() {
    let folder = tempfile::tempdir().unwrap();
    let mut units = units(folder.path());
    assert_eq!(units.publish(&outputs(&[]), NOW).unwrap().switch, PublishOutcome::Done);
    assert_eq!(units.publish(&outputs(&[]), NOW).unwrap().switch, PublishOutcome::NotNeeded);
    assert!(names(&folder.path().join("aws")).is_empty());
}

#[test]
fn publish_accepts_every_configured_mode_repeatedly() {
    let modes = (0..0o1000_u32).map(|bits| format!("{bits:04o}")).filter_map(|text| text.parse::<FileMode>().ok());
    let mut count = 0;
    for mode in modes {
        count += 1;
        let folder = tempfile::tempdir().unwrap();
        let mut units = units_for(folder.path(), FileAccess { mode, ..FileAccess::default() });
        for number in 1..3 {
            assert_eq!(units.publish(&alike(number), NOW).unwrap().switch, PublishOutcome::Done, "{mode}");
            assert_eq!(units.publish(&alike(number), NOW).unwrap().switch, PublishOutcome::NotNeeded, "{mode}");
        }
        let real = fs::canonicalize(units.link()).unwrap();
        assert_eq!(self::mode(&real.join("conf/deep/c")), mode.bits());
        assert_eq!(self::mode(&real.join("conf")) & 0o022, 0, "{mode}: only the owner may change the directory");
        units.withdraw(NOW).unwrap();
        assert!(there(folder.path()).is_empty(), "{mode}");
    }
    assert_eq!(count, 16);
}
