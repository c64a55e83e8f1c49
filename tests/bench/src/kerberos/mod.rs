//! Delegation tokens of a real HDFS with a real KDC: the component in the sandbox beside the bare exchange and Hadoop's own
//! client, and many instances at once.

mod bare;

use std::env;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use deputy_core::grant::{KerberosGrant, TcpRule};
use deputy_core::{Krb5Conf, LoginPlan, TicketSource};
use deputy_kerberos::{Login, LoginConfig, LoginProgram};
use deputy_sandbox::LoadedProvider;
use deputy_test_servers::{Hdfs, Kdc, Proof, Site};
use tokio::task::JoinSet;

use crate::Result;
use crate::report::{Report, Unit};
use crate::sandboxed::{instance, sandbox};

/// The argument by which this program becomes a login process, as the sandbox starts it.
const LOGIN_PROCESS: &str = "kerberos-login";

/// How many instances obtain at once.
const INSTANCES: usize = 200;

const PRINCIPAL: &str = "alice@TEST.LOCAL";

pub(crate) async fn measure(report: &mut Report, obtains: usize, rounds: usize) -> Result {
    eprintln!("starting a KDC and HDFS");
    let kdc = Kdc::start()?;
    let hdfs = Hdfs::start(&kdc, &Site::new())?;
    let plan = LoginPlan {
        name: "alice".parse()?,
        principal: PRINCIPAL.parse()?,
        tickets: TicketSource::Keytab(kdc.keytab("alice")?),
        krb5_conf: Krb5Conf::File(kdc.krb5_conf()),
    };
    let folder = tempfile::tempdir()?;
    one(report, obtains, &kdc, &hdfs, &plan, folder.path()).await?;
    many(report, rounds, &kdc, &hdfs, &plan, folder.path()).await
}

/// One obtain after the other, in turns.
async fn one(report: &mut Report, obtains: usize, kdc: &Kdc, hdfs: &Hdfs, plan: &LoginPlan, folder: &Path) -> Result {
    let program =
        LoginProgram { program: env::current_exe()?, arguments: vec![LOGIN_PROCESS.into()], environment: Vec::new() };
    let login = Login::start(LoginConfig::of(plan), program, 1);
    let provider = provider(&sandbox(folder)?, hdfs, plan, "hdfs").await?;
    let (mut native, mut sandboxed) = (Vec::new(), Vec::new());
    // The first ones find a cold NameNode, and no ticket.
    for round in 0..obtains + 20 {
        let begun = Instant::now();
        bare::obtain(&login, hdfs.rpc_port(), PRINCIPAL).await?;
        let bare = begun.elapsed();
        let begun = Instant::now();
        provider.obtain().await.result?;
        if round >= 20 {
            native.push(bare);
            sandboxed.push(begun.elapsed());
        }
    }
    let java = java(kdc, hdfs, obtains)?;
    let section = report.section("one obtain of hdfs: connect, log in, token, first renewal; the ticket is there");
    section.times("native: the same messages, no sandbox", &native);
    section.times("the sandbox", &sandboxed);
    section.times("Hadoop's client in one warm JVM", &java);
    Ok(())
}

/// The times that Hadoop's own client takes in one process.
fn java(kdc: &Kdc, hdfs: &Hdfs, obtains: usize) -> Result<Vec<Duration>> {
    let ticket = kdc.ticket("alice")?;
    let count = obtains.to_string();
    let said = hdfs.client().run("ObtainTimes", &["alice", &count, "20"], Proof::Ticket(&ticket))?;
    let nanos = said.lines().map(str::parse::<u64>).collect::<Result<Vec<_>, _>>();
    Ok(nanos.map_err(|error| format!("{error}: {said}"))?.into_iter().map(Duration::from_nanos).collect())
}

/// All instances at once, each with a component and a grant of its own, and one login.
async fn many(report: &mut Report, rounds: usize, kdc: &Kdc, hdfs: &Hdfs, plan: &LoginPlan, folder: &Path) -> Result {
    let (mut times, mut logins, mut tickets) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let issued = |kind| kdc.issued(kind, PRINCIPAL);
        let before = (issued("AS_REQ"), issued("TGS_REQ"));
        let sandbox = sandbox(folder)?;
        let mut providers = Vec::new();
        for number in 0..INSTANCES {
            providers.push(Arc::new(provider(&sandbox, hdfs, plan, &format!("hdfs-{number}")).await?));
        }
        // The login began when the first instance was loaded.
        sandbox.check_login(plan).await;
        let begun = Instant::now();
        let mut calls = JoinSet::new();
        for provider in providers {
            calls.spawn(async move { provider.obtain().await.result.map(drop).map_err(|error| error.to_string()) });
        }
        while let Some(ended) = calls.join_next().await {
            ended??;
        }
        times.push(begun.elapsed());
        logins.push((issued("AS_REQ") - before.0) as f64);
        tickets.push((issued("TGS_REQ") - before.1) as f64);
    }
    let section = report.section(format!("{INSTANCES} instances on one NameNode at once, from the first to the last"));
    section.times("the sandbox", &times);
    let section = report.section("requests to the KDC for them");
    section.add("logins (AS)", Unit::Count, logins);
    section.add("tickets for the NameNode (TGS)", Unit::Count, tickets);
    Ok(())
}

/// An instance of the provider.
async fn provider(
    sandbox: &deputy_sandbox::Sandbox,
    hdfs: &Hdfs,
    plan: &LoginPlan,
    name: &str,
) -> Result<LoadedProvider> {
    let port = hdfs.rpc_port();
    let namenodes = format!("localhost:{port}");
    let mut instance = instance("hdfs", &[("namenodes", &namenodes), ("protection", "authentication")])?;
    instance.name = name.parse()?;
    instance.grant.tcp.push(TcpRule {
        host: "localhost".parse()?,
        port,
        networks: vec!["loopback".parse()?],
        tls: None,
    });
    instance.grant.kerberos =
        Some(KerberosGrant { login: plan.clone(), targets: vec!["hdfs/localhost@TEST.LOCAL".parse()?] });
    Ok(sandbox.load(&instance).await?)
}
