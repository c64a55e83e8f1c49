//! Real servers and independent clients for tests.
//!
//! Each server listens on free ports of the loopback interface, keeps what it writes in a folder of its own, and ends
//! with that folder when its value is dropped or this process dies, whichever way it dies. The programs are those of
//! `cargo xtask tools`, and MIT Kerberos, Prometheus and Chromium of the system: a missing one is an error, never a reason to skip a test. Nothing
//! here is part of Deputy.
#![expect(clippy::disallowed_methods, reason = "plain blocking test code, which waits for servers on this machine")]

mod acceptor;
mod boto;
mod browser;
mod client;
mod error;
mod etcd;
mod etcd_certificates;
mod expiring;
mod hbase;
mod hdfs;
mod hive;
mod http;
mod http_message;
mod httpfs;
mod java;
mod kafka;
mod kdc;
mod kms;
mod lasting;
mod metastores;
mod moto;
mod namenodes;
mod oauth2;
mod oidc_provider;
mod ports;
mod principals;
mod prometheus;
mod resourcemanagers;
mod router;
mod seaweed;
mod server;
mod site;
mod straight_line;
mod synthetic;
mod tls;
mod tools;
mod yarn;

pub use acceptor::Acceptor;
pub use boto::{aws, boto};
pub use browser::Browser;
pub use client::{Client, Proof};
pub use error::Error;
pub use etcd::{Etcd, EtcdHost};
pub use etcd_certificates::EtcdCertificates;
pub use expiring::{ExpiringKeys, Reads};
pub use hbase::HBase;
pub use hdfs::Hdfs;
pub use hive::Hive;
pub use http::{Answer, get};
pub use httpfs::HttpFs;
pub use java::JavaServer;
pub use kafka::{Kafka, Ports};
pub use kdc::{AES_SHA1, AES_SHA2, Kdc, Realm, krb5_conf};
pub use kms::Kms;
pub use lasting::Lasting;
pub use metastores::Metastores;
pub use moto::Moto;
pub use namenodes::NameNodes;
pub use oauth2::OAuth2;
pub use oidc_provider::OidcProvider;
pub use ports::{free_ports, lasting_ports};
pub use prometheus::{Prometheus, promtool};
pub use resourcemanagers::ResourceManagers;
pub use router::Router;
pub use seaweed::{Place, Seaweed};
pub use server::{Server, Start};
pub use site::Site;
pub use straight_line::with_straight_line_calls;
pub use synthetic::{contract_text, synthetic_component, wit_package};
pub use tls::Tls;
pub use tools::{class_path, engine, guest, tool};
pub use yarn::Yarn;
