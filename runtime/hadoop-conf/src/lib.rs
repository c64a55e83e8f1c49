//! Hadoop's own configuration (`core-site.xml`, `hdfs-site.xml` and their siblings), read as its clients read it, into
//! instances and grants to propose.
//!
//! ```text
//! folder ─▶ xml ─▶ properties ─▶ hdfs, kms, others ─▶ Proposal ─▶ toml_text ─▶ a file that a person reads
//!           bounded   ${…}           what was found               with what is not known as comments
//! ```
//!
//! **Never** writes a file, asks a server or a name server, follows an include, or grants what the files do not name.

mod address;
mod error;
mod hdfs;
mod kms;
mod others;
mod principal;
mod properties;
mod proposal;
mod toml_text;
mod xml;

pub use error::HadoopConfError;
pub use properties::HadoopProperties;
pub use proposal::{HttpGrant, Proposal, ProposalOptions, ProposedInstance, TcpGrant};
