//! Logging in with a user and a password.
//!
//! etcd answers with a token that ends after some minutes, when the member restarts, or when any user or role changes. A
//! request with an outdated token is refused before it is applied, and sent again with a new one.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use deputy_core::SecretBytes;
use deputy_support::LockUnpoisoned as _;
use http::HeaderValue;
use zeroize::Zeroize as _;

use crate::EtcdError;
use crate::message::{AuthenticateRequest, AuthenticateResponse};

pub(crate) const AUTHENTICATE: &str = "/etcdserverpb.Auth/Authenticate";

/// A user of etcd.
pub struct EtcdLogin {
    pub user: String,
    pub password: Box<dyn PasswordSource>,
}

/// A password that may be changed while a client is in use.
#[async_trait]
pub trait PasswordSource: Send + Sync {
    /// The password that was read last.
    fn current(&self) -> Arc<SecretBytes>;

    /// Reads it again, since etcd refused it.
    async fn renew(&self);
}

/// One that is never changed.
#[async_trait]
impl PasswordSource for Arc<SecretBytes> {
    fn current(&self) -> Arc<SecretBytes> {
        Arc::clone(self)
    }

    async fn renew(&self) {}
}

/// The token in use. `None` until it is needed.
#[derive(Default)]
pub(crate) struct Token {
    current: Mutex<Option<HeaderValue>>,
    /// Held while a new one is asked for, which takes etcd some time by design.
    pub(crate) refresh: tokio::sync::Mutex<()>,
}

impl EtcdLogin {
    pub(crate) fn request(&self, password: &SecretBytes) -> Result<AuthenticateRequest, EtcdError> {
        let password = std::str::from_utf8(password.expose());
        let password = password.map_err(|_| EtcdError::Unusable("a password that is not UTF-8"))?.to_owned();
        Ok(AuthenticateRequest { name: self.user.clone(), password })
    }
}

/// Wiped once it is encoded.
pub(crate) fn wipe(mut request: AuthenticateRequest) {
    request.password.zeroize();
}

impl Token {
    pub(crate) fn current(&self) -> Option<HeaderValue> {
        self.current.lock_unpoisoned().clone()
    }

    /// Takes the token of an answer.
    pub(crate) fn renew(&self, answer: &AuthenticateResponse) -> Result<HeaderValue, EtcdError> {
        let token = HeaderValue::from_str(&answer.token);
        let mut token = token.map_err(|_| EtcdError::Malformed("an unreadable token"))?;
        token.set_sensitive(true);
        *self.current.lock_unpoisoned() = Some(token.clone());
        Ok(token)
    }

    /// Forgets a token that etcd refused, unless it was replaced meanwhile.
    pub(crate) fn forget(&self, refused: &HeaderValue) {
        let mut current = self.current.lock_unpoisoned();
        if current.as_ref() == Some(refused) {
            *current = None;
        }
    }
}
