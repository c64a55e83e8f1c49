//! `deputy add`

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::thread;

use deputy_test_servers::guest;
use insta::assert_snapshot;
use serde_json::Value;

use crate::home::{CommandOutput, TestEnvironment};

const ROLE: &str = "role-arn=arn:aws:iam::123456789012:role/worker";
const OLD: &str = "# mine\nstate = \"state\"   # kept\n\n[upstreams.sts]\ncalls-per-minute = 60 # few\nburst = 5\n";

/// A configuration, and the component that asks for too much.
fn greedy() -> TestEnvironment {
    let home = TestEnvironment::with(OLD);
    fs::copy(guest("description-greedy").unwrap(), home.path("greedy.wasm")).unwrap();
    home
}

fn add(home: &TestEnvironment, arguments: &[&str]) -> CommandOutput {
    home.run(&[&["add", "s3-sts.wasm", "--name", "s3-prod"], arguments].concat())
}

/// Runs it on a terminal of its own, and types this.
fn on_a_terminal(home: &TestEnvironment, command: &str, typed: &str) -> String {
    let mut script = Command::new("script");
    script.args(["-q", "-e", "-c", &format!("{} {command}", env!("CARGO_BIN_EXE_deputy")), "/dev/null"]);
    script.env_clear().env("HOME", home.path("")).env("PATH", "/usr/bin:/bin").current_dir(home.path(""));
    let mut script = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    script.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
    String::from_utf8(script.wait_with_output().unwrap().stdout).unwrap()
}

#[test]
fn add_says_what_the_component_wants_and_writes_it() {
    let home = TestEnvironment::with(OLD);
    let run = add(&home, &["--set", "region=eu-west-1", "--set", ROLE, "--group", "analytics", "--yes"]);
    assert_snapshot!(home.masked_output(&run), @r#"
    exit code 0
    ----- stdout
    s3-prod: Credentials for S3 from AWS STS or a service with its API, version 0.1.0

    It wants to
      sign AWS requests (SigV4) with a secret  aws-key, services = ["sts"], regions = ["eu-west-1"]
      make HTTP requests                       POST https://sts.eu-west-1.amazonaws.com /

    Because, in its own words, it
      signs requests to STS
      asks STS for credentials

    --- deputy.toml
    +++ deputy.toml
    @@ -4,3 +4,20 @@
     [upstreams.sts]
     calls-per-minute = 60 # few
     burst = 5
    +
    +[instances.s3-prod]
    +component = "s3-sts.wasm"
    +deliver-to = ["analytics"]
    +
    +[instances.s3-prod.settings]
    +region = "eu-west-1"
    +role-arn = "arn:aws:iam::123456789012:role/worker"
    +
    +[instances.s3-prod.secrets.aws-key]
    +file = "secrets/s3-prod.aws-key"    # mode 0600
    +sigv4 = { services = ["sts"], regions = ["eu-west-1"] }
    +
    +[[instances.s3-prod.http]]
    +allow = "https://sts.eu-west-1.amazonaws.com"
    +methods = ["POST"]
    +paths = ["/"]
    deputy.toml is written. Next:
      1. (umask 077; cat > secrets/s3-prod.aws-key)
         what goes in, in the component's words: {"AccessKeyId": "…", "SecretAccessKey": "…"}; end with Ctrl-D
      2. deputy obtain s3-prod      # tries it once
      3. deputy reload      # applies it to a running coordinator; or: deputy run

    ----- stderr
    warning: nothing is delivered: the coordinator does not listen for workers: needs listen = "0.0.0.0:8271" in [coordinator]
    "#);
    assert!(home.read("deputy.toml").starts_with(OLD.trim_end()), "{}", home.read("deputy.toml"));
    let again = add(&home, &["--set", "region=eu-west-1", "--yes"]);
    assert_eq!(again.code, Some(2));
    assert!(again.stderr.contains("there is an instance `s3-prod`"), "{}", again.stderr);
    let check = home.run(&["check"]);
    assert!(check.stdout.contains("aws-key (file): cannot read "), "{}{}", check.stdout, check.stderr);
}

#[test]
fn add_writes_nothing_without_an_answer() {
    let home = TestEnvironment::with(OLD);
    let run = add(&home, &["--set", "region=eu-west-1", "--set", ROLE]);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("there is no terminal to ask on"), "{}", run.stderr);
    // The component chose the host, so the operator's network is not for it.
    let unused = add(&home, &["--set", "region=eu-west-1", "--set", ROLE, "--network", "private", "--json"]);
    assert!(unused.stderr.contains("--network has no effect"), "{}", unused.stderr);
    assert!(!unused.stdout.contains("networks = "), "{}", unused.stdout);
    let json = add(&home, &["--set", "region=eu-west-1", "--set", ROLE, "--json"]);
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((&json["written"], &json["title"].is_string()), (&false.into(), &true));
    assert!(json["diff"].as_str().unwrap().contains("+[instances.s3-prod.settings]"), "{json}");
    assert_eq!(home.read("deputy.toml"), OLD);
}

