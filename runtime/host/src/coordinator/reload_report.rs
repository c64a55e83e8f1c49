//! What a reload reports: warnings about the configuration, and why one is not applied.

use deputy_config::{Colour, ConfigErrors, CoordinatorFile, CoordinatorSection, Finding};
use deputy_coordinator::{MissingNames, ReloadReply};
use deputy_core::in_one_line;
use deputy_local::ControlError;

use super::configured_component::ConfiguredComponent;
use super::removal;

/// Warnings beyond these are only counted.
const MAX_WARNINGS: usize = 50;

/// Settings without effect, or with a surprising one.
pub fn config_warnings(config: &CoordinatorFile) -> Vec<String> {
    let mut warnings: Vec<String> = removal::no_instance_warning(config).map(str::to_owned).into_iter().collect();
    warnings.extend(config.warnings.findings().take(MAX_WARNINGS).map(finding_text));
    if let Some(more) = config.warnings.len().checked_sub(MAX_WARNINGS).filter(|more| *more > 0) {
        warnings.push(format!("and {more} more warnings: `deputy check` lists them"));
    }
    warnings
}

fn finding_text(finding: Finding) -> String {
    let expected = finding.expected.map(|expected| format!(" ({expected})")).unwrap_or_default();
    format!("{}:{}:{}: {}{expected}", finding.file, finding.line, finding.column, finding.message)
}

/// Warnings about a configuration that follows another one.
pub(crate) fn reload_warnings(current: &CoordinatorFile, next: &CoordinatorFile) -> Vec<String> {
    let mut warnings = config_warnings(next);
    let calls = next.coordinator.calls;
    let expected = CoordinatorSection { calls, ..current.coordinator.clone() };
    if next.coordinator != expected || next.audit != current.audit || next.traces != current.traces {
        warnings.push(
            "changes to `audit`, [traces] and [coordinator], except `calls`, take effect at the next start".to_owned(),
        );
    }
    if local_text(next) != local_text(current) {
        warnings.push(
            "changes to `output`, `expired`, [receivers], where their components are, and [endpoints] take effect at the \
             next start"
                .to_owned(),
        );
    }
    warnings
}

/// What the coordinator publishes and serves itself, to compare it.
fn local_text(config: &CoordinatorFile) -> Option<String> {
    let local = config.local.as_ref()?;
    Some(format!("{:?} {:?} {:?}", local.publish, local.receivers, local.endpoints))
}

pub(crate) fn truncated(config: &CoordinatorFile, lost: &MissingNames) -> ControlError {
    let path = config.path.display();
    misconfigured(format!(
        "{path} looks truncated, and nothing was changed: {lost}; if that is intended, use `deputy reload --remove`"
    ))
}

pub(crate) fn invalid(error: &ConfigErrors) -> ControlError {
    match error {
        ConfigErrors::Invalid(findings) => {
            let path = findings.path().display();
            let errors = if findings.len() == 1 { "1 error".to_owned() } else { format!("{} errors", findings.len()) };
            let details = findings.render(Colour::Never);
            ControlError { details, ..misconfigured(format!("{errors} in {path}: nothing was changed")) }
        }
        error => misconfigured(format!("{}: nothing was changed", in_one_line(error))),
    }
}

pub(crate) fn not_loaded(failures: &[(&ConfiguredComponent, &str)]) -> ControlError {
    let details = failures.iter().map(|(component, error)| format!("{component}: {error}\n")).collect();
    let components = match failures {
        [_] => "a component".to_owned(),
        _ => format!("{} components", failures.len()),
    };
    ControlError { details, ..misconfigured(format!("{components} cannot be loaded: nothing was changed")) }
}

fn misconfigured(message: String) -> ControlError {
    ControlError::new("misconfigured", &message)
}

pub(crate) fn log(result: &Result<ReloadReply, ControlError>) {
    match result {
        Ok(reloaded) => {
            for warning in &reloaded.warnings {
                tracing::warn!("{warning}");
            }
            tracing::info!(
                added = ?reloaded.added, changed = ?reloaded.changed, removed = ?reloaded.removed,
                unchanged = reloaded.unchanged, "configuration reloaded"
            );
        }
        Err(error) => {
            tracing::error!(details = %error.details, "reload failed; the current configuration stays in effect: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn warnings_of_a_configuration_are_a_bounded_number() {
        let text = "[instances.a]\ncomponent = \"a.wasm\"\n".to_owned()
            + &"[[instances.a.http]]\nallow = \"https://a.example\"\n".repeat(10_001);
        let config = CoordinatorFile::parse(&text, Path::new("deputy.toml")).unwrap();
        assert_eq!(config.warnings.len(), 10_000);
        let warnings = config_warnings(&config);
        assert_eq!(warnings.len(), MAX_WARNINGS + 1);
        assert!(warnings[0].starts_with("deputy.toml:6:9: "), "{}", warnings[0]);
        assert_eq!(warnings[MAX_WARNINGS], "and 9950 more warnings: `deputy check` lists them");
    }

    #[test]
    fn warnings_of_a_reload_have_the_folder_of_own_components() {
        let own = "[receivers.r]\ncomponent = \"files\"\noutput = \"/o\"\ninstances = [\"a\"]\n[instances.a]\ncomponent = \"a.wasm\"\n";
        let parsed = |folder: &str| {
            let text = format!("[components]\nfolder = \"{folder}\"\n{own}");
            CoordinatorFile::parse(&text, Path::new("deputy.toml")).unwrap()
        };
        let warned = |next: &str| {
            let warnings = reload_warnings(&parsed("a"), &parsed(next));
            warnings.iter().filter(|warning| warning.contains("where their components are")).count()
        };
        assert_eq!((warned("a"), warned("b")), (0, 1));
    }
}
