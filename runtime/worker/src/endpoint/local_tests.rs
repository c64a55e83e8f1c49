use super::*;

use deputy_core::Span;
use deputy_http_server::{HttpListener, serve};
use deputy_local::{SocketClient, SocketClientError, SocketFile, SocketPeer};
use tokio::task::JoinSet;

use crate::endpoint::testing::{clock, held};

struct Ready;

#[async_trait]
impl StatusSource for Ready {
    async fn status(&self) -> Result<Value, ControlError> {
        Ok(serde_json::json!({ "schema": 1, "ready": true }))
    }
}

/// A worker's socket, as programs find it.
struct World {
    client: SocketClient,
    endpoint: Arc<LocalEndpoint>,
    sender: watch::Sender<Arc<DeliveredState>>,
    _served: JoinSet<()>,
    _file: SocketFile,
    _folder: tempfile::TempDir,
}

fn at(now: u64, held: Arc<DeliveredState>) -> World {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("worker.sock");
    let (listener, file) = SocketFile::listen(&path, 0o600).unwrap();
    let (sender, receiver) = watch::channel(held);
    let local = Arc::new(LocalEndpoint::new(receiver, clock(now), Arc::new(Ready), LeaseAccess::Given));
    let mut served = JoinSet::new();
    served.spawn(serve(HttpListener::Unix(listener), Arc::clone(&local)));
    let client = SocketClient::new(&path, SocketPeer::Worker);
    World { client, endpoint: local, sender, _served: served, _file: file, _folder: folder }
}

impl World {
    async fn refused(&self, name: &str) -> ControlError {
        match self.client.lease(name, Span::millis(10)).await {
            Err(SocketClientError::Refused(error)) => error,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn what_is_held_is_given_out_with_what_it_is() {
    let world = at(0, held("payload"));
    let given = world.client.lease("s3-prod", Span::secs(0)).await.unwrap();
    assert_eq!((given.payload.expose(), given.revision), (&b"payload"[..], Some(7)));
    assert_eq!(given.service.as_deref(), Some("s3"));
    assert_eq!(given.valid_until.as_deref(), Some("1970-01-01T01:00:00.999Z"));
}

#[tokio::test]
async fn who_waits_gets_what_comes_meanwhile() {
    let world = at(0, Arc::default());
    let waits = world.client.lease("s3-prod", Span::secs(30));
    let comes = async {
        // Whoever asks is there first: the answer is the same if not.
        tokio::task::yield_now().await;
        world.sender.send(Arc::default()).unwrap();
        world.sender.send(held("payload")).unwrap();
    };
    let (given, ()) = tokio::join!(waits, comes);
    assert_eq!(given.unwrap().payload.expose(), b"payload");
}

#[tokio::test]
async fn what_has_expired_is_given_to_nobody() {
    let error = at(3_600_999, held("hunter2")).refused("s3-prod").await;
    assert_eq!(error.kind, "not-ready");
    assert!(error.message.contains("expired at 1970-01-01T01:00:00.999Z"), "{error}");
    assert!(!error.message.contains("hunter2"));
}

#[tokio::test]
async fn who_gets_nothing_is_told_why() {
    let world = at(0, held("payload"));
    let error = world.refused("other").await;
    assert!(error.kind == "not-ready" && error.message.contains("`deliver-to`"), "{error}");
    world.sender.send(Arc::default()).unwrap();
    assert!(world.refused("s3-prod").await.message.contains("nothing was delivered yet"));
    for name in ["S3", "../s3-prod", "s3-prod/../other", "", "a\nb"] {
        let error = world.refused(name).await;
        assert_eq!(error.kind, "unknown", "{name:?}: {error}");
    }
}

#[tokio::test]
async fn local_endpoint_serves_status_and_leases_and_nothing_else() {
    let world = at(0, held("payload"));
    let status: Value = world.client.json(&ControlRequest::Status, &Parameters::default()).await.unwrap();
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
        let response = world.endpoint.answer(request).await;
        let reply: Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!((response.status().as_u16(), &reply["error"]["kind"]), (400, &"request".into()), "{path}");
    }
}

#[tokio::test]
async fn without_a_word_in_the_configuration_nothing_is_given_out() {
    let (_sender, held) = watch::channel(Arc::new(DeliveredState::default()));
    let local = LocalEndpoint::new(held, clock(0), Arc::new(Ready), LeaseAccess::Withheld);
    let lease = Request::get("/v1/instances/s3-prod/lease").body(()).unwrap();
    assert_eq!(local.answer(lease).await.status(), http::StatusCode::UNPROCESSABLE_ENTITY);
    let status = Request::get("/v1/status").body(()).unwrap();
    assert_eq!(local.answer(status).await.status(), http::StatusCode::OK);
}
