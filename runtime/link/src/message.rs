//! What is said on the link, as protocol buffers (proto3). `link.proto` beside this crate says the same for other
//! languages; a test compares the two.
//!
//! A worker says [`Up`], the coordinator says [`Down`], each in a frame of its own (see `frame`). Whatever a later version
//! adds is skipped by an earlier one. Messages that carry a payload or a token's secret have a `Debug` that does not print
//! them, and are turned at once into types that are wiped.

use std::fmt;

use prost::{Message, Oneof};

/// What a worker says.
#[derive(Clone, PartialEq, Message)]
pub struct ClientMessage {
    /// One of these.
    #[prost(oneof = "ClientMessageKind", tags = "1, 2, 3, 4, 5, 6")]
    pub request: Option<ClientMessageKind>,
}

/// What a worker may say.
#[derive(Clone, PartialEq, Oneof)]
pub enum ClientMessageKind {
    /// Let me in: the one thing that somebody without a certificate may say.
    #[prost(message, tag = "1")]
    Join(Join),
    /// Certify another key.
    #[prost(message, tag = "2")]
    Renew(Renew),
    /// Send me what I may have, now and whenever it changes.
    #[prost(message, tag = "3")]
    Subscribe(Subscribe),
    /// What became of what was sent.
    #[prost(message, tag = "4")]
    Applied(ApplyReport),
    /// Send me a component.
    #[prost(message, tag = "5")]
    Fetch(Fetch),
    /// I am here.
    #[prost(message, tag = "6")]
    Ping(Ping),
}

/// What the coordinator says.
#[derive(Clone, PartialEq, Message)]
pub struct ServerMessage {
    /// One of these.
    #[prost(oneof = "ServerMessageKind", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12")]
    pub reply: Option<ServerMessageKind>,
}

/// What the coordinator may say.
#[derive(Clone, PartialEq, Oneof)]
pub enum ServerMessageKind {
    /// You are in.
    #[prost(message, tag = "1")]
    Certified(Certified),
    /// No, and why.
    #[prost(message, tag = "2")]
    Refused(Refused),
    /// How we go on: before the first update.
    #[prost(message, tag = "3")]
    Welcome(Welcome),
    /// A lease.
    #[prost(message, tag = "4")]
    Update(Update),
    /// No longer yours.
    #[prost(message, tag = "5")]
    Withdrawn(Withdrawn),
    /// A receiver for your group.
    #[prost(message, tag = "6")]
    Bound(ReceiverBound),
    /// All that you may have is these; what you have beside them is no longer yours.
    #[prost(message, tag = "7")]
    Complete(SnapshotEnd),
    /// Whom to trust from now on.
    #[prost(message, tag = "8")]
    Authorities(Authorities),
    /// A piece of a component.
    #[prost(message, tag = "9")]
    Piece(ComponentChunk),
    /// I am here, too.
    #[prost(message, tag = "10")]
    Pong(Ping),
    /// I am going; come back then.
    #[prost(message, tag = "11")]
    Goodbye(Shutdown),
    /// The instances of your group.
    #[prost(message, tag = "12")]
    Delivered(Delivered),
}

/// Who wants to join.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub struct Join {
    /// The token's id, 8 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub token: Vec<u8>,
    /// The token's secret, 32 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub secret: Vec<u8>,
    /// The request for a certificate: PKCS#10 in DER, of which the key alone is used.
    #[prost(bytes = "vec", tag = "3")]
    pub request: Vec<u8>,
}

/// Who wants another certificate.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub struct Renew {
    /// One more than that of the last renewal that was answered.
    #[prost(uint64, tag = "1")]
    pub sequence: u64,
    /// As in [`Join`].
    #[prost(bytes = "vec", tag = "2")]
    pub request: Vec<u8>,
}

/// A certificate, and what goes with it.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub struct Certified {
    /// The worker's certificate, in DER.
    #[prost(bytes = "vec", tag = "1")]
    pub certificate: Vec<u8>,
    /// Who the worker is.
    #[prost(string, tag = "2")]
    pub worker: String,
    /// Its group.
    #[prost(string, tag = "3")]
    pub group: String,
    /// How often it renewed.
    #[prost(uint64, tag = "4")]
    pub sequence: u64,
    /// Certificates of all authorities to trust, in DER.
    #[prost(bytes = "vec", repeated, tag = "5")]
    pub authorities: Vec<Vec<u8>>,
}

/// What a worker wants.
#[derive(Clone, PartialEq, Message)]
pub struct Subscribe {
    /// The instances; all that it may have if there are none.
    #[prost(string, repeated, tag = "1")]
    pub instances: Vec<String>,
    /// What it has already, and need not be sent.
    #[prost(message, repeated, tag = "2")]
    pub known: Vec<KnownLease>,
    /// Its version.
    #[prost(string, tag = "3")]
    pub version: String,
    /// The name of its machine, for people.
    #[prost(string, tag = "4")]
    pub host: String,
}

