//! Names, ways, TLS and clocks of the hosts that instances are granted.

use std::io;
use std::time::UNIX_EPOCH;

use deputy_core::{Instance, Principal, Timestamp, in_one_line};
use deputy_sandbox::{Attempt, ReachError, Reached, attempts};
use futures::stream::{self, StreamExt as _};

use super::finding::{FindingJson, Health};
use crate::context::Context;
use crate::print::Progress;

/// A clock that differs by this much is a warning: certificates and tokens are good from a time on.
const CLOCK_WARNING: u64 = 30;

/// SigV4 and Kerberos refuse a clock that differs by more than five minutes.
const CLOCK_FAILED: u64 = 300;

/// Hosts that are tried at once.
const AT_ONCE: usize = 16;

/// A way to a host, and the instances that use it.
struct SharedWay<'i> {
    attempt: Attempt<'i>,
    instances: Vec<&'i Instance>,
}

/// What is found of each host that the instances may reach, in their order. A host is tried once for all instances that reach it
/// in the same way.
pub(crate) async fn check<'i>(
    context: &Context,
    instances: impl IntoIterator<Item = &'i Instance>,
) -> Vec<FindingJson> {
    let ways = shared_ways(instances);
    let mut progress = Progress::new(context.printer, ways.len());
    let mut tried = stream::iter(ways).map(|way| check_host(context, way)).buffered(AT_ONCE);
    let mut found = Vec::new();
    while let Some(findings) = tried.next().await {
        found.extend(findings);
        progress.step();
    }
    found
}

fn shared_ways<'i>(instances: impl IntoIterator<Item = &'i Instance>) -> Vec<SharedWay<'i>> {
    let mut ways: Vec<SharedWay<'_>> = Vec::new();
    for instance in instances {
        for attempt in attempts(&instance.grant) {
            match ways.iter_mut().find(|way| way.attempt.is_way_of(&attempt)) {
                Some(way) => way.instances.push(instance),
                None => ways.push(SharedWay { attempt, instances: vec![instance] }),
            }
        }
    }
    ways
}

/// Judges the clock at once: a minute later it would be another one.
async fn check_host(context: &Context, way: SharedWay<'_>) -> Vec<FindingJson> {
    let SharedWay { attempt, instances } = way;
    let reached = attempt.run().await;
    let host = reached.target.to_string();
    let mut found = vec![reached_finding(&reached, &instances)];
    found.extend(reached.date.as_ref().and_then(|date| clock(&host, date, context.now())));
    let names: Vec<String> = instances.iter().map(|instance| instance.name.to_string()).collect();
    found.into_iter().map(|finding| finding.of_instances(&names)).collect()
}

/// Whether a host was reached, and what fixes that it was not.
pub(super) fn reached_finding(reached: &Reached, instances: &[&Instance]) -> FindingJson {
    let host = reached.target.to_string();
    if let Some(error) = &reached.error {
        return failed(&host, reached, error, instances);
    }
    let addresses: Vec<_> = reached.addresses.iter().map(ToString::to_string).collect();
    FindingJson::new("reach", host, Health::Ok, format!("answers at {}", addresses.join(", ")))
}

fn failed(host: &str, reached: &Reached, error: &ReachError, instances: &[&Instance]) -> FindingJson {
    let (check, fix) = match error {
        ReachError::Resolve(_) => {
            let name = reached.target.host();
            ("dns", format!("`getent hosts {name}` asks the same resolver: see /etc/resolv.conf, and the name in `allow`"))
        }
        ReachError::Connect(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            ("reach", "start the server, or correct its address or port: nothing listens there".to_owned())
        }
        ReachError::Slow | ReachError::Connect(_) => {
            ("reach", "look for a firewall, a network policy or a missing route: Deputy connects directly and uses no proxy".to_owned())
        }
        ReachError::Tls(_) => {
            ("tls", "`roots` of the rule names the certificates of a private authority; `allow` must have the certificate's name".to_owned())
        }
        ReachError::Denied(denial) => {
            let fixes = instances.iter().filter_map(|instance| denial.0.fix(Principal::Instance(instance)));
            ("grant", fixes.collect::<Vec<_>>().join("\n"))
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
