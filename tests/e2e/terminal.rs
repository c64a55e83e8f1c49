//! Questions on a real terminal.

use deputy_test_harness::exit;
use deputy_test_servers::{boto, guest};
use serde_json::{Value, json};

use crate::first_hour::{EmptyFolder, add_s3};

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
fn terminal_is_asked_for_what_add_lacks() {
    let folder = EmptyFolder::new();
    folder.run(&["init"], exit::OK);
    let before = folder.read("deputy.toml");
    let component = guest("s3-sts").unwrap();
    let add = ["add", component.to_str().unwrap(), "--name", "s3"];
    let region = "setting region [text]: the region, which is a part of the signature: ";
    // Answers that end the input, or that are none.
    for answer in ["\u{4}", "\n"] {
        let seen = typed(&folder, &add, &[(region, answer)], exit::MISCONFIGURED);
        assert!(seen.starts_with(&format!("{region}\r\n")), "{seen}");
        assert!(seen.contains("add --set NAME=VALUE"), "{seen}");
    }
    let write = "write this to deputy.toml? [y/N] ";
    let seen = typed(&folder, &add, &[(region, "eu-west-1\n"), (write, "\n")], exit::FAILED);
    assert!(seen.ends_with("\r\ndeputy: nothing was written\r\n"), "{seen}");
    assert_eq!(folder.read("deputy.toml"), before);
    let seen = typed(&folder, &add, &[(region, "eu-west-1\n"), (write, "y\n")], exit::OK);
    assert!(seen.contains("\r\ndeputy.toml is written. Next:\r\n"), "{seen}");
    assert!(folder.read("deputy.toml").contains("region = \"eu-west-1\""), "{}", folder.read("deputy.toml"));
}

#[test]
fn terminal_is_asked_before_grant_writes() {
    let folder = EmptyFolder::new();
    folder.run(&["init"], exit::OK);
    add_s3(&folder);
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
