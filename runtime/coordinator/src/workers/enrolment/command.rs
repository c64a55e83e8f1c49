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

/// The reply to a certificate request, after the change is durable.
pub(in crate::workers) struct CertificateReply(Box<dyn ReplySender>);

type CertificateResult = Result<Certified, EnrolmentRejection>;

trait ReplySender: Send {
    fn is_closed(&self) -> bool;
    fn send(self: Box<Self>, result: CertificateResult);
}

/// Sends what a caller wants to have of the result.
struct ConvertingSender<T, F>(oneshot::Sender<T>, F);

impl<T: Send, F: FnOnce(CertificateResult) -> T + Send> ReplySender for ConvertingSender<T, F> {
    fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    fn send(self: Box<Self>, result: CertificateResult) {
        let Self(sender, convert) = *self;
        sender.send(convert(result)).ok();
    }
}

impl CertificateReply {
    pub(in crate::workers) fn new<T: Send + 'static>(
        sender: oneshot::Sender<T>,
        convert: impl FnOnce(CertificateResult) -> T + Send + 'static,
    ) -> Self {
        Self(Box::new(ConvertingSender(sender, convert)))
    }

    pub(super) fn send(self, result: CertificateResult) {
        self.0.send(result);
    }
}

impl EnrolmentCommand {
    /// Whether its caller is gone. A worker has asked again since, maybe another coordinator: decided now, its old request would
    /// look like a second use of its identity. What an operator decided about a worker or a token stands.
    pub(super) fn is_abandoned(&self) -> bool {
        match self {
            Self::Join { reply, .. } | Self::Renew { reply, .. } => reply.0.is_closed(),
            Self::Admit { reply, .. } => reply.is_closed(),
            Self::CreateToken { reply, .. } => reply.is_closed(),
            Self::Tokens(_) | Self::RevokeToken(..) | Self::WorkersAfter(..) | Self::Exclude(..) => false,
        }
    }
}

pub(in crate::workers) struct CreatedToken {
    pub(in crate::workers) id: TokenId,
    pub(in crate::workers) secret: TokenSecret,
    pub(in crate::workers) authority: AuthorityFingerprint,
    pub(in crate::workers) expires: Timestamp,
}
