//! Whole folders, and what is proposed for them.

#![expect(clippy::disallowed_methods, clippy::panic, clippy::unwrap_used, reason = "a test arranges its own files")]

use std::fs;

use deputy_hadoop_conf::{HadoopProperties, Proposal, ProposalOptions, ProposedInstance};

/// The proposal for files with these properties.
fn proposal(files: &[(&str, &[(&str, &str)])], options: ProposalOptions) -> Proposal {
    let folder = tempfile::tempdir().unwrap();
    for (file, properties) in files {
        let property =
            |(name, value): &(&str, &str)| format!("<property><name>{name}</name><value>{value}</value></property>\n");
        let properties: String = properties.iter().map(property).collect();
        fs::write(folder.path().join(file), format!("<configuration>\n{properties}</configuration>")).unwrap();
    }
    Proposal::of(&HadoopProperties::read(folder.path()).unwrap(), options)
}

/// The same with security, and a login.
fn secure(files: &[(&str, &[(&str, &str)])]) -> Proposal {
    let mut files = files.to_vec();
    let security: &[(&str, &str)] = &[("hadoop.security.authentication", "kerberos")];
    files.push(("yarn-site.xml", security));
    let options = ProposalOptions { principal: Some("etl@EXAMPLE.COM".parse().unwrap()), ..ProposalOptions::default() };
    proposal(&files, options)
}

fn instance<'a>(proposal: &'a Proposal, name: &str) -> &'a ProposedInstance {
    let found = proposal.instances.iter().find(|instance| instance.name == name);
    found.unwrap_or_else(|| panic!("no {name} in {proposal:#?}"))
}

fn setting<'a>(instance: &'a ProposedInstance, name: &str) -> Option<&'a str> {
    instance.settings.iter().find(|(found, _)| *found == name).map(|(_, value)| value.as_str())
}

#[test]
fn proposal_of_an_ha_cluster_with_kms_is_a_whole_file() {
    let core: &[(&str, &str)] = &[
        ("fs.defaultFS", "hdfs://prod"),
        ("hadoop.security.authentication", "kerberos"),
        ("hadoop.security.key.provider.path", "kms://https@kms1.example.com;kms2.example.com:9600/kms"),
    ];
    let hdfs: &[(&str, &str)] = &[
        ("dfs.nameservices", "prod"),
        ("dfs.ha.namenodes.prod", "nn1, nn2"),
        ("host.prefix", "NN"),
        ("dfs.namenode.rpc-address.prod.nn1", "${host.prefix}1.example.com:8020"),
        ("dfs.namenode.rpc-address.prod.nn2", "${host.prefix}2.example.com:8020"),
        ("dfs.namenode.kerberos.principal", "nn/_HOST@EXAMPLE.COM"),
        ("dfs.http.policy", "HTTPS_ONLY"),
        ("dfs.namenode.https-address.prod.nn1", "nn1.example.com:9871"),
        ("dfs.namenode.https-address.prod.nn2", "0.0.0.0:9871"),
        ("dfs.web.authentication.kerberos.principal", "HTTP/_HOST@EXAMPLE.COM"),
    ];
    let options = ProposalOptions { group: Some("analytics".parse().unwrap()), ..ProposalOptions::default() };
    let files = [
        ("core-site.xml", core),
        ("hdfs-site.xml", hdfs),
        ("hive-site.xml", &[("hive.metastore.uris", "thrift://hms:9083")]),
    ];
    assert_eq!(proposal(&files, options).to_toml(), include_str!("../samples/ha.toml"));
}

#[test]
fn proposal_of_a_single_namenode_has_the_name_of_its_address() {
    for (use_ip, expected) in [("true", None), ("false", Some("false"))] {
        let core: &[(&str, &str)] =
            &[("fs.defaultFS", "hdfs://nn.example.com"), ("hadoop.security.token.service.use_ip", use_ip)];
        let found = secure(&[("core-site.xml", core)]);
        let hdfs = instance(&found, "hdfs-nn");
        assert_eq!(setting(hdfs, "namenodes"), Some("nn.example.com:8020"));
        assert_eq!((setting(hdfs, "nameservice"), setting(hdfs, "use-ip")), (None, expected));
        let web = instance(&found, "webhdfs-nn");
        assert_eq!((setting(web, "urls"), web.enabled), (Some("http://nn.example.com:9870"), false));
        // So that its address can be looked up, where the name of the token has it.
        assert_eq!(web.tcp.len(), usize::from(expected.is_none()));
        assert!(found.notes.iter().any(|note| note.contains("hdfs/_HOST@EXAMPLE.COM is assumed")), "{:?}", found.notes);
    }
}

