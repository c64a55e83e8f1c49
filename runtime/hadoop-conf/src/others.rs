//! YARN, HBase and Hive: named, so that they are not forgotten.

use crate::proposal::ProposalDraft;

/// Services whose addresses are found, and the properties that have them and their principal.
const SERVICES: [(&str, &[&str], &str); 3] = [
    (
        "YARN",
        &["yarn.resourcemanager.address", "yarn.resourcemanager.hostname", "yarn.resourcemanager.ha.rm-ids"],
        "yarn.resourcemanager.principal",
    ),
    ("HBase", &["hbase.zookeeper.quorum"], "hbase.master.kerberos.principal"),
    ("the Hive metastore", &["hive.metastore.uris"], "hive.metastore.kerberos.principal"),
];

pub(crate) fn propose(draft: &mut ProposalDraft<'_>) {
    for (service, addresses, principal) in SERVICES {
        let Some((property, address)) = addresses.iter().find_map(|name| Some((*name, draft.get(name)?))) else {
            continue;
        };
        let principal = draft.get(principal).map(|principal| format!(", as {principal}")).unwrap_or_default();
        draft.note(format!("{service} ({property} = {address}{principal}) is left out: propose it yourself"));
    }
}
