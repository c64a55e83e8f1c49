//! A folder to run the program in, and what it did there.

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use deputy_test_servers::guest;
use tempfile::TempDir;

use crate::service::SESSION;

/// What the operator's key is recognised by.
const KEY: &str = "canary-of-the-operators-key";

/// A folder with a configuration, a key and the S3 provider.
pub(crate) struct TestEnvironment {
    folder: TempDir,
}

/// What the program did.
#[must_use]
pub(crate) struct CommandOutput {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl TestEnvironment {
    /// Without a configuration.
    pub(crate) fn empty() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// With a configuration.
    pub(crate) fn with(config: &str) -> Self {
        let home = Self::empty();
        home.write("deputy.toml", config);
        home.write("aws-key", &format!(r#"{{"AccessKeyId": "AKIAEXAMPLE", "SecretAccessKey": "{KEY}"}}"#));
        home.restrict_mode("aws-key");
        fs::copy(guest("s3-sts").unwrap(), home.path("s3-sts.wasm")).unwrap();
        home
    }

    /// With an instance `s3` that may do what it needs to, and these lines after it.
    pub(crate) fn with_s3(endpoint: &str, more: &str) -> Self {
        Self::with(&format!("{}\n{more}", s3(endpoint)))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Makes a file one of its owner alone.
    pub(crate) fn restrict_mode(&self, name: &str) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    pub(crate) fn mode(&self, name: &str) -> u32 {
        self.path(name).symlink_metadata().unwrap().permissions().mode() & 0o7777
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> CommandOutput {
        self.run_with(arguments, &[])
    }

    /// Runs the program with environment variables.
    pub(crate) fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> CommandOutput {
        let output = self.command(variables).args(arguments).output().unwrap();
        self.search(&output, arguments);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        CommandOutput { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// The program in this folder, with environment variables, ready for its arguments.
    pub(crate) fn command(&self, variables: &[(&str, &str)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_deputy"));
        command.env_clear().env("HOME", self.folder.path()).env("DEPUTY_STATE", Self::shared_state());
        command.envs(variables.iter().copied()).current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    /// What is compiled is the same in every test.
    pub(crate) fn shared_state() -> PathBuf {
        Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli-state")
    }

    /// Looks for the key in all that was said and written, and for the payload wherever it was not asked for.
    fn search(&self, output: &Output, arguments: &[&str]) {
        let asked = |option: &str| arguments.contains(&option);
        let mut places = vec![("stderr".to_owned(), output.stderr.clone(), false)];
        places.push(("stdout".to_owned(), output.stdout.clone(), asked("--reveal") || asked("--format")));
        for entry in fs::read_dir(self.folder.path()).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if path.is_file() && name != "aws-key" {
                let is_output = asked("--out") && asked(&name);
                places.push((name, fs::read(path).unwrap(), is_output));
            }
        }
        for (place, bytes, may_have_payload) in places {
            let has = |canary: &str| bytes.windows(canary.len()).any(|window| window == canary.as_bytes());
            assert!(!has(KEY), "the operator's key is in {place}");
            assert!(may_have_payload || !has(SESSION), "the payload is in {place}");
        }
    }

    /// The run as one text, without what differs from run to run.
    pub(crate) fn snapshot(&self, arguments: &[&str]) -> String {
        self.masked_output(&self.run(arguments))
    }

    pub(crate) fn masked_output(&self, run: &CommandOutput) -> String {
        let mut text = format!("exit code {}", run.code.unwrap());
        for (name, stream) in [("stdout", &run.stdout), ("stderr", &run.stderr)] {
            if !stream.is_empty() {
                write!(text, "\n----- {name}\n{}", self.masked(stream)).unwrap();
            }
        }
        text
    }

    fn masked(&self, text: &str) -> String {
        let text = text.replace(self.folder.path().to_str().unwrap(), "[HOME]");
        text.lines().map(|line| mask(line) + "\n").collect()
    }
}

/// An instance that may do what it needs to.
pub(crate) fn s3(endpoint: &str) -> String {
    format!(
        r#"[instances.s3]
component = "s3-sts.wasm"
settings = {{ region = "eu-west-1", endpoint = "{endpoint}" }}

[instances.s3.secrets.aws-key]
file = "aws-key"
sigv4 = {{ services = ["sts"], regions = ["eu-west-1"] }}

[[instances.s3.http]]
allow = "{endpoint}"
networks = ["loopback"]
"#
    )
}

/// A line without times, ports, digests and the provider's size.
fn mask(line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let mut masked: Vec<String> = Vec::new();
    for (index, own) in words.iter().enumerate() {
        let unit = words.get(index + 1).map(|next| next.trim_end_matches([',', ';'])).unwrap_or_default();
        let number = own.starts_with(|c: char| c.is_ascii_digit());
        masked.push(match unit {
            "ms" | "KiB" if number => "[N]".to_owned(),
            _ if number && index > 1 && words[index - 1] == "in" && words[index - 2].ends_with("Z,") => {
                "[SPAN]".to_owned()
            }
            _ if number && index > 0 && words[index - 1] == "at" && own.ends_with('Z') => "[TIME]".to_owned(),
            _ => word(own),
        });
    }
    masked.join(" ")
}

fn word(word: &str) -> String {
    let bare = word.trim_end_matches([',', ':', ';']);
    let rest = &word[bare.len()..];
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let clock = bare.len() == 12 && bare.split(['.', ':']).all(digits);
    let stamp = bare.len() == 27 && bare.ends_with('Z') && bare.starts_with("20");
    if clock || stamp {
        return format!("[TIME]{rest}");
    }
    if bare.len() == 64 && bare.bytes().all(|b| b.is_ascii_hexdigit()) {
        return format!("[SHA256]{rest}");
    }
    match word.split_once("127.0.0.1:") {
        Some((before, after)) => {
            format!("{before}127.0.0.1:[PORT]{}", after.trim_start_matches(|c: char| c.is_ascii_digit()))
        }
        None => word.to_owned(),
    }
}
