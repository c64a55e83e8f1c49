//! Changes as they happen.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::connection::MemberConnection;
use crate::grpc::{CallAnswers, Requests, encode};
use crate::message::{RequestUnion, WatchCreateRequest, WatchProgressRequest, WatchRequest, WatchResponse};
use crate::{EtcdClient, EtcdError, Status};

const WATCH: &str = "/etcdserverpb.Watch/Watch";

/// How long a member may take to begin a watch.
const BEGIN: Duration = Duration::from_secs(3);

/// Requests for progress that were not sent yet.
const REQUESTS: usize = 4;

/// The changes of a range of keys.
pub struct WatchStream {
    answers: CallAnswers<WatchResponse>,
    requests: mpsc::Sender<Bytes>,
    connection: Arc<MemberConnection>,
    client: Arc<EtcdClient>,
}

impl WatchStream {
    /// Begins a watch. Returns the revision of the member's store as well.
    pub async fn begin(client: &Arc<EtcdClient>, request: WatchCreateRequest) -> Result<(Self, i64), EtcdError> {
        let create = WatchRequest { request_union: Some(RequestUnion::CreateRequest(request)) };
        let (requests, more) = mpsc::channel(REQUESTS);
        let (connection, answers, token) =
            client.stream::<WatchResponse>(WATCH, Requests::several(encode(&create), more), BEGIN).await?;
        let mut stream = Self { answers, requests, connection, client: Arc::clone(client) };
        let begun = timeout(BEGIN, stream.next()).await;
        let error = match begun.unwrap_or_else(|_| Err(stream.connection.broken("no answer in time"))) {
            Ok(created) => {
                let revision = created.header.as_ref().map_or(0, |header| header.revision);
                return Ok((stream, revision));
            }
            Err(error) => error,
        };
        client.leave_after(&error, &stream.connection);
        if let Some(token) = token.filter(|_| error.is_outdated_token()) {
            client.forget_token(&token);
        }
        Err(error)
    }

    /// The next response. A watch that etcd cancelled is an error; then, and after any other one, it has ended.
    pub async fn next(&mut self) -> Result<WatchResponse, EtcdError> {
        let answered = self.answers.next().await.map_err(|error| self.connection.explain(error));
        match answered {
            Ok(Some(answer)) if answer.canceled => Err(EtcdError::Refused(cancelled(&answer))),
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(self.connection.broken("the watch ended")),
            Err(error) => {
                self.client.leave_after(&error, &self.connection);
                Err(error)
            }
        }
    }

    /// Asks for a response without events, which shows that the watch is alive, and up to which revision it is.
    pub fn request_progress(&self) {
        let request = WatchRequest { request_union: Some(RequestUnion::ProgressRequest(WatchProgressRequest {})) };
        self.requests.try_send(encode(&request)).ok();
    }

    /// Gives the member up, since it has not answered for too long.
    pub fn abandon(self) -> EtcdError {
        self.client.leave(&self.connection);
        self.connection.broken("the watch is silent")
    }
}

/// Why a watch was cancelled, as a call would be refused.
fn cancelled(answer: &WatchResponse) -> Status {
    const OUT_OF_RANGE: u32 = 11;
    const UNAUTHENTICATED: u32 = 16;
    const PERMISSION_DENIED: u32 = 7;
    const UNAVAILABLE: u32 = 14;
    let reason: String = answer.cancel_reason.chars().filter(|letter| !letter.is_control()).take(300).collect();
    if answer.compact_revision > 0 {
        return Status::new(OUT_OF_RANGE, "etcdserver: mvcc: required revision has been compacted".to_owned());
    }
    let is_of_token = ["invalid auth token", "auth store is old", "user name is empty"];
    let code = if is_of_token.iter().any(|part| reason.contains(part)) {
        UNAUTHENTICATED
    } else if reason.contains("permission denied") {
        PERMISSION_DENIED
    } else {
        UNAVAILABLE
    };
    Status::new(code, if reason.is_empty() { "the watch was cancelled".to_owned() } else { reason })
}