/// A lease that a worker has.
#[derive(Clone, PartialEq, Message)]
pub struct KnownLease {
    /// Of which instance.
    #[prost(string, tag = "1")]
    pub instance: String,
    /// Its number.
    #[prost(uint64, tag = "2")]
    pub revision: u64,
    /// When it was obtained, in milliseconds since 1970.
    #[prost(uint64, tag = "3")]
    pub obtained_ms: u64,
}

/// What became of a lease.
#[derive(Clone, PartialEq, Message)]
pub struct ApplyReport {
    /// Which.
    #[prost(message, optional, tag = "1")]
    pub what: Option<KnownLease>,
    /// Why it is not applied; empty if it is.
    #[prost(string, tag = "2")]
    pub failure: String,
}

/// Which component.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub struct Fetch {
    /// Its SHA-256.
    #[prost(bytes = "vec", tag = "1")]
    pub digest: Vec<u8>,
}

/// Nothing but a sign of life.
#[derive(Clone, PartialEq, Message)]
pub struct Ping {}

/// Why not.
#[derive(Clone, PartialEq, Message)]
pub struct Refused {
    /// For programs: see `Code`.
    #[prost(string, tag = "1")]
    pub code: String,
    /// For people.
    #[prost(string, tag = "2")]
    pub message: String,
    /// What it is about, if it is one instance or one component.
    #[prost(string, tag = "3")]
    pub subject: String,
}

/// How coordinator and worker go on.
#[derive(Clone, PartialEq, Message)]
pub struct Welcome {
    /// The worker gives a sign of life so often, in milliseconds; either leaves after three that did not come.
    #[prost(uint64, tag = "1")]
    pub heartbeat_ms: u64,
    /// If the connection is lost, come back at a random moment within this time, in milliseconds.
    #[prost(uint64, tag = "2")]
    pub spread_ms: u64,
    /// The coordinator's version.
    #[prost(string, tag = "3")]
    pub version: String,
}

/// A lease.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub struct Update {
    /// Of which instance.
    #[prost(string, tag = "1")]
    pub instance: String,
    /// Of which service.
    #[prost(string, tag = "2")]
    pub service: String,
    /// Its number.
    #[prost(uint64, tag = "3")]
    pub revision: u64,
    /// When it was obtained, in milliseconds since 1970.
    #[prost(uint64, tag = "4")]
    pub obtained_ms: u64,
    /// When it ends, likewise.
    #[prost(uint64, tag = "5")]
    pub valid_until_ms: u64,
    /// What receivers understand.
    #[prost(bytes = "vec", tag = "6")]
    pub payload: Vec<u8>,
}

/// An instance that is no longer delivered.
#[derive(Clone, PartialEq, Message)]
pub struct Withdrawn {
    /// Which.
    #[prost(string, tag = "1")]
    pub instance: String,
}

/// A receiver.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub struct ReceiverBound {
    /// Its name.
    #[prost(string, tag = "1")]
    pub receiver: String,
    /// The SHA-256 of its component; empty if the group no longer has this receiver.
    #[prost(bytes = "vec", tag = "2")]
    pub component: Vec<u8>,
    /// What the component is told.
    #[prost(btree_map = "string, string", tag = "3")]
    pub settings: std::collections::BTreeMap<String, String>,
    /// Whose leases it gets.
    #[prost(string, repeated, tag = "4")]
    pub instances: Vec<String>,
    /// What a call of it may use, where somebody said so. Boxed, since every other message would have room for it.
    #[prost(message, optional, boxed, tag = "5")]
    pub limits: Option<Box<ReceiverLimits>>,
}

