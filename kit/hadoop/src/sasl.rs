//! SASL GSSAPI (RFC 4752), the client's side: how Hadoop's services, HBase, Hive and Kafka log a client in by Kerberos.
//!
//! First the two sides exchange the tokens of a security context. Then the server offers layers of protection for what
//! follows, and the client chooses one. A service puts these messages into frames of its own.

/// What a security context refuses, and what then helps. The texts are the host's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContextError {
    /// The target is not granted, or a limit is used up.
    #[error("denied: {0}")]
    Denied(String),
    /// No KDC answers. It may later.
    #[error("no Kerberos login now: {0}")]
    Unavailable(String),
    /// The KDC refuses: a wrong key, a locked principal, an unknown service. An operator has to mend it.
    #[error("Kerberos refuses: {0}")]
    Refused(String),
    /// The peer's token is malformed, forged, replayed or out of order.
    #[error("the server's Kerberos token is not valid: {0}")]
    BadToken(String),
    /// A call at the wrong time: this program's fault.
    #[error("the Kerberos context is not in the state for this call")]
    WrongState,
}

/// The result of one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextStep {
    /// What the peer must get. It may be empty, and SASL sends it anyway.
    pub token: Vec<u8>,
    /// Whether the context is established, so that messages can be protected.
    pub established: bool,
}

/// A message of the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenedMessage {
    /// Its plain bytes.
    pub message: Vec<u8>,
    /// Whether the peer encrypted it. Else it is signed only.
    pub sealed: bool,
}

/// A Kerberos security context with one service. The host has one behind its capability, which keeps every key.
pub trait SecurityContext {
    /// Takes the peer's token (none yet: empty) and returns the next one.
    ///
    /// # Errors
    /// If the KDC or the host refuses, or the token is not valid.
    fn step(&mut self, token: &[u8]) -> Result<ContextStep, ContextError>;

    /// Protects a message: signed, and encrypted if it is `confidential`.
    ///
    /// # Errors
    /// Before the context is established, and over the host's limits.
    fn wrap(&mut self, message: &[u8], confidential: bool) -> Result<Vec<u8>, ContextError>;

    /// Checks and opens a message of the peer.
    ///
    /// # Errors
    /// If it is forged, replayed or out of order, or the context is not established.
    fn unwrap(&mut self, token: &[u8]) -> Result<OpenedMessage, ContextError>;
}

/// The quality of protection of what follows a login, by the names that `hadoop.rpc.protection` has for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quality {
    /// Both sides are authenticated, and messages go as they are.
    Authentication,
    /// Messages are signed.
    Integrity,
    /// Messages are encrypted.
    Privacy,
}

impl Quality {
    /// From the weakest to the strongest.
    pub const ALL: [Self; 3] = [Self::Authentication, Self::Integrity, Self::Privacy];

    /// The bit of the security layer in RFC 4752.
    const fn bit(self) -> u8 {
        match self {
            Self::Authentication => 1,
            Self::Integrity => 2,
            Self::Privacy => 4,
        }
    }

    /// Hadoop's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Authentication => "authentication",
            Self::Integrity => "integrity",
            Self::Privacy => "privacy",
        }
    }
}

/// A set of qualities that one side accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Qualities(u8);

impl Qualities {
    /// Every quality.
    pub const ANY: Self = Self(7);

    /// One quality alone.
    #[must_use]
    pub const fn only(quality: Quality) -> Self {
        Self(quality.bit())
    }

    /// Reads a setting as `hadoop.rpc.protection` is written: names with commas between.
    ///
    /// # Errors
    /// For other names. The error completes the sentence "setting x: …".
    pub fn parse(text: &str) -> Result<Self, String> {
        text.split(',').map(str::trim).try_fold(Self(0), |set, name| {
            let found = Quality::ALL.into_iter().find(|quality| quality.name().eq_ignore_ascii_case(name));
            found.map(|quality| Self(set.0 | quality.bit())).ok_or_else(|| {
                "must be `authentication`, `integrity` or `privacy`, or several of them with commas between".to_owned()
            })
        })
    }

    /// The strongest quality that both sets have.
    fn strongest_of_both(self, other: Self) -> Option<Quality> {
        Quality::ALL.into_iter().rev().find(|quality| self.0 & other.0 & quality.bit() != 0)
    }
}

impl std::fmt::Display for Qualities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> =
            Quality::ALL.into_iter().filter(|quality| self.0 & quality.bit() != 0).map(Quality::name).collect();
        f.write_str(&if names.is_empty() { "none".to_owned() } else { names.join(", ") })
    }
}

/// Why a login ends.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SaslError {
    /// The security context refuses.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// The offer of layers is not the four bytes of RFC 4752.
    #[error("the server's offer of protection has {0} bytes, not 4")]
    Offer(usize),
    /// There is no quality that both sides accept.
    #[error("the server offers protection {offered}, and {accepted} is accepted here: change setting `protection`")]
    NoQuality {
        /// What the server offers.
        offered: Qualities,
        /// What this side accepts.
        accepted: Qualities,
    },
    /// A message that must be encrypted is signed only.
    #[error("the server sent an unencrypted message, though `privacy` was agreed")]
    NotSealed,
    /// A protected message is larger than the server takes.
    #[error("a request of {length} bytes, and the server takes {limit}")]
    TooLarge {
        /// Its length when protected.
        length: usize,
        /// What the server takes.
        limit: usize,
    },
    /// The server goes on after the last message.
    #[error("the server sends another message, though the login is complete")]
    Complete,
    /// The server ends the login early.
    #[error("the server ends the login before it is complete")]
    Incomplete,
    /// The login takes more messages than Kerberos needs.
    #[error("the login is not complete after {MAX_STEPS} messages")]
    Endless,
}

