//! `docs/kafka.md`: its configuration, with the realm of a real KDC, is what the components understand and what logs in.

use std::fs;
use std::os::unix::fs::symlink;

use deputy_test_harness::{KafkaSite, exit};
use deputy_test_servers::{Kdc, Tls, guest};

const PAGE: &str = include_str!("../../docs/kafka.md");

/// The blocks of TOML of the page, one after the other, but that of clients of another kind.
fn configuration() -> String {
    let (page, _) = PAGE.split_once("\n## Other clients\n").unwrap();
    let blocks = page.split("```toml\n").skip(1).map(|block| block.split("```").next().unwrap());
    blocks.collect::<Vec<_>>().join("\n")
}

#[test]
fn kafka_page_shows_settings_that_components_understand() {
    let kdc = Kdc::start().unwrap();
    let home = KafkaSite::new(&kdc).home;
    for component in ["kafka", "kafka-client"] {
        symlink(guest(component).unwrap(), home.path(&format!("{component}.wasm"))).unwrap();
    }
    fs::copy(kdc.keytab("etl").unwrap(), home.path("etl.keytab")).unwrap();
    let roots = Tls::new().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let chain = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap().pem();
    fs::copy(roots.roots(), home.path("kafka-ca.pem")).unwrap();
    fs::write(home.path("deputy.pem"), chain).unwrap();
    home.put_secret("kafka-password", "password-of-the-page");
    home.put_secret("deputy.key", &key.serialize_pem());
    for secret in ["kafka-password", "deputy.key"] {
        fs::rename(home.path("secrets").join(secret), home.path(secret)).unwrap();
    }
    let kdcs = "kdcs = [\"kdc1.example.com\"]";
    let configuration = configuration();
    assert!(configuration.contains(kdcs), "{configuration}");
    let here =
        configuration.replace("EXAMPLE.COM", "TEST.LOCAL").replace(kdcs, &format!("kdcs = [\"{}\"]", kdc.address()));
    fs::write(home.path("deputy.toml"), here + "\n[components]\nfolder = \".\"\n").unwrap();
    let shown = home.deputy(&["check"]).ends_with(exit::OK).stdout;
    assert!(shown.contains("3 instances, 1 group") && shown.contains("all ok"), "{shown}");
}
