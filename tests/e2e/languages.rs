//! The example in five languages, in the production sandbox with its default limits.

use deputy_test_harness::{TestEnvironment, base64, exit};
use deputy_test_servers::{OidcProvider, boto, guest};
use serde_json::Value;

use crate::local::Local;
use crate::servers;

const CLIENT_SECRET: &str = "client/secret+that only=the&host%knows";

pub(crate) const LANGUAGES: [&str; 5] = ["oauth2-c", "oauth2-go", "oauth2-javascript", "oauth2-python", "oauth2-rust"];

/// A machine with the instance `api` of an OAuth 2.0 provider, and what stands below its settings.
fn home(component: &str, token_url: &str, lines: &str) -> TestEnvironment {
    let settings = format!("[instances.api.settings]\ntoken-url = \"{token_url}\"\nscope = \"read write\"\n{lines}");
    TestEnvironment::with_compiled(component)
        .secret("client-secret", CLIENT_SECRET)
        .instance("api", component, &settings)
}

/// The rule for a server, in which the host adds the client's secret.
pub(crate) fn rule(host: &str, added: &str) -> String {
    format!(
        r#"
        [instances.api.secrets.client-secret]
        file = "secrets/client-secret"

        [[instances.api.http]]
        allow = "{host}"
        methods = ["POST"]
        paths = ["/token"]
        networks = ["loopback"]
        {added}
        "#
    )
}

const BASIC: &str = r#"headers = { authorization = { secret = "client-secret", oauth2-basic = "deputy" } }"#;
const FIELD: &str = r#"form = { client_secret = { secret = "client-secret" } }"#;

#[test]
fn languages_bring_tokens_of_a_real_server() {
    let host = format!("http://127.0.0.1:{}", servers::oidc().port());
    let service = BASIC.replace("\"deputy\" }", &format!("\"{}\" }}", OidcProvider::SERVICE));
    for component in LANGUAGES {
        let home = home(component, &format!("{host}/token"), &rule(&host, &service));
        // The secret is compared: another one is refused.
        home.deputy(&["obtain", "api"]).ends_with(exit::DENIED);
        let home = home.secret("client-secret", OidcProvider::SECRET);
        let run = home.deputy(&["obtain", "api", "--reveal", "--audit", "audit.jsonl"]).ends_with(exit::OK);
        // The server knows the token, and its client.
        let script = "
import base64, json, os, urllib.parse, urllib.request
basic = base64.b64encode(('service:' + os.environ['SECRET']).encode()).decode()
body = urllib.parse.urlencode({'token': os.environ['TOKEN'].strip()}).encode()
request = urllib.request.Request(os.environ['HOST'] + '/token/introspection', body, {'Authorization': 'Basic ' + basic})
told = json.load(urllib.request.urlopen(request))
print(told['active'], told['client_id'])";
        let environment = [("TOKEN", run.stdout.as_str()), ("HOST", &host), ("SECRET", OidcProvider::SECRET)];
        assert_eq!(boto(script, &environment).unwrap().trim(), "True service", "{component}");
        let events = home.audit("audit.jsonl");
        let http: Vec<&Value> = events.iter().filter(|event| event["event"] == "http").collect();
        assert_eq!(http.len(), 1, "{component}: {http:?}");
        assert_eq!(http[0]["injected"], serde_json::json!(["client-secret"]));
    }
}

#[test]
fn languages_sign_with_a_secret_that_they_never_have() {
    let host = format!("http://127.0.0.1:{}", servers::oidc().port());
    let lines = format!(
        r#"
        [instances.api.settings]
        token-url = "{host}/token"
        client-id = "{}"
        [instances.api.secrets.client-secret]
        file = "secrets/client-secret"
        hmac-sha256 = true
        [[instances.api.http]]
        allow = "{host}"
        networks = ["loopback"]
        "#,
        OidcProvider::SIGNER
    );
    for component in ["assertion-c", "assertion-go", "assertion-javascript", "assertion-python", "assertion-rust"] {
        let home = TestEnvironment::with_compiled(component)
            .secret("client-secret", OidcProvider::SECRET)
            .instance("api", component, &lines);
        let run = home.deputy(&["obtain", "api", "--audit", "audit.jsonl"]).ends_with(exit::OK);
        assert!(run.stdout.contains("bearer-token/1"), "{component}: {}", run.stdout);
        let events = home.audit("audit.jsonl");
        let operations: Vec<_> = events.iter().filter_map(|event| event.get("operation")).collect();
        assert_eq!(operations, ["open", "hmac-sha256"], "{component}");
        // Nothing was added to the request: the assertion authenticates the client.
        assert!(events.iter().all(|event| event.get("injected").is_none_or(|added| added == &serde_json::json!([]))));
    }
}

