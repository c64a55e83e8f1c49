//! Delegation tokens of real servers with a real KDC: each component in the sandbox beside the same exchange without one and
//! beside the service's own client, and many instances at once.

mod java;
mod native;
mod service;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use deputy_core::{Krb5Conf, LoginPlan, TicketSource};
use deputy_sandbox::{LoadedProvider, Sandbox};
use deputy_test_servers::{HBase, Hdfs, Hive, Kafka, Kdc, Kms, Site, Yarn};
use tokio::task::JoinSet;

use self::native::Native;
use self::service::ServiceKind;
use crate::Result;
use crate::report::{Report, Unit};
use crate::sandboxed::sandbox;

/// How many instances obtain at once.
const INSTANCES: usize = 200;

/// How many obtains come before those that are timed: the first ones find a cold server, and no ticket.
const BEFORE: usize = 30;

const PRINCIPAL: &str = "alice@TEST.LOCAL";
const REALM: &str = "TEST.LOCAL";

/// What all services share.
struct Bench<'a> {
    report: &'a mut Report,
    obtains: usize,
    kdc: Kdc,
    plan: LoginPlan,
    folder: &'a Path,
}

pub(crate) async fn measure(report: &mut Report, obtains: usize, rounds: usize) -> Result {
    eprintln!("starting a KDC and, one after the other, the servers");
    let kdc = Kdc::start()?;
    let plan = LoginPlan {
        name: "alice".parse()?,
        principal: PRINCIPAL.parse()?,
        tickets: TicketSource::Keytab(kdc.keytab("alice")?),
        krb5_conf: Krb5Conf::File(kdc.krb5_conf()),
    };
    let folder = tempfile::tempdir()?;
    let mut bench = Bench { report, obtains, kdc, plan, folder: folder.path() };
    bench.of_hadoop(rounds).await?;
    bench.of_others().await
}