/// The most messages of a login. Kerberos needs three, SCRAM two.
pub const MAX_STEPS: u32 = 8;

/// The largest message of a login, in bytes: a ticket with the group memberships of Active Directory has some 64 KiB.
pub const MAX_LOGIN: usize = 128 * 1024;

/// The largest protected message that this side announces to accept, in bytes.
pub const MAX_PROTECTED: u32 = 1 << 20;

/// Where a login is.
enum Progress {
    /// The context is not established.
    Context,
    /// It is, and the server's offer is next.
    Offer,
    /// The choice is made.
    Chosen { quality: Quality, limit: usize },
}

/// A login that is not complete: messages of the server go in, answers come out. [`Self::finish`] ends it.
pub struct SaslClient<C> {
    context: C,
    accepted: Qualities,
    progress: Progress,
    steps: u32,
}

impl<C: SecurityContext> SaslClient<C> {
    /// Begins a login. Of the offered qualities that are accepted, it takes the strongest.
    #[must_use]
    pub fn new(context: C, accepted: Qualities) -> Self {
        Self { context, accepted, progress: Progress::Context, steps: 0 }
    }

    /// Whether the server has everything that it needs.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        matches!(self.progress, Progress::Chosen { .. })
    }

    /// Takes a message of the server, an empty one at first, and returns the answer. Send it even if it is empty.
    ///
    /// # Errors
    /// If the context or the offer is not acceptable, and after the last message.
    pub fn step(&mut self, challenge: &[u8]) -> Result<Vec<u8>, SaslError> {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return Err(SaslError::Endless);
        }
        match self.progress {
            Progress::Context => {
                let ContextStep { token, established } = self.context.step(challenge)?;
                if established {
                    self.progress = Progress::Offer;
                }
                Ok(token)
            }
            Progress::Offer => self.choose(challenge),
            Progress::Chosen { .. } => Err(SaslError::Complete),
        }
    }

    /// The server's offer is a mask of layers and the largest message that it takes; the answer is the same of this side
    /// (RFC 4752, 3.1), with a size of zero if there is no layer. No authorization identity: the principal's own.
    fn choose(&mut self, challenge: &[u8]) -> Result<Vec<u8>, SaslError> {
        let offer = self.context.unwrap(challenge)?.message;
        let [mask, size @ ..]: [u8; 4] = offer.as_slice().try_into().map_err(|_| SaslError::Offer(offer.len()))?;
        let offered = Qualities(mask & Qualities::ANY.0);
        let accepted = self.accepted;
        let quality = accepted.strongest_of_both(offered).ok_or(SaslError::NoQuality { offered, accepted })?;
        let [high, middle, low] = size;
        let limit = usize::try_from(u32::from_be_bytes([0, high, middle, low])).unwrap_or(usize::MAX);
        let own = if quality == Quality::Authentication { 0 } else { MAX_PROTECTED };
        let [_, high, middle, low] = own.to_be_bytes();
        // Signed in every case: the layer that it chooses begins behind it.
        let answer = self.context.wrap(&[quality.bit(), high, middle, low], false)?;
        self.progress = Progress::Chosen { quality, limit };
        Ok(answer)
    }

    /// Ends the login when the server says that it succeeded.
    ///
    /// # Errors
    /// If it has not: a server that skips the context has proven nothing.
    pub fn finish(self) -> Result<SecurityLayer<C>, SaslError> {
        match self.progress {
            Progress::Chosen { quality, limit } => Ok(SecurityLayer { context: self.context, quality, limit }),
            Progress::Context | Progress::Offer => Err(SaslError::Incomplete),
        }
    }
}

/// The agreed protection of one connection after its login.
pub struct SecurityLayer<C> {
    context: C,
    quality: Quality,
    limit: usize,
}

impl<C: SecurityContext> SecurityLayer<C> {
    /// The layer of a server after its login.
    #[cfg(test)]
    pub(crate) fn testing(context: C, quality: Quality) -> Self {
        Self { context, quality, limit: usize::MAX }
    }

    /// What was agreed. With [`Quality::Authentication`] messages go as they are, without this layer.
    #[must_use]
    pub fn quality(&self) -> Quality {
        self.quality
    }

    /// Protects a message for the server.
    ///
    /// # Errors
    /// If the host refuses, or it is larger than the server takes.
    pub fn protect(&mut self, message: &[u8]) -> Result<Vec<u8>, SaslError> {
        if self.quality == Quality::Authentication {
            return Ok(message.to_vec());
        }
        let token = self.context.wrap(message, self.quality == Quality::Privacy)?;
        if token.len() > self.limit {
            return Err(SaslError::TooLarge { length: token.len(), limit: self.limit });
        }
        Ok(token)
    }

    /// Checks and opens a message of the server.
    ///
    /// # Errors
    /// If it is not protected as agreed.
    pub fn open(&mut self, token: &[u8]) -> Result<Vec<u8>, SaslError> {
        if self.quality == Quality::Authentication {
            return Ok(token.to_vec());
        }
        let OpenedMessage { message, sealed } = self.context.unwrap(token)?;
        if self.quality == Quality::Privacy && !sealed {
            return Err(SaslError::NotSealed);
        }
        Ok(message)
    }
}

#[cfg(test)]
mod tests;