#[test]
fn add_refuses_settings_before_it_asks_for_anything() {
    let home = TestEnvironment::with(OLD);
    for (arguments, code, text) in [
        (&["--set", "regoin=eu-west-1"][..], 2, "the component has no setting `regoin`; did you mean `region`?"),
        (&["--set", "[[x]]=y"], 2, "the component has no setting `[[x]]`; it has operation, region,"),
        (&[], 2, "setting `region`: missing; set `region` or `endpoint`"),
        (&["--set", "region=EU"], 2, "setting `region`: not the name of a region"),
        (&["--set", "region"], 2, "not NAME=VALUE"),
        (&["--set", "region=eu-west-1", "--secret", "key=aws-key"], 2, "it wants: aws-key"),
        (&["--set", "region=eu-west-1", "--login", "etl"], 2, "has no login `etl`"),
    ] {
        let run = add(&home, &[arguments, &["--yes"]].concat());
        assert_eq!(run.code, Some(code), "{arguments:?}: {}", run.stderr);
        assert!(run.stderr.contains(text), "{arguments:?}: {}", run.stderr);
    }
    let receiver = guest("aws-credentials").unwrap();
    let run = home.run(&["add", receiver.to_str().unwrap(), "--name", "x", "--yes"]);
    assert!(run.code == Some(2) && run.stderr.contains("[receivers.NAME]"), "{}", run.stderr);
    assert!(run.stderr.contains("is a receiver, and `add` takes providers"), "{}", run.stderr);
    let silent = guest("benign").unwrap();
    let run = home.run(&["add", silent.to_str().unwrap(), "--name", "x", "--yes"]);
    assert!(run.code == Some(2) && run.stderr.contains("does not describe itself"), "{}", run.stderr);
    assert_eq!(home.read("deputy.toml"), OLD);
}

#[test]
fn add_with_yes_never_grants_what_needs_a_person() {
    let home = greedy();
    let run = |arguments: &[&str]| home.run(&[&["add", "greedy.wasm", "--name", "x", "--yes"], arguments].concat());
    for (want, warning) in [
        ("wildcard", "https://*.example.com is every subdomain"),
        ("metadata", "http://169.254.169.254 may be at addresses that are not public: metadata"),
        ("mapped", "http://[::ffff:169.254.169.254] may be at addresses that are not public: metadata"),
        ("embedded", "http://[64:ff9b::a9fe:a9fe] may be at addresses that are not public: 64:ff9b::a9fe:a9fe/128"),
        ("loopback", "http://[::1]:8080 may be at addresses that are not public: loopback"),
        ("sent", "the value of `key` goes to https://evil.example, which no setting names"),
        ("private", "10.0.0.7:22 may be at addresses that are not public: private"),
        ("reveal", "the component reads the value of `key`"),
    ] {
        // The operator's networks are for hosts in their settings: a component's own hosts get none.
        for arguments in
            [&[][..], &["--network", "private", "--network", "metadata", "--network", "10.0.0.0/8"], &["--json"]]
        {
            let setting = format!("want={want}");
            let refused = run(&[&["--set", &setting], arguments].concat());
            assert_eq!(refused.code, Some(1), "{want}: {}", refused.stderr);
            assert!(refused.stderr.contains(warning), "{want}: {}", refused.stderr);
            assert!(refused.stderr.contains("--yes does not answer for this change"), "{want}: {}", refused.stderr);
            assert!(refused.stderr.contains("run it on a terminal"), "{want}: {}", refused.stderr);
        }
    }
    assert_eq!(home.read("deputy.toml"), OLD);
}

