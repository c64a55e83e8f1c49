//! Follows the file of a token, so that a token can be replaced without a restart.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::rand::SecureRandom;
use deputy_core::time::{Clock, Timestamp};
use deputy_core::{Span, in_one_line};
use deputy_sources::{FileFingerprint, SourceContext};
use tokio::sync::Mutex;

use super::token::{EndpointToken, EndpointTokenError};

/// How long the last token is accepted after its file became unusable: the file may be in the middle of a replacement.
const GRACE_PERIOD: Span = Span::secs(60);

pub struct TokenFile {
    path: PathBuf,
    context: SourceContext,
    clock: Arc<dyn Clock>,
    last: Mutex<LastToken>,
}

struct LastToken {
    token: Arc<EndpointToken>,
    /// Of the file at the last check; `None` if it does not exist.
    fingerprint: Option<FileFingerprint>,
    /// When the file became unusable.
    failed_at: Option<Timestamp>,
}

impl TokenFile {
    /// Reads a token file, and creates one that does not exist.
    pub async fn open(
        path: &Path,
        random: &dyn SecureRandom,
        context: &SourceContext,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, EndpointTokenError> {
        let token = EndpointToken::open(path, random, context).await?;
        // Without a fingerprint the first use reads the file again, so that no change in between is missed.
        let last = LastToken { token: Arc::new(token), fingerprint: None, failed_at: None };
        Ok(Self { path: path.to_owned(), context: context.clone(), clock, last: Mutex::new(last) })
    }

    /// Whether this is the token that the file holds now.
    pub async fn matches(&self, token: &[u8]) -> bool {
        self.current().await.is_some_and(|current| current.matches(token))
    }

    async fn current(&self) -> Option<Arc<EndpointToken>> {
        let mut last = self.last.lock().await;
        let fingerprint = FileFingerprint::of_file(&self.path).await.ok();
        let is_unchanged = fingerprint.is_some() && last.fingerprint == fingerprint;
        if !is_unchanged {
            match EndpointToken::read(&self.path, &self.context).await {
                Ok(token) => *last = LastToken { token: Arc::new(token), fingerprint, failed_at: None },
                Err(error) => {
                    if last.failed_at.is_none() || last.fingerprint != fingerprint {
                        tracing::warn!(
                            file = %self.path.display(), error = in_one_line(&error),
                            "token file of an endpoint is unusable; its last token is accepted for {GRACE_PERIOD}"
                        );
                    }
                    last.failed_at.get_or_insert(self.clock.now().wall);
                    last.fingerprint = fingerprint;
                }
            }
        }
        let is_accepted = last.failed_at.is_none_or(|failed_at| {
            let now = self.clock.now().wall;
            // A clock that was set back ends the grace period.
            now >= failed_at && now.since(failed_at) < GRACE_PERIOD
        });
        is_accepted.then(|| Arc::clone(&last.token))
    }
}

#[cfg(test)]
mod tests;