impl Bench<'_> {
    /// HDFS, WebHDFS, KMS and YARN.
    async fn of_hadoop(&mut self, rounds: usize) -> Result {
        let hdfs = Hdfs::start(&self.kdc, &Site::new())?;
        let java =
            self.java(hdfs.client(), "ObtainTimes", &["files", &format!("hdfs://localhost:{}", hdfs.rpc_port())])?;
        self.one(ServiceKind::Hdfs, hdfs.rpc_port(), &[], java).await?;
        let url = format!("webhdfs://localhost:{}", hdfs.http_port());
        let java = self.java(hdfs.client(), "ObtainTimes", &["files", &url])?;
        self.one(ServiceKind::WebHdfs, hdfs.http_port(), &[], java).await?;
        self.many(&hdfs, rounds).await?;

        let kms = Kms::start(&self.kdc, &Site::new())?;
        let java = self.java(hdfs.client(), "ObtainTimes", &["keys", &kms.uri()])?;
        self.one(ServiceKind::Kms, kms.port(), &[], java).await?;
        drop((kms, hdfs));

        let yarn = Yarn::start(&self.kdc, &Site::new())?;
        let java = self.java(yarn.client(), "ObtainTimes", &["applications", ""])?;
        self.one(ServiceKind::Yarn, yarn.rpc_port(), &[], java).await
    }

    /// HBase, Hive and Kafka.
    async fn of_others(&mut self) -> Result {
        let hbase = HBase::start(&self.kdc, &Site::new())?;
        let java = self.java(hbase.client(), "HBaseTable", &["times"])?;
        self.one(ServiceKind::HBase, hbase.master_port(), &[hbase.region_server_port()], java).await?;
        drop(hbase);

        let hive = Hive::start(&self.kdc, &Site::new())?;
        let java = self.java(hive.client(), "Metastore", &["times", PRINCIPAL])?;
        self.one(ServiceKind::Hive, hive.port(), &[], java).await?;
        drop(hive);

        let kafka = Kafka::start(&self.kdc, None, &Site::new())?;
        let java = java::kafka_times(&self.kdc, &kafka, self.obtains)?;
        self.one(ServiceKind::Kafka, kafka.ports().sasl, &[], java).await
    }

    fn java(&self, client: &deputy_test_servers::Client, main: &str, arguments: &[&str]) -> Result<Vec<Duration>> {
        java::times(&self.kdc, client, main, arguments, self.obtains)
    }

    /// One obtain after the other, in turns. The server is warm: its own client was there before.
    async fn one(&mut self, kind: ServiceKind, port: u16, more: &[u16], java: Vec<Duration>) -> Result {
        let mut native = Native::start(kind, port, &self.plan)?;
        let provider = sandbox(self.folder)?.load(&kind.instance(&self.plan, port, more)?).await?;
        let (mut bare, mut sandboxed) = (Vec::new(), Vec::new());
        for round in 0..self.obtains + BEFORE {
            let took = native.obtain(1)?;
            let begun = Instant::now();
            provider.obtain().await.result.map_err(|error| format!("{}: {error}", kind.name()))?;
            if round >= BEFORE {
                bare.push(took);
                sandboxed.push(begun.elapsed());
            }
        }
        let section = self.report.section(format!("one obtain of {}: {}", kind.name(), kind.steps()));
        section.times("native: the same messages, no sandbox", &bare);
        section.times("the sandbox", &sandboxed);
        section.times("the service's own client in one warm JVM", &java);
        Ok(())
    }

    /// All instances at once, each with a component and a grant of its own, and one login.
    async fn many(&mut self, hdfs: &Hdfs, rounds: usize) -> Result {
        let (mut bare, mut times, mut logins, mut tickets) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut native = Native::start(ServiceKind::Hdfs, hdfs.rpc_port(), &self.plan)?;
        native.obtain(1)?;
        for _ in 0..rounds {
            bare.push(native.obtain(INSTANCES)?);
            let before = self.issued();
            let sandbox = sandbox(self.folder)?;
            let providers = self.providers(&sandbox, hdfs).await?;
            // The login began when the first instance was loaded.
            sandbox.check_login(&self.plan).await;
            let begun = Instant::now();
            let mut calls = JoinSet::new();
            for provider in providers {
                calls.spawn(async move { provider.obtain().await.result.map(drop).map_err(|error| error.to_string()) });
            }
            while let Some(ended) = calls.join_next().await {
                ended??;
            }
            times.push(begun.elapsed());
            let after = self.issued();
            logins.push((after.0 - before.0) as f64);
            tickets.push((after.1 - before.1) as f64);
        }
        let section = self.report.section(format!("{INSTANCES} obtains of hdfs at once, from the first to the last"));
        section.times("native, with one login", &bare);
        section.times("the sandbox, each of an instance of its own, with one login", &times);
        let section = self.report.section(format!("requests to the KDC of {INSTANCES} instances with one principal"));
        section.add("logins (AS)", Unit::Count, logins);
        section.add("tickets for the NameNode (TGS)", Unit::Count, tickets);
        Ok(())
    }

    async fn providers(&self, sandbox: &Sandbox, hdfs: &Hdfs) -> Result<Vec<Arc<LoadedProvider>>> {
        let mut providers = Vec::new();
        for number in 0..INSTANCES {
            let mut instance = ServiceKind::Hdfs.instance(&self.plan, hdfs.rpc_port(), &[])?;
            instance.name = format!("hdfs-{number}").parse()?;
            providers.push(Arc::new(sandbox.load(&instance).await?));
        }
        Ok(providers)
    }

    /// Tickets that the KDC has issued to the principal: ticket-granting ones, and those for services.
    fn issued(&self) -> (usize, usize) {
        (self.kdc.issued("AS_REQ", PRINCIPAL), self.kdc.issued("TGS_REQ", PRINCIPAL))
    }
}
