//! The messages that enrolment takes.

use deputy_core::{GroupName, Span, Timestamp};
use deputy_link::message::Certified;
use deputy_link::{
    AuthorityFingerprint, EnrolledWorker, EnrolmentStatus, PeerCertificate, ProtocolError, TokenId, TokenSecret,
    WorkerId,
};
use tokio::sync::oneshot;

use super::EnrolmentRejection;
use crate::workers::WorkerRequestError;
use crate::workers::status::TokenStatus;

pub(in crate::workers) enum EnrolmentCommand {
    Join {
        token: TokenId,
        secret: TokenSecret,
        request: Vec<u8>,
        reply: CertificateReply,
    },
    Renew {
        peer: PeerCertificate,
        sequence: u64,
        request: Vec<u8>,
        reply: CertificateReply,
    },
    Admit {
        peer: PeerCertificate,
        reply: oneshot::Sender<Result<GroupName, ProtocolError>>,
    },
    CreateToken {
        group: GroupName,
        uses: u32,
        ttl: Span,
        reply: oneshot::Sender<Result<CreatedToken, WorkerRequestError>>,
    },
    Tokens(oneshot::Sender<Vec<TokenStatus>>),
    RevokeToken(TokenId, oneshot::Sender<Result<(), WorkerRequestError>>),
    /// The next workers after this one, in the order of their ids.
    WorkersAfter(Option<WorkerId>, oneshot::Sender<Vec<EnrolledWorker>>),
    Exclude(WorkerId, EnrolmentStatus, oneshot::Sender<Result<(), WorkerRequestError>>),
}

/// Called with the result of a certificate request after the change is durable.
pub(in crate::workers) type CertificateReply = Box<dyn FnOnce(Result<Certified, EnrolmentRejection>) + Send>;

pub(in crate::workers) struct CreatedToken {
    pub(in crate::workers) id: TokenId,
    pub(in crate::workers) secret: TokenSecret,
    pub(in crate::workers) authority: AuthorityFingerprint,
    pub(in crate::workers) expires: Timestamp,
}
