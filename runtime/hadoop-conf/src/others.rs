//! YARN and the Hive metastore, which a cluster's clients may use. They are proposed and not enabled. HBase is named, so that it
//! is not forgotten: no file has its region servers.

use crate::address::HadoopAddress;
use crate::hdfs::{protection, tcp};
use crate::principal::ServicePrincipal;
use crate::proposal::{ProposalDraft, ProposedInstance};

/// The default of `yarn.resourcemanager.address`.
const YARN_PORT: u16 = 8032;
/// The usual port of a metastore.
const METASTORE_PORT: u16 = 9083;

pub(crate) fn propose(draft: &mut ProposalDraft<'_>) {
    yarn(draft);
    hive(draft);
    if let Some(quorum) = draft.get("hbase.zookeeper.quorum") {
        draft.note(format!(
            "HBase (hbase.zookeeper.quorum = {quorum}) is left out: no file names the region servers; see \
             docs/hadoop.md for an instance"
        ));
    }
}

fn yarn(draft: &mut ProposalDraft<'_>) {
    let ids = draft.list("yarn.resourcemanager.ha.rm-ids");
    let suffixes: Vec<String> =
        if ids.is_empty() { vec![String::new()] } else { ids.iter().map(|id| format!(".{id}")).collect() };
    let mut servers = Vec::new();
    for suffix in suffixes {
        let address = format!("yarn.resourcemanager.address{suffix}");
        let host = format!("yarn.resourcemanager.hostname{suffix}");
        match draft.get(&address).or_else(|| draft.get(&host)) {
            Some(text) => servers.extend(draft.address(&address, &text, YARN_PORT)),
            None if suffix.is_empty() => return,
            None => draft.note(format!("{address} is not set: this ResourceManager is left out")),
        }
    }
    let principal = ["yarn.resourcemanager.principal".to_owned()];
    let Some(principal) = ServicePrincipal::find(draft, &principal, "yarn") else { return };
    let name = draft.get("yarn.resourcemanager.cluster-id").unwrap_or_default();
    let by_name = !draft.flag("hadoop.security.token.service.use_ip", true);
    let settings = [("resourcemanagers", join(&servers)), ("principal", principal.as_str().to_owned())];
    let use_ip = by_name.then(|| ("use-ip", "false".to_owned()));
    let settings = settings.into_iter().chain(use_ip).chain(protection(draft)).collect();
    let about = "YARN's ResourceManager: for clients that start or watch jobs";
    add(draft, "yarn", &name, about, settings, &principal, &servers);
}

fn hive(draft: &mut ProposalDraft<'_>) {
    let uris = draft.list("hive.metastore.uris");
    let mut servers = Vec::new();
    for uri in &uris {
        match uri.strip_prefix("thrift://") {
            Some(authority) => {
                servers.extend(draft.address("hive.metastore.uris", authority.trim_end_matches('/'), METASTORE_PORT));
            }
            None => draft.note(format!("hive.metastore.uris has {uri}, which does not begin with thrift://")),
        }
    }
    if uris.is_empty() {
        return;
    }
    if !draft.flag("hive.metastore.sasl.enabled", false) {
        return draft.note("hive.metastore.sasl.enabled is not true: such a metastore gives no tokens".to_owned());
    }
    let principal = ["hive.metastore.kerberos.principal".to_owned()];
    let Some(principal) = ServicePrincipal::find(draft, &principal, "hive") else { return };
    let uris: Vec<String> = servers.iter().map(|server| format!("thrift://{server}")).collect();
    let settings = [("uris", uris.join(",")), ("principal", principal.as_str().to_owned())];
    let signature = draft.get("hive.metastore.token.signature").map(|signature| ("signature", signature));
    let settings = settings.into_iter().chain(signature).chain(protection(draft)).collect();
    add(draft, "hive", "", "Hive's metastore: for clients that use its tables", settings, &principal, &servers);
}

fn add(
    draft: &mut ProposalDraft<'_>,
    provider: &'static str,
    name: &str,
    about: &str,
    settings: Vec<(&'static str, String)>,
    principal: &ServicePrincipal,
    servers: &[HadoopAddress],
) {
    if servers.is_empty() {
        return;
    }
    let instance = ProposedInstance {
        name: String::new(),
        about: about.to_owned(),
        provider,
        enabled: false,
        settings,
        targets: vec![principal.as_str().to_owned()],
        tcp: servers.iter().map(tcp).collect(),
        http: Vec::new(),
    };
    draft.add(provider, name, instance);
}

fn join(servers: &[HadoopAddress]) -> String {
    servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
