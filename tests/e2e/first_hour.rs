//! A user's first hour: from an empty folder to credentials that rotate, and what helps when something is denied or missing.

use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use deputy_test_harness::{PATIENCE, exit};
use deputy_test_servers::{Seaweed, guest};
use serde_json::Value;
use tempfile::TempDir;

use crate::s3::object_at;
use crate::servers;

/// A folder with nothing in it, and the program with nothing in its environment.
pub(crate) struct EmptyFolder(TempDir);

pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl EmptyFolder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_deputy"));
        command.args(arguments).env_clear().env("COLUMNS", "120").current_dir(self.0.path()).stdin(Stdio::null());
        command
    }

    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str], code: i32) -> Ran {
        let output = self.command(arguments).output().unwrap();
        let ran = Ran {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        };
        assert_eq!(ran.code, Some(code), "{arguments:?}\n{}{}", ran.stdout, ran.stderr);
        ran
    }

    /// `(umask 077; cat > NAME)`
    pub(crate) fn put_private(&self, name: &str, contents: &str) {
        let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(self.path(name));
        file.unwrap().write_all(contents.as_bytes()).unwrap();
    }

    pub(crate) fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.path(name)).unwrap().permissions().mode() & 0o7777
    }

    fn replace(&self, old: &str, new: &str) {
        let text = self.read("deputy.toml");
        assert_eq!(text.matches(old).count(), 1, "{old} in {text}");
        fs::write(self.path("deputy.toml"), text.replace(old, new)).unwrap();
    }
}