#[test]
fn proposal_of_routers_has_their_principal() {
    let hdfs: &[(&str, &str)] = &[
        ("dfs.nameservices", "fed"),
        ("dfs.ha.namenodes.fed", "r1,r2"),
        ("dfs.namenode.rpc-address.fed.r1", "router1.example.com:8888"),
        ("dfs.namenode.rpc-address.fed.r2", "router2.example.com:8888"),
        ("dfs.namenode.kerberos.principal", "nn/_HOST@EXAMPLE.COM"),
        ("dfs.federation.router.kerberos.principal", "rbf/_HOST@EXAMPLE.COM"),
    ];
    let found = secure(&[("hdfs-site.xml", hdfs)]);
    let fed = instance(&found, "hdfs-fed");
    assert_eq!(fed.targets, ["rbf/_HOST@EXAMPLE.COM"]);
    assert_eq!(setting(fed, "nameservice"), Some("fed"));
    assert!(fed.about.contains("2 routers of a federation"), "{}", fed.about);
}

#[test]
fn proposal_of_viewfs_has_what_is_behind_it() {
    let core: &[(&str, &str)] = &[
        ("fs.defaultFS", "viewfs://view"),
        ("fs.viewfs.mounttable.view.link./data", "hdfs://prod/data"),
        ("fs.viewfs.mounttable.view.link./logs", "hdfs://logs.example.com:9000/logs"),
        ("fs.viewfs.mounttable.view.link./old", "hdfs://logs.example.com:9000/old"),
        ("fs.viewfs.mounttable.view.link./s3", "s3a://bucket/"),
        ("fs.viewfs.mounttable.view.linkFallback", "file:///tmp"),
    ];
    let hdfs: &[(&str, &str)] =
        &[("dfs.nameservices", "prod"), ("dfs.namenode.rpc-address.prod", "nn1.example.com:8020")];
    let found = secure(&[("core-site.xml", core), ("hdfs-site.xml", hdfs)]);
    let names: Vec<&str> = found.instances.iter().map(|instance| instance.name.as_str()).collect();
    assert_eq!(names, ["hdfs-prod", "webhdfs-prod", "hdfs-logs", "webhdfs-logs"]);
    assert_eq!(setting(instance(&found, "hdfs-prod"), "nameservice"), None, "it is no set");
    assert!(found.notes.iter().any(|note| note.contains("s3a://bucket/")), "{:?}", found.notes);
}

#[test]
fn proposal_with_privacy_refuses_less() {
    for (qualities, expected) in [
        ("privacy", Some("privacy")),
        ("integrity,privacy", Some("integrity,privacy")),
        ("authentication,privacy", None),
        ("secret", None),
    ] {
        let core: &[(&str, &str)] = &[("fs.defaultFS", "hdfs://nn:8020"), ("hadoop.rpc.protection", qualities)];
        let found = secure(&[("core-site.xml", core)]);
        assert_eq!(setting(instance(&found, "hdfs-nn"), "protection"), expected, "{qualities}");
    }
}

#[test]
fn proposal_notes_what_is_not_known() {
    let core: &[(&str, &str)] = &[
        ("fs.defaultFS", "hdfs://${cluster.name}"),
        ("hadoop.security.key.provider.path", "jceks://file/etc/keys"),
        ("dfs.http.policy", "MAYBE"),
    ];
    let hdfs: &[(&str, &str)] = &[
        ("dfs.nameservices", "prod"),
        ("dfs.ha.namenodes.prod", "nn1,nn2"),
        ("dfs.namenode.rpc-address.prod.nn1", "nn1.example.com:8020"),
        ("hbase.zookeeper.quorum", "zk1,zk2"),
    ];
    let found = proposal(&[("core-site.xml", core), ("hdfs-site.xml", hdfs)], ProposalOptions::default());
    for part in [
        "hadoop.security.authentication is not set, not kerberos",
        "fs.defaultFS = hdfs://${cluster.name}: ${cluster.name} is not known here",
        "dfs.namenode.rpc-address.prod.nn2 is not set",
        "no file names a realm: use `--principal NAME@REALM`",
        "jceks://file/etc/keys: not a KMS",
        "HBase (hbase.zookeeper.quorum = zk1,zk2) is left out",
    ] {
        assert!(found.notes.iter().any(|note| note.contains(part)), "{part} in {:#?}", found.notes);
        assert!(found.to_toml().contains(part), "{part}");
    }
    assert_eq!(found.instances.len(), 0, "without a realm there is no principal: {:?}", found.instances);
}