fn sends_what_the_host_added(component: &str) {
    let token = r#"{"access_token": "the-token", "token_type": "Bearer", "expires_in": 600}"#;
    let server = Local::answering(200, "content-type: application/json\r\n", token);
    let basic = home(component, &(server.endpoint() + "/token"), &rule(&server.endpoint(), BASIC));
    assert_eq!(basic.deputy(&["obtain", "api", "--reveal"]).ends_with(exit::OK).stdout.trim_end(), "the-token");
    // As RFC 6749, 2.3.1, has it: form-encoded before it becomes HTTP Basic.
    let user = base64(b"deputy:client%2Fsecret%2Bthat%20only%3Dthe%26host%25knows");
    let request = server.request();
    assert_eq!(request.header("authorization").trim_end_matches('='), format!("Basic {user}"));
    assert!(request.header("user-agent").starts_with("deputy/"), "{request:?}");

    let server = Local::answering(200, "content-type: application/json\r\n", token);
    let form =
        home(component, &(server.endpoint() + "/token"), &(MORE_FIELDS.to_owned() + &rule(&server.endpoint(), FIELD)));
    form.deputy(&["obtain", "api"]).ends_with(exit::OK);
    let request = server.request();
    assert!(!request.has("authorization"));
    let fields = request.fields();
    let secret = fields.iter().find(|(name, _)| *name == "client_secret").unwrap().1;
    let script = "import os, urllib.parse; print(urllib.parse.unquote_plus(os.environ['FIELD']))";
    assert_eq!(boto(script, &[("FIELD", secret)]).unwrap().trim_end_matches('\n'), CLIENT_SECRET);
    assert!(
        fields.contains(&("client_id", "deputy")) && fields.contains(&("grant_type", "client_credentials")),
        "{fields:?}"
    );
    for field in [("audience", "api"), ("resource", "urn%3Aa"), ("resource", "urn%3Ab"), ("organization", "o1")] {
        assert!(fields.contains(&field), "{field:?} in {fields:?}");
    }
}

const MORE_FIELDS: &str =
    "client-id = \"deputy\"\naudience = \"api\"\nresource = \"urn:a urn:b\"\n\"form.organization\" = \"o1\"\n";

fn takes_no_field_that_is_not_its_own(component: &str) {
    let server = Local::answering(200, "", "{}");
    for field in ["grant_type", "client_secret", "resource"] {
        let lines = format!("\"form.{field}\" = \"x\"\n{}", rule(&server.endpoint(), FIELD));
        let home = home(component, &(server.endpoint() + "/token"), &lines);
        let run = home.deputy(&["obtain", "api"]).ends_with(exit::MISCONFIGURED);
        assert!(run.stderr.contains(&format!("setting `form.{field}`")), "{}", run.stderr);
    }
    assert!(server.requests().is_empty());
}

#[test]
fn languages_refuse_form_fields_of_other_settings() {
    LANGUAGES.into_iter().for_each(takes_no_field_that_is_not_its_own);
}

#[test]
fn languages_send_what_the_host_adds() {
    LANGUAGES.into_iter().for_each(sends_what_the_host_added);
}

#[test]
fn python_token_has_the_mac_of_an_unseen_secret() {
    const KEY: &str = "a key for HMAC, of thirty-two bytes or more";
    let lines = r#"
        [instances.signed.settings]
        subject = "worker"

        [instances.signed.secrets.signing-key]
        file = "secrets/signing-key"
        hmac-sha256 = true
        "#;
    let home = TestEnvironment::with_compiled("signed-python").secret("signing-key", KEY).instance(
        "signed",
        "signed-python",
        lines,
    );
    let run = home.deputy(&["obtain", "signed", "--reveal", "--audit", "audit.jsonl"]).ends_with(exit::OK);
    let script = "
import base64, hashlib, hmac, json, os
body, mac = os.environ['TOKEN'].strip().split('.')
assert hmac.compare_digest(base64.urlsafe_b64decode(mac), hmac.digest(os.environ['KEY'].encode(), body.encode(), 'sha256'))
print(json.loads(base64.urlsafe_b64decode(body))['sub'])";
    assert_eq!(boto(script, &[("TOKEN", &run.stdout), ("KEY", KEY)]).unwrap(), "worker\n");
    let events = home.audit("audit.jsonl");
    let operations: Vec<_> = events.iter().filter_map(|event| event.get("operation")).collect();
    assert_eq!(operations, ["open", "hmac-sha256"]);
}

