//! What the shell knows of a component: that it can be called.

use async_trait::async_trait;
use deputy_core::schedule::{CallOutcome, ProviderCall};

/// Answers the calls of one instance.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Does the work. It ends by itself: within the limits of the instance.
    async fn call(&self, work: &ProviderCall) -> CallOutcome;
}