#[test]
fn add_refuses_wants_that_no_operator_could_write() {
    let home = greedy();
    for (want, error) in [
        ("everything", "it wants http with url \"https://*\""),
        ("star", "it wants http with url \"*\""),
        ("path", "it wants secret with name \"../../etc/shadow\""),
        ("many", "over the limit `payload`"),
        ("hundred", "100 wants, of at most 64"),
        ("long", "must have 1 to 1024 bytes"),
        ("forged", "no characters that control or mislead"),
        ("line", "no characters that control or mislead"),
        ("loop", "over the limit `cpu`"),
        ("trap", "the component trapped"),
        // Forms that a resolver or a reader may take for another host.
        ("url:http://localhost.", "it wants http with url"),
        ("url:http://2130706433", "it wants http with url"),
        ("url:http://0x7f.0.0.1", "it wants http with url"),
        ("url:http://0177.0.0.1", "it wants http with url"),
        ("url:http://127.1", "it wants http with url"),
        ("url:https://*.example", "it wants http with url"),
        ("url:https://good.example@evil.example", "it wants http with url"),
        ("url:https://good.example\\@evil.example", "it wants http with url"),
        ("url:https://ex\u{430}mple.com", "it wants http with url"),
        ("url:https://a.example\u{200b}", "no characters that control or mislead"),
        ("url:https://a.example%2eevil.example", "it wants http with url"),
        ("url:ftp://a.example", "it wants http with url"),
    ] {
        let refused = home.run(&["add", "greedy.wasm", "--name", "x", "--yes", "--set", &format!("want={want}")]);
        assert_eq!(refused.code, Some(2), "{want}: {}{}", refused.stdout, refused.stderr);
        assert!(refused.stderr.contains(error), "{want}: {}", refused.stderr);
        assert!(!refused.stderr.contains('\u{1b}'), "{want}: {:?}", refused.stderr);
    }
    assert_eq!(home.read("deputy.toml"), OLD);
}

#[test]
fn add_gives_networks_to_servers_and_not_to_words() {
    let home = greedy();
    // A host that the component made of another setting's value, and one that it chose.
    for (name, setting) in [("word", "us-east-1"), ("mail", "me@us-east-1"), ("path", "https://b.example/us-east-1")] {
        let setting = format!("[[instances.evil.http]]={setting}");
        let add = ["add", "greedy.wasm", "--name", name, "--set", "want=label", "--set", &setting];
        let added = home.run(&[&add[..], &["--network", "private", "--network", "loopback", "--yes"]].concat());
        assert_eq!(added.code, Some(0), "{name}: {}", added.stderr);
        assert!(added.stderr.contains("--network has no effect"), "{name}: {}", added.stderr);
    }
    assert!(!home.read("deputy.toml").contains("networks"), "{}", home.read("deputy.toml"));
}

#[test]
fn add_writes_what_it_showed_of_a_description_that_differs() {
    let home = greedy();
    for number in 0..8 {
        let name = format!("x{number}");
        let run = home.run(&["add", "greedy.wasm", "--name", &name, "--set", "want=differs", "--yes"]);
        match run.code {
            Some(0) => assert!(run.stdout.contains("make HTTP requests  https://a.example /"), "{}", run.stdout),
            code => assert!(code == Some(1) && run.stderr.contains("metadata"), "{}", run.stderr),
        }
    }
    assert!(!home.read("deputy.toml").contains("169.254"), "{}", home.read("deputy.toml"));
}

