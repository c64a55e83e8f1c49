//! Where the installed programs and the built components are.

use std::env;
use std::path::PathBuf;

use crate::Error;

/// An installed program by name. The folder is DEPUTY_TOOLS, or else `tools` of the target directory that the running
/// test was built in.
///
/// # Errors
/// When it is not installed.
pub fn tool(name: &str) -> Result<PathBuf, Error> {
    let program = match name {
        "python" => PathBuf::from("python/bin/python"),
        other => PathBuf::from("bin").join(other),
    };
    find("DEPUTY_TOOLS", "tools", &program)
        .ok_or_else(|| Error::new(format!("the program {name} is not installed: run `cargo xtask tools`")))
}

/// The folder of a set of Java programs by name: `jars` and `classes` in it. It is below DEPUTY_TOOLS, or else below `tools`
/// of the target directory that the running test was built in.
///
/// # Errors
/// When it is not installed.
pub(crate) fn java_set(name: &str) -> Result<PathBuf, Error> {
    let stamp = find("DEPUTY_TOOLS", "tools", &PathBuf::from("java").join(name).join("classes.stamp"));
    stamp
        .and_then(|stamp| stamp.parent().map(PathBuf::from))
        .ok_or_else(|| Error::new(format!("the Java programs of {name} are not installed: run `cargo xtask tools`")))
}

/// The class path of a set of Java programs by name: its classes and its jars.
///
/// # Errors
/// When it is not installed.
pub fn class_path(set: &str) -> Result<String, Error> {
    let set = java_set(set)?;
    Ok(format!("{}:{}", set.join("classes").display(), set.join("jars/*").display()))
}

/// The packages of a set from npm, by its name and a file in it.
///
/// # Errors
/// When it is not installed.
pub(crate) fn npm_set(name: &str, file: &str) -> Result<PathBuf, Error> {
    let packages = PathBuf::from(name).join("node_modules");
    let found = find("DEPUTY_TOOLS", "tools", &packages.join(file));
    let depth = PathBuf::from(file).components().count();
    found
        .and_then(|found| found.ancestors().nth(depth).map(PathBuf::from))
        .ok_or_else(|| Error::new(format!("the packages of {name} are not installed: run `cargo xtask tools`")))
}

/// A program of Debian's package of a name.
///
/// # Errors
/// When it is not installed.
pub(crate) fn installed(program: &str, package: &str) -> Result<PathBuf, Error> {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file());
    found.ok_or_else(|| Error::new(format!("the program {program} is not installed: `apt-get install {package}`")))
}

/// A built component by name. The folder is DEPUTY_GUESTS, or else `guests` of the target directory that the running
/// test was built in.
///
/// # Errors
/// When it is not built.
pub fn guest(name: &str) -> Result<PathBuf, Error> {
    find("DEPUTY_GUESTS", "guests", &PathBuf::from(format!("{name}.wasm")))
        .ok_or_else(|| Error::new(format!("the component {name} is not built: run `cargo xtask guests`")))
}

/// A built example of a crate for engines, by name. The folder is DEPUTY_ENGINES, or else `engines` of the target directory
/// that the running test was built in.
///
/// # Errors
/// When it is not built.
pub fn engine(name: &str) -> Result<PathBuf, Error> {
    find("DEPUTY_ENGINES", "engines", &PathBuf::from("debug/examples").join(name)).ok_or_else(|| {
        let built = "run `cargo build --examples --target-dir ../../target/engines` in engines/object-store";
        Error::new(format!("the example {name} is not built: {built}"))
    })
}

fn find(variable: &str, folder: &str, file: &PathBuf) -> Option<PathBuf> {
    if let Some(folder) = env::var_os(variable) {
        return Some(PathBuf::from(folder).join(file)).filter(|path| path.is_file());
    }
    let running = env::current_exe().ok()?;
    running.ancestors().map(|above| above.join(folder).join(file)).find(|path| path.is_file())
}
