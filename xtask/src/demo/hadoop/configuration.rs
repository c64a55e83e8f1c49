//! What an operator writes: a keytab, a configuration that Deputy proposes from that of a Hadoop client, and by hand what
//! no file of such a client says.

use std::fs;
use std::path::Path;

use deputy_test_servers::Hive;

use super::servers::Servers;
use super::{Demo, GROUP};
use crate::demo::free_port;
use crate::digest::write;
use crate::failure::{Doing, Failure, Result};
use crate::say;
use crate::workspace::Workspace;

/// The components that the configuration names.
const COMPONENTS: [&str; 9] =
    ["hdfs", "webhdfs", "kms", "yarn", "hbase", "hive", "kafka", "hadoop-credentials", "kafka-client"];

/// The instances whose tokens are in the token file, as the proposal lists them, and with those by hand.
const PROPOSED: &str = "instances = [\"hdfs-localhost\", \"kms\"]";
const WHOLE: &str = "instances = [\"hdfs-localhost\", \"kms\", \"yarn\", \"hbase\", \"hive\"]";

/// All instances that are delivered to the worker.
pub(super) const INSTANCES: [&str; 6] = ["hdfs-localhost", "kms", "yarn", "hbase", "hive", "kafka"];

/// Writes it, and has Deputy check it.
pub(super) fn write_configuration(demo: &Demo<'_>, workspace: &Workspace) -> Result<()> {
    let (folder, kdc) = (demo.folder, &demo.servers.kdc);
    let keytab = kdc.add("etl").doing(|| "making a keytab".into())?;
    fs::copy(&keytab, folder.join("etl.keytab")).doing(|| "copying the keytab".into())?;
    for component in COMPONENTS {
        let file = format!("{component}.wasm");
        fs::copy(workspace.guests().join(&file), folder.join(&file)).doing(|| format!("copying {file}"))?;
    }
    say::note("deputy", "from the configuration of a Hadoop client to one of Deputy, with one keytab:");
    let conf = demo.servers.hdfs.client().conf().display().to_string();
    let krb5_conf = kdc.krb5_conf().display().to_string();
    let proposal = ["--principal", "etl@TEST.LOCAL", "--keytab", "etl.keytab", "--krb5-conf", &krb5_conf];
    let whole = ["hadoop-conf", &conf, "--components", ".", "--group", GROUP, "--output", "deputy.toml"];
    demo.call(&whole).args(proposal).said().shown()?;
    let configuration = completed(&folder.join("deputy.toml"), demo.servers)?;
    write(&folder.join("deputy.toml"), configuration.as_bytes())?;
    configuration.lines().for_each(|line| eprintln!("              | {line}"));
    demo.call(&["check"]).said().shown()
}

/// The proposal, and where workers connect, and the services that it leaves out.
fn completed(file: &Path, servers: &Servers) -> Result<String> {
    let proposed = fs::read_to_string(file).doing(|| "reading the proposal".into())?;
    if !proposed.contains(PROPOSED) {
        return Err(Failure::new(format!("the proposal has no {PROPOSED}")));
    }
    let port = free_port()?;
    let proposed = proposed.replace(PROPOSED, WHOLE);
    Ok(format!(
        "state = \"state\"\n\n[coordinator]\nlisten = \"127.0.0.1:{port}\"\n\n{proposed}\n# Written by hand.\n{}",
        by_hand(servers)
    ))
}

fn by_hand(servers: &Servers) -> String {
    let (yarn, hive, kafka) = (servers.yarn.rpc_port(), servers.hive.port(), servers.kafka.ports().sasl);
    let (master, region_server) = (servers.hbase.master_port(), servers.hbase.region_server_port());
    let of_yarn = format!("resourcemanagers = \"localhost:{yarn}\"");
    let of_hbase = format!("servers = \"localhost:{master}\"");
    let of_hive = format!("uris = \"thrift://localhost:{hive}\"\nsignature = \"{}\"", Hive::SIGNATURE);
    let of_kafka = format!("servers = \"localhost:{kafka}\"\nauthentication = \"GSSAPI\"");
    [
        instance("yarn", "yarn", &of_yarn, &[yarn]),
        instance("hbase", "hbase", &of_hbase, &[master, region_server]),
        instance("hive", "hive", &of_hive, &[hive]),
        instance("kafka", "kafka", &of_kafka, &[kafka]),
        format!(
            "[groups.{GROUP}.receivers.kafka]\ncomponent = \"kafka-client.wasm\"\ninstances = [\"kafka\"]\n\
             settings = {{ protocol = \"SASL_PLAINTEXT\" }}\n"
        ),
    ]
    .concat()
}

/// An instance of a component, which logs in to a service of this name at these ports.
fn instance(component: &str, service: &str, settings: &str, ports: &[u16]) -> String {
    let rules: String = ports
        .iter()
        .map(|port| {
            format!("[[instances.{component}.tcp]]\nallow = \"localhost:{port}\"\nnetworks = [\"loopback\"]\n\n")
        })
        .collect();
    format!(
        "[instances.{component}]\ncomponent = \"{component}.wasm\"\ndeliver-to = [\"{GROUP}\"]\n\n\
         [instances.{component}.settings]\n{settings}\n\n\
         [instances.{component}.kerberos]\nlogin = \"hadoop\"\ntargets = [\"{service}/localhost@TEST.LOCAL\"]\n\n{rules}"
    )
}
