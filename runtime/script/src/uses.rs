//! Uses of capabilities in one line each, as a script names them.

use deputy_audit::{AuditAction, AuditEvent, AuditOutcome};

/// Every permitted use, sorted: `POST https://login.example.com/token`, `secret aws-key sigv4`.
pub(crate) fn permitted_uses(events: &[AuditEvent]) -> Vec<String> {
    let permitted = events.iter().filter(|event| !matches!(event.outcome, AuditOutcome::Begun | AuditOutcome::Refused));
    let mut uses: Vec<String> = permitted.filter_map(|event| action(&event.action)).collect();
    uses.sort();
    uses
}

/// The line of an action; `None` for what is no use of a capability.
fn action(action: &AuditAction) -> Option<String> {
    Some(match action {
        AuditAction::Http { method, target, path, injected, .. } => {
            format!("{method} {}{path}{}", without_default_port(target), with_secrets(injected))
        }
        AuditAction::Secret { secret, operation, .. } => format!("secret {secret} {operation}"),
        AuditAction::Name { host } => format!("look up {host}"),
        AuditAction::Tcp { address, host, injected, .. } => {
            let port = address.rsplit(':').next().unwrap_or_default();
            let target = host.as_ref().map_or_else(|| address.clone(), |host| format!("{host}:{port}"));
            format!("connect {target}{}", with_secrets(injected))
        }
        AuditAction::State { operation } => format!("{operation} state"),
        AuditAction::Output { path, .. } => format!("put {path}"),
        AuditAction::Kerberos { target, .. } => format!("kerberos {target}"),
        AuditAction::Wasi { operation } => format!("wasi {operation}"),
        AuditAction::Accept { .. }
        | AuditAction::Call { .. }
        | AuditAction::Dropped { .. }
        | AuditAction::Worker { .. } => {
            return None;
        }
    })
}

pub(crate) fn without_default_port(target: &str) -> &str {
    let default = if target.starts_with("https://") { ":443" } else { ":80" };
    target.strip_suffix(default).unwrap_or(target)
}

fn with_secrets(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!(" with secret {}", names.join(", ")) }
}
