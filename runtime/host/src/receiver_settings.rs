//! Whether a receiver accepts its settings.

use deputy_core::failure::FailureKind;
use deputy_sandbox::LoadedReceiver;

use crate::call_failure::{failure_kind, failure_message};

/// The receiver's message if it rejects its settings. It is called once without deliveries, and its outputs are discarded:
/// a receiver reads its settings first, and rejects those that it does not know.
pub async fn rejected_settings(receiver: &LoadedReceiver) -> Option<String> {
    let call = receiver.accept(&[]).await;
    let error = call.result.as_ref().err()?;
    (failure_kind(&call) == Some(FailureKind::Misconfigured)).then(|| failure_message(error))
}