/// What one call of a receiver may use: the keys of `limits`, with sizes in bytes and times in milliseconds. What is not set
/// is the worker's default.
#[derive(Clone, PartialEq, Message)]
pub struct ReceiverLimits {
    /// Bytes of one argument that the component passes to the host.
    #[prost(uint64, optional, tag = "1")]
    pub argument_bytes: Option<u64>,
    /// Time between two pieces of an answer.
    #[prost(uint64, optional, tag = "2")]
    pub between_bytes_ms: Option<u64>,
    /// Time to connect.
    #[prost(uint64, optional, tag = "3")]
    pub connect_ms: Option<u64>,
    /// Time in which the component itself computes.
    #[prost(uint64, optional, tag = "4")]
    pub cpu_ms: Option<u64>,
    /// Time of one request with its answer.
    #[prost(uint64, optional, tag = "5")]
    pub exchange_ms: Option<u64>,
    /// Time from a request's end to the answer's head.
    #[prost(uint64, optional, tag = "6")]
    pub first_byte_ms: Option<u64>,
    /// Handles that are open at once.
    #[prost(uint64, optional, tag = "7")]
    pub handles: Option<u64>,
    /// Bytes of a request's headers, and of an answer's.
    #[prost(uint64, optional, tag = "8")]
    pub headers_bytes: Option<u64>,
    /// Core instances inside the component.
    #[prost(uint64, optional, tag = "9")]
    pub instances: Option<u64>,
    /// Bytes of its log.
    #[prost(uint64, optional, tag = "10")]
    pub log_bytes: Option<u64>,
    /// Lines of its log.
    #[prost(uint64, optional, tag = "11")]
    pub log_lines: Option<u64>,
    /// Bytes of its memory.
    #[prost(uint64, optional, tag = "12")]
    pub memory_bytes: Option<u64>,
    /// Bytes of all files together.
    #[prost(uint64, optional, tag = "13")]
    pub output_bytes: Option<u64>,
    /// Files that one call leaves.
    #[prost(uint64, optional, tag = "14")]
    pub output_files: Option<u64>,
    /// Bytes of what a provider brings back.
    #[prost(uint64, optional, tag = "15")]
    pub payload_bytes: Option<u64>,
    /// Bytes that come in.
    #[prost(uint64, optional, tag = "16")]
    pub received_bytes: Option<u64>,
    /// Requests and connections.
    #[prost(uint64, optional, tag = "17")]
    pub requests: Option<u64>,
    /// Bytes of one answer's body.
    #[prost(uint64, optional, tag = "18")]
    pub response_bytes: Option<u64>,
    /// Operations on secrets.
    #[prost(uint64, optional, tag = "19")]
    pub secret_operations: Option<u64>,
    /// Bytes that leave.
    #[prost(uint64, optional, tag = "20")]
    pub sent_bytes: Option<u64>,
    /// Elements of each table.
    #[prost(uint64, optional, tag = "21")]
    pub table_elements: Option<u64>,
    /// Time for the TLS handshake.
    #[prost(uint64, optional, tag = "22")]
    pub tls_ms: Option<u64>,
    /// Bytes of a request's URL.
    #[prost(uint64, optional, tag = "23")]
    pub url_bytes: Option<u64>,
    /// Time from the call's start to its end.
    #[prost(uint64, optional, tag = "24")]
    pub wall_ms: Option<u64>,
}

/// The end of what is sent at first.
#[derive(Clone, PartialEq, Message)]
pub struct SnapshotEnd {
    /// All instances that the worker may have, also if there is no lease of them at the moment; without those of which the
    /// lease was taken back.
    #[prost(string, repeated, tag = "1")]
    pub instances: Vec<String>,
    /// All receivers of its group.
    #[prost(string, repeated, tag = "2")]
    pub receivers: Vec<String>,
}

/// Whom to trust.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub struct Authorities {
    /// Certificates, in DER.
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub certificates: Vec<Vec<u8>>,
}

/// A piece of a component, in order.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub struct ComponentChunk {
    /// Of which.
    #[prost(bytes = "vec", tag = "1")]
    pub digest: Vec<u8>,
    /// Bytes of the whole.
    #[prost(uint64, tag = "2")]
    pub size: u64,
    /// The next ones.
    #[prost(bytes = "vec", tag = "3")]
    pub bytes: Vec<u8>,
}

/// All instances that are delivered to the worker's group, whether or not the worker asked for them and whether or not
/// there is a lease of them now. Sent before [`Complete`], and whenever it changes.
#[derive(Clone, PartialEq, Message)]
pub struct Delivered {
    /// Their names.
    #[prost(string, repeated, tag = "1")]
    pub instances: Vec<String>,
}

/// The coordinator is going.
#[derive(Clone, PartialEq, Message)]
pub struct Shutdown {
    /// Come back at a random moment within this time, in milliseconds.
    #[prost(uint64, tag = "1")]
    pub spread_ms: u64,
}

/// Messages with bytes in them show their name and no more: what is a secret today, or holds one by mistake, is in no log.
macro_rules! closed {
    ($($message:ident),*) => {$(
        impl fmt::Debug for $message {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($message)).finish_non_exhaustive()
            }
        }
    )*};
}

closed!(Authorities, ReceiverBound, Certified, Fetch, Join, ComponentChunk, Renew);

impl fmt::Debug for Update {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Update")
            .field("instance", &self.instance)
            .field("revision", &self.revision)
            .field("valid_until_ms", &self.valid_until_ms)
            .finish_non_exhaustive()
    }
}

impl From<ClientMessageKind> for ClientMessage {
    fn from(request: ClientMessageKind) -> Self {
        Self { request: Some(request) }
    }
}

impl From<ServerMessageKind> for ServerMessage {
    fn from(reply: ServerMessageKind) -> Self {
        Self { reply: Some(reply) }
    }
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
