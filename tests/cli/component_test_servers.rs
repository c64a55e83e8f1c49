//! `deputy test`: what the servers of a script do to a component.

use crate::component_tests::{KEEPER, assert_passes, test};

#[test]
fn component_test_judges_the_addresses_of_the_script() {
    let script = format!(
        "{KEEPER}\n[hosts.\"ask.example\"]\naddresses = [\"10.0.0.1\"]\n[[call]]\nhttp = [{{ request = {{ method = \"POST\", \
         url = \"https://ask.example/obtain\" }} }}]\n[call.expect]\nfailure = \"refused\"\nrefused = [\"address-not-granted\"]\n"
    );
    let (_, run) = test("benign-lifecycle", &script);
    assert!(
        run.stdout.contains("request 1\n    - POST https://ask.example/obtain\n    + no request"),
        "{}",
        run.stdout
    );
    let granted = script.replace("methods = [\"POST\"]", "methods = [\"POST\"]\nnetworks = [\"private\"]");
    let reply = granted.replace("/obtain\" }", "/obtain\" }, reply = { body = \"payload p\" }");
    let (expected, _) = reply.split_once("[call.expect]").unwrap();
    assert_passes("benign-lifecycle", expected);
}

/// Whatever goes wrong on the way is unavailable, for the component that is asked.
#[test]
fn component_test_breaks_connections_as_the_script_says() {
    for (host, reply) in [
        ("resolve = \"fails\"", ""),
        ("connect = \"refused\"", ""),
        ("tls = \"untrusted\"", ""),
        ("tls = \"expired\"", ""),
        ("tls = \"wrong-name\"", ""),
        ("", "drop = \"before-head\""),
        ("", "drop = \"in-head\""),
        ("", "drop = \"in-body\", body = \"payload first\""),
        ("", "raw = \"not HTTP\""),
        ("", "hang = true"),
        ("", "delay = \"3s\""),
        ("", "drip = \"1s\", body = \"payload first\""),
    ] {
        let is_down = !host.is_empty();
        let mut script = format!(
            "{KEEPER}\n[instance.limits]\nfirst-byte = \"500ms\"\nbetween-bytes = \"500ms\"\n[hosts.\"ask.example\"]\n{host}\n\
             [[call]]\nhttp = [{{ request = {{ method = \"POST\", url = \"https://ask.example/obtain\" }}, reply = {{ {reply} }} }}]\n\
             expect = {{ failure = \"unavailable\" }}\n"
        );
        if is_down {
            // The exchange names the host, and does not take place.
            script = script.replace("[[call]]", "[[call]]\nname = \"down\"");
        }
        let (_, run) = test("benign-lifecycle", &script);
        let expected = if is_down { Some(1) } else { Some(0) };
        assert_eq!(run.code, expected, "{host}{reply}: {}{}", run.stdout, run.stderr);
        if is_down {
            let wrong = run.stdout.matches("\n    - ").count();
            assert_eq!(wrong, 1, "{host}: {}", run.stdout);
        }
    }
}

#[test]
fn component_test_ends_an_endless_answer() {
    let script = format!(
        "{KEEPER}\n[instance.limits]\nresponse = \"64KiB\"\n[[call]]\nhttp = [{{ request = {{ method = \"POST\", url = \
         \"https://ask.example/obtain\" }}, reply = {{ endless = true }} }}]\nexpect = {{ failure = \"over-limit\", \
         refused = [\"over-limit:response\"] }}\n"
    );
    assert_passes("benign-lifecycle", &script);
}

#[test]
fn component_test_speaks_tcp() {
    let script = |steps: &str| {
        format!(
            "[instance]\ncomponent = \"guest.wasm\"\nsettings = {{ name = \"broker.example\", port = \"9092\" }}\n\
             [[instance.tcp]]\nallow = \"broker.example:9092\"\n[[call]]\ntcp = [{{ to = \"broker.example:9092\", steps = \
             [{steps}] }}]\n[call.expect]\nuses = [\"connect broker.example:9092\", \"look up broker.example\"]\n"
        )
    };
    let good =
        "{ receive = \"xxxx\" }, { receive-base64 = \"eHh4eA==\" }, { receive-bytes = 4088 }, { send = \"bye\" }";
    assert_passes("sent-tcp", &script(good));
    let (_, run) = test("sent-tcp", &script("{ receive-line = \"hello\" }"));
    assert!(run.stdout.contains("connection 1, step 1, line\n    - hello\n    + xxxx"), "{}", run.stdout);
}
