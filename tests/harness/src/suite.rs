//! Every file of a suite is compiled: a module that is not declared would be a test that never runs.

use std::fs;
use std::path::Path;

/// Asserts that each file of a folder of `tests/` is a module of `root`, which has this text, and that there are enough.
#[track_caller]
pub fn assert_modules(root: &str, folder: &str, least: usize) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(folder);
    let files = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let modules: Vec<String> = files.filter_map(|file| file.strip_suffix(".rs").map(str::to_owned)).collect();
    assert!(modules.len() >= least, "files were lost: {modules:?}");
    for module in modules.iter().filter(|module| !["main", "runner"].contains(&module.as_str())) {
        assert!(root.contains(&format!("mod {module};")), "{folder}/{module}.rs is no module of the tests");
    }
}
