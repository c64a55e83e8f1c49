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
mod held;
mod hub;
mod identity;
mod join;
mod limits;
pub mod message;
mod name;
mod refusal;
pub mod server;
#[cfg(test)]
mod testing;
mod text;
mod timer;

pub use authority::{Authority, AuthorityError, Lives, Requested, Served, Turned};
pub use certificate::{COORDINATOR, Peer};
pub use clock::Clock;
pub use enrolment::{
    Enrolment, JoinRefused, Noted, PendingJoin, Presented, RenewRefused, Renewal, Sequence, Standing, Token, Worker,
    WorkerRefused,
};
pub use frame::{FrameError, Frames, encode};
pub use held::{Binding, Held, Report};
pub use hub::{Encoded, Group, Hub};
pub use identity::{Identity, IdentityError, Key};
pub use join::{Fingerprint, JoinError, JoinString, TokenHash, TokenId, TokenIdError, TokenSecret};
pub use name::{KeyDigest, WorkerId, WorkerIdError};
pub use refusal::{Code, CodeError, Refusal};
