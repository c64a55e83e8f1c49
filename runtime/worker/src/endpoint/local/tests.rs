use super::*;

use deputy_core::Span;
use deputy_http_server::{HttpListener, serve};
use deputy_local::{SocketClient, SocketClientError, SocketFile, SocketPeer};
use tokio::task::JoinSet;

use crate::endpoint::testing::{clock, held};

struct ReadyStatus;

/// What the worker's own receivers say.
fn places() -> watch::Receiver<Arc<S3Places>> {
    let place = S3Place { region: Some("eu-west-1".to_owned()), endpoint: None };
    watch::channel(Arc::new(S3Places::from([("s3-prod".parse().unwrap(), place)]))).1
}

#[async_trait]
impl StatusSource for ReadyStatus {
    async fn status(&self) -> Result<Value, ControlError> {
        Ok(serde_json::json!({ "schema": 1, "ready": true }))
    }
}

/// A client of a worker's socket.
struct TestSocket {
    client: SocketClient,
    endpoint: Arc<LocalEndpoint>,
    sender: watch::Sender<Arc<DeliveredState>>,
    _served: JoinSet<()>,
    _file: SocketFile,
    _folder: tempfile::TempDir,
}

fn socket_at(now: u64, held: Arc<DeliveredState>) -> TestSocket {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("worker.sock");
    let (listener, file) = SocketFile::listen(&path, 0o600).unwrap();
    let (sender, receiver) = watch::channel(held);
    let local = Arc::new(
        LocalEndpoint::new(receiver, clock(now), Arc::new(ReadyStatus), LeaseAccess::Given).with_places(places()),
    );
    let mut served = JoinSet::new();
    served.spawn(serve(HttpListener::Unix(listener), Arc::clone(&local)));
    let client = SocketClient::new(&path, SocketPeer::Worker);
    TestSocket { client, endpoint: local, sender, _served: served, _file: file, _folder: folder }
}

impl TestSocket {
    async fn refused(&self, name: &str) -> ControlError {
        match self.client.lease(name, Span::millis(10)).await {
            Err(SocketClientError::Refused(error)) => error,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn local_endpoint_serves_a_lease_with_its_metadata() {
    let socket = socket_at(0, held("payload"));
    let received = socket.client.lease("s3-prod", Span::secs(0)).await.unwrap();
    assert_eq!((received.payload.expose(), received.revision), (&b"payload"[..], Some(7)));
    assert_eq!(received.service.as_deref(), Some("s3"));
    assert_eq!(received.place.region.as_deref(), Some("eu-west-1"));
    assert_eq!(received.valid_until.as_deref(), Some("1970-01-01T01:00:00.999Z"));
    // What the worker does not say itself, the coordinator may know.
    let mut state = DeliveredState::clone(&held("payload"));
    let place = |text: &str| Some(text.to_owned());
    let places = [("s3-prod", S3Place { region: place("of-the-coordinator"), endpoint: place("http://s3") })];
    state.places = places.map(|(name, place)| (name.parse().unwrap(), place)).into();
    socket.sender.send_replace(Arc::new(state));
    let received = socket.client.lease("s3-prod", Span::secs(0)).await.unwrap();
    assert_eq!(received.place, S3Place { region: place("eu-west-1"), endpoint: place("http://s3") });
}

#[tokio::test]
async fn local_endpoint_serves_a_lease_that_comes_during_the_wait() {
    let socket = socket_at(0, Arc::default());
    let request = socket.client.lease("s3-prod", Span::secs(30));
    let delivery = async {
        // Lets the request come first. The result is the same if it does not.
        tokio::task::yield_now().await;
        socket.sender.send(Arc::default()).unwrap();
        socket.sender.send(held("payload")).unwrap();
    };
    let (received, ()) = tokio::join!(request, delivery);
    assert_eq!(received.unwrap().payload.expose(), b"payload");
}

#[tokio::test]
async fn local_endpoint_serves_no_expired_lease() {
    let error = socket_at(3_600_999, held("hunter2")).refused("s3-prod").await;
    assert_eq!(error.kind, "not-ready");
    assert!(error.message.contains("expired at 1970-01-01T01:00:00.999Z"), "{error}");
    assert!(!error.message.contains("hunter2"));
}

#[tokio::test]
async fn local_endpoint_says_why_it_has_no_lease() {
    let socket = socket_at(0, held("payload"));
    let error = socket.refused("other").await;
    assert!(error.kind == "not-ready" && error.message.contains("`deliver-to`"), "{error}");
    socket.sender.send(Arc::default()).unwrap();
    assert!(socket.refused("s3-prod").await.message.contains("nothing was delivered yet"));
    for name in ["S3", "../s3-prod", "s3-prod/../other", "", "a\nb"] {
        let error = socket.refused(name).await;
        assert_eq!(error.kind, "unknown", "{name:?}: {error}");
    }
}

#[tokio::test]
async fn local_endpoint_serves_status_and_leases_and_nothing_else() {
    let socket = socket_at(0, held("payload"));
    let status: Value = socket.client.json(&ControlRequest::Status, &Parameters::default()).await.unwrap();
    assert_eq!(status["ready"], true);
    for (method, path) in [
        ("POST", "/v1/instances/s3-prod/renew"),
        ("POST", "/v1/instances/s3-prod/revoke"),
        ("POST", "/v1/reload"),
        ("POST", "/v1/instances/s3-prod/lease"),
        ("GET", "/v1/instances/s3-prod/lease/more"),
        ("GET", "/"),
    ] {
        let request = Request::builder().method(method).uri(path).body(()).unwrap();
        let response = socket.endpoint.answer(request).await;
        let reply: Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!((response.status().as_u16(), &reply["error"]["kind"]), (400, &"request".into()), "{path}");
    }
}

#[tokio::test]
async fn local_endpoint_serves_no_lease_unless_configured() {
    let (_sender, held) = watch::channel(Arc::new(DeliveredState::default()));
    let local = LocalEndpoint::new(held, clock(0), Arc::new(ReadyStatus), LeaseAccess::Withheld);
    let lease = Request::get("/v1/instances/s3-prod/lease").body(()).unwrap();
    assert_eq!(local.answer(lease).await.status(), http::StatusCode::UNPROCESSABLE_ENTITY);
    let status = Request::get("/v1/status").body(()).unwrap();
    assert_eq!(local.answer(status).await.status(), http::StatusCode::OK);
}
