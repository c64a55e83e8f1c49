#![expect(clippy::disallowed_methods, reason = "a test arranges and inspects its own files")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use super::*;
use crate::testing::put;

fn command(arguments: &[&str], limit: Span) -> Hook {
    let arguments = arguments.iter().map(|word| (*word).to_owned()).collect();
    Hook::Command(HookCommand::new(arguments).unwrap(), limit)
}

async fn run(hook: &Hook) -> Result<(), HookError> {
    let (receiver, link) = ("aws".parse().unwrap(), Path::new("/run/out/aws"));
    let instances = ["s3-lab", "s3-prod"].map(|name| name.parse().unwrap()).into();
    hook.run(HookContext { receiver: &receiver, link, instances: &instances }).await
}

async fn shell(script: &str) -> Result<(), HookError> {
    run(&command(&["/bin/sh", "-c", script], Span::secs(20))).await
}

#[tokio::test]
async fn hook_command_gets_its_arguments_and_three_variables() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("said");
    let said = file.to_str().unwrap();
    run(&command(
        &[
            "/usr/bin/env",
            "-u",
            "x",
            "/bin/sh",
            "-c",
            "/usr/bin/env > \"$0\"; echo \"$1\" >> \"$0\"",
            said,
            "$(id) 'a'; b",
        ],
        Span::secs(20),
    ))
    .await
    .unwrap();
    let text = fs::read_to_string(file).unwrap();
    let mut lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with("PWD=") && !line.starts_with("_=") && !line.starts_with("SHLVL="))
        .collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        ["$(id) 'a'; b", "DEPUTY_INSTANCES=s3-lab,s3-prod", "DEPUTY_RECEIVER=aws", "DEPUTY_UNIT=/run/out/aws"]
    );
}

#[tokio::test]
async fn hook_command_failure_shows_its_last_lines() {
    let error = shell(
        "i=0; while [ $i -lt 5000 ]; do echo line $i; i=$((i+1)); done; printf 'the \\033[31mend\\007' >&2; exit 7",
    )
    .await
    .unwrap_err()
    .to_string();
    assert!(error.starts_with("/bin/sh ended with exit status: 7: line 4991 / "), "{error}");
    assert!(error.ends_with("line 4999 / the \\u{1b}[31mend\\u{7}"), "{error}");
    let error = shell("exec head -c 100000000 /dev/zero; exit 1").await;
    assert!(error.is_ok(), "it may print as much as it likes");
    let silent = shell("exit 1").await.unwrap_err().to_string();
    assert!(silent.ends_with("it printed nothing"), "{silent}");
    let missing = run(&command(&["/nowhere/program"], Span::secs(1))).await.unwrap_err();
    assert_eq!(
        deputy_core::in_one_line(&missing),
        "cannot start /nowhere/program: No such file or directory (os error 2)"
    );
}

#[tokio::test]
async fn hook_command_that_hangs_is_killed_with_its_children() {
    let folder = tempfile::tempdir().unwrap();
    let pids = folder.path().join("pids");
    let script =
        "trap '' TERM HUP INT; sleep 1000 & echo $! > \"$0\"; echo $$ >> \"$0\"; echo waiting; wait; sleep 1000";
    let hook = command(&["/bin/sh", "-c", script, pids.to_str().unwrap()], Span::millis(700));
    let error = run(&hook).await.unwrap_err();
    assert_eq!(error.to_string(), "/bin/sh was killed after 700ms: waiting");
    let text = fs::read_to_string(pids).unwrap();
    assert_eq!(text.lines().count(), 2);
    for pid in text.lines() {
        let mut tries = 0;
        while is_running(pid) {
            tries += 1;
            assert!(tries < 400, "{pid} still runs");
            pause().await;
        }
    }
}

