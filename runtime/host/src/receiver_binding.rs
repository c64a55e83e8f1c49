//! Whether a receiver can work with its settings and with the instances that are bound to it.

use deputy_core::{BoundInstance, ComponentFailure};
use deputy_sandbox::{CallError, LoadedReceiver};

/// Why a binding cannot work.
#[derive(Debug, thiserror::Error)]
pub enum BindingError {
    /// The component rejects its settings, or the instances that are bound to it.
    #[error("the receiver rejects its configuration: {0}")]
    Rejected(ComponentFailure),
    /// An instance obtains what the receiver does not take.
    #[error(
        "instance {instance} obtains {obtained}, and the receiver takes only {taken}: unbind the instance, or use another \
         receiver"
    )]
    Kinds { instance: String, obtained: String, taken: String },
    /// A call failed otherwise.
    #[error("the receiver does not answer: {0}")]
    Call(CallError),
}

impl BindingError {
    /// The setting that is wrong, as the component names it.
    pub fn setting(&self) -> Option<&str> {
        match self {
            Self::Rejected(failure) => failure.setting.as_deref(),
            Self::Kinds { .. } | Self::Call(_) => None,
        }
    }
}

/// Asks a receiver for the kinds that it takes, compares them with those of the bound instances, and has it check its
/// settings. Nothing is obtained or published.
///
/// # Errors
/// If the binding cannot work.
pub async fn check_binding(receiver: &LoadedReceiver, bound: &[BoundInstance]) -> Result<(), BindingError> {
    let taken = receiver.kinds().await.result.map_err(rejected)?;
    for instance in bound {
        let missing = taken.missing(&instance.kinds);
        if !missing.is_empty() {
            let obtained: Vec<&str> = missing.iter().map(|kind| kind.as_str()).collect();
            return Err(BindingError::Kinds {
                instance: instance.instance.to_string(),
                obtained: obtained.join(", "),
                taken: taken.to_string(),
            });
        }
    }
    receiver.check(bound).await.result.map_err(rejected)
}

fn rejected(error: CallError) -> BindingError {
    match error {
        CallError::Failure(failure) => BindingError::Rejected(failure),
        error => BindingError::Call(error),
    }
}
