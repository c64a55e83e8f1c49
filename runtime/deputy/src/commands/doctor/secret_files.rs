//! Who can read the files of secrets. Their values are not looked at: `deputy check` does.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use deputy_core::{ByteSize, SecretSource, in_one_line};
use deputy_files::{FileError, shell_quoted};
use deputy_sources::{SourceContext, SourceError, ValueShape};
use rustix::process::geteuid;

use super::finding::{FindingJson, Health};

/// One result for each file among these sources.
pub(super) async fn check(sources: impl IntoIterator<Item = &SecretSource>) -> Vec<FindingJson> {
    let files = sources.into_iter().filter_map(|source| match source {
        SecretSource::File(path) => Some(path),
        SecretSource::Command(_) | SecretSource::Credential(_) | SecretSource::Environment(_) => None,
    });
    let files: BTreeSet<_> = files.collect();
    let context = SourceContext::of_process();
    let mut findings = Vec::new();
    for path in files {
        let read = deputy_sources::read(&SecretSource::File(path.clone()), ValueShape::bytes(MOST), &context).await;
        findings.push(finding(path, read.err()));
    }
    findings
}

/// The most that a secret has.
const MOST: ByteSize = ByteSize::kib(64);

fn finding(path: &Path, error: Option<SourceError>) -> FindingJson {
    let shown = path.display().to_string();
    let (health, text) = match error {
        None => (Health::Ok, "a secret, closed to other users".to_owned()),
        Some(SourceError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            let fix = format!("put the secret there: (umask 077; cat > {})", shell_quoted(path));
            return FindingJson::new("modes", shown, Health::Warning, "does not exist").fix(fix);
        }
        // A service has a user of its own, and another one looks at it.
        Some(error @ SourceError::File(FileError::Owner { .. })) => (Health::Note, in_one_line(&error)),
        // What root gives to a service in the file's group.
        Some(SourceError::File(FileError::Exposed { mode, .. })) if mode & 0o037 == 0 && geteuid().is_root() => {
            (Health::Note, "its group can read it: of a service in that group alone".to_owned())
        }
        Some(error) => (Health::Failed, in_one_line(&error)),
    };
    FindingJson::new("modes", shown, health, text)
}
