//! What every other test relies on: a secret that got away is found, wherever it lies, also in the finest log.

use std::fs;

use deputy_test_harness::{TestEnvironment, base64, exit};

use crate::local::{Local, Refusing};

/// With letters that every form writes in another way.
const CANARY: &str = "canary/of+the operator?~\u{fc}";

fn home() -> TestEnvironment {
    TestEnvironment::new().secret("key", CANARY)
}

/// How a secret may look that a program printed, and how others print it.
fn planted() -> Vec<String> {
    let hex = |upper: bool| {
        CANARY.bytes().map(|byte| if upper { format!("{byte:02X}") } else { format!("{byte:02x}") }).collect()
    };
    let mut planted = vec![CANARY.to_owned(), hex(false), hex(true)];
    planted.push("canary%2Fof%2Bthe%20operator%3F%7E%C3%BC".to_owned());
    for user in ["", "a:", "ab:", "abc:"] {
        let basic = base64(format!("{user}{CANARY}\n").as_bytes());
        planted.push(basic.replace('+', "-").replace('/', "_"));
        planted.push(basic);
    }
    planted
}

#[test]
fn canary_search_finds_every_place_and_encoding() {
    let home = home();
    assert_eq!(home.leak(b"nothing", b"to see"), None);
    let planted = planted();
    assert_eq!(planted.len(), 12);
    for form in &planted {
        let text = format!("before it {form} and after");
        for (stdout, stderr, place) in [(text.as_str(), "", "stdout"), ("", text.as_str(), "stderr")] {
            let leak = home.leak(stdout.as_bytes(), stderr.as_bytes()).expect(form);
            assert!(leak.contains(place), "{leak}");
        }
        for file in ["audit.jsonl", "state/deep/below.cwasm"] {
            let file = home.path(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, [b"\xff\0", text.as_bytes(), b"\xff\0"].concat()).unwrap();
            assert!(home.leak(b"", b"").expect(form).contains(file.to_str().unwrap()), "{form}");
            fs::remove_file(&file).unwrap();
        }
    }
    assert_eq!(home.leak(b"", b""), None, "the secret's own file is where it belongs");
}

#[test]
#[should_panic(expected = "a secret is in")]
fn canary_in_the_output_fails_the_test() {
    let home = home();
    fs::write(home.path("notes.txt"), CANARY).unwrap();
    drop(home.deputy(&["exit-codes"]));
}

/// The secret is read by the component, which writes it to the log in several ways.
#[test]
fn trace_log_has_no_secret_that_a_component_logs() {
    let home = home().instance(
        "chatty",
        "log-secret-value",
        r#"
        settings = { secret = "key" }

        [instances.chatty.secrets.key]
        file = "secrets/key"
        reveal = true
        "#,
    );
    let run = home.deputy(&["--log", "trace", "obtain", "chatty", "--audit", "audit.jsonl"]).ends_with(exit::OK);
    assert_eq!(run.stderr.matches("here it is: ").count(), 2, "{}", run.stderr);
}

/// The secret goes out in a header and in a form, and what comes back holds another one.
#[test]
fn trace_log_has_no_secret_that_the_host_sends() {
    const TOKEN: &str = "canary-of-the-answer";
    let answer = format!(
        "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIAX\
         </AccessKeyId><SecretAccessKey>{TOKEN}</SecretAccessKey><SessionToken>{TOKEN}</SessionToken>\
         <Expiration>2100-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult>\
         </AssumeRoleWithWebIdentityResponse>"
    );
    let (server, refusing) = (Local::answering(200, "", &answer), Refusing::new());
    for (endpoint, code) in [(server.endpoint(), exit::OK), (refusing.endpoint(), exit::UNAVAILABLE)] {
        let home = home().instance(
            "pod",
            "s3-sts",
            &format!(
                r#"
                [instances.pod.settings]
                operation = "assume-role-with-web-identity"
                endpoint = "{endpoint}"
                role-arn = "arn:aws:iam::123456789012:role/worker"

                [instances.pod.secrets.key]
                file = "secrets/key"

                [[instances.pod.http]]
                allow = "{endpoint}"
                networks = ["loopback"]
                form = {{ WebIdentityToken = {{ secret = "key" }} }}
                headers = {{ authorization = {{ secret = "key", basic = "deputy" }} }}
                "#
            ),
        );
        let run = home.deputy(&["--log", "trace", "obtain", "pod", "--audit", "audit.jsonl"]).ends_with(code);
        assert!(!run.stdout.contains(TOKEN) && !run.stderr.contains(TOKEN), "{}{}", run.stdout, run.stderr);
        let logged = run.stderr.contains("HTTP request failed");
        assert_eq!(logged, code == exit::UNAVAILABLE, "{}", run.stderr);
    }
    let request = server.request();
    let basic = format!("Basic {}", base64(format!("deputy:{CANARY}").as_bytes()));
    assert_eq!(request.header("authorization").trim_end_matches('='), basic);
    assert!(request.body.contains("canary"), "{}", request.body);
}
