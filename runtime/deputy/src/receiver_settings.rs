//! Whether a receiver takes its settings. It is called once without deliveries, and what it leaves is thrown away: a
//! receiver reads its settings before all else, and refuses those that it does not know.

use deputy_core::failure::FailureKind;
use deputy_sandbox::LoadedReceiver;

use crate::provider::{kind, message};

/// What the receiver says of its settings, if they are wrong.
pub(crate) async fn check(receiver: &LoadedReceiver) -> Result<(), String> {
    let call = receiver.accept(&[]).await;
    match &call.result {
        Err(error) if kind(&call, error) == FailureKind::Misconfigured => Err(message(error)),
        _ => Ok(()),
    }
}
