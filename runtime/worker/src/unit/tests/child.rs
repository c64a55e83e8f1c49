//! Processes that are killed or run out of room: this test program once more; a variable says what part it plays.

#![expect(clippy::disallowed_methods, reason = "a test arranges and inspects its own files")]

use super::*;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

const ROLE: &str = "DEPUTY_WORKER_TEST_PART";
const FOLDER: &str = "DEPUTY_WORKER_TEST_FOLDER";
const MARK: &str = "@ ";

fn start(part: &str, folder: &Path, by: &[&str]) -> (Child, BufReader<ChildStdout>) {
    let test = std::env::current_exe().unwrap();
    let mut words: Vec<_> = by.iter().map(Into::into).collect();
    words.push(test.into_os_string());
    let mut command = Command::new(words.remove(0));
    command.args(words).args(["--exact", "unit::tests::child::child_process_entry_point", "--nocapture"]);
    command.env(ROLE, part).env(FOLDER, folder).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut process = command.spawn().unwrap();
    let output = BufReader::new(process.stdout.take().unwrap());
    (process, output)
}

/// What it says next, if it doesn't end before.
fn says(output: &mut BufReader<ChildStdout>) -> Option<String> {
    let mut line = String::new();
    while output.read_line(&mut line).unwrap() > 0 {
        if let Some((_, said)) = line.split_once(MARK) {
            return Some(said.trim_end().to_owned());
        }
        line.clear();
    }
    None
}

#[expect(clippy::print_stdout, reason = "that is how the parent hears of it")]
fn say(text: impl std::fmt::Display) {
    println!("{MARK}{text}");
    io::stdout().flush().unwrap();
}

/// Of itself this is no test.
#[test]
fn child_process_entry_point() {
    let (Ok(part), Some(folder)) = (std::env::var(ROLE), std::env::var_os(FOLDER)) else { return };
    let folder = PathBuf::from(folder);
    match part.as_str() {
        "switch" => switch(&folder),
        "fill" => fill(&folder),
        "mask" => mask(&folder),
        "many" => many(&folder),
        "volume" => volume(&folder),
        other => panic!("{other}"),
    }
}

/// Switches until it is killed, and says what was promised.
fn switch(folder: &Path) {
    let mut units = units(folder);
    let begun: u64 = fs::read_to_string(folder.join("aws/a")).map_or(0, |text| text.len() as u64);
    for number in begun + 1.. {
        units.publish(&of_length(number), NOW).unwrap();
        say(number);
    }
}

/// As long as it says.
fn of_length(number: u64) -> Outputs {
    let text = "x".repeat(usize::try_from(number).unwrap());
    outputs(&[("a", &text), ("b", &text), ("conf/deep/c", &text)])
}

#[test]
fn publish_that_is_killed_leaves_one_whole_unit() {
    let folder = tempfile::tempdir().unwrap();
    let mut dice = fastrand::Rng::with_seed(7);
    let mut least = 0;
    for _ in 0..40 {
        let (mut process, mut output) = start("switch", folder.path(), &[]);
        let mut promised: u64 = says(&mut output).unwrap().parse().unwrap();
        assert!(promised > least, "{promised} after {least}");
        #[expect(clippy::disallowed_methods, reason = "at any moment of what it does")]
        std::thread::sleep(Duration::from_micros(dice.u64(..20_000)));
        process.kill().unwrap();
        process.wait().unwrap();
        while let Some(said) = says(&mut output) {
            promised = said.parse().unwrap();
        }
        let lengths = ["a", "b", "conf/deep/c"].map(|file| read(folder.path(), file).len() as u64);
        assert!(lengths.iter().all(|length| *length == lengths[0]), "{lengths:?}");
        assert!((promised..=promised + 1).contains(&lengths[0]), "{promised} was promised, {} is there", lengths[0]);
        least = lengths[0];
        // A start removes all units but the current and the previous one.
        let mut units = units(folder.path());
        assert_eq!(units.publish(&of_length(least), NOW).unwrap().switch, PublishOutcome::NotNeeded);
        let there = there(folder.path());
        assert!((1..=2).contains(&there.len()), "{there:?}");
        assert!(there.iter().all(|name| name.parse::<UnitName>().unwrap().number() <= least), "{there:?} at {least}");
    }
}

/// Publishes more directories than it may have files open.
fn many(folder: &Path) {
    let paths: Vec<String> = (0..500).map(|number| format!("d{number}/e/f{number}")).collect();
    let files: Vec<(&str, &str)> = paths.iter().map(|path| (path.as_str(), path.as_str())).collect();
    let mut units = units(folder);
    assert_eq!(units.publish(&outputs(&files), NOW).unwrap().switch, PublishOutcome::Done);
    assert_eq!(units.publish(&outputs(&files), NOW).unwrap().switch, PublishOutcome::NotNeeded);
    assert!(paths.iter().all(|path| read(folder, path) == *path));
    units.withdraw(NOW).unwrap();
    say("done");
}

#[test]
fn publish_opens_few_directories_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let by = ["sh", "-c", "ulimit -n 40 && exec \"$@\"", "sh"];
    let (mut process, mut output) = start("many", folder.path(), &by);
    assert_eq!(says(&mut output).as_deref(), Some("done"));
    assert!(process.wait().unwrap().success());
}

