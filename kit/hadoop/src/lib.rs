//! What connectors for Hadoop's services share: the protocols and formats of HDFS, YARN, KMS, HBase and
//! Hive; and of Kafka.
//!
//! - [`sasl`]: the client of SASL GSSAPI over a [`sasl::SecurityContext`], which is the host's [`kerberos`] capability.
//! - [`frames`]: messages with their length in front, over any stream.
//! - [`rpc`]: Hadoop RPC, version 9, which HDFS and YARN speak.
//! - [`rest`]: the same operations over HTTP, which WebHDFS, HttpFS, KMS and YARN have.
//! - [`hbase`], [`metastore`]: HBase's RPC, and Thrift of Hive's metastore.
//! - [`kafka`]: Kafka's protocol, whose logins and frames are these, too.
//! - [`provider`]: what every provider exports.
//! - [`active`]: the active one of several servers, by their [`address`]es.
//! - [`writable`], [`token`], [`identifier`], [`token_file`]: a token, what is inside, and the file that clients read.
//!
//! The messages are Protocol Buffers, by `prost`: some 3 KB of a component for each message, and a decoder that others
//! have tried to break for years.
//!
//! Servers are hostile here. Each length that comes from one is compared with a limit before anything is reserved for it,
//! each number with its range, and of an error's text one bounded line is kept. Waiting is bounded by the host.
//!
//! The kit never panics, never writes to the log, and never puts a token's password into an error or a `Debug` text.

pub mod active;
pub mod address;
mod failures;
pub mod frames;
pub mod hbase;
pub mod held;
pub mod identifier;
pub mod kafka;
pub mod kerberos;
pub mod lifecycle;
pub mod metastore;
pub mod provider;
pub mod rest;
pub mod rpc;
pub mod rpc_dial;
pub mod rpc_settings;
pub mod sasl;
pub mod token;
pub mod token_file;
pub mod wants;
pub mod writable;

#[cfg(test)]
mod testing;
