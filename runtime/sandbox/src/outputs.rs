//! The capability `outputs`: the files that a receiver writes for the workload.
//!
//! Nothing is written here. A file is checked, counted and staged; the caller gets all files if the call succeeds, and
//! none if not. A path is relative to an output directory that the component doesn't know.

use std::sync::Arc;

use deputy_audit::AuditAction;
use deputy_core::{OutputPath, Outputs, PolicyDenial, SecretBytes};
use wasmtime::component::{HasSelf, Linker};

use crate::audit_record::AuditRecord;
use crate::bindings::delegation::tokens::outputs::{self, OutputError};
use crate::call_budget::CallBudget;

/// Whether a call may put files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutputMode {
    /// Not a receiver's call, or not one of `accept`.
    Denied,
    Staged,
}

/// The files of one call.
pub(crate) struct OutputStage {
    mode: OutputMode,
    budget: Arc<CallBudget>,
    staged: Outputs,
}

/// Bytes of a path that are read: more than a valid path has, so that a truncated one is denied as too long.
const MAX_PATH: usize = 1024;

impl OutputStage {
    pub(crate) fn new(mode: OutputMode, budget: Arc<CallBudget>) -> Self {
        Self { mode, budget, staged: Outputs::default() }
    }

    /// Takes all files out of the stage.
    pub(crate) fn take(&mut self) -> Outputs {
        std::mem::take(&mut self.staged)
    }

    fn stage(&mut self, path: &str, contents: SecretBytes) -> Result<(), PolicyDenial> {
        if self.mode == OutputMode::Denied {
            return Err(PolicyDenial::Outputs);
        }
        let parsed: OutputPath = path.parse().map_err(|_| PolicyDenial::OutputPath { path: path.to_owned() })?;
        if self.staged.files.keys().any(|other| other.collides(&parsed)) {
            return Err(PolicyDenial::OutputTaken { path: path.to_owned() });
        }
        self.budget.usage.take_output(contents.len())?;
        self.staged.files.insert(parsed, contents);
        Ok(())
    }
}

impl outputs::Host for OutputStage {
    fn put(&mut self, path: String, contents: Vec<u8>) -> wasmtime::Result<Result<(), OutputError>> {
        let contents = SecretBytes::new(contents);
        let path = self.budget.audit.excerpt(&path, MAX_PATH).to_owned();
        let what = AuditAction::Output { path: path.clone(), bytes: contents.len() as u64 };
        let mut record = AuditRecord::begin(&self.budget, what);
        Ok(match self.stage(&path, contents) {
            Ok(()) => {
                record.done();
                record.close().map_err(|error| OutputError::Denied(error.to_string()))
            }
            Err(denial) => Err(convert_denial(&record.denied(denial))),
        })
    }
}

/// The component sees only its own path and a limit's name.
fn convert_denial(denial: &PolicyDenial) -> OutputError {
    let text = denial.guest();
    match denial {
        PolicyDenial::Limit(_) => OutputError::TooLarge(text),
        PolicyDenial::OutputPath { .. } | PolicyDenial::OutputTaken { .. } => OutputError::InvalidPath(text),
        _ => OutputError::Denied(text),
    }
}