/// Adds what the program says is missing until nothing is, as an operator would.
fn the_lines_of_a_refusal_are_what_was_missing(component: &str) {
    let server = Local::answering(200, "content-type: application/json\r\n", r#"{"access_token": "the-token"}"#);
    let mut home = home(component, &(server.endpoint() + "/token"), "");
    let rule = format!("[[instances.api.http]]\nallow = \"{}\"", server.endpoint());

    let run = home.deputy(&["obtain", "api", "--audit", "audit.jsonl"]).ends_with(exit::REFUSED);
    assert!(lines(&run.stderr).contains(&rule), "{}", run.stderr);
    assert_eq!(refusal(&home), "host-not-granted");
    home.append(&rule);

    let open = format!("{rule}\nnetworks = [\"loopback\"]");
    let run = home.deputy(&["obtain", "api", "--audit", "audit.jsonl"]).ends_with(exit::REFUSED);
    assert!(lines(&run.stderr).contains(&open), "{}", run.stderr);
    assert_eq!(refusal(&home), "address-not-granted");
    assert!(server.requests().is_empty(), "a refused request reached the server");
    home.replace(&rule, &open);

    let run = home.deputy(&["obtain", "api", "--reveal"]).ends_with(exit::OK);
    assert_eq!(run.stdout.trim_end(), "the-token");
}

/// What was printed, each line without what stands before it.
fn lines(text: &str) -> String {
    text.lines().map(|line| line.trim_start_matches([' ', '|'])).collect::<Vec<_>>().join("\n")
}

/// The code of the last refusal.
fn refusal(home: &TestEnvironment) -> String {
    let events = home.audit("audit.jsonl");
    let refused = events.iter().rfind(|event| event["event"] == "http").unwrap();
    assert_eq!(refused["outcome"], "refused");
    refused["code"].as_str().unwrap().to_owned()
}

#[test]
fn languages_denials_show_the_missing_lines() {
    LANGUAGES.into_iter().for_each(the_lines_of_a_refusal_are_what_was_missing);
}

#[test]
fn languages_run_below_the_default_memory_limit() {
    let server = servers::oauth2();
    let host = format!("http://127.0.0.1:{}", server.port());
    for component in LANGUAGES {
        let limit = "[instances.api.limits]\nmemory = \"48MiB\"\n";
        let home = home(component, &server.token_url(), &(rule(&host, FIELD) + limit));
        home.deputy(&["obtain", "api"]).ends_with(exit::OK);
    }
}

/// Settings and wants that it describes, each with its properties by name.
fn described(home: &TestEnvironment, file: &str) -> [Value; 2] {
    let settings = ["--set", "token-url=https://login.example:8443/token?x=1", "--set", "client-id=me"];
    let run = home.deputy(&[&["inspect", file, "--json"], &settings[..]].concat()).ends_with(exit::OK);
    let seen: Value = serde_json::from_str(&run.stdout).unwrap();
    ["settings", "wants"].map(|list| {
        let named = seen["description"][list].as_array().unwrap().iter().map(|item| {
            let properties = item["properties"].as_array().unwrap().iter();
            let properties =
                properties.map(|property| (property["name"].as_str().unwrap().to_owned(), property["value"].clone()));
            let name = item.get("name").unwrap_or(&item["kind"]).as_str().unwrap().to_owned();
            (name, Value::Object(properties.collect()))
        });
        Value::Object(named.collect())
    })
}

#[test]
fn languages_describe_themselves_alike_and_are_added() {
    let server = servers::oauth2();
    let token_url = format!("token-url={}", server.token_url());
    let mut first = None;
    for component in LANGUAGES {
        let home = TestEnvironment::with_compiled(component).secret("client-secret", CLIENT_SECRET);
        let file = guest(component).unwrap();
        let file = file.to_str().unwrap();
        let seen = described(&home, file);
        assert_eq!(seen[1]["http"]["url"], "https://login.example:8443", "{component}");
        assert_eq!(seen, *first.get_or_insert_with(|| seen.clone()), "{component}");
        let add = ["add", file, "--name", "added", "--set", &token_url, "--set", "client-id=deputy", "--yes"];
        let secret = ["--network", "loopback", "--secret", "client-secret=secrets/client-secret"];
        home.deputy(&[&add[..], &secret].concat()).ends_with(exit::OK);
        home.deputy(&["obtain", "added"]).ends_with(exit::OK);
    }
}
