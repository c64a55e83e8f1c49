//! The audit log on stderr: one line for each use of a capability.

use deputy_audit::{AuditAction, AuditEvent, AuditOutcome, SignedContent};

use crate::print::{ERROR, FAINT, GOOD, WARNING, bytes, sanitize, styled};

pub(crate) fn line(event: &AuditEvent) -> String {
    let clock = event.time.get(11..23).unwrap_or(&event.time);
    format!("{} {}", styled(FAINT, format!("audit {clock} {}", event.subject)), timeless_line(event))
}

/// The same without the time and the instance.
pub(crate) fn timeless_line(event: &AuditEvent) -> String {
    let (style, outcome) = match event.outcome {
        AuditOutcome::Begun => (FAINT, "begun"),
        AuditOutcome::Cancelled => (WARNING, "cancelled"),
        AuditOutcome::Done => (GOOD, "done"),
        AuditOutcome::Failed => (WARNING, "failed"),
        AuditOutcome::Refused => (ERROR, "refused"),
    };
    let code = event.code.as_ref().map(|code| format!(" [{}]", sanitize(code))).unwrap_or_default();
    format!("{} {}{code}\n", styled(style, format!("{outcome:9}")), sanitize(&action_text(&event.action)))
}

fn action_text(action: &AuditAction) -> String {
    match action {
        AuditAction::Accept { deliveries, files, bytes: size, millis } => {
            let revisions: Vec<_> = deliveries
                .iter()
                .map(|delivery| format!("{} revision {}", delivery.instance, delivery.revision))
                .collect();
            let revisions = if revisions.is_empty() { "nothing".to_owned() } else { revisions.join(", ") };
            format!("accept {revisions}: {files} files, {}, {millis} ms", bytes(*size))
        }
        AuditAction::Call { function, millis } => format!("call {function}, {millis} ms"),
        AuditAction::Dropped { events } => format!("{events} more denials, which are not listed"),
        AuditAction::Http { method, target, path, address, status, sent, received, injected } => {
            let mut text = format!("{method} {target}{path}");
            if let Some(address) = address {
                text.push_str(&format!(" at {address}"));
            }
            if let Some(status) = status {
                text.push_str(&format!(", status {status}"));
            }
            if *sent > 0 || *received > 0 {
                text.push_str(&format!(", sent {}, received {}", bytes(*sent), bytes(*received)));
            }
            text.push_str(&with_secrets(injected));
            text
        }
        AuditAction::Kerberos { target, wrapped, unwrapped } => {
            let totals = format!("wrapped {}, unwrapped {}", bytes(*wrapped), bytes(*unwrapped));
            format!("Kerberos context with {target}, {totals}")
        }
        AuditAction::Name { host } => format!("look up {host}"),
        AuditAction::Output { path, bytes: size } => format!("put {path}, {}", bytes(*size)),
        AuditAction::Secret { secret, operation, scope, signed } => {
            let scope = if scope.is_empty() { String::new() } else { format!(" for {scope}") };
            format!("secret {secret}: {operation}{scope}{}", content_text(signed))
        }
        AuditAction::Tcp { address, host, injected, .. } => {
            let host = host.as_ref().map(|host| format!("{host} at ")).unwrap_or_default();
            format!("connect to {host}{address}{}", with_secrets(injected))
        }
        AuditAction::Worker { operation, group, .. } => format!("{operation} {group}"),
        AuditAction::State { operation } => format!("{operation} state"),
        AuditAction::Wasi { operation } => format!("wasi {operation}"),
    }
}

/// The secrets that the host added or used, after the rest of the line.
fn with_secrets(injected: &[String]) -> String {
    if injected.is_empty() { String::new() } else { format!(", with secret {}", injected.join(", ")) }
}

/// What a signature covers, after the rest of the line.
fn content_text(signed: &SignedContent) -> String {
    let time = signed.signed_time.as_ref().map(|time| format!(", at {time}")).unwrap_or_default();
    let texts = signed.header.iter().chain(signed.claims.iter());
    texts.fold(time, |text, (name, value)| format!("{text}, {name} {value}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use anstream::adapter::strip_str;
    use deputy_audit::{AcceptedDelivery, AuditSubject, CallId};

    fn shown(action: AuditAction, outcome: AuditOutcome, code: Option<&str>) -> String {
        let event = AuditEvent {
            time: "2026-01-01T12:34:56.789Z".into(),
            subject: AuditSubject::Instance("s3".parse().unwrap()),
            call: CallId(1),
            action,
            outcome,
            code: code.map(str::to_owned),
        };
        strip_str(&line(&event)).to_string()
    }

    #[test]
    fn audit_line_has_time_instance_outcome_and_action() {
        let http = |status, injected: &[&str]| AuditAction::Http {
            method: "POST".into(),
            target: "https://sts.example:443".into(),
            path: "/\u{1b}[2J".into(),
            address: Some([192, 0, 2, 1].into()),
            status,
            sent: 450,
            received: 2048,
            injected: injected.iter().map(|name| (*name).to_owned()).collect(),
        };
        assert_eq!(
            shown(http(Some(200), &["token"]), AuditOutcome::Done, None),
            "audit 12:34:56.789 s3 done      POST https://sts.example:443/\u{fffd}[2J at 192.0.2.1, status 200, \
             sent 450 B, received 2.0 KiB, with secret token\n"
        );
        let secret = |scope: &str| AuditAction::Secret {
            secret: "aws-key".into(),
            operation: "sigv4".into(),
            scope: scope.into(),
            signed: SignedContent::default(),
        };
        assert_eq!(
            shown(secret("iam/eu-west-1"), AuditOutcome::Refused, Some("service-not-granted")),
            "audit 12:34:56.789 s3 refused   secret aws-key: sigv4 for iam/eu-west-1 [service-not-granted]\n"
        );
        assert_eq!(
            shown(secret(""), AuditOutcome::Cancelled, None),
            "audit 12:34:56.789 s3 cancelled secret aws-key: sigv4\n"
        );
        let mut signed = SignedContent { signed_time: Some("2026-01-01T12:34:56.000Z".into()), ..Default::default() };
        signed.header.push("alg".into(), "RS256".into());
        signed.claims.push("sub".into(), "al\u{1b}[2J".into());
        let token = AuditAction::Secret { secret: "k".into(), operation: "jwt".into(), scope: "me".into(), signed };
        assert_eq!(
            shown(token, AuditOutcome::Done, None),
            "audit 12:34:56.789 s3 done      secret k: jwt for me, at 2026-01-01T12:34:56.000Z, alg RS256, \
             sub al\u{fffd}[2J\n"
        );
        assert_eq!(
            shown(AuditAction::Call { function: "obtain", millis: 80 }, AuditOutcome::Failed, Some("denied")),
            "audit 12:34:56.789 s3 failed    call obtain, 80 ms [denied]\n"
        );
        let deliveries = vec![AcceptedDelivery { instance: "s3-prod".into(), revision: 4 }];
        assert_eq!(
            shown(AuditAction::Accept { deliveries, files: 2, bytes: 812, millis: 3 }, AuditOutcome::Done, None),
            "audit 12:34:56.789 s3 done      accept s3-prod revision 4: 2 files, 812 B, 3 ms\n"
        );
        assert_eq!(
            shown(
                AuditAction::Output { path: "../a".into(), bytes: 12 },
                AuditOutcome::Refused,
                Some("odd-output-path")
            ),
            "audit 12:34:56.789 s3 refused   put ../a, 12 B [odd-output-path]\n"
        );
    }
}
