//! `deputy completions`

use std::fs;
use std::process::Command;

use crate::coordinator::{Coordinator, state};
use crate::home::TestEnvironment;
use crate::service::granting;

/// What a shell is offered for the last of these words.
fn offered(home: &TestEnvironment, shell: &str, words: &[&str]) -> Vec<String> {
    let state = state(home);
    let last = (words.len() - 1).to_string();
    let environment = [
        ("DEPUTY_COMPLETE", shell),
        ("_CLAP_COMPLETE_INDEX", last.as_str()),
        ("_CLAP_IFS", "\n"),
        ("DEPUTY_STATE", state.to_str().unwrap()),
    ];
    let run = home.run_with(&[&["--"], words].concat(), &environment);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{words:?}");
    // zsh and fish get a description behind the value.
    let value = |line: &str| line.split([':', '\t']).next().unwrap_or_default().to_owned();
    run.stdout.lines().map(value).collect()
}

#[test]
fn completions_of_every_shell_know_commands_and_names() {
    let text = crate::home::s3(&granting())
        + "[groups.etl]\n[logins.batch]\nprincipal = \"batch@EXAMPLE.COM\"\nkeytab = \"batch.keytab\"\n";
    let text = format!("[components]\nfolder = \"components\"\n{text}");
    let home = TestEnvironment::with(&text.replace("component =", "deliver-to = [\"web\"]\ncomponent ="));
    fs::create_dir(home.path("components")).unwrap();
    fs::write(home.path("components/installed.wasm"), "").unwrap();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let run = home.run(&["completions", shell]);
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{shell}");
        assert!(run.stdout.contains("DEPUTY_COMPLETE"), "{shell}: {}", run.stdout);
    }
    for shell in ["bash", "fish", "zsh"] {
        assert_eq!(offered(&home, shell, &["deputy", "exit"]), ["exit-codes"], "{shell}");
        // No coordinator runs: the names are those of the configuration.
        for command in ["get", "grant", "obtain", "renew", "revoke", "status", "exec"] {
            assert_eq!(offered(&home, shell, &["deputy", command, "s"]), ["s3"], "{shell}: {command}");
        }
        assert_eq!(offered(&home, shell, &["deputy", "token", "create", "--group", ""]), ["etl", "web"], "{shell}");
        assert_eq!(offered(&home, shell, &["deputy", "add", "x", "--group", ""]), ["etl", "web"], "{shell}");
        assert_eq!(offered(&home, shell, &["deputy", "add", "x", "--login", ""]), ["batch"], "{shell}");
        assert_eq!(offered(&home, shell, &["deputy", "add", "x", "--network", "l"]), ["link-local", "loopback"]);
        assert_eq!(offered(&home, shell, &["deputy", "add", "inst"]), ["installed"], "{shell}");
        assert_eq!(offered(&home, shell, &["deputy", "add", "./comp"]), ["./components/"], "{shell}");
        assert_eq!(offered(&home, shell, &["deputy", "status", "x"]), [""; 0], "{shell}");
        assert_eq!(offered(&home, shell, &["deputy", "workers", "ban", "9"]), [""; 0], "{shell}");
    }
    // A file with an error has names nevertheless, and one that is named is the one.
    fs::write(home.path("other.toml"), "nonsense = 1\n[instances.vault]\ncomponent = 7\n").unwrap();
    assert_eq!(offered(&home, "bash", &["deputy", "--config", "other.toml", "status", ""])[..1], ["vault"]);
    assert_eq!(offered(&home, "bash", &["deputy", "--config", "none.toml", "get", "s"]), [""; 0]);
}

#[test]
fn completions_in_bash_ask_the_running_coordinator() {
    let home = TestEnvironment::with(&crate::home::s3(&granting()).replace("instances.s3", "instances.s3-prod"));
    let coordinator = Coordinator::start(&home);
    // What runs, not what the file says by now.
    fs::write(home.path("deputy.toml"), "").unwrap();
    fs::write(home.path("completions"), home.run(&["completions", "bash"]).stdout).unwrap();
    let script = "source ./completions; COMP_WORDS=(deputy status s3); COMP_CWORD=2; COMP_TYPE=9
        _clap_complete_deputy deputy s3 status; printf '%s\\n' \"${COMPREPLY[@]}\"";
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_deputy")).parent().unwrap();
    let bash = Command::new("bash")
        .args(["-c", script])
        .current_dir(home.path(""))
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", program.display()))
        .env("DEPUTY_STATE", state(&home))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&bash.stderr).into_owned();
    assert_eq!(String::from_utf8(bash.stdout).unwrap(), "s3-prod\n", "{said}");
    drop(coordinator);
}
