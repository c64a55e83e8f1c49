//! `docs/hadoop.md`: its configuration, with the realm of a real KDC, is what the components understand and what logs in.

use std::fs;
use std::os::unix::fs::symlink;

use deputy_test_harness::{HadoopSite, exit};
use deputy_test_servers::{Kdc, guest};

const PAGE: &str = include_str!("../../docs/hadoop.md");

/// The blocks of TOML of the page, one after the other.
fn configuration() -> String {
    let blocks = PAGE.split("```toml\n").skip(1).map(|block| block.split("```").next().unwrap());
    blocks.collect::<Vec<_>>().join("\n")
}

#[test]
fn hadoop_page_shows_settings_that_components_understand() {
    let kdc = Kdc::start().unwrap();
    let home = HadoopSite::new(&kdc).home;
    for component in ["hadoop-credentials", "hbase", "hdfs", "hive", "kms", "yarn"] {
        symlink(guest(component).unwrap(), home.path(&format!("{component}.wasm"))).unwrap();
    }
    fs::copy(kdc.keytab("etl").unwrap(), home.path("etl.keytab")).unwrap();
    let keytab = "keytab = \"etl.keytab\"";
    let configuration = configuration();
    assert!(configuration.contains(keytab), "{configuration}");
    let here = configuration
        .replace("EXAMPLE.COM", "TEST.LOCAL")
        .replace(keytab, &format!("{keytab}\nkdcs = [\"{}\"]", kdc.address()));
    fs::write(home.path("deputy.toml"), here + "\n[components]\nfolder = \".\"\n").unwrap();
    let shown = home.deputy(&["check"]).ends_with(exit::OK).stdout;
    assert!(shown.contains("7 instances, 3 groups") && shown.contains("all ok"), "{shown}");
}
