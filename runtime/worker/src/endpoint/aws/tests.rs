use super::*;

use crate::endpoint::testing::{clock, held};

const TOKEN: &str = "0123456789abcdef";
const PATH: &str = "/v1/credentials/s3-prod";
const PAYLOAD: &str = r#"{"Version":1,"AccessKeyId":"AKIA","SecretAccessKey":"hunter2","SessionToken":"tok","Expiration":"2099-01-01T00:00:00Z"}"#;

/// An endpoint for the lease that a test holds.
struct TestEndpoint {
    aws: AwsContainerEndpoint,
    sender: watch::Sender<Arc<DeliveredState>>,
    _folder: tempfile::TempDir,
}

#[expect(clippy::disallowed_methods, reason = "a file that only this test reads, and randomness that it does not use")]
async fn endpoint_at(now: u64, held: Arc<DeliveredState>) -> TestEndpoint {
    let (sender, receiver) = watch::channel(held);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, TOKEN).unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let here = deputy_sources::SourceContext::of_process();
    let token = TokenFile::open(&file, &aws_lc_rs::rand::SystemRandom::new(), &here, clock(now)).await.unwrap();
    TestEndpoint {
        aws: AwsContainerEndpoint::new("s3-prod".parse().unwrap(), token, receiver, clock(now)),
        sender,
        _folder: folder,
    }
}

fn request(method: &str, target: &str, headers: &[(&str, &str)]) -> Request<()> {
    let request = Request::builder().method(method).uri(target);
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).body(()).unwrap()
}

fn valid_request() -> Request<()> {
    request("GET", PATH, &[("host", "127.0.0.1:9911"), ("authorization", TOKEN)])
}

impl TestEndpoint {
    async fn get(&self, request: Request<()>) -> (u16, serde_json::Value) {
        let response = self.aws.answer(request).await;
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert_eq!(response.headers()["content-type"], "application/json");
        (response.status().as_u16(), serde_json::from_slice(response.body()).unwrap())
    }

    async fn refused(&self, request: Request<()>) -> (u16, String) {
        let (status, answer) = self.get(request).await;
        let text = answer.to_string();
        assert!(!text.contains("hunter2") && !text.contains("AKIA") && !text.contains(TOKEN), "{text}");
        assert!(!answer["message"].as_str().unwrap().is_empty());
        (status, answer["code"].as_str().unwrap().to_owned())
    }
}

#[tokio::test]
async fn aws_endpoint_serves_credentials() {
    let (status, answer) = endpoint_at(0, held(PAYLOAD)).await.get(valid_request()).await;
    let expected = serde_json::json!({
        "AccessKeyId": "AKIA", "SecretAccessKey": "hunter2", "Token": "tok", "Expiration": "1970-01-01T01:00:00Z",
    });
    assert_eq!((status, answer), (200, expected), "the lease's expiry, not the payload's");
}

