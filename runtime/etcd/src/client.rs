//! Calls: to one member after another until one answers, within a deadline.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use deputy_core::{EtcdEndpoint, SecretBytes, in_one_line};
use deputy_support::{LockUnpoisoned as _, pause, timer_now};
use http::HeaderValue;
use prost::Message;
use tokio::time::timeout;

use crate::auth::{AUTHENTICATE, Token, wipe};
use crate::connection::MemberConnection;
use crate::grpc::{CallAnswers, Requests, encode, encode_secret};
use crate::message::{AuthenticateResponse, RangeRequest, RangeResponse, TxnRequest, TxnResponse};
use crate::{EtcdError, EtcdLogin, TlsSource};

/// The largest request that etcd takes by default, with room for what is around the value.
const MAX_REQUEST: usize = 1 << 20;

/// The waits between attempts. A new leader is elected within two seconds.
const PAUSE: Duration = Duration::from_millis(100);

const RANGE: &str = "/etcdserverpb.KV/Range";
const TXN: &str = "/etcdserverpb.KV/Txn";

pub struct EtcdOptions {
    /// The members, at least one. The first one is preferred.
    pub endpoints: Vec<EtcdEndpoint>,
    pub tls: Option<Arc<dyn TlsSource>>,
    pub login: Option<EtcdLogin>,
}

/// Whether a request that may have been applied may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// It reads, or has the same effect twice.
    Always,
    /// Only if it was certainly not applied.
    Unsent,
}

/// How long a call may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallLimits {
    /// At one member.
    pub(crate) attempt: Duration,
    /// At all of them.
    pub(crate) total: Duration,
}

const LIMITS: CallLimits = CallLimits { attempt: Duration::from_secs(3), total: Duration::from_secs(10) };

/// Talks to one member at a time, and changes to the next when that one does not answer.
pub struct EtcdClient {
    options: EtcdOptions,
    token: Token,
    /// The member in use.
    member: AtomicUsize,
    connection: Mutex<Option<Arc<MemberConnection>>>,
    connecting: tokio::sync::Mutex<()>,
}

impl EtcdClient {
    /// Connects when it is first used.
    pub fn new(options: EtcdOptions) -> Self {
        Self {
            options,
            token: Token::default(),
            member: AtomicUsize::new(0),
            connection: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
        }
    }

    /// Reads keys, linearizably.
    pub async fn range(&self, request: &RangeRequest) -> Result<RangeResponse, EtcdError> {
        self.call(RANGE, request, Repeat::Always, LIMITS).await
    }

    /// Compares and changes keys, all or none.
    pub async fn txn(&self, request: &TxnRequest, repeat: Repeat) -> Result<TxnResponse, EtcdError> {
        self.call(TXN, request, repeat, LIMITS).await
    }

    pub(crate) async fn call<A: Message + Default>(
        &self,
        path: &'static str,
        request: &impl Message,
        repeat: Repeat,
        limits: CallLimits,
    ) -> Result<A, EtcdError> {
        let message = encode(request);
        if message.len() > MAX_REQUEST {
            return Err(EtcdError::TooLarge(message.len()));
        }
        let end = timer_now() + limits.total;
        let mut heard = None;
        loop {
            let error = match self.attempt(path, &message, limits.attempt).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let may_repeat = error.is_temporary() && (repeat == Repeat::Always || error.is_unsent());
            if !may_repeat || timer_now() + PAUSE >= end {
                // What a member said earlier tells more than that one is silent now.
                return Err(if error.is_silence() { heard.unwrap_or(error) } else { error });
            }
            tracing::debug!(error = in_one_line(&error), "request to etcd is repeated");
            if !error.is_silence() {
                heard = Some(error);
            }
            pause(PAUSE).await;
        }
    }

    /// Asks one member, if need be with a new token.
    async fn attempt<A: Message + Default>(
        &self,
        path: &'static str,
        message: &Bytes,
        limit: Duration,
    ) -> Result<A, EtcdError> {
        let token = self.token(limit).await?;
        let answer = self.exchange(path, message.clone(), token.as_ref(), limit).await;
        match (token, answer) {
            (Some(outdated), Err(error)) if error.is_outdated_token() => {
                self.token.forget(&outdated);
                let token = self.token(limit).await?;
                self.exchange(path, message.clone(), token.as_ref(), limit).await
            }
            (_, answer) => answer,
        }
    }

    /// The token in use, or a new one; `None` without a login.
    async fn token(&self, limit: Duration) -> Result<Option<HeaderValue>, EtcdError> {
        let Some(login) = &self.options.login else { return Ok(None) };
        if let Some(token) = self.token.current() {
            return Ok(Some(token));
        }
        let _refresh = self.token.refresh.lock().await;
        if let Some(token) = self.token.current() {
            return Ok(Some(token));
        }
        let password = login.password.current();
        let mut answer = self.log_in(login, &password, limit).await;
        if answer.as_ref().is_err_and(EtcdError::is_denied) {
            login.password.renew().await;
            let renewed = login.password.current();
            if renewed.expose() != password.expose() {
                answer = self.log_in(login, &renewed, limit).await;
            }
        }
        self.token.renew(&answer?).map(Some)
    }

