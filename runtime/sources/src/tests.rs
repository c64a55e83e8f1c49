#![expect(clippy::disallowed_methods, reason = "a test arranges and inspects its own files")]

use super::*;
use std::time::{Duration, Instant};

/// Bytes that a secret may have.
const KEY: usize = 64 << 10;

fn context() -> SourceContext {
    SourceContext {
        credentials: None,
        home: Some("/nonexistent".into()),
        path: Some("/usr/bin:/bin".into()),
        user: rustix::process::geteuid().as_raw(),
        variable: |name| (name == "KEY").then(|| "hunter2\n".into()),
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

async fn run(program: &[&str]) -> Result<Vec<u8>, SourceError> {
    let value = read(&SecretSource::Command(words(program)), ValueShape::SECRET, &context()).await?;
    Ok(value.expose().to_vec())
}

#[tokio::test]
async fn variable_is_read_and_a_missing_one_is_named() {
    let source = |name: &str| SecretSource::Environment(name.to_owned());
    assert_eq!(read(&source("KEY"), ValueShape::SECRET, &context()).await.unwrap().expose(), b"hunter2");
    let error = read(&source("KEX"), ValueShape::SECRET, &context()).await.unwrap_err().to_string();
    assert!(error.contains("KEX is not set"), "{error}");
}

#[tokio::test]
async fn context_of_the_process_has_its_variables() {
    let context = SourceContext::of_process();
    let source = SecretSource::Environment("PATH".to_owned());
    assert_eq!(
        read(&source, ValueShape::SECRET, &context).await.unwrap().expose(),
        std::env::var("PATH").unwrap().as_bytes()
    );
    assert_eq!(context.path, std::env::var_os("PATH"));
    assert_eq!(context.home, std::env::var_os("HOME"));
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a test's own file")]
async fn credential_is_a_file_in_the_directory_of_systemd() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    std::fs::write(&path, "hunter2").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).unwrap();
    let here = SourceContext { credentials: Some(folder.path().to_owned()), ..context() };
    let source = |name: &str| SecretSource::Credential(name.to_owned());
    assert_eq!(read(&source("key"), ValueShape::SECRET, &here).await.unwrap().expose(), b"hunter2");
    for name in ["", ".", "..", "../key", "a/key", "/etc/passwd", "key\0"] {
        assert!(
            matches!(read(&source(name), ValueShape::SECRET, &here).await, Err(SourceError::CredentialName(_))),
            "{name:?}"
        );
    }
    let error = read(&source("key"), ValueShape::SECRET, &context()).await.unwrap_err().to_string();
    assert!(error.contains("LoadCredential=key:"), "{error}");
}

#[tokio::test]
async fn command_value_is_its_output() {
    assert_eq!(run(&["printf", "hunter2\n"]).await.unwrap(), b"hunter2");
    assert_eq!(run(&["/bin/echo", "hunter2; id"]).await.unwrap(), b"hunter2; id");
}

#[tokio::test]
async fn command_sees_path_and_home_alone_and_no_input() {
    let seen = String::from_utf8(run(&["env"]).await.unwrap()).unwrap();
    assert_eq!(seen, "HOME=/nonexistent\nPATH=/usr/bin:/bin");
    assert_eq!(run(&["sh", "-c", "pwd; cat; echo end"]).await.unwrap(), b"/\nend");
}

#[tokio::test]
async fn command_failure_shows_its_status_and_no_output() {
    for (script, expected) in [("exit 3", "exit status: 3"), ("kill -9 $$", "signal: 9")] {
        let error = run(&["sh", "-c", &format!("echo hunter2; echo hunter2 >&2; {script}")]).await.unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(text.contains(expected) && text.contains("command sh"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[tokio::test]
async fn command_output_that_is_empty_or_too_long_is_refused() {
    assert!(matches!(run(&["true"]).await, Err(SourceError::Empty(_))));
    assert!(matches!(run(&["cat", "/dev/zero"]).await, Err(SourceError::Size { .. })));
    let most = format!("head -c {KEY} /dev/zero");
    assert_eq!(run(&["sh", "-c", &most]).await.unwrap().len(), KEY);
    let more = format!("head -c {} /dev/zero", KEY + 1);
    assert!(matches!(run(&["sh", "-c", &more]).await, Err(SourceError::Size { .. })));
}

#[tokio::test]
async fn command_program_is_an_absolute_path_or_a_bare_name() {
    for program in ["", "./printf", "bin/printf", "../bin/printf"] {
        assert!(matches!(run(&[program, "x"]).await, Err(SourceError::Program(_))), "{program:?}");
    }
    assert!(matches!(run(&[]).await, Err(SourceError::Program(_))));
    let error = run(&["/nowhere/printf"]).await.unwrap_err();
    assert!(matches!(error, SourceError::Start { .. }), "{error}");
    assert!(error.to_string().contains("/nowhere/printf"));
}

/// Whether a process is there and not only waiting to be buried.
fn alive(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// A script that writes the numbers of itself and of a child to a file, and then takes its time.
fn sleeper(file: &Path) -> Vec<String> {
    words(&["sh", "-c", &format!("sleep 60 & echo $$ $! > {}; wait", file.display())])
}

fn numbers(file: &Path) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(file).ok()?;
    let numbers: Vec<_> = text.split_whitespace().map(str::to_owned).collect();
    (numbers.len() == 2).then_some(numbers)
}

async fn gone(numbers: &[String]) {
    for _ in 0..500 {
        if !numbers.iter().any(|pid| alive(pid)) {
            return;
        }
        pause().await;
    }
    panic!("{numbers:?} are still there");
}

/// Lets time pass: a killed process is gone some time later.
async fn pause() {
    drop(tokio::time::timeout(Duration::from_millis(10), std::future::pending::<()>()).await);
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a test measures")]
async fn command_is_killed_with_its_children_after_the_time_limit() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pids");
    let start = Instant::now();
    let error = command::read_within(Duration::from_secs(2), &sleeper(&file), ValueShape::SECRET, &context())
        .await
        .unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(10));
    assert!(matches!(error, SourceError::Time(_)) && error.to_string().contains("was killed"), "{error}");
    gone(&numbers(&file).unwrap()).await;
}

#[tokio::test]
async fn command_leaves_no_children_whether_it_succeeds_or_fails() {
    let folder = tempfile::tempdir().unwrap();
    for (status, name) in [(0, "succeeds"), (1, "fails")] {
        let file = folder.path().join(name);
        let script = format!("sleep 60 > /dev/null & echo $$ $! > {}; echo value; exit {status}", file.display());
        let read = run(&["sh", "-c", &script]).await;
        assert_eq!(read.is_ok(), status == 0, "{name}");
        gone(&numbers(&file).unwrap()).await;
    }
}

#[tokio::test]
async fn command_is_killed_with_its_children_if_it_is_cancelled() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pids");
    let mut reading = Box::pin(run_sleeper(&file));
    let pids = loop {
        drop(tokio::time::timeout(Duration::from_millis(10), &mut reading).await);
        if let Some(pids) = numbers(&file) {
            break pids;
        }
    };
    assert!(pids.iter().all(|pid| alive(pid)));
    drop(reading);
    gone(&pids).await;
}

async fn run_sleeper(file: &Path) {
    drop(command::read_within(Duration::from_secs(60), &sleeper(file), ValueShape::SECRET, &context()).await);
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a test's own files")]
async fn source_error_that_lasts_is_one_that_an_operator_mends() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let (open, empty) = (folder.path().join("open"), folder.path().join("empty"));
    std::fs::write(&open, "hunter2").unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::write(&empty, "").unwrap();
    std::fs::set_permissions(&empty, std::fs::Permissions::from_mode(0o600)).unwrap();
    let command = |program: &[&str]| SecretSource::Command(words(program));
    for (source, is_lasting) in [
        (SecretSource::Environment("KEX".to_owned()), true),
        (SecretSource::Credential("key".to_owned()), true),
        (SecretSource::File(folder.path().join("none")), true),
        (SecretSource::File(open), true),
        (SecretSource::File(empty), true),
        (SecretSource::File(folder.path().to_owned()), true),
        (command(&["/nonexistent/program"]), true),
        // What a program asks may answer later.
        (command(&["false"]), false),
        (command(&["true"]), false),
    ] {
        let error = read(&source, ValueShape::SECRET, &context()).await.unwrap_err();
        assert_eq!(error.is_lasting(), is_lasting, "{error}");
    }
}
