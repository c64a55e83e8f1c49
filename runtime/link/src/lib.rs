//! Between coordinator and worker: who a worker is, and how it came to be one.
//!
//! A worker begins with a [`JoinString`], which an operator hands it: where the coordinator is, which authority vouches
//! for it, and a secret that is good for a while. It makes a key of its own, and with the secret it gets a certificate for
//! that key; from then on it is known by the certificate. [`Enrolment`] is the coordinator's book of tokens and workers: a
//! pure state machine, so that every way to steal, copy or repeat an identity is a test.
//!
//! This crate opens no file, and reads no clock but for a [`client::Engine`], which has none to hand over. It holds
//! secrets of tokens only as hashes, except in the join string on its way to the worker.

#![cfg_attr(test, allow(clippy::string_slice, reason = "tests cut texts that they made themselves"))]

mod authority;
mod certificate;
pub mod client;
mod clock;
mod enrolment;
mod frame;
mod group_feed;
mod identity;
mod join;
mod limits;
pub mod message;
mod name;
mod protocol_error;
pub mod server;
#[cfg(test)]
mod testing;
mod text;
mod worker_state;

pub use authority::{
    Authority, AuthorityError, CertificateLifetimes, CertificateRequest, RotationOutcome, ServerCertificate,
};
pub use certificate::{COORDINATOR, PeerCertificate};
pub use enrolment::{
    AdmissionChange, AdmissionDenied, EnrolledWorker, Enrolment, EnrolmentStatus, JoinDenied, JoinRequest, JoinToken,
    PendingJoin, RenewalCount, RenewalDenied, RenewalRequest,
};
pub use frame::{FrameError, Frames, encode};
pub use group_feed::{EncodedLease, GroupFeed, GroupFeeds};
pub use identity::{IdentityError, WorkerIdentity, WorkerKey};
pub use join::{AuthorityFingerprint, JoinString, JoinStringError, TokenHash, TokenId, TokenIdError, TokenSecret};
pub use name::{KeyDigest, WorkerId, WorkerIdError};
pub use protocol_error::{ErrorCode, ErrorCodeError, ProtocolError};
pub use worker_state::{DeliveryReport, ReceiverBinding, WorkerState};