/// Adds the interface to a linker.
pub(crate) fn link<T: Send>(linker: &mut Linker<T>, get: fn(&mut T) -> &mut OutputStage) -> wasmtime::Result<()> {
    outputs::add_to_linker::<T, HasSelf<OutputStage>>(linker, get)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::AuditedBudget;
    use deputy_audit::AuditOutcome;
    use deputy_core::{ByteSize, Limits};

    fn staging(mode: OutputMode, limits: Limits) -> (OutputStage, AuditedBudget) {
        let audited = AuditedBudget::new(limits);
        (OutputStage::new(mode, Arc::clone(&audited.budget)), audited)
    }

    fn put(staging: &mut OutputStage, path: &str, contents: &str) -> Result<(), OutputError> {
        outputs::Host::put(staging, path.to_owned(), contents.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn outputs_are_taken_once_and_recorded_without_contents() {
        let (mut staging, audited) = staging(OutputMode::Staged, Limits::default());
        put(&mut staging, "credentials", "hunter2").unwrap();
        put(&mut staging, "conf/core-site.xml", "").unwrap();
        let outputs = staging.take();
        let files: Vec<_> = outputs.files.iter().map(|(path, it)| (path.as_str(), it.expose())).collect();
        assert_eq!(files, [("conf/core-site.xml", b"".as_slice()), ("credentials", b"hunter2")]);
        assert!(staging.take().files.is_empty());
        let events = audited.events();
        assert!(events.iter().all(|event| event.outcome == AuditOutcome::Done));
        assert_eq!(events[0].action, AuditAction::Output { path: "credentials".into(), bytes: 7 });
        assert!(!format!("{events:?}").contains("hunter2"));
    }

    #[test]
    fn outputs_record_no_piece_of_a_known_payload() {
        let payload = "Hunter2-".repeat(200);
        let value = Arc::new(SecretBytes::new(payload.clone().into_bytes()));
        let redactor = Arc::new(crate::redact::Redactor::new(vec![("payload".parse().unwrap(), value)]));
        for before in [0, 200, 1020] {
            let (mut staging, audited) = staging(OutputMode::Staged, Limits::default());
            audited.budget.audit.redact_with(Arc::clone(&redactor));
            put(&mut staging, &format!("{}{payload}", "x".repeat(before)), "").unwrap_err();
            let record = format!("{:?} {:?}", audited.events(), audited.budget.findings.denials());
            assert!(!record.to_lowercase().contains("hunter"), "{before}: {record}");
        }
    }

    #[test]
    fn outputs_deny_a_bad_or_taken_path_and_count_nothing() {
        let (mut staging, audited) = staging(OutputMode::Staged, Limits::default());
        put(&mut staging, "a/b", "1").unwrap();
        for path in ["../x", "/x", "", ".x", "a//b", "CON:", &"x/".repeat(100_000)] {
            assert!(matches!(put(&mut staging, path, "2"), Err(OutputError::InvalidPath(_))), "{path:?}");
        }
        for path in ["a/b", "a", "a/b/c"] {
            assert!(matches!(put(&mut staging, path, "2"), Err(OutputError::InvalidPath(_))), "{path:?}");
        }
        assert_eq!(
            (audited.budget.usage.snapshot().output_files, audited.budget.usage.snapshot().output_bytes),
            (1, 1)
        );
        let codes: Vec<_> = audited.budget.findings.denials().iter().map(PolicyDenial::code).collect();
        assert_eq!(codes, [["odd-output-path"; 7].as_slice(), &["output-path-taken"; 3]].concat());
        assert!(format!("{:?}", audited.events()).len() < 20_000, "a long path is cut");
        assert_eq!(staging.take().files.len(), 1);
    }

    #[test]
    fn outputs_tell_both_limits_from_a_bad_path() {
        let limits = Limits { output_files: 1, output_bytes: ByteSize::bytes(3), ..Limits::default() };
        let (mut staging, audited) = staging(OutputMode::Staged, limits);
        let over = |limit: &str| Err::<(), _>(OutputError::TooLarge(format!("over the limit `{limit}`")));
        assert_eq!(format!("{:?}", put(&mut staging, "a", "1234")), format!("{:?}", over("output-bytes")));
        put(&mut staging, "a", "123").unwrap();
        assert_eq!(format!("{:?}", put(&mut staging, "b", "")), format!("{:?}", over("output-files")));
        let codes: Vec<_> = audited.events().into_iter().filter_map(|event| event.code).collect();
        assert_eq!(codes, ["over-limit:output-bytes", "over-limit:output-files"]);
    }

    #[test]
    fn outputs_are_denied_to_other_calls_whatever_the_path() {
        let (mut staging, audited) = staging(OutputMode::Denied, Limits::default());
        for path in ["credentials", "../x"] {
            assert!(matches!(put(&mut staging, path, "1"), Err(OutputError::Denied(_))));
        }
        assert_eq!(audited.budget.findings.denials(), [PolicyDenial::Outputs]);
        assert!(staging.take().files.is_empty());
    }
}
