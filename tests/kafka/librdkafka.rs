//! `docs/kafka.md`, "Other clients": what works with librdkafka, which cannot log in with a token of Kafka. It is an access
//! token of an authorization server, and a client that runs uses each new one.

use deputy_test_harness::{RunningCoordinator, TestEnvironment, copy_compiled};
use deputy_test_servers::{Kafka, Kdc, OAuth2, boto, guest};

const PAGE: &str = include_str!("../../docs/kafka.md");

/// Counts the tokens that the page's callback returns.
const COUNTED: &str = "\
tokens, page = set(), access_token

def access_token(configuration):
    token, until = page(configuration)
    tokens.add(token)
    return token, until

producer = Producer({";

/// Sends messages until the producer has had three tokens, and prints what is unsent of each.
const SENDS: &str = "
begun, unsent = time.time(), set()
while len(tokens) < 3 and time.time() < begun + 45:
    producer.produce('librdkafka', b'message')
    unsent.add(producer.flush(20))
    producer.poll(0.2)
print(len(tokens), *unsent)
";

/// The block of this language in the page's section.
fn block(language: &str) -> &'static str {
    let (_, section) = PAGE.split_once("\n## Other clients\n").unwrap();
    let (_, block) = section.split_once(&format!("```{language}\n")).unwrap();
    block.split_once("```").unwrap().0
}

/// A text of the page with other values. Each old value must be there once.
fn replaced(text: &str, changes: &[(&str, &str)]) -> String {
    changes.iter().fold(text.to_owned(), |text, (old, new)| {
        assert_eq!(text.matches(old).count(), 1, "{old} in {text}");
        text.replace(old, new)
    })
}

#[test]
fn librdkafka_works_with_access_tokens_of_the_page() {
    let (kdc, oauth2) = (Kdc::start().unwrap(), OAuth2::start().unwrap());
    let kafka = Kafka::start_with_oauth(&kdc, &oauth2).unwrap();
    let mut home = TestEnvironment::new().secret("client-secret", "canary-secret-of-the-client");
    copy_compiled(&TestEnvironment::compiled("e2e-state", &["oauth2-javascript", "files"]), home.state());
    let component = |name: &str| format!("component = {:?}", guest(name).unwrap());
    let rule = format!("allow = \"http://127.0.0.1:{}\"\nnetworks = [\"loopback\"]", oauth2.port());
    home.prepend("output = \"secrets/out\"\n");
    home.append(&replaced(
        block("toml"),
        &[
            ("component = \"oauth2-javascript\"", &component("oauth2-javascript")),
            ("component = \"files\"", &component("files")),
            // Published by the coordinator itself. Each token is replaced within seconds.
            ("deliver-to = [\"jobs\"]", "lifetime = \"3s\"\nretry = { floor = \"200ms\" }"),
            ("[groups.jobs.receivers.files]", "[receivers.files]"),
            // That server has a name of its own for it.
            ("audience = \"kafka\"", &format!("\"form.aud\" = {:?}", Kafka::AUDIENCE)),
            ("https://login.example.com/token", &oauth2.token_url()),
            ("allow = \"https://login.example.com\"", &rule),
            ("file = \"client-secret\"", "file = \"secrets/client-secret\""),
        ],
    ));
    let coordinator = RunningCoordinator::start(&home);
    let file = home.path("secrets/out/files/access-token");
    coordinator.wait_until("the token is published", || file.exists());
    let script = replaced(
        block("python"),
        &[
            ("/run/deputy/files/access-token", &file.display().to_string()),
            ("time.time() + 60", "time.time() + 3"),
            ("broker1.example.com:9095", &format!("localhost:{}", kafka.ports().oauth)),
            ("SASL_SSL", "SASL_PLAINTEXT"),
            ("    \"ssl.ca.location\": \"/etc/ssl/kafka-ca.pem\",\n", ""),
            ("producer = Producer({", COUNTED),
        ],
    );
    assert_eq!(boto(&(script + SENDS), &[]).unwrap(), "3 0\n");
}