#[test]
fn proposal_of_yarn_and_hive_is_not_enabled() {
    let yarn: &[(&str, &str)] = &[
        ("hadoop.security.authentication", "kerberos"),
        ("yarn.resourcemanager.cluster-id", "prod"),
        ("yarn.resourcemanager.ha.rm-ids", "rm1,rm2,rm3"),
        ("yarn.resourcemanager.address.rm1", "${yarn.resourcemanager.hostname.rm1}:8050"),
        ("yarn.resourcemanager.hostname.rm1", "rm1.example.com"),
        ("yarn.resourcemanager.hostname.rm2", "rm2.example.com"),
        ("yarn.resourcemanager.principal", "rm/_HOST@EXAMPLE.COM"),
    ];
    let hive: &[(&str, &str)] = &[
        ("hive.metastore.uris", "thrift://ms1.example.com:9083,thrift://ms2.example.com"),
        ("hive.metastore.sasl.enabled", "true"),
    ];
    let found = proposal(&[("yarn-site.xml", yarn), ("hive-site.xml", hive)], ProposalOptions::default());
    let yarn = instance(&found, "yarn-prod");
    assert_eq!(setting(yarn, "resourcemanagers"), Some("rm1.example.com:8050,rm2.example.com:8032"));
    assert_eq!(
        (yarn.enabled, yarn.tcp.len(), yarn.targets.as_slice()),
        (false, 2, &["rm/_HOST@EXAMPLE.COM".to_owned()][..])
    );
    let hive = instance(&found, "hive");
    assert_eq!(setting(hive, "uris"), Some("thrift://ms1.example.com:9083,thrift://ms2.example.com:9083"));
    assert_eq!((hive.enabled, hive.targets.as_slice()), (false, &["hive/_HOST@EXAMPLE.COM".to_owned()][..]));
    assert!(
        found.notes.iter().any(|note| note.contains("yarn.resourcemanager.address.rm3 is not set")),
        "{:?}",
        found.notes
    );
}

#[test]
fn proposal_cannot_be_led_out_of_its_strings() {
    let hdfs: &[(&str, &str)] = &[
        ("dfs.nameservices", "a&#10;[logins.evil]"),
        ("dfs.ha.namenodes.a&#10;[logins.evil]", "nn1"),
        ("dfs.namenode.rpc-address.a&#10;[logins.evil].nn1", "nn1.example.com:8020"),
        ("dfs.http.policy", "x&#10;[logins.evil]"),
    ];
    let text = secure(&[("hdfs-site.xml", hdfs)]).to_toml();
    assert!(text.contains("nn1.example.com:8020"), "{text}");
    assert!(text.lines().all(|line| line != "[logins.evil]"), "{text}");
}

#[test]
fn proposal_has_a_bound_on_instances_and_servers() {
    let names: Vec<String> = (0..100).map(|number| format!("ns{number}")).collect();
    let names = names.join(",");
    let ids = ["nn"; 12].iter().enumerate().map(|(number, id)| format!("{id}{number}")).collect::<Vec<_>>();
    let mut hdfs: Vec<(String, String)> = vec![("dfs.nameservices".into(), format!("big,{names}"))];
    hdfs.push(("dfs.ha.namenodes.big".into(), ids.join(",")));
    hdfs.extend(ids.iter().map(|id| (format!("dfs.namenode.rpc-address.big.{id}"), format!("{id}:8020"))));
    let single = (0..100).map(|number| (format!("dfs.namenode.rpc-address.ns{number}"), format!("h{number}:8020")));
    hdfs.extend(single);
    let hdfs: Vec<(&str, &str)> = hdfs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let found = secure(&[("hdfs-site.xml", &hdfs)]);
    assert_eq!(found.instances.len(), 64);
    assert_eq!(instance(&found, "hdfs-big").tcp.len(), 8);
    assert!(found.notes.iter().any(|note| note.contains("more than 64 services")), "{:?}", found.notes);
}