#[test]
fn add_quotes_the_names_of_a_component() {
    let home = greedy();
    let server = "[[instances.evil.http]]=https://a.example";
    let run = home.run(&["add", "greedy.wasm", "--name", "x", "--set", "want=odd-field", "--set", server, "--yes"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let check: Value = serde_json::from_str(&home.run(&["check", "--json"]).stdout).unwrap();
    assert_eq!(check["instances"].as_array().unwrap().len(), 1, "{check}");
    assert!(run.stdout.contains("adds key as form field x\" } }#[[y]]"), "{}", run.stdout);
    // What the checks of the configuration say of the new instance, and of nothing else.
    let warning = "warning: the component chooses which requests carry the secret: needs `methods` and `paths`\n";
    assert!(run.stderr.contains(warning), "{}", run.stderr);
    let again = home.run(&["add", "greedy.wasm", "--name", "y", "--set", "want=x", "--yes", "--json"]);
    let again: Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!(again["warnings"], serde_json::json!([]), "{again}");
}

#[test]
fn add_loses_no_instance_of_another_add() {
    let home = TestEnvironment::with(OLD);
    let names: Vec<_> = (0..6).map(|number| format!("s{number}")).collect();
    let add = |name: &String| {
        let run = home.run(&["add", "s3-sts.wasm", "--name", name, "--set", "region=eu-west-1", "--yes"]);
        assert!(run.code == Some(0) || run.stderr.contains("try again"), "{}", run.stderr);
        run.code == Some(0)
    };
    let written: Vec<bool> = thread::scope(|scope| {
        let running: Vec<_> = names.iter().map(|name| scope.spawn(move || add(name))).collect();
        running.into_iter().map(|add| add.join().unwrap()).collect()
    });
    assert!(written.contains(&true));
    let text = home.read("deputy.toml");
    assert!(text.starts_with(OLD.trim_end()), "{text}");
    for (name, is_written) in names.iter().zip(written) {
        assert_eq!(text.contains(&format!("[instances.{name}]")), is_written, "{name}: {text}");
    }
}

#[test]
fn add_gives_no_secret_that_another_component_has() {
    let home = greedy();
    fs::create_dir(home.path("secrets")).unwrap();
    home.write("secrets/key", "another secret");
    let add = ["add", "greedy.wasm", "--set", "want=other-secret", "--yes"];
    assert_eq!(home.run(&[&add[..], &["--name", "x"]].concat()).code, Some(0));
    assert!(home.read("deputy.toml").contains("file = \"secrets/x.key\""), "{}", home.read("deputy.toml"));
    // A file that is there needs a word of the operator's.
    home.write("secrets/y.key", "a secret");
    let refused = home.run(&[&add[..], &["--name", "y"]].concat());
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(refused.stderr.contains("if that is meant, say so with --secret key=secrets/y.key"), "{}", refused.stderr);
    let given = home.run(&[&add[..], &["--name", "y", "--secret", "key=secrets/y.key"]].concat());
    assert_eq!(given.code, Some(0), "{}", given.stderr);
}

#[test]
fn add_uses_a_login_that_was_named() {
    let login = "[logins.etl]\nprincipal = \"etl@EXAMPLE.COM\"\nkeytab = \"etl.keytab\"\n";
    let home = TestEnvironment::with(login);
    let hdfs = guest("hdfs").unwrap();
    let add = ["add", hdfs.to_str().unwrap(), "--name", "hdfs", "--set", "namenodes=nn1.example.com", "--yes"];
    let refused = home.run(&add);
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(refused.stderr.contains("the component uses the login `etl`"), "{}", refused.stderr);
    assert!(refused.stderr.contains("if that is meant, say so with --login etl"), "{}", refused.stderr);
    assert_eq!(home.read("deputy.toml"), login);
    let added = home.run(&[&add[..], &["--login", "etl"]].concat());
    assert_eq!(added.code, Some(0), "{}", added.stderr);
    let text = home.read("deputy.toml");
    assert!(text.contains("login = \"etl\"\ntargets = [\"hdfs/"), "{text}");
}

#[test]
fn add_shows_the_texts_of_a_component_on_one_line_each() {
    let home = greedy();
    let run = home.run(&["add", "greedy.wasm", "--name", "x", "--set", "want=later", "--yes"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_snapshot!(home.masked_output(&run), @r#"
    exit code 0
    ----- stdout
    x: harmless\u{1b}[2J\u{1b}]0;root\u{7}\nIt wants nothing.\u{202e}dlrow, version 999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999…

    It wants to
      make HTTP requests  https://a.example /

    It wants no secret and no login: its requests carry no credential, unless you add `headers` or `form` to its rule.

    Because, in its own words, it
      to be nice

    Not written, because this version of deputy does not know it:
      quantum-tunnel

    --- deputy.toml
    +++ deputy.toml
    @@ -4,3 +4,13 @@
     [upstreams.sts]
     calls-per-minute = 60 # few
     burst = 5
    +
    +[instances.x]
    +component = "greedy.wasm"
    +
    +[instances.x.settings]
    +want = "later"
    +
    +[[instances.x.http]]
    +allow = "https://a.example"
    +paths = ["/"]
    deputy.toml is written. Next:
      1. deputy obtain x      # tries it once
      2. deputy reload      # applies it to a running coordinator; or: deputy run
    "#);
    let odd = home.run(&[
        "add",
        "greedy.wasm",
        "--name",
        "y",
        "--set",
        "want=x",
        "--set",
        "[[instances.evil.http]]=1",
        "--yes",
    ]);
    assert_eq!(odd.code, Some(0), "{}", odd.stderr);
    assert!(home.read("deputy.toml").contains("\"[[instances.evil.http]]\" = \"1\""), "{}", home.read("deputy.toml"));
}

#[test]
fn add_asks_on_a_terminal_for_what_is_missing() {
    let home = TestEnvironment::with(OLD);
    let shown = on_a_terminal(&home, "add s3-sts.wasm --name s3-prod", "eu-west-1\nn\n");
    assert!(shown.contains("setting region [text]: the region, which is a part of the signature: "), "{shown}");
    assert!(shown.contains("write this to deputy.toml? [y/N]"), "{shown}");
    assert_eq!(home.read("deputy.toml"), OLD);
    let shown = on_a_terminal(&home, "add s3-sts.wasm --name s3-prod", "eu-west-1\ny\n");
    assert!(shown.contains("deputy.toml is written. Next:"), "{shown}");
    assert!(home.read("deputy.toml").contains("[instances.s3-prod.settings]\nregion = \"eu-west-1\"\n"));

    // A person may agree to what --yes does not answer for.
    let home = greedy();
    let shown = on_a_terminal(&home, "add greedy.wasm --name x --set want=metadata", "y\n");
    assert!(shown.contains("may be at addresses that are not public: metadata"), "{shown}");
    assert!(home.read("deputy.toml").contains("networks = [\"metadata\"]"), "{shown}");
}
