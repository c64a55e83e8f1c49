//! Why a folder cannot be read as Hadoop's configuration.

use std::path::PathBuf;

/// Why a folder cannot be read as Hadoop's configuration. Lines count from 1.
#[derive(Debug, thiserror::Error)]
pub enum HadoopConfError {
    #[error("{} has none of {names}: name the folder of a client's configuration, often /etc/hadoop/conf", .dir.display())]
    NoFile { dir: PathBuf, names: String },
    #[error("cannot read {}", .path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{} is longer than {limit} bytes: it is not a Hadoop configuration", .path.display())]
    TooLong { path: PathBuf, limit: usize },
    #[error("{} is not UTF-8", .path.display())]
    Encoding { path: PathBuf },
    #[error("{}:{line}: {problem}", .path.display())]
    Syntax { path: PathBuf, line: usize, problem: String },
    #[error(
        "{}:{line}: includes another file (xi:include), which is not followed: write a folder of whole files, each with \
         `xmllint --xinclude --output FOLDER/{name} {}`", .path.display(), .path.display()
    )]
    Include { path: PathBuf, line: usize, name: String },
    #[error("{}:{line}: has a document type (DTD), which is not read: remove the line <!DOCTYPE …>", .path.display())]
    DocumentType { path: PathBuf, line: usize },
    #[error("{} has more than {limit} properties", .path.display())]
    TooMany { path: PathBuf, limit: usize },
}