#[tokio::test]
async fn aws_endpoint_serves_an_empty_token_without_a_session() {
    let (status, answer) =
        endpoint_at(0, held(r#"{"AccessKeyId":"AKIA","SecretAccessKey":"\"\u0041"}"#)).await.get(valid_request()).await;
    assert_eq!((status, &answer["Token"], &answer["SecretAccessKey"]), (200, &"".into(), &"\"A".into()));
}

include!("../../../../payloads/vectors/aws.in");

#[tokio::test]
async fn aws_endpoint_accepts_payloads_as_the_vectors_say() {
    for (accepted, payload) in VECTORS {
        let status = endpoint_at(0, held(payload)).await.get(valid_request()).await.0;
        assert_eq!(status, if accepted { 200 } else { 500 }, "{payload}");
    }
}

#[tokio::test]
async fn aws_endpoint_serves_the_newest_lease_and_no_expired_one() {
    let endpoint = endpoint_at(3_600_998, held(PAYLOAD)).await;
    assert_eq!(endpoint.get(valid_request()).await.0, 200);
    endpoint.sender.send(held(&PAYLOAD.replace("AKIA", "ASIA"))).unwrap();
    assert_eq!(endpoint.get(valid_request()).await.1["AccessKeyId"], "ASIA");
    endpoint.sender.send(Arc::default()).unwrap();
    assert_eq!(endpoint.refused(valid_request()).await, (503, "NotHeld".into()));
    for now in [3_600_999, u64::MAX] {
        assert_eq!(endpoint_at(now, held(PAYLOAD)).await.refused(valid_request()).await, (503, "Expired".into()));
    }
}

#[tokio::test]
async fn aws_endpoint_reveals_nothing_without_the_token() {
    let endpoint = endpoint_at(0, held(PAYLOAD)).await;
    let host = ("host", "127.0.0.1:9911");
    let long = TOKEN.repeat(9);
    for token in ["", "0123456789abcdeF", "0123456789abcde", &long, "Bearer 0123456789abcdef", "0123456789abcdef,"] {
        let request = request("GET", PATH, &[host, ("authorization", token)]);
        assert_eq!(endpoint.refused(request).await, (401, "Unauthorized".into()), "{token:?}");
    }
    for target in [PATH, "/", "/v1/credentials/other"] {
        for method in ["GET", "POST"] {
            assert_eq!(endpoint.refused(request(method, target, &[host])).await.0, 401, "{method} {target}");
        }
    }
    let twice = request("GET", PATH, &[host, ("authorization", TOKEN), ("authorization", TOKEN)]);
    assert_eq!(endpoint.refused(twice).await.0, 401);
    let in_the_query = request("GET", &format!("{PATH}?Authorization={TOKEN}"), &[host]);
    assert_eq!(endpoint.refused(in_the_query).await.0, 401);
}

/// A page in a browser reaches loopback by a name of its own that resolves to it.
#[tokio::test]
async fn aws_endpoint_refuses_a_foreign_host_even_with_the_token() {
    let endpoint = endpoint_at(0, held(PAYLOAD)).await;
    let with = |target: &str, hosts: &[&str]| {
        let hosts = hosts.iter().map(|host| ("host", *host)).chain([("authorization", TOKEN)]);
        request("GET", target, &hosts.collect::<Vec<_>>())
    };
    for host in
        ["127.0.0.1:9911", "127.0.0.1", "localhost:9911", "LocalHost", "[::1]:9911", "127.8.8.8", "[::ffff:127.0.0.1]"]
    {
        assert_eq!(endpoint.get(with(PATH, &[host])).await.0, 200, "{host}");
    }
    for host in [
        "evil.example",
        "evil.example:9911",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "10.0.0.1",
        "0.0.0.0",
        "",
        "[::]",
        "2130706433",
        "a b",
    ] {
        assert_eq!(endpoint.refused(with(PATH, &[host])).await, (403, "ForbiddenHost".into()), "{host:?}");
    }
    assert_eq!(endpoint.refused(with(PATH, &[])).await.0, 403);
    assert_eq!(endpoint.refused(with(PATH, &["localhost", "localhost"])).await.0, 403);
    let absolute = format!("http://evil.example{PATH}");
    assert_eq!(endpoint.refused(with(&absolute, &["localhost"])).await.0, 403);
    assert_eq!(endpoint.get(with(&format!("http://127.0.0.1:9911{PATH}"), &["localhost"])).await.0, 200);
}

#[tokio::test]
async fn aws_endpoint_refuses_other_paths_and_methods() {
    let endpoint = endpoint_at(0, held(PAYLOAD)).await;
    let headers = [("host", "localhost"), ("authorization", TOKEN)];
    for target in [
        "/",
        "/v1/credentials",
        "/v1/credentials/",
        "/v1/credentials/s3-lab",
        "/v1/credentials/s3-prod/",
        "/v1/credentials/S3-PROD",
        "/v1/credentials/s3%2Dprod",
    ] {
        assert_eq!(endpoint.refused(request("GET", target, &headers)).await, (404, "NotFound".into()), "{target}");
    }
    for method in ["POST", "PUT", "HEAD", "OPTIONS", "DELETE"] {
        assert_eq!(endpoint.refused(request(method, PATH, &headers)).await.0, 405, "{method}");
    }
    assert_eq!(endpoint.get(request("GET", &format!("{PATH}?a=1"), &headers)).await.0, 200, "a query is no other path");
}

#[tokio::test]
async fn aws_endpoint_does_not_reveal_a_foreign_payload() {
    for payload in ["hunter2", "{\"AccessKeyId\":\"AKIA\",\"SecretAccessKey\":\"hunter2\\n\"}"] {
        assert_eq!(endpoint_at(0, held(payload)).await.refused(valid_request()).await, (500, "NotCredentials".into()));
    }
}

/// Counts lines of the log.
#[derive(Clone, Default)]
struct Lines(Arc<std::sync::atomic::AtomicU32>);

impl tracing::Subscriber for Lines {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test]
async fn aws_endpoint_logs_a_bounded_number_of_lines() {
    let endpoint = endpoint_at(0, held(PAYLOAD)).await;
    let lines = Lines::default();
    let _logging = tracing::subscriber::set_default(lines.clone());
    // Another test may have registered the call sites without a subscriber.
    endpoint.get(valid_request()).await;
    endpoint.get(request("GET", PATH, &[("host", "127.0.0.1:9911")])).await;
    tracing::callsite::rebuild_interest_cache();
    for _ in 0..1000 {
        let unauthorized = request("GET", PATH, &[("host", "127.0.0.1:9911"), ("authorization", "wrong")]);
        assert_eq!(endpoint.refused(unauthorized).await.0, 401);
    }
    // A flood of refused requests does not suppress the lines of accepted ones.
    for _ in 0..1000 {
        assert_eq!(endpoint.get(valid_request()).await.0, 200);
    }
    let lines = lines.0.load(std::sync::atomic::Ordering::Relaxed);
    assert!((18..=20).contains(&lines), "{lines}");
}
