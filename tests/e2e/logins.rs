//! Kerberos logins as an operator sees them: `deputy check`, `deputy status` and the metrics, with a real KDC.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use deputy_coordinator::status::{CoordinatorStatus, KerberosLoginStatus};
use deputy_test_harness::{RunningCoordinator, TestEnvironment, copy_compiled, exit};
use deputy_test_servers::{AES_SHA1, AES_SHA2, Kdc, Realm, free_ports, get};
use serde::Deserialize;

use crate::faults::namespace::Namespace;

/// With state of its own, in which the components for Hadoop are compiled already.
pub(crate) fn home() -> TestEnvironment {
    static COMPILED: OnceLock<PathBuf> = OnceLock::new();
    let compiled = COMPILED.get_or_init(|| TestEnvironment::compiled("hadoop-state", &["hdfs", "hadoop-credentials"]));
    let home = TestEnvironment::new();
    copy_compiled(compiled, home.state());
    home
}

/// Adds a login and an instance of HDFS that has it. No NameNode answers. `kdc` is one address, or several with commas between.
fn with_login(home: TestEnvironment, name: &str, principal: &str, keytab: &Path, kdc: &str) -> TestEnvironment {
    let kdcs: Vec<_> = kdc.split(',').collect();
    let [port] = free_ports().unwrap();
    let lines = format!(
        r#"[instances.{name}.settings]
namenodes = "localhost:{port}"

[instances.{name}.kerberos]
login = "{name}"
targets = ["hdfs/localhost@TEST.LOCAL"]

[[instances.{name}.tcp]]
allow = "localhost:{port}"
networks = ["loopback"]

[logins.{name}]
principal = "{principal}"
keytab = {keytab:?}
kdcs = {kdcs:?}
"#
    );
    home.instance(name, "hdfs", &lines)
}

fn add(kdc: &Kdc, principal: &str) -> PathBuf {
    kdc.add(principal).unwrap()
}

/// The part of `deputy check --json` that the tests read.
#[derive(Deserialize)]
struct Check {
    logins: Vec<LoginCheck>,
}

/// A login, as the check saw it.
#[derive(Debug, Deserialize)]
struct LoginCheck {
    name: String,
    principal: String,
    ok: bool,
    code: Option<String>,
    hint: Option<String>,
    expiry: Option<String>,
    last_login: Option<String>,
    clock_offset_seconds: Option<i64>,
}

impl Check {
    fn login(&self, name: &str) -> &LoginCheck {
        self.logins.iter().find(|login| login.name == name).unwrap_or_else(|| panic!("{name}: {:?}", self.logins))
    }
}

