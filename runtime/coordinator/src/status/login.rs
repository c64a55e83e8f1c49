//! Kerberos logins, for operators and programs. Never a key or a ticket.

use deputy_core::Timestamp;
use deputy_local::signed_millis;
use deputy_metrics::LoginMetrics;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::login_snapshot::{LoginFaultStatus, LoginSnapshot};

/// A login that instances have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KerberosLoginStatus {
    pub name: String,
    pub principal: String,
    /// Whether it has a valid ticket.
    pub ready: bool,
    /// When the ticket expires.
    pub expiry: Option<String>,
    /// Negative if the ticket has expired.
    pub valid_for_ms: Option<i64>,
    /// When it got that ticket.
    pub last_login: Option<String>,
    /// Negative: it is past.
    pub last_login_in_ms: Option<i64>,
    /// Why the latest attempt failed.
    pub fault: Option<LoginFaultStatus>,
    /// By how many seconds the KDC's clock is ahead of this machine's.
    pub clock_offset_seconds: i32,
    /// Contexts with services that are open.
    pub contexts: usize,
}

impl KerberosLoginStatus {
    pub(crate) fn of(login: &LoginSnapshot, now: Timestamp) -> Self {
        Self {
            name: login.name.to_string(),
            principal: login.principal.to_string(),
            ready: login.is_ready(now),
            expiry: login.expiry.map(|expiry| expiry.to_string()),
            valid_for_ms: login.expiry.map(|expiry| signed_millis(now, expiry)),
            last_login: login.last_login.map(|at| at.to_string()),
            last_login_in_ms: login.last_login.map(|at| signed_millis(now, at)),
            fault: login.fault.clone(),
            clock_offset_seconds: login.clock_offset_seconds,
            contexts: login.contexts,
        }
    }
}

pub(crate) fn login_metrics(login: &LoginSnapshot, now: Timestamp) -> LoginMetrics {
    LoginMetrics {
        login: login.name.to_string(),
        principal: login.principal.to_string(),
        ready: login.is_ready(now),
        expiry: login.expiry.map(Timestamp::as_secs),
        last_login: login.last_login.map(Timestamp::as_secs),
        fault: login.fault.as_ref().map(|fault| fault.code.clone()),
        clock_offset_seconds: login.clock_offset_seconds,
        contexts: login.contexts,
    }
}