    async fn log_in(
        &self,
        login: &EtcdLogin,
        password: &SecretBytes,
        limit: Duration,
    ) -> Result<AuthenticateResponse, EtcdError> {
        let request = login.request(password)?;
        let message = encode_secret(&request);
        wipe(request);
        self.exchange(AUTHENTICATE, message, None, limit).await
    }

    /// One request and its answer at the member in use, which is left if it does not answer.
    async fn exchange<A: Message + Default>(
        &self,
        path: &'static str,
        message: Bytes,
        token: Option<&HeaderValue>,
        limit: Duration,
    ) -> Result<A, EtcdError> {
        let connection = self.connection().await?;
        let asked = async {
            let mut answers: CallAnswers<A> = connection.send(path, Requests::one(message), token).await?;
            let answer = answers.next().await.map_err(|error| connection.explain(error))?;
            // The status comes behind the answer.
            let answer = answer.ok_or(EtcdError::Malformed("an empty answer"))?;
            answers.next().await.map_err(|error| connection.explain(error))?;
            Ok(answer)
        };
        let answer = timeout(limit, asked).await.unwrap_or_else(|_| Err(connection.broken("no answer in time")));
        if let Err(error) = &answer {
            self.leave_after(error, &connection);
        }
        answer
    }

    /// Begins a stream of requests and answers.
    pub(crate) async fn stream<A: Message + Default>(
        &self,
        path: &'static str,
        requests: Requests,
        limit: Duration,
    ) -> Result<(Arc<MemberConnection>, CallAnswers<A>, Option<HeaderValue>), EtcdError> {
        let token = self.token(limit).await?;
        let connection = self.connection().await?;
        let sent = timeout(limit, connection.send(path, requests, token.as_ref())).await;
        let sent = sent.unwrap_or_else(|_| Err(connection.broken("no answer in time")));
        match sent {
            Ok(answers) => Ok((connection, answers, token)),
            Err(error) => {
                self.leave_after(&error, &connection);
                if let Some(token) = token.filter(|_| error.is_outdated_token()) {
                    self.token.forget(&token);
                }
                Err(error)
            }
        }
    }

    pub(crate) fn forget_token(&self, token: &HeaderValue) {
        self.token.forget(token);
    }

    /// The connection in use, or a new one to the next member that accepts it.
    async fn connection(&self) -> Result<Arc<MemberConnection>, EtcdError> {
        if let Some(connection) = self.open_connection() {
            return Ok(connection);
        }
        let _connecting = self.connecting.lock().await;
        if let Some(connection) = self.open_connection() {
            return Ok(connection);
        }
        let tls = match &self.options.tls {
            Some(source) => Some(source.current().await),
            None => None,
        };
        let mut failed = EtcdError::Unusable("an empty list of endpoints");
        for _ in 0..self.options.endpoints.len() {
            let at = self.member.load(Ordering::Relaxed) % self.options.endpoints.len().max(1);
            let Some(endpoint) = self.options.endpoints.get(at) else { break };
            // Left before it is tried: a caller that stops waiting for a silent member does not come back to it.
            self.member.store(at.wrapping_add(1), Ordering::Relaxed);
            match MemberConnection::open(endpoint, tls.as_ref()).await {
                Ok(connection) => {
                    self.member.store(at, Ordering::Relaxed);
                    *self.connection.lock_unpoisoned() = Some(Arc::clone(&connection));
                    return Ok(connection);
                }
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    /// Leaves a connection if another one may do better: to another member, or with another certificate where that names the user.
    pub(crate) fn leave_after(&self, error: &EtcdError, connection: &Arc<MemberConnection>) {
        let names_user = self.options.tls.is_some() && self.options.login.is_none();
        if error.is_temporary() || (names_user && error.is_denied()) {
            self.leave(connection);
        }
    }

    /// Changes to the next member, since the one in use has not answered within a caller's limit.
    pub(crate) fn leave_silent(&self) -> EtcdError {
        match self.open_connection() {
            Some(connection) => {
                self.leave(&connection);
                connection.broken("no answer in time")
            }
            None => EtcdError::Unreachable,
        }
    }

    fn open_connection(&self) -> Option<Arc<MemberConnection>> {
        self.connection.lock_unpoisoned().as_ref().filter(|connection| !connection.is_closed()).cloned()
    }

    /// Changes to the next member, unless another call has done so.
    pub(crate) fn leave(&self, connection: &Arc<MemberConnection>) {
        let mut current = self.connection.lock_unpoisoned();
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, connection)) {
            *current = None;
            self.member.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl std::fmt::Debug for EtcdClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EtcdClient")
    }
}