#[test]
fn login_faults_in_check_say_what_mends_them() {
    let kdc = Kdc::start().unwrap();
    let silent = Kdc::start().unwrap();
    let [closed] = free_ports().unwrap();
    let mut home = home();
    let stale = add(&kdc, "stale");
    kdc.change_key("stale").unwrap();
    let public = home.path("public.keytab");
    fs::copy(add(&kdc, "public"), &public).unwrap();
    fs::set_permissions(&public, fs::Permissions::from_mode(0o644)).unwrap();
    let accounts = [
        ("stale", stale.as_path(), kdc.address()),
        ("locked", &add(&kdc, "locked"), kdc.address()),
        ("expired", &add(&kdc, "expired"), kdc.address()),
        ("old", &add(&kdc, "old"), kdc.address()),
        ("unknown", &add(&kdc, "unknown"), kdc.address()),
        ("public", &public, kdc.address()),
        ("away", &add(&kdc, "away"), format!("127.0.0.1:{closed}")),
        ("silent", &add(&silent, "silent"), silent.address()),
        ("well", &add(&kdc, "well"), kdc.address()),
        // The first of two KDCs is dead.
        ("second", &add(&kdc, "second"), format!("127.0.0.1:{closed},{}", kdc.address())),
        ("sha1", &kdc.add_with("sha1", AES_SHA1).unwrap(), kdc.address()),
        ("sha2", &kdc.add_with("sha2", AES_SHA2).unwrap(), kdc.address()),
    ];
    for (name, keytab, address) in &accounts {
        home = with_login(home, name, &format!("{name}@TEST.LOCAL"), keytab, address);
    }
    kdc.lock("locked").unwrap();
    kdc.expire("expired").unwrap();
    kdc.expire_key("old").unwrap();
    kdc.remove("unknown").unwrap();
    silent.pause().unwrap();

    let check: Check = home.deputy(&["check", "--json"]).ends_with(exit::FAILED).parsed();
    for (name, code, hint) in [
        ("stale", "wrong-key", "export a new keytab at the KDC"),
        ("locked", "locked", "have it unlocked"),
        ("expired", "expired", "have its expiration moved"),
        ("old", "key-expired", "give it a new key"),
        ("unknown", "unknown-principal", "check its spelling and realm"),
        ("public", "keytab", "readable for Deputy's user alone"),
        ("away", "kdc-unreachable", "see that one runs"),
        ("silent", "kdc-timeout", "see that the KDC answers"),
    ] {
        let login = check.login(name);
        assert_eq!((login.ok, login.code.as_deref()), (false, Some(code)), "{login:?}");
        assert!(login.hint.as_ref().unwrap().contains(hint), "{login:?}");
        assert_eq!(login.principal, format!("{name}@TEST.LOCAL"));
        assert_eq!(login.expiry, None);
    }
    for name in ["well", "second", "sha1", "sha2"] {
        let well = check.login(name);
        assert_eq!((well.ok, &well.code), (true, &None), "{well:?}");
        assert!(well.expiry > well.last_login, "{well:?}");
    }

    let text = home.deputy(&["check"]).ends_with(exit::FAILED).stdout;
    for line in [
        "login locked: locked@TEST.LOCAL: not ok: the KDC has locked or disabled the principal",
        "  hint: have it unlocked (`kadmin modprinc +allow_tix`",
        "login well: well@TEST.LOCAL: ok, ticket until 20",
    ] {
        assert!(text.lines().any(|found| found.starts_with(line)), "{line} in\n{text}");
    }
}

#[test]
fn login_without_a_network_is_told_from_a_dead_kdc() {
    let kdc = Kdc::start().unwrap();
    // An address of another machine: to this one there would be a way.
    let home = with_login(home(), "far", "far@TEST.LOCAL", &add(&kdc, "far"), "192.0.2.1");
    let alone = Namespace::with_loopback();
    let mut command = home.command();
    command.args(["check", "--json"]);
    let output = alone.enter(&command).current_dir(home.path(".")).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let check: Check = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let far = check.login("far");
    assert_eq!((output.status.code(), far.code.as_deref()), (Some(exit::FAILED), Some("no-network")), "{far:?}");
    assert!(far.hint.as_ref().unwrap().starts_with("connect it"), "{far:?}");
}

#[test]
fn login_by_a_wrong_clock_works_and_is_warned_of() {
    for (clock_offset, side) in [(600, "ahead of"), (-600, "behind")] {
        let kdc = Kdc::start_realm(Realm { clock_offset, ..Realm::default() }).unwrap();
        let home = with_login(home(), "etl", "etl@TEST.LOCAL", &add(&kdc, "etl"), &kdc.address());
        let text = home.deputy(&["check"]).ends_with(exit::OK).stdout;
        assert!(text.contains("login etl: etl@TEST.LOCAL: ok, ticket until"), "{text}");
        let warning =
            text.lines().find(|line| line.contains("the KDC's clock is ")).unwrap_or_else(|| panic!("{text}"));
        assert!(warning.contains(&format!("{side} this machine's: synchronise both clocks")), "{warning}");
        let check: Check = home.deputy(&["check", "--json"]).parsed();
        let offset = check.login("etl").clock_offset_seconds.unwrap();
        assert!((offset - i64::from(clock_offset)).abs() <= 2, "{offset}");
    }
}

