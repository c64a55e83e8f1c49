//! The messages of the link, as protocol buffers.
//!
//! `cargo xtask proto` generates the types from `link.proto`, which clients in other languages use as well. Each message
//! travels in a [frame](crate::encode) of its own. Messages with bytes or maps show no value in their `Debug`: what they
//! hold is a secret, or may be one by mistake. Their readers turn payloads and secrets into types that are wiped.

use std::fmt;

#[allow(clippy::all, unreachable_pub, unused_qualifications, reason = "generated")]
mod generated;

pub use generated::client_message::Kind as ClientMessageKind;
pub use generated::server_message::Kind as ServerMessageKind;
pub use generated::{
    Addresses, ApplyReport, Authorities, Certified, ClientMessage, ComponentChunk, FetchComponent, GroupInstances,
    InstancePlace, Join, KnownLease, LeaseUpdate, LeaseWithdrawn, Ping, ReceiverBound, ReceiverLimits, Refusal,
    RenewCertificate, ServerMessage, Shutdown, SnapshotEnd, Subscribe, Welcome,
};

macro_rules! debug_name_only {
    ($($message:ident),*) => {$(
        impl fmt::Debug for $message {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($message)).finish_non_exhaustive()
            }
        }
    )*};
}

debug_name_only!(Authorities, Certified, ComponentChunk, FetchComponent, Join, ReceiverBound, RenewCertificate);

impl fmt::Debug for LeaseUpdate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaseUpdate")
            .field("instance", &self.instance)
            .field("revision", &self.revision)
            .field("valid_until_ms", &self.valid_until_ms)
            .finish_non_exhaustive()
    }
}

impl From<ClientMessageKind> for ClientMessage {
    fn from(kind: ClientMessageKind) -> Self {
        Self { kind: Some(kind) }
    }
}

impl From<ServerMessageKind> for ServerMessage {
    fn from(kind: ServerMessageKind) -> Self {
        Self { kind: Some(kind) }
    }
}

#[cfg(test)]
mod tests;