/// Fills what there is room for.
fn fill(folder: &Path) {
    let directory = folder.join("out");
    let mut units = units(&directory);
    let first = units.publish(&alike(1), NOW).unwrap().unit.unwrap();
    let large = "7".repeat(300 << 10);
    for _ in 0..3 {
        // The first file has room, the second has none.
        let error = units.publish(&outputs(&[("a", "2"), ("b", &large)]), NOW).unwrap_err();
        assert!(error.to_string().ends_with(": there is no room; free some space or raise the quota"), "{error}");
        assert!(!error.is_lasting());
        assert_eq!(read(&directory, "a"), "1".repeat(300));
        assert_eq!(there(&directory), [first.to_string()]);
    }
    // Not a single byte, nor a file.
    let mut filler = fs::OpenOptions::new().create(true).append(true).open(folder.join("filler")).unwrap();
    while filler.write_all(&[0; 512]).is_ok() {}
    assert!(units.publish(&alike(2), NOW).is_err());
    assert_eq!(read(&directory, "conf/deep/c"), "1".repeat(300));
    assert_eq!(there(&directory), [first.to_string()]);
    assert_eq!(units.publish(&alike(1), NOW).unwrap().switch, PublishOutcome::NotNeeded, "what is there needs no room");
    drop(filler);
    fs::remove_file(folder.join("filler")).unwrap();
    units.publish(&alike(3), NOW).unwrap();
    say("done");
}

#[test]
fn publish_on_a_full_disk_keeps_the_previous_unit_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (mut process, mut output) = start_mounted("fill", folder.path(), "size=64k,mode=700");
    assert_eq!(says(&mut output).as_deref(), Some("done"));
    assert!(process.wait().unwrap().success());
}

/// Publishes in a volume as Kubernetes mounts it, and in a directory of it.
fn volume(folder: &Path) {
    assert_eq!(mode(folder), 0o777);
    for directory in [folder.to_owned(), folder.join("made/out")] {
        check(&directory).unwrap();
        units(&directory).publish(&alike(1), NOW).unwrap();
        assert_eq!(read(&directory, "a"), "1".repeat(300));
    }
    // Anybody's directory in it is no volume.
    fs::create_dir(folder.join("open")).unwrap();
    allow(&folder.join("open"), 0o777);
    for directory in [folder.join("open"), folder.join("open/out")] {
        for error in [check(&directory).unwrap_err(), units(&directory).publish(&alike(1), NOW).err().unwrap()] {
            assert!(
                matches!(&error, PublishError::File(FileError::Exposed { path, .. }) if *path == folder.join("open")),
                "{error:?}"
            );
        }
    }
    say("done");
}

#[test]
fn publish_accepts_a_volume_that_all_can_write_to() {
    let folder = tempfile::tempdir().unwrap();
    let (mut process, mut output) = start_mounted("volume", folder.path(), "mode=777");
    assert_eq!(says(&mut output).as_deref(), Some("done"));
    assert!(process.wait().unwrap().success());
}

/// Starts a part with a file system of its own on the folder.
fn start_mounted(part: &str, folder: &Path, options: &str) -> (Child, BufReader<ChildStdout>) {
    let mount = format!("mount -t tmpfs -o {options} none \"$DEPUTY_WORKER_TEST_FOLDER\" && exec \"$@\"");
    let ways: [&[&str]; 2] = [&["unshare", "--mount"], &["unshare", "--mount", "--user", "--map-root-user"]];
    let may = |way: &&&[&str]| {
        let tried = Command::new(way[0]).args(&way[1..]).args(["mount", "-t", "tmpfs", "none", "/mnt"]).output();
        tried.is_ok_and(|tried| tried.status.success())
    };
    let way = ways.iter().find(may).expect(
        "this test mounts a small file system in a namespace of its own: run it as root, in a container with \
         `--cap-add SYS_ADMIN`, or allow users their own namespaces (`sysctl kernel.unprivileged_userns_clone=1`)",
    );
    start(part, folder, &[way, &["sh", "-c", &mount, "sh"][..]].concat())
}

/// Publishes with a umask that permits the owner only.
fn mask(folder: &Path) {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let shared = FileAccess { mode: "0640".parse().unwrap(), ..FileAccess::default() };
    for (directory, access) in [("shared/deep", shared), ("private/deep", FileAccess::default())] {
        units_for(&folder.join(directory), access).publish(&alike(1), NOW).unwrap();
    }
    let modes = ["shared", "shared/deep", "shared/deep/aws/", "private", "private/deep"];
    say(modes.map(|path| format!("{:o}", fs::metadata(folder.join(path)).unwrap().mode() & 0o7777)).join(" "));
}

#[test]
fn publish_for_others_is_reachable_under_any_umask() {
    let folder = tempfile::tempdir().unwrap();
    let (mut process, mut output) = start("mask", folder.path(), &[]);
    assert_eq!(says(&mut output).as_deref(), Some("755 755 750 700 700"));
    assert!(process.wait().unwrap().success());
}