#[test]
fn login_in_status_and_metrics_follows_the_kdc() {
    let life = Realm { ticket_life: Duration::from_secs(20), clock_skew: Duration::from_secs(1), ..Realm::default() };
    let kdc = Kdc::start_realm(life).unwrap();
    let keytab = add(&kdc, "etl");
    let [health] = free_ports().unwrap();
    let mut home = with_login(home(), "etl", "etl@TEST.LOCAL", &keytab, &kdc.address());
    home.append(&format!("[coordinator]\nhealth = \"127.0.0.1:{health}\""));
    let running = RunningCoordinator::start(&home);
    running.wait_until("a ticket", || login(&running.all_status()).ready);
    let held = login(&running.printed_status());
    assert_eq!((held.principal.as_str(), &held.fault), ("etl@TEST.LOCAL", &None), "{held:?}");
    assert!(held.expiry > held.last_login, "{held:?}");
    assert!(held.valid_for_ms.is_some_and(|left| (1..=20_000).contains(&left)), "{held:?}");
    assert_eq!(running.printed_instance("etl").login.unwrap().principal, "etl@TEST.LOCAL");
    let labels = "{login=\"etl\",principal=\"etl@TEST.LOCAL\"}";
    let text = metrics(health);
    assert!(text.contains(&format!("deputy_kerberos_ready{labels} 1\n")), "{text}");
    assert!(!text.contains("deputy_kerberos_fault{"), "{text}");

    // The next attempt to log in fails; what is held serves on.
    kdc.lock("etl").unwrap();
    running.wait_until("a refusal", || login(&running.all_status()).fault.is_some_and(|fault| fault.code == "locked"));
    let refused = login(&running.all_status());
    assert!(refused.ready, "{refused:?}");
    let text = home.deputy(&["status"]).ends_with(exit::OK).stdout;
    let line = text.lines().find(|line| line.starts_with("etl ") && line.contains("etl@TEST.LOCAL"));
    assert!(line.is_some_and(|line| line.contains("the KDC has locked or disabled the principal")), "{text}");
    assert!(text.contains("hint: etl: have it unlocked (`kadmin modprinc +allow_tix`"), "{text}");
    let detail = home.deputy(&["status", "etl"]).ends_with(exit::OK).stdout;
    for line in
        ["login         etl, as etl@TEST.LOCAL", "ticket        until 20", "last login    20", "hint          have it"]
    {
        assert!(detail.lines().any(|found| found.trim_start().starts_with(line)), "{line} in\n{detail}");
    }
    assert!(metrics(health).contains("deputy_kerberos_fault{login=\"etl\",code=\"locked\"} 1\n"));
    running.wait_until("its end", || !login(&running.all_status()).ready);
    assert!(metrics(health).contains(&format!("deputy_kerberos_ready{labels} 0\n")));

    // The principal has another key. A keytab that is replaced is used at once: first by one with the old key.
    let (fresh, stale) = (kdc.change_key("etl").unwrap(), home.path("stale.keytab"));
    kdc.unlock("etl").unwrap();
    fs::copy(&keytab, &stale).unwrap();
    fs::rename(stale, &keytab).unwrap();
    running.wait_until("a wrong key", || {
        login(&running.all_status()).fault.is_some_and(|fault| fault.code == "wrong-key")
    });
    let text = home.deputy(&["status"]).ends_with(exit::OK).stdout;
    assert!(text.contains("hint: etl: export a new keytab at the KDC"), "{text}");
    fs::rename(fresh, &keytab).unwrap();
    running.wait_until("a ticket again", || {
        let now = login(&running.all_status());
        now.ready && now.fault.is_none()
    });
}

/// The only login.
fn login(status: &CoordinatorStatus) -> KerberosLoginStatus {
    assert_eq!(status.logins.len(), 1, "{:?}", status.logins);
    status.logins[0].clone()
}

fn metrics(port: u16) -> String {
    get(port, "/metrics").unwrap().body
}
