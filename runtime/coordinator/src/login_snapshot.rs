//! A provider's Kerberos login as the coordinator shows it. The coordinator knows no Kerberos: the provider says how it is.

use deputy_core::{KerberosPrincipal, LoginName, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a login is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginSnapshot {
    pub name: LoginName,
    pub principal: KerberosPrincipal,
    /// When its ticket expires, if it has one.
    pub expiry: Option<Timestamp>,
    /// When it got that ticket.
    pub last_login: Option<Timestamp>,
    pub fault: Option<LoginFaultStatus>,
    /// By how many seconds the KDC's clock is ahead of this machine's.
    pub clock_offset_seconds: i32,
    /// Contexts with services that are open.
    pub contexts: usize,
}

/// Why the latest attempt to log in failed. The ticket of an earlier one serves until it expires.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LoginFaultStatus {
    /// For programs: `wrong-key`.
    pub code: String,
    pub message: String,
    pub hint: String,
}

impl LoginSnapshot {
    pub(crate) fn is_ready(&self, now: Timestamp) -> bool {
        self.expiry.is_some_and(|expiry| expiry > now)
    }
}
