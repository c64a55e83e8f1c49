//! Questions on a real terminal.

use deputy_test_harness::exit;
use deputy_test_servers::boto;
use serde_json::{Value, json};

use crate::first_hour::EmptyFolder;

/// Runs a program on a terminal of its own, and types each answer when its question is there.
const TYPE: &str = "
import json, os, pty, sys
case = json.loads(os.environ['CASE'])
child, terminal = pty.fork()
if child == 0:
    os.chdir(case['folder'])
    os.execve(case['program'][0], case['program'], {'TERM': 'xterm', 'COLUMNS': '120', 'HOME': case['folder']})
seen = b''
def more():
    global seen
    try:
        read = os.read(terminal, 4096)
    except OSError: # it has ended
        read = b''
    seen += read
    return read
answered = 0
for question, answer in case['answers']:
    while question.encode() not in seen[answered:]:
        if not more():
            sys.exit('not asked: ' + question + ' in ' + repr(seen))
    answered = len(seen)
    os.write(terminal, answer.encode())
while more():
    pass
status = os.waitpid(child, 0)[1]
print(json.dumps({'code': os.waitstatus_to_exitcode(status), 'seen': seen.decode()}))
";

/// What was to be seen.
#[track_caller]
fn typed(folder: &EmptyFolder, arguments: &[&str], answers: &[(&str, &str)], code: i32) -> String {
    let program: Vec<&str> = [&[env!("CARGO_BIN_EXE_deputy")], arguments].concat();
    let case = json!({"folder": folder.path(""), "program": program, "answers": answers}).to_string();
    let ran: Value = serde_json::from_str(&boto(TYPE, &[("CASE", &case)]).unwrap()).unwrap();
    let seen = ran["seen"].as_str().unwrap().to_owned();
    assert_eq!(ran["code"], code, "{seen}");
    seen
}

#[test]
fn terminal_is_asked_for_what_init_lacks() {
    let folder = EmptyFolder::new();
    let answers = [
        ("provider (s3-sts or oauth2): ", "s3-sts\n"),
        ("URL of the server (empty: AWS): ", "http://127.0.0.1:8333\n"),
        ("region [us-east-1]: ", "\n"),
        ("role to assume (empty: none): ", "arn:aws:iam::role/worker\n"),
    ];
    let seen = typed(&folder, &["init"], &answers, exit::OK);
    assert!(seen.contains("\r\ndeputy.toml is written. Next:\r\n"), "{seen}");
    let written = folder.read("deputy.toml");
    for line in
        ["region = \"us-east-1\"", "endpoint = \"http://127.0.0.1:8333\"", "role-arn = \"arn:aws:iam::role/worker\""]
    {
        assert!(written.contains(line), "{line} in {written}");
    }
    // Answers that end the input, or that are none.
    let arguments = ["init", "oauth2", "--config", "other.toml"];
    let seen = typed(&folder, &arguments, &[("token URL: ", "\u{4}")], exit::MISCONFIGURED);
    assert!(seen.starts_with("token URL: \r\n"), "{seen}");
    assert!(seen.contains("the token URL is missing: add --endpoint"), "{seen}");
    let arguments = ["init", "--config", "other.toml"];
    let seen = typed(&folder, &arguments, &[("provider", "hdfs\n")], exit::MISCONFIGURED);
    assert!(seen.contains("\"hdfs\" is not a provider: write s3-sts or oauth2"), "{seen}");
    assert!(!folder.path("other.toml").exists());
}

#[test]
fn terminal_is_asked_before_grant_writes() {
    let folder = EmptyFolder::new();
    folder.run(&["init", "s3-sts", "--region", "eu-west-1"], exit::OK);
    let before = folder.read("deputy.toml");
    // It names a private address, for which --yes would not do.
    let grant = ["grant", "s3", "--http", "http://10.0.0.7/", "--method", "POST"];
    for answer in ["n\n", "\n", "\u{4}"] {
        let seen = typed(&folder, &grant, &[("write this to deputy.toml? [y/N] ", answer)], exit::FAILED);
        assert!(seen.ends_with("\r\ndeputy: nothing was written\r\n"), "{seen}");
        assert_eq!(folder.read("deputy.toml"), before);
    }
    let seen = typed(&folder, &grant, &[("write this to deputy.toml? [y/N] ", "y\n")], exit::OK);
    // Colours as diffs have them, and a warning before the question.
    assert!(seen.contains("\u{1b}[32m+allow = \"http://10.0.0.7\"\u{1b}[0m\r\n"), "{seen:?}");
    let (warning, question) = (seen.find("may be at addresses that are not public"), seen.find("write this to"));
    assert!(warning.is_some() && warning < question, "{seen}");
    assert!(seen.contains("`deputy reload` applies it to a running coordinator"), "{seen}");
    assert!(folder.read("deputy.toml").contains("networks = [\"private\"]"));
}
