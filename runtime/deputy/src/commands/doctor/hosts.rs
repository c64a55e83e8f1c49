//! Names, ways, TLS and clocks of the hosts that an instance is granted.

use std::time::UNIX_EPOCH;

use deputy_core::{Instance, Principal, Timestamp, in_one_line};
use deputy_sandbox::{ReachError, Reached, reach};

use super::finding::{FindingJson, Health};

/// A clock that differs by this much is a warning: certificates and tokens are good from a time on.
const CLOCK_WARNING: u64 = 30;

/// SigV4 and Kerberos refuse a clock that differs by more than five minutes.
const CLOCK_FAILED: u64 = 300;

/// What is found of each host that the instance may reach.
pub(crate) async fn check(instance: &Instance, now: impl Fn() -> Timestamp) -> Vec<FindingJson> {
    let mut found = Vec::new();
    for reached in reach(&instance.grant).await {
        let host = reached.target.to_string();
        match &reached.error {
            Some(error) => found.push(failed(&host, &reached, error, instance)),
            None => {
                let addresses: Vec<_> = reached.addresses.iter().map(ToString::to_string).collect();
                let text = format!("answers at {}", addresses.join(", "));
                found.push(FindingJson::new("reach", &host, Health::Ok, text));
            }
        }
        if let Some(date) = &reached.date {
            found.extend(clock(&host, date, now()));
        }
    }
    found
}

fn failed(host: &str, reached: &Reached, error: &ReachError, instance: &Instance) -> FindingJson {
    let (check, fix) = match error {
        ReachError::Resolve(_) => {
            let name = reached.target.host();
            ("dns", format!("`getent hosts {name}` asks the same resolver: see /etc/resolv.conf, and the name in `allow`"))
        }
        ReachError::Slow | ReachError::Connect(_) => {
            ("reach", "a firewall, a network policy or a missing route: Deputy connects directly and uses no proxy".to_owned())
        }
        ReachError::Tls(_) => {
            ("tls", "`roots` of the rule names the certificates of a private authority; `allow` must have the certificate's name".to_owned())
        }
        ReachError::Denied(denial) => {
            ("grant", denial.0.fix(Principal::Instance(instance)).unwrap_or_default())
        }
    };
    FindingJson::new(check, host, Health::Failed, in_one_line(error)).fix(fix)
}

/// How far a server's clock is from this one.
fn clock(host: &str, date: &str, now: Timestamp) -> Option<FindingJson> {
    let theirs = httpdate::parse_http_date(date).ok()?.duration_since(UNIX_EPOCH).ok()?.as_secs();
    let difference = theirs.abs_diff(now.as_secs());
    let side = if now.as_secs() > theirs { "ahead of" } else { "behind" };
    let text = match difference {
        0..=2 => "as this machine's".to_owned(),
        seconds => format!("this machine's clock is {seconds} s {side} it"),
    };
    let health = match difference {
        CLOCK_FAILED.. => Health::Failed,
        CLOCK_WARNING.. => Health::Warning,
        _ => return Some(FindingJson::new("clock", host, Health::Ok, text)),
    };
    let fix = "set the clock, and keep it: `timedatectl set-ntp true`, or chrony; in a pod, on its node";
    Some(FindingJson::new("clock", host, health, text).fix(fix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doctor_judges_a_clock_by_what_services_accept() {
        let now = Timestamp::from_millis(784_111_777_000);
        let health = |date: &str| clock("h", date, now).unwrap().health;
        assert_eq!(health("Sun, 06 Nov 1994 08:49:37 GMT"), Health::Ok);
        assert_eq!(health("Sun, 06 Nov 1994 08:49:07 GMT"), Health::Warning);
        assert_eq!(health("Sun, 06 Nov 1994 08:54:37 GMT"), Health::Failed);
        assert!(clock("h", "yesterday", now).is_none());
    }
}
