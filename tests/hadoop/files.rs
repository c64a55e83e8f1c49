//! The token file itself: merged with one that is there already, in both versions, with the names that clients look for.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use deputy_test_harness::{HadoopSite, PRINCIPAL, fact};
use deputy_test_servers::{Client, Proof, Site};

use crate::cluster::{shared, writes_and_reads};

/// A token file that another program made, for the same NameNode.
fn existing(client: &Client, site: &HadoopSite, ticket: Proof<'_>) -> String {
    let file = site.home.path("secrets/existing.tokens");
    client.fetchdt(&["--renewer", "yarn", &file.display().to_string()], ticket).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    file.display().to_string()
}

#[test]
fn token_file_is_merged_with_one_that_is_there() {
    let cluster = shared();
    let client = cluster.lasting.client();
    let local = cluster.text("merged", "merged");
    let alice = cluster.kdc.ticket(PRINCIPAL).unwrap();
    let ticket = Proof::Ticket(&alice);
    for (prefer, version) in [("hdfs", 1), ("existing", 0)] {
        let site = HadoopSite::new(&cluster.kdc);
        let file = existing(client, &site, ticket);
        let existing = format!(
            "[instances.existing]\nservice = \"hdfs\"\nkind = \"hadoop-token-file/1\"\n\
             file = {{ path = {file:?}, lifetime = \"1h\" }}\n"
        );
        let site = site
            .instance("hdfs", &cluster.lasting_instance("hdfs", ""))
            .instance("existing", &existing)
            .receiver(&format!("prefer = \"{prefer}\"\nversion = \"{version}\""));
        let coordinator = site.coordinator();
        let _worker = site.worker();
        site.wait_for_tokens(&coordinator, &[("hdfs", 1), ("existing", 1)]);
        assert_eq!(fs::read(site.token_file()).unwrap()[..5], [b'H', b'D', b'T', b'S', version]);
        writes_and_reads(client, &site.token_file(), &local, &format!("/open/merged-{prefer}"), &[]);
        // Which of the two it is shows in who may renew it.
        let printed = client.print_tokens(&site.token_file()).unwrap();
        assert_eq!(printed.matches("HDFS_DELEGATION_TOKEN").count(), 1, "{printed}");
        let renewed = client.fetchdt(&["--renew", &site.token_file().display().to_string()], ticket);
        assert_eq!(renewed.is_ok(), prefer == "hdfs", "{printed} {renewed:?}");
    }
}

#[test]
fn token_file_has_the_names_that_clients_look_for() {
    let cluster = shared();
    let by_name = Site::new().set("hadoop.security.token.service.use_ip", "false");
    let by_name = cluster.lasting.client().with("client-by-name", &by_name).unwrap();
    let site = HadoopSite::new(&cluster.kdc)
        .instance("hdfs", &cluster.lasting_instance("hdfs", "use-ip = \"false\""))
        .receiver("");
    let coordinator = site.coordinator();
    let _worker = site.worker();
    site.wait_for_tokens(&coordinator, &[("hdfs", 1)]);
    let service = format!("localhost:{}", cluster.lasting.rpc_port());
    assert_eq!(fact(&coordinator.printed_instance("hdfs"), "service"), service);
    writes_and_reads(&by_name, &site.token_file(), &cluster.text("named", "named"), "/open/named", &[]);
    // A client that looks for an address finds none.
    let by_address = cluster.lasting.client().fs(&["-ls", "/open"], Proof::TokenFile(&site.token_file()));
    let refused = by_address.unwrap_err().to_string();
    assert!(refused.contains("Client cannot authenticate via:[TOKEN, KERBEROS]"), "{refused}");
}
