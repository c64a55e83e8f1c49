//! A token that follows its file: one that was replaced is good no longer, and needs no restart.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand::SecureRandom;
use deputy_core::in_one_line;
use deputy_sources::{FileFingerprint, SourceContext};
use tokio::sync::Mutex;

use super::token::{EndpointToken, EndpointTokenError};
use deputy_core::time::Clock;

/// How long the last token is good after its file can't be used any more: it may be being written.
const GRACE: Duration = Duration::from_secs(60);

/// The token of an endpoint.
pub struct TokenFile {
    path: PathBuf,
    here: SourceContext,
    clock: Arc<dyn Clock>,
    last: Mutex<LastToken>,
}

struct LastToken {
    token: Arc<EndpointToken>,
    /// Of the file that was looked at last; `None` if it is not there.
    seen: Option<FileFingerprint>,
    /// Since when the file can't be used, in milliseconds of the wall clock.
    failed_at: Option<u64>,
}

impl TokenFile {
    /// Reads a token's file, and makes one that is not there.
    ///
    /// # Errors
    /// As [`Token::open`].
    pub async fn open(
        path: &Path,
        random: &dyn SecureRandom,
        here: &SourceContext,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, EndpointTokenError> {
        let token = EndpointToken::open(path, random, here).await?;
        // Unknown: the first use reads the file again, so that no change in between is missed.
        let last = LastToken { token: Arc::new(token), seen: None, failed_at: None };
        Ok(Self { path: path.to_owned(), here: here.clone(), clock, last: Mutex::new(last) })
    }

    /// Whether this is the token that the file holds now.
    pub async fn is(&self, shown: &[u8]) -> bool {
        self.current().await.is_some_and(|token| token.is(shown))
    }

    async fn current(&self) -> Option<Arc<EndpointToken>> {
        let mut last = self.last.lock().await;
        let seen = FileFingerprint::of_file(&self.path).await.ok();
        let unchanged = last.seen == seen && seen.is_some();
        if !unchanged {
            match EndpointToken::read(&self.path, &self.here).await {
                Ok(token) => *last = LastToken { token: Arc::new(token), seen, failed_at: None },
                Err(error) => {
                    if last.failed_at.is_none() || last.seen != seen {
                        let file = self.path.display();
                        tracing::warn!(
                            %file, error = in_one_line(&error),
                            "the token file of an endpoint cannot be used; the last token is good for {} s", GRACE.as_secs()
                        );
                    }
                    let now = self.clock.now().wall.as_millis();
                    last.failed_at.get_or_insert(now);
                    last.seen = seen;
                }
            }
        }
        let good = last.failed_at.is_none_or(|at| {
            // A clock that was set back makes it old, not young.
            self.clock.now().wall.as_millis().checked_sub(at).is_some_and(|age| u128::from(age) < GRACE.as_millis())
        });
        good.then(|| Arc::clone(&last.token))
    }
}

#[cfg(test)]
#[path = "token_file_tests.rs"]
mod tests;
