//! Error texts of the pure crate: `deputy-config` shows what follows the last colon as what to write, at its place in the file.

use super::Findings;
use super::tree::Tree;

/// Where such errors are.
const FOLDER: &str = "runtime/core/src/";

/// How an error begins.
const ERROR: &str = "#[error(";

pub(super) fn check(tree: &Tree, floor: usize, findings: &mut Findings) {
    let mut seen = 0;
    for file in tree.below(FOLDER).filter(|file| file.is_rust()) {
        for text in file.text.split(ERROR).skip(1).filter_map(literal) {
            seen += 1;
            if text.matches(": ").count() > 1 {
                let finding = format!("the error `{text}` has two colons: only what follows one says what to write");
                findings.wrong(&file.path, finding);
            }
        }
    }
    findings.saw(seen, floor, "errors of core");
}

/// The string at the beginning, as it is written.
fn literal(code: &str) -> Option<&str> {
    let rest = code.trim_start().strip_prefix('"')?;
    let mut is_escaped = false;
    let end = rest.find(|letter| {
        let ends = letter == '"' && !is_escaped;
        is_escaped = letter == '\\' && !is_escaped;
        ends
    })?;
    rest.get(..end)
}