#[tokio::test]
async fn hook_command_children_neither_delay_nor_outlive_it() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    for (end, is_good) in [("", true), ("; exit 3", false)] {
        let script = format!("trap '' TERM HUP; sleep 1000 & echo $! > \"$0\"{end}");
        let hook = command(&["/bin/sh", "-c", &script, pid.to_str().unwrap()], Span::secs(600));
        assert_eq!(run(&hook).await.is_ok(), is_good);
        let pid = fs::read_to_string(&pid).unwrap();
        let mut tries = 0;
        while is_running(pid.trim()) {
            tries += 1;
            assert!(tries < 400, "{pid} still runs");
            pause().await;
        }
    }
}

/// Zombies do not count.
fn is_running(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

#[expect(clippy::disallowed_methods, reason = "nothing notifies a test when a process ends")]
async fn pause() {
    tokio::time::sleep(Duration::from_millis(25)).await;
}

/// A process that exits with 9 on SIGUSR1.
async fn workload(ready: &Path) -> tokio::process::Child {
    let script = "trap 'exit 9' USR1; echo > \"$0\"; while :; do sleep 0.05; done";
    let mut starting = tokio::process::Command::new("/bin/sh");
    let child = starting.args(["-c", script]).arg(ready).kill_on_drop(true).spawn().unwrap();
    while !ready.exists() {
        pause().await;
    }
    child
}

#[tokio::test]
async fn hook_signals_the_process_of_a_pid_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let hook = Hook::Signal(file.clone(), HookSignal::Usr1);
    for end in ["", "\n"] {
        let mut child = workload(&folder.path().join(format!("ready{}", end.len()))).await;
        put(&file, format!("{}{end}", child.id().unwrap()));
        run(&hook).await.unwrap();
        assert_eq!(child.wait().await.unwrap().code(), Some(9));
        // Its number is free now.
        assert!(matches!(run(&hook).await, Err(HookError::Gone { .. })));
    }
}

#[tokio::test]
async fn hook_pid_file_with_other_contents_signals_no_process() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let hook = Hook::Signal(file.clone(), HookSignal::Term);
    assert!(matches!(run(&hook).await, Err(HookError::File(FileError::Io { .. }))));
    for text in ["", "\n", "0", "1", "-1", "+5", "-4711", " 5", "5 ", "5\n\n", "05", "0x10", "5\n6", "99999999999", "a"]
    {
        put(&file, text);
        assert!(matches!(run(&hook).await, Err(HookError::Form(_))), "{text:?}");
    }
    put(&file, [b'5', 0xff]);
    assert!(matches!(run(&hook).await, Err(HookError::Form(_))));
    // There is no such process.
    put(&file, "2147483646");
    assert!(matches!(run(&hook).await, Err(HookError::Gone { pid: 2_147_483_646, .. })));
}

#[tokio::test]
async fn hook_pid_file_that_others_can_write_to_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let hook = Hook::Signal(file.clone(), HookSignal::Usr1);
    let mut child = workload(&folder.path().join("ready")).await;
    put(&file, child.id().unwrap().to_string());
    for mode in [0o666, 0o664, 0o646] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        assert!(matches!(run(&hook).await, Err(HookError::File(FileError::Exposed { .. }))), "{mode:o}");
    }
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    fs::rename(&file, folder.path().join("real")).unwrap();
    std::os::unix::fs::symlink("real", &file).unwrap();
    assert!(matches!(run(&hook).await, Err(HookError::File(FileError::Irregular { .. }))));
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    assert!(matches!(run(&hook).await, Err(HookError::File(FileError::Irregular { .. }))));
    fs::remove_dir(&file).unwrap();
    fs::rename(folder.path().join("real"), &file).unwrap();
    if rustix::process::geteuid().is_root() {
        // Its owner may choose among its own processes, not ours.
        std::os::unix::fs::chown(&file, Some(4711), None).unwrap();
        assert!(matches!(run(&hook).await, Err(HookError::Foreign { .. })));
    }
    assert!(child.try_wait().unwrap().is_none(), "no signal was sent");
}
