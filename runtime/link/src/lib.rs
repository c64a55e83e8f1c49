//! The link between a coordinator and its workers: enrolment, certificates, messages and both sides of a connection.
//!
//! A worker starts with a [`JoinString`] from an operator: the coordinator's addresses, the fingerprint of its authority,
//! and a secret with a limited life. The worker creates a key, and the secret gets it a certificate for that key. From then on
//! the certificate identifies it. [`Enrolment`] holds join tokens and workers. It is a pure state machine, so that each way
//! to steal, copy or repeat an identity is a test.
//!
//! This crate opens no file. It reads no clock but for a [`client::Engine`], which has none to pass on. It keeps secrets of
//! tokens as hashes only, except in the join string on its way to the worker.

#![cfg_attr(test, allow(clippy::string_slice, reason = "tests slice texts that they made themselves"))]

mod authority;
mod certificate;
pub mod client;
mod clock;
mod delivered_state;
mod enrolment;
mod frame;
mod group_feed;
mod identity;
mod instance_place;
mod join;
mod limits;
pub mod message;
mod name;
mod protocol_error;
pub mod server;
#[cfg(test)]
mod testing;
mod text;
mod tls;

pub use authority::{Authority, AuthorityError, CertificateLifetimes, CertificateRequest, RotationOutcome};
pub use certificate::{COORDINATOR_NAME, PeerCertificate, ServerCertificate};
pub use delivered_state::{DeliveredState, DeliveryReport, ReceiverBinding};
pub use enrolment::{
    AdmissionChange, AdmissionDenied, EnrolledWorker, Enrolment, EnrolmentStatus, JoinDenied, JoinRequest, JoinToken,
    PendingJoin, RenewalCount, RenewalDenied, RenewalRequest,
};
pub use frame::{FrameError, Frames, encode};
pub use group_feed::{EncodedLease, GroupFeed, GroupFeeds};
pub use identity::{IdentityError, WorkerIdentity, WorkerKey};
pub use join::{
    AuthorityFingerprint, JoinString, JoinStringError, MAX_JOIN_STRING, TokenHash, TokenId, TokenIdError, TokenSecret,
};
pub use name::{KeyDigest, WorkerId, WorkerIdError};
pub use protocol_error::{ErrorCode, ErrorCodeError, ProtocolError};
