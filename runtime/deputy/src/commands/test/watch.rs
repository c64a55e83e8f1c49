//! `deputy test --watch`

use std::collections::BTreeMap;
use std::path::PathBuf;

use deputy_script::{ScriptError, ScriptFile, ScriptRunner};
use deputy_sources::FileFingerprint;

use super::{TestArgs, paths, print_summary, test_file};
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::look_pace::Look;

/// Tests that are watched at once.
const MAX_TESTS: usize = 500;

/// What the results depend on, at the last look. A test is read again when it has changed.
#[derive(Default)]
struct Watched(BTreeMap<PathBuf, WatchedTest>);

struct WatchedTest {
    /// `None`: it cannot be read.
    file: Option<FileFingerprint>,
    /// Its component's files.
    needs: BTreeMap<PathBuf, Option<FileFingerprint>>,
}

/// Tests, and tests again after each change, until a signal comes or stdout has no reader. What is wrong with a file is shown, and
/// the next change of it is awaited.
pub(super) async fn watch(
    context: &Context,
    arguments: &TestArgs,
    runner: &ScriptRunner,
) -> Result<Exit, CommandError> {
    let mut watched = Watched::default();
    watched.look(&found(arguments)?).await;
    run_all(context, arguments, runner).await?;
    while context.is_stdout_read() {
        let look = Look::begin();
        let is_changed = match found(arguments) {
            Ok(found) => watched.look(&found).await,
            // It is shown when the files are run, once.
            Err(_) => watched.forget(),
        };
        let pause = look.end();
        if is_changed {
            run_all(context, arguments, runner).await?;
        }
        deputy_support::pause(pause).await;
    }
    Ok(Exit::Done)
}

async fn run_all(context: &Context, arguments: &TestArgs, runner: &ScriptRunner) -> Result<(), CommandError> {
    context.stdout(context.clear())?;
    match found(arguments) {
        Ok(found) => {
            let mut reports = Vec::new();
            for path in found {
                match test_file(context, arguments, runner, &path).await {
                    Ok(report) => reports.push(report),
                    Err(error) => {
                        context.fail(&error, false);
                    }
                }
            }
            print_summary(context, &reports)?;
        }
        Err(error) => {
            context.fail(&error, false);
        }
    }
    runner.prune().await;
    Ok(())
}

/// The tests, unless there are too many.
fn found(arguments: &TestArgs) -> Result<Vec<PathBuf>, CommandError> {
    let found = paths(arguments)?;
    if found.len() > MAX_TESTS {
        return Err(ScriptError::ManyTests(MAX_TESTS).into());
    }
    Ok(found)
}

impl Watched {
    /// Whether something has changed since the last look.
    async fn look(&mut self, found: &[PathBuf]) -> bool {
        let before = self.0.len();
        self.0.retain(|path, _| found.contains(path));
        let mut is_changed = self.0.len() != before;
        for path in found {
            let file = FileFingerprint::of_file(path).await.ok();
            match self.0.get_mut(path) {
                Some(test) if test.file == file => is_changed |= test.look_at_needs().await,
                _ => {
                    let mut test = WatchedTest { file, needs: needs(path) };
                    test.look_at_needs().await;
                    self.0.insert(path.clone(), test);
                    is_changed = true;
                }
            }
        }
        is_changed
    }

    /// Whether there was something.
    fn forget(&mut self) -> bool {
        !std::mem::take(&mut self.0).is_empty()
    }
}

impl WatchedTest {
    async fn look_at_needs(&mut self) -> bool {
        let mut is_changed = false;
        for (path, fingerprint) in &mut self.needs {
            let now = FileFingerprint::of_file(path).await.ok();
            is_changed |= now != *fingerprint;
            *fingerprint = now;
        }
        is_changed
    }
}

/// The files that a test needs beside itself. One that cannot be read needs none, until it changes.
fn needs(path: &std::path::Path) -> BTreeMap<PathBuf, Option<FileFingerprint>> {
    let files = ScriptFile::load(path).and_then(|script| script.files()).unwrap_or_default();
    files.into_iter().filter(|file| file != path).map(|file| (file, None)).collect()
}
