//! The Kerberos logins of a coordinator at the time of a scrape.

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use crate::labels::{LoginFaultLabels, LoginLabels};
use crate::table::{gauge_value, metrics_table};

/// One login. Times are in seconds since 1970.
#[derive(Debug, Clone, Default)]
pub struct LoginMetrics {
    pub login: String,
    pub principal: String,
    /// Whether it has a valid ticket.
    pub ready: bool,
    pub expiry: Option<u64>,
    pub last_login: Option<u64>,
    /// The code of why the latest attempt failed: one of Deputy's own words.
    pub fault: Option<String>,
    pub clock_offset_seconds: i32,
    pub contexts: usize,
}

metrics_table! {
    HeldLogins {
        ready: Family<LoginLabels, Gauge>, "kerberos_ready", "Whether the login has a valid Kerberos ticket";
        expiry: Family<LoginLabels, Gauge>, "kerberos_ticket_expiry_timestamp_seconds", "Expiry of the login's ticket";
        last_login: Family<LoginLabels, Gauge>, "kerberos_last_login_timestamp_seconds",
            "Time at which the login got its ticket";
        fault: Family<LoginFaultLabels, Gauge>, "kerberos_fault", "Why the login's latest attempt failed, by code";
        offset: Family<LoginLabels, Gauge>, "kerberos_clock_offset_seconds",
            "Seconds by which the KDC's clock is ahead of this machine's";
        contexts: Family<LoginLabels, Gauge>, "kerberos_contexts", "Open contexts with services";
    }
}

impl HeldLogins {
    /// Replaces the whole snapshot.
    pub(crate) fn set(&self, logins: &[LoginMetrics]) {
        for family in [&self.ready, &self.expiry, &self.last_login, &self.offset, &self.contexts] {
            family.clear();
        }
        self.fault.clear();
        for login in logins {
            self.set_login(login);
        }
    }

    fn set_login(&self, metrics: &LoginMetrics) {
        let login = metrics.login.clone();
        let principal = metrics.principal.clone();
        let labels = LoginLabels { login: login.clone(), principal };
        for (family, value) in [
            (&self.ready, Some(i64::from(metrics.ready))),
            (&self.expiry, metrics.expiry.map(gauge_value)),
            (&self.last_login, metrics.last_login.map(gauge_value)),
            (&self.offset, Some(i64::from(metrics.clock_offset_seconds))),
            (&self.contexts, Some(gauge_value(metrics.contexts as u64))),
        ] {
            if let Some(value) = value {
                family.get_or_create(&labels).set(value);
            }
        }
        if let Some(code) = &metrics.fault {
            self.fault.get_or_create(&LoginFaultLabels { login, code: code.clone() }).set(1);
        }
    }
}