/// A process that ends with the test.
pub(crate) struct Daemon(pub(crate) Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn key() -> String {
    let (id, secret) = (Seaweed::ACCESS_KEY, Seaweed::SECRET_KEY);
    format!(r#"{{"AccessKeyId": "{id}", "SecretAccessKey": "{secret}"}}"#)
}

/// `deputy init`, and `deputy add` for the SeaweedFS that all tests share.
fn initialised(folder: &EmptyFolder) -> Ran {
    folder.run(&["init"], exit::OK);
    add_seaweed(folder, &["--network", "loopback"], exit::OK)
}

/// An instance for AWS, by the component that is built here.
pub(crate) fn add_s3(folder: &EmptyFolder) {
    let component = guest("s3-sts").unwrap();
    let add = ["add", component.to_str().unwrap(), "--name", "s3", "--set", "region=eu-west-1", "--yes"];
    folder.run(&add, exit::OK);
}

fn add_seaweed(folder: &EmptyFolder, arguments: &[&str], code: i32) -> Ran {
    let component = guest("s3-sts").unwrap();
    let endpoint = format!("endpoint={}", servers::seaweed().endpoint());
    let role = format!("role-arn={}", Seaweed::ROLE_ARN);
    let settings = ["--set", "region=us-east-1", "--set", &endpoint, "--set", &role, "--yes"];
    let add = ["add", component.to_str().unwrap(), "--name", "s3"];
    folder.run(&[&add[..], &settings, arguments].concat(), code)
}

#[test]
fn first_hour_leads_to_rotating_credentials_in_six_commands() {
    let folder = EmptyFolder::new();
    // 1 and 2 unpack the archive and put it on PATH. 3: without a deputy.toml it begins one.
    let told = add_seaweed(&folder, &["--network", "loopback"], exit::OK).stdout;
    assert!(told.contains("1. (umask 077; cat > secrets/s3.aws-key)") && !told.contains("  4. "), "{told}");
    assert!(told.contains("sign AWS requests (SigV4) with a secret  aws-key"), "{told}");
    for (name, mode) in [("deputy.toml", 0o600), ("state", 0o700), ("secrets", 0o700)] {
        assert_eq!(folder.mode(name), mode, "{name}");
    }
    // 4
    folder.put_private("secrets/s3.aws-key", &key());
    let check = folder.run(&["check"], exit::OK);
    assert!(check.stdout.contains("all ok") && check.stderr.is_empty(), "{}{}", check.stdout, check.stderr);
    // 5
    let log = fs::File::create(folder.path("run.log")).unwrap();
    let _running = Daemon(folder.command(&["run"]).stdout(Stdio::null()).stderr(log).spawn().unwrap());
    // 6: where S3 is as well
    let variables = "echo $AWS_ACCESS_KEY_ID $AWS_REGION $AWS_DEFAULT_REGION $AWS_ENDPOINT_URL";
    let shell = ["exec", "s3", "--wait", "60s", "--", "/bin/sh", "-c", variables];
    let shown = folder.run(&shell, exit::OK).stdout;
    let endpoint = servers::seaweed().endpoint();
    assert!(shown.trim_end().ends_with(&format!(" us-east-1 us-east-1 {endpoint}")), "{shown}");
    // Or 6
    let begun = Instant::now();
    while !folder.command(&["get", "s3", "--out", "one.json"]).output().unwrap().status.success() {
        assert!(begun.elapsed() < PATIENCE, "{}", folder.read("run.log"));
        thread::sleep(Duration::from_millis(100));
    }
    // A later revision, before its time
    let one = folder.read("one.json");
    folder.run(&["renew", "s3"], exit::OK);
    let renewed = Instant::now();
    let two = loop {
        folder.run(&["get", "s3", "--out", "two.json"], exit::OK);
        let two = folder.read("two.json");
        if two != one {
            break two;
        }
        assert!(renewed.elapsed() < PATIENCE, "{}", folder.read("run.log"));
        thread::sleep(Duration::from_millis(100));
    };
    for payload in [one, two] {
        assert_eq!(object_at(&endpoint, &payload, "first-hour").unwrap(), "written with obtained credentials\n");
    }

    let doctor = folder.run(&["doctor", "--json"], exit::OK);
    let found: Value = serde_json::from_str(&doctor.stdout).unwrap();
    let checks: Vec<_> = found["findings"].as_array().unwrap().iter().map(|it| it["check"].as_str().unwrap()).collect();
    for check in ["version", "limits", "modes", "space", "socket", "reach", "clock"] {
        assert!(checks.contains(&check), "{check} in {checks:?}");
    }
    assert!(doctor.stdout.contains("a coordinator answers: 1 instance, 0 failing"), "{}", doctor.stdout);
    folder.run(&["check", "--online"], exit::OK);
}

#[test]
fn init_replaces_nothing_and_needs_no_terminal() {
    let folder = EmptyFolder::new();
    initialised(&folder);
    let written = folder.read("deputy.toml");
    let again = folder.run(&["init"], exit::MISCONFIGURED);
    assert!(again.stderr.contains("deputy.toml exists: nothing was written"), "{}", again.stderr);
    assert_eq!(folder.read("deputy.toml"), written);
    folder.run(&["init", "--worker"], exit::OK);
    assert_eq!((folder.mode("worker.toml"), folder.mode("worker-state")), (0o600, 0o700));
    let check = folder.run(&["check", "--config", "worker.toml"], exit::OK);
    assert!(check.stderr.is_empty(), "{}", check.stderr);

    // For the units of the package: the folder is the package's, and the service reads by the folder's group.
    let told = folder.run(&["init", "--systemd", "--config", "etc/d.toml"], exit::FAILED);
    assert!(told.stderr.contains("the Debian package makes this folder"), "{}", told.stderr);
    fs::create_dir_all(folder.path("etc/workers")).unwrap();
    let told = folder.run(&["init", "--systemd", "--config", "etc/d.toml"], exit::OK).stdout;
    assert!(
        told.contains("2. sudo install -D -o deputy -g deputy -m 0600 /dev/stdin etc/secrets/s3.aws-key "),
        "{told}"
    );
    assert_eq!((folder.mode("etc/d.toml"), folder.path("etc/state").exists()), (0o640, false));
    assert!(folder.read("etc/d.toml").contains("\nstate = \"/var/lib/deputy\""));
    let worker = ["init", "--worker", "--systemd", "--config", "etc/workers/app.toml"];
    let told = folder.run(&worker, exit::OK).stdout;
    assert!(told.contains("3. sudo systemctl enable --now deputy-worker@app"), "{told}");
    assert!(folder.read("etc/workers/app.toml").contains("output = \"/run/deputy-worker/app\""));
    for schema in ["deputy.schema.json", "worker.schema.json"] {
        assert!(folder.read(schema).contains("\"$schema\""));
    }
}

#[test]
fn add_permits_an_address_of_this_machine_only_when_it_is_said() {
    let folder = EmptyFolder::new();
    folder.run(&["init"], exit::OK);
    let before = folder.read("deputy.toml");
    let refused = add_seaweed(&folder, &[], exit::FAILED);
    assert!(refused.stderr.contains("may be at addresses that are not public: loopback"), "{}", refused.stderr);
    assert!(refused.stderr.contains("permit the network with --network loopback"), "{}", refused.stderr);
    assert_eq!(folder.read("deputy.toml"), before);
    folder.put_private("key.json", &key());
    add_seaweed(&folder, &["--network", "loopback", "--secret", "aws-key=key.json"], exit::OK);
    assert!(folder.read("deputy.toml").starts_with(&before), "{}", folder.read("deputy.toml"));
    let obtained = folder.run(&["obtain", "s3", "--out", "credentials.json"], exit::OK);
    assert!(!obtained.stdout.contains(Seaweed::SECRET_KEY), "{}", obtained.stdout);
    let payload = folder.read("credentials.json");
    let endpoint = servers::seaweed().endpoint();
    assert_eq!(object_at(&endpoint, &payload, "added").unwrap(), "written with obtained credentials\n");
}

#[test]
fn folder_of_a_worker_alone_needs_no_option() {
    let folder = EmptyFolder::new();
    let missing = folder.run(&["doctor"], exit::MISCONFIGURED).stderr;
    assert!(missing.contains("`deputy init` writes a new one"), "{missing}");
    let missing = folder.run(&["check", "--config", "worker.toml"], exit::MISCONFIGURED).stderr;
    assert!(missing.contains("`deputy init --config worker.toml` writes a new one, with --worker"), "{missing}");
    folder.run(&["init", "--worker"], exit::OK);
    folder.put_private("join", "a-join");
    assert_eq!(folder.run(&["check"], exit::OK).stdout, "worker.toml: ok\n");
    let doctor = folder.run(&["doctor"], exit::OK).stdout;
    assert!(doctor.contains("no worker runs here: `deputy worker` starts it"), "{doctor}");
    assert!(doctor.contains("join: a secret, closed to other users"), "{doctor}");
    fs::remove_file(folder.path("join")).unwrap();
    let not_joined = folder.run(&["worker"], exit::FAILED).stderr;
    assert!(not_joined.contains("`deputy token create --group GROUP`"), "{not_joined}");
}

/// An operator is not the service's user, and must not be told to take its state away.
#[test]
fn command_of_another_user_leaves_the_state_of_a_service_alone() {
    let folder = EmptyFolder::new();
    initialised(&folder);
    folder.put_private("secrets/s3.aws-key", &key());
    let is_root = fs::metadata(folder.path("state")).unwrap().uid() == 0;
    let state = if is_root { folder.path("state") } else { PathBuf::from("/") };
    if is_root {
        chown(&state, Some(65_533), None).unwrap();
        let doctor = folder.run(&["doctor"], exit::OK).stdout;
        assert!(doctor.contains("mode 0700, of user 65533: Deputy has to run as that user"), "{doctor}");
    }
    let checked = folder.run(&["check", "--state", state.to_str().unwrap()], exit::OK);
    assert!(checked.stderr.contains("the state belongs to another user"), "{}", checked.stderr);
    assert!(!checked.stderr.contains("chown"), "{}", checked.stderr);
}

#[test]
fn grant_applies_what_was_denied_after_a_yes() {
    let folder = EmptyFolder::new();
    initialised(&folder);
    folder.put_private("secrets/s3.aws-key", &key());
    folder.replace("methods = [\"POST\"]\n", "methods = [\"GET\"] # too few\n");
    let denied = folder.run(&["obtain", "s3"], exit::REFUSED);
    assert!(denied.stderr.contains("`deputy grant s3 --http http"), "{}", denied.stderr);

    // From the audit log, without a terminal to ask on.
    let before = folder.read("deputy.toml");
    let unasked = folder.run(&["grant", "s3"], exit::FAILED);
    assert!(unasked.stdout.contains("+methods = [\"GET\", \"POST\"] # too few"), "{}", unasked.stdout);
    assert_eq!(folder.read("deputy.toml"), before);
    folder.run(&["grant", "s3", "--yes"], exit::OK);
    assert_eq!(folder.read("deputy.toml"), before.replace("[\"GET\"] # too few", "[\"GET\", \"POST\"] # too few"));
    assert_eq!(folder.mode("deputy.toml"), 0o600);
    folder.run(&["obtain", "s3"], exit::OK);
    assert!(folder.run(&["grant", "s3"], exit::OK).stdout.contains("permits it already"));

    // The lines of a hint, as they are printed.
    folder.replace("regions = [\"us-east-1\"]", "regions = [\"eu-west-1\"]");
    let denied = folder.run(&["obtain", "s3"], exit::REFUSED);
    let (_, hint) = denied.stderr.split_once("hint: to permit it, change deputy.toml:\n").unwrap();
    let (hint, _) = hint.split_once("hint: ").unwrap();
    fs::write(folder.path("hint"), hint).unwrap();
    folder.run(&["grant", "s3", "--hint", "hint", "--yes"], exit::OK);
    folder.run(&["obtain", "s3"], exit::OK);

    // What no script may answer for.
    let before = folder.read("deputy.toml");
    for arguments in [
        &["grant", "s3", "--http", "http://10.0.0.7/", "--yes"][..],
        &["grant", "s3", "--http", "https://b.example/", "--address", "169.254.169.254", "--yes"],
        &["grant", "s3", "--tcp", "b.example:1", "--address", "127.0.0.1", "--yes", "--json"],
    ] {
        let refused = folder.run(arguments, exit::FAILED);
        assert!(refused.stderr.contains("--yes does not answer for this change"), "{}", refused.stderr);
        assert!(refused.stderr.contains("addresses that are not public"), "{}", refused.stderr);
    }
    assert_eq!(folder.read("deputy.toml"), before);
    let json = folder.run(&["grant", "s3", "--http", "https://b.example/x", "--json"], exit::OK);
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    assert!(
        json["written"] == false && json["diff"].as_str().unwrap().contains("+allow = \"https://b.example\""),
        "{json}"
    );
}

/// Runs a command as the hint prints it.
fn printed(folder: &EmptyFolder, command: &str) -> Ran {
    let program = Path::new(env!("CARGO_BIN_EXE_deputy")).parent().unwrap();
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", command]).env_clear().env("PATH", program).current_dir(folder.path("")).stdin(Stdio::null());
    let output = shell.output().unwrap();
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn hint_names_the_configuration_that_it_is_about() {
    let folder = EmptyFolder::new();
    fs::create_dir(folder.path("my conf")).unwrap();
    let config = ["--config", "my conf/deputy.toml"];
    let missing = folder.run(&[&["check"][..], &config].concat(), exit::MISCONFIGURED).stderr;
    assert!(missing.contains("`deputy init --config 'my conf/deputy.toml'` writes a new one"), "{missing}");
    let begun = folder.run(&[&["init"][..], &config].concat(), exit::OK).stdout;
    let added = add_seaweed(&folder, &[&["--network", "loopback"][..], &config].concat(), exit::OK).stdout;
    for (told, line) in [
        (&begun, "deputy add s3-sts --name s3 --set region=… --config 'my conf/deputy.toml'"),
        (&begun, "deputy run --config 'my conf/deputy.toml'"),
        (&added, "(umask 077; cat > 'my conf/secrets/s3.aws-key')"),
        (&added, "deputy obtain s3 --config 'my conf/deputy.toml'"),
        (&added, "deputy reload --config 'my conf/deputy.toml'"),
    ] {
        assert!(told.contains(line), "{line} in {told}");
    }
    folder.put_private("my conf/secrets/s3.aws-key", &key());
    let text = folder.read("my conf/deputy.toml");
    fs::write(folder.path("my conf/deputy.toml"), text.replace("methods = [\"POST\"]", "methods = [\"GET\"]")).unwrap();
    let denied = folder.run(&[&["obtain", "s3"][..], &config].concat(), exit::REFUSED).stderr;
    let hint = denied.split('`').find(|part| part.starts_with("deputy grant")).unwrap();
    assert!(hint.ends_with(" --method POST --config 'my conf/deputy.toml'"), "{hint}");
    let granted = printed(&folder, &format!("{hint} --yes"));
    assert_eq!(granted.code, Some(exit::OK), "{}", granted.stderr);
    assert!(granted.stderr.contains("`deputy reload --config 'my conf/deputy.toml'`"), "{}", granted.stderr);
    folder.run(&[&["obtain", "s3"][..], &config].concat(), exit::OK);
}

/// A server that accepts connections and says nothing, until it is dropped.
fn silent() -> (TcpListener, u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

#[test]
fn doctor_tries_silent_hosts_once_and_at_once() {
    let folder = EmptyFolder::new();
    folder.run(&["init"], exit::OK);
    add_s3(&folder);
    let servers: Vec<_> = (0..4).map(|_| silent()).collect();
    let rules = |instance: &str, networks: &str| -> String {
        let rule =
            |port: &u16| format!("[[instances.{instance}.http]]\nallow = \"http://127.0.0.1:{port}\"\n{networks}\n");
        servers.iter().map(|(_, port)| rule(port)).collect()
    };
    folder.replace("allow = \"https://sts.eu-west-1.amazonaws.com\"", "allow = \"http://name.invalid\"");
    let others = "[instances.other]\ncomponent = \"s3-sts\"\n[instances.closed]\ncomponent = \"s3-sts\"\n";
    let loopback = "networks = [\"loopback\"]";
    let rules = rules("s3", loopback) + others + &rules("other", loopback) + &rules("closed", "");
    let text = folder.read("deputy.toml") + &rules;
    fs::write(folder.path("deputy.toml"), text).unwrap();
    let begun = Instant::now();
    let doctor = folder.run(&["doctor"], exit::FAILED).stdout;
    assert!(begun.elapsed() < Duration::from_secs(35), "each may take 10 s: {:?}", begun.elapsed());
    let places =
        servers.iter().map(|(_, port)| doctor.find(&format!("127.0.0.1:{port}: it did not answer within 10s")));
    let places: Vec<_> = places.map(Option::unwrap).collect();
    assert!(places.is_sorted(), "in the order of the file: {doctor}");
    assert!(doctor.contains("(for closed)"), "{doctor}");
    for (listener, port) in &servers {
        // Both are granted the same way to it; the third may not connect to its address.
        assert!(
            doctor.contains(&format!("127.0.0.1:{port}: it did not answer within 10s (for other, s3)")),
            "{doctor}"
        );
        listener.set_nonblocking(true).unwrap();
        assert_eq!(listener.incoming().take_while(Result::is_ok).count(), 1, "connections to {port}");
    }
}

#[test]
fn doctor_says_what_fixes_each_fault() {
    let folder = EmptyFolder::new();
    initialised(&folder);
    let [closed] = deputy_test_servers::free_ports::<1>().unwrap();
    let rules = format!(
        "[[instances.s3.http]]\nallow = \"http://name.invalid\"\n[[instances.s3.http]]\nallow = \"http://127.0.0.2:{closed}\"\n\
         networks = [\"loopback\"]\n[[instances.s3.tcp]]\nallow = \"localhost:{closed}\"\n"
    );
    let text = folder.read("deputy.toml") + &rules;
    fs::write(folder.path("deputy.toml"), text).unwrap();
    open_to_all(&folder.path("deputy.toml"));
    open_to_all(&folder.path("state"));
    let doctor = folder.run(&["doctor", "--json"], exit::FAILED);
    let found: Value = serde_json::from_str(&doctor.stdout).unwrap();
    let failed = found["findings"].as_array().unwrap().iter().filter(|finding| finding["health"] == "failed");
    let failed: Vec<_> = failed.map(|it| (it["check"].as_str().unwrap(), it["fix"].as_str().unwrap())).collect();
    for (check, fix) in [
        ("modes", "chmod go-w deputy.toml"),
        ("modes", "chmod 0700 /"),
        ("dns", "getent hosts name.invalid"),
        ("reach", "start the server, or correct its address or port"),
        ("grant", "networks = [\"loopback\"]"),
    ] {
        assert!(failed.iter().any(|(of, with)| *of == check && with.contains(fix)), "{check} {fix} in {failed:#?}");
    }
    let text = folder.run(&["doctor"], exit::FAILED).stdout;
    assert!(text.contains("fix: chmod go-w deputy.toml"), "{text}");
}

fn open_to_all(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
}
