//! From the configuration of a real cluster to a token of it: `deputy hadoop-conf`, `check`, `obtain`.

use std::fs;
use std::path::Path;

use deputy_test_harness::{TestEnvironment, exit};
use deputy_test_servers::{Hdfs, Kdc, Kms, Site, guest};

use crate::logins::home;

/// Files of a client with these properties.
fn conf(home: &TestEnvironment, name: &str, site: &Site) -> String {
    let folder = home.path(name);
    site.write(&folder, "hdfs-site.xml").unwrap();
    folder.display().to_string()
}

fn components() -> String {
    guest("hdfs").unwrap().parent().unwrap().display().to_string()
}

#[test]
fn hadoop_conf_of_a_real_client_obtains_its_token() {
    let kdc = Kdc::start().unwrap();
    let kms = Kms::start(&kdc, &Site::new()).unwrap();
    let hdfs = Hdfs::start(&kdc, &Site::new().key_provider(&kms)).unwrap();
    let keytab = kdc.add("etl").unwrap().display().to_string();
    let krb5_conf = kdc.krb5_conf().display().to_string();
    let home = home();
    fs::remove_file(home.path("deputy.toml")).unwrap();
    let client = hdfs.client().conf().display().to_string();
    let output = home.path("deputy.toml").display().to_string();
    let arguments =
        ["hadoop-conf", &client, "--keytab", &keytab, "--krb5-conf", &krb5_conf, "--components", &components()];
    let arguments =
        [&arguments[..], &["--principal", "etl@TEST.LOCAL", "--group", "lab", "--output", &output]].concat();
    home.deputy(&arguments).ends_with(exit::OK);
    let check = home.deputy(&["check"]).ends_with(exit::OK).stdout;
    assert!(check.contains("open Kerberos contexts with services  hdfs/localhost@TEST.LOCAL"), "{check}");
    assert!(check.contains("login hadoop: etl@TEST.LOCAL: ok, ticket until"), "{check}");
    for instance in ["hdfs-localhost", "kms"] {
        let obtained = home.deputy(&["obtain", instance]).ends_with(exit::OK);
        assert!(obtained.stdout.contains("hadoop-token/1"), "{instance}: {}", obtained.stdout);
    }
    // A configuration that may be in use is not replaced.
    let again = home.deputy(&arguments).ends_with(exit::MISCONFIGURED);
    assert!(again.stderr.contains("exists: name a new file"), "{}", again.stderr);
}

#[test]
fn hadoop_conf_that_cannot_be_followed_names_the_line() {
    let home = TestEnvironment::new();
    let missing = home.deputy(&["hadoop-conf", &home.path("nowhere").display().to_string()]);
    let missing = missing.ends_with(exit::MISCONFIGURED);
    assert!(missing.stderr.contains("has none of core-site.xml, hdfs-site.xml"), "{}", missing.stderr);
    let folder = conf(&home, "conf", &Site::new().set("fs.defaultFS", "hdfs://nn1.example.com"));
    let include =
        "<configuration xmlns:xi=\"http://www.w3.org/2001/XInclude\">\n<xi:include href=\"a.xml\"/>\n</configuration>";
    fs::write(Path::new(&folder).join("hdfs-site.xml"), include).unwrap();
    let refused = home.deputy(&["hadoop-conf", &folder, "--json"]).ends_with(exit::MISCONFIGURED);
    let error = refused.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(error.contains("hdfs-site.xml:2: includes another file (xi:include)"), "{error}");
}

#[test]
fn hadoop_conf_says_on_stderr_what_it_does_not_know() {
    let home = TestEnvironment::new();
    let site =
        Site::new().set("fs.defaultFS", "hdfs://nn1.example.com").set("hadoop.security.authentication", "kerberos");
    let folder = conf(&home, "conf", &site);
    let shown = home.deputy(&["hadoop-conf", &folder]).ends_with(exit::OK);
    assert!(shown.stderr.contains("note: no file names a realm: use `--principal NAME@REALM`"), "{}", shown.stderr);
    let json =
        home.deputy(&["hadoop-conf", &folder, "--json", "--principal", "etl@EXAMPLE.COM"]).ends_with(exit::OK).json();
    assert_eq!(json["instances"][0]["tcp"][0]["allow"], "nn1.example.com:8020");
    assert!(json["toml"].as_str().unwrap().contains("[instances.hdfs-nn1]"), "{json}");
}
