//! Settings of `store` that are wrong: which code a start ends with, and what `doctor` and `check` say about each.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, LazyLock};

use deputy_test_harness::{CommandOutput, RunningCoordinator, TestEnvironment, exit};
use deputy_test_servers::{Etcd, EtcdCertificates};

const KEY: &str = "NC4xY2h1ZmZsZWQta2V5LWZvci1hLXRlc3QtMTIzNDU=";

const OTHER_KEY: &str = "QW5vdGhlci1rZXktb2YtYW5vdGhlci1zdGF0ZS0wMDE=";

const USER: &str = "user = \"deputy\"\npassword = { file = \"secrets/password\" }";

/// One member that wants a certificate of its clients, with what it was signed by. It has no users.
struct TlsCluster {
    etcd: Etcd,
    certificates: Arc<EtcdCertificates>,
}

fn cluster() -> &'static TlsCluster {
    static CLUSTER: LazyLock<TlsCluster> = LazyLock::new(|| {
        let certificates = Arc::new(EtcdCertificates::new().unwrap());
        let etcd = Etcd::start_with_tls(Arc::clone(&certificates), &[]).unwrap();
        TlsCluster { etcd, certificates }
    });
    &CLUSTER
}

/// A machine without instances, whose state is there under a prefix, with these lines in `[coordinator.store]`.
fn home_at(endpoints: &[String], prefix: &str, lines: &str) -> TestEnvironment {
    let mut home = TestEnvironment::new().canary(KEY);
    home.put_secret("state.key", KEY);
    home.prepend(&format!(
        "[coordinator]\nkey = {{ file = \"secrets/state.key\" }}\n[coordinator.store]\netcd = {endpoints:?}\nprefix = \
         \"{prefix}\"\n{lines}\n"
    ));
    home
}

/// The same at [`cluster`] with its roots, and the client certificate in files of `secrets`.
fn tls_home(prefix: &str) -> TestEnvironment {
    let TlsCluster { etcd, certificates } = cluster();
    tls_home_at(etcd, certificates, prefix)
}

fn tls_home_at(etcd: &Etcd, certificates: &EtcdCertificates, prefix: &str) -> TestEnvironment {
    let home = home_at(
        &etcd.endpoints(),
        prefix,
        "roots = \"secrets/roots.pem\"\nclient-certificate = { chain = \"secrets/client.pem\", key = { file = \
         \"secrets/client.key\" } }",
    );
    for file in ["roots.pem", "client.pem", "client.key"] {
        home.put_secret(file, &read(certificates, file));
    }
    home
}

fn read(certificates: &EtcdCertificates, file: &str) -> String {
    fs::read_to_string(certificates.file(file)).unwrap()
}

/// Replaces the client certificate of a machine.
fn put_client(home: &TestEnvironment, certificates: &EtcdCertificates, name: &str) {
    for suffix in ["key", "pem"] {
        home.put_secret(&format!("client.{suffix}"), &read(certificates, &format!("{name}.{suffix}")));
    }
}

fn start_and_stop(home: &TestEnvironment) {
    assert_eq!(RunningCoordinator::start(home).stop(), Some(exit::OK));
}

/// Runs `doctor`, which must fail and have a fix below a line with this text.
#[track_caller]
fn doctor_fixes(home: &TestEnvironment, text: &str, fix: &str) {
    let CommandOutput { stdout, .. } = home.deputy(&["doctor"]).ends_with(exit::FAILED);
    let mut lines = stdout.lines().skip_while(|line| !line.contains(text));
    assert!(lines.next().is_some_and(|line| line.starts_with("failed")), "{text} in {stdout}");
    let fixes: Vec<_> = lines.take_while(|line| line.starts_with(' ')).collect();
    assert!(fixes.first().is_some_and(|line| line.trim().starts_with("fix:")), "{stdout}");
    assert!(fixes.iter().any(|line| line.contains(fix)), "{fix} in {stdout}");
}

/// Runs a command that must end with this code and say this.
#[track_caller]
fn says(home: &TestEnvironment, arguments: &[&str], code: i32, text: &str) {
    let output = home.deputy(arguments).ends_with(code);
    let said = format!("{}{}", output.stdout, output.stderr);
    assert!(said.contains(text), "{text} in {said}");
    // A line tells each cause once.
    assert!(said.lines().all(|line| line.matches("No such file").count() <= 1), "{said}");
}

#[test]
fn etcd_settings_of_files_end_a_start_for_good() {
    let home = tls_home("files/");
    start_and_stop(&home);
    says(&home, &["check"], exit::OK, "all ok");
    let examined = home.deputy(&["doctor"]).ends_with(exit::OK);
    assert!(examined.stdout.contains("the master key opens the state in etcd"), "{}", examined.stdout);

    // No file of roots.
    fs::rename(home.path("secrets/roots.pem"), home.path("secrets/moved.pem")).unwrap();
    for arguments in [&["run"][..], &["state", "copy", "directory"], &["state", "backup", "backup"]] {
        says(&home, arguments, exit::MISCONFIGURED, "cannot read PEM certificates");
    }
    says(&home, &["check"], exit::FAILED, "fix: `roots`");
    doctor_fixes(&home, "cannot read PEM certificates", "`roots`");
    says(&home, &["doctor"], exit::FAILED, "No such file");
    fs::rename(home.path("secrets/moved.pem"), home.path("secrets/roots.pem")).unwrap();

    // The key of another certificate.
    let other = EtcdCertificates::new().unwrap();
    home.put_secret("client.key", &read(&other, "client.key"));
    says(&home, &["run"], exit::MISCONFIGURED, "is another certificate's");
    doctor_fixes(&home, "is another certificate's", "`key` of `client-certificate`");
    home.put_secret("client.key", &read(&cluster().certificates, "client.key"));

    // A secret that others can read.
    fs::set_permissions(home.path("secrets/client.key"), Permissions::from_mode(0o644)).unwrap();
    says(&home, &["run"], exit::MISCONFIGURED, "is open to other users");
    says(&home, &["doctor"], exit::FAILED, "is open to other users");
    fs::set_permissions(home.path("secrets/client.key"), Permissions::from_mode(0o600)).unwrap();

    // No password. When it is there, an etcd without users does not take it.
    let mut home = home;
    home.replace("roots = ", "user = \"deputy\"\npassword = { file = \"secrets/password\" }\nroots = ");
    says(&home, &["run"], exit::MISCONFIGURED, "cannot read `password` in [coordinator.store]");
    doctor_fixes(&home, "cannot read `password` in [coordinator.store]", "put the secret there");
    home.put_secret("password", "canary-of-a-password");
    home.register_secret("canary-of-a-password");
    says(&home, &["run"], exit::MISCONFIGURED, "hint: etcd has no authentication: run `etcdctl auth enable`");
    doctor_fixes(&home, "authentication is not enabled", "remove `user` and `password`");
    says(&home, &["check", "--online"], exit::FAILED, "remove `user` and `password`");
}

#[test]
fn etcd_settings_with_another_master_key_are_found_early() {
    let home = tls_home("keys/");
    // Before there is a state, any key will do.
    says(&home, &["doctor"], exit::OK, "there is no state in etcd yet");
    start_and_stop(&home);
    says(&home, &["check", "--online"], exit::OK, "the master key opens the state in etcd");
    let stored = || cluster().etcd.ctl(&["get", "keys/", "--prefix", "--hex"]).unwrap();
    let before = stored();

    home.put_secret("state.key", OTHER_KEY);
    says(&home, &["run"], exit::MISCONFIGURED, "the key does not fit the state in etcd");
    for arguments in [&["doctor"][..], &["check", "--online"]] {
        says(&home, arguments, exit::FAILED, "failed   key       cannot open the state in etcd: the key does not fit");
    }
    assert_eq!(stored(), before);

    for (malformed, text) in [("not a key", "must be 32 bytes"), (&"5a".repeat(32), "can be guessed")] {
        home.put_secret("state.key", malformed);
        says(&home, &["run"], exit::MISCONFIGURED, text);
        says(&home, &["check"], exit::MISCONFIGURED, text);
        says(&home, &["doctor"], exit::FAILED, text);
    }
    fs::remove_file(home.path("secrets/state.key")).unwrap();
    says(&home, &["run"], exit::MISCONFIGURED, "`openssl rand -base64 32` makes one");
}

#[test]
fn etcd_settings_with_an_expired_certificate_say_when() {
    let certificates = &cluster().certificates;
    let home = tls_home("expired/");
    for (file, years, text) in [
        ("early", 2190..2191, "the client certificate for etcd is not valid before 2190-01-01T00:00:00.000Z: wait"),
        ("expired", 2019..2020, "the client certificate for etcd expired at 2020-01-01T00:00:00.000Z: renew it"),
    ] {
        certificates.client_of_years(file, "deputy", years).unwrap();
        put_client(&home, certificates, file);
        for arguments in [&["check"][..], &["check", "--online"]] {
            says(&home, arguments, exit::FAILED, text);
        }
    }
    let text = "the client certificate for etcd expired at 2020-01-01T00:00:00.000Z: renew it";
    // It may be renewed while the service tries again.
    let refused = home.deputy(&["run"]).ends_with(exit::UNAVAILABLE);
    for text in [text, "which `client-certificate` in [coordinator.store] names", "ended the TLS handshake"] {
        assert!(refused.stderr.contains(text), "{text} in {}", refused.stderr);
    }
    doctor_fixes(&home, text, "`client-certificate` in [coordinator.store]");
}

#[test]
fn etcd_settings_with_a_refused_certificate_say_so() {
    // One of another authority, and none at all.
    let mut home = tls_home("refused/");
    let other = EtcdCertificates::new().unwrap();
    for file in ["client.pem", "client.key"] {
        home.put_secret(file, &read(&other, file));
    }
    says(&home, &["check"], exit::OK, "all ok");
    doctor_fixes(&home, "ended the TLS handshake: ", "`client-certificate` in [coordinator.store]");
    home.replace(
        "client-certificate = { chain = \"secrets/client.pem\", key = { file = \"secrets/client.key\" } }",
        "",
    );
    let refused = home.deputy(&["run"]).ends_with(exit::UNAVAILABLE);
    for text in [
        "ended the TLS handshake: received fatal alert: CertificateRequired",
        "hint: etcd may want another client certificate: `client-certificate` in [coordinator.store]",
    ] {
        assert!(refused.stderr.contains(text), "{text} in {}", refused.stderr);
    }
    // Roots that did not sign etcd's certificate are no fault of the client's.
    home.put_secret("roots.pem", &read(&other, "roots.pem"));
    let refused = home.deputy(&["run"]).ends_with(exit::UNAVAILABLE);
    assert!(refused.stderr.contains("`roots` in [coordinator.store]"), "{}", refused.stderr);
    assert!(!refused.stderr.contains("another client certificate"), "{}", refused.stderr);
}

/// One member that knows the user of [`USER`].
fn start_with_user() -> Etcd {
    let etcd = Etcd::start(&[]).unwrap();
    for arguments in [
        &["user", "add", "root:root"][..],
        &["user", "grant-role", "root", "root"],
        &["role", "add", "deputy"],
        &["role", "grant-permission", "deputy", "readwrite", "deputy/", "--prefix=true"],
        &["user", "add", "deputy:canary-of-a-password"],
        &["user", "grant-role", "deputy", "deputy"],
        &["auth", "enable"],
    ] {
        etcd.ctl(arguments).unwrap();
    }
    etcd
}

/// A machine whose state is there.
fn home_of_user(etcd: &Etcd) -> TestEnvironment {
    let home = home_at(&etcd.endpoints(), "deputy/", USER);
    home.put_secret("password", "canary-of-a-password");
    home.register_secret("canary-of-a-password");
    home
}

/// Waits until a coordinator follows, since etcd tells it nothing, for a reason with this text.
fn wait_for_trouble(running: &RunningCoordinator<'_>, text: &str) {
    running.wait_until("etcd refuses it", || {
        running.all_status().state_trouble.is_some_and(|trouble| trouble.contains(text))
    });
}

fn wait_until_it_leads(running: &RunningCoordinator<'_>) {
    running.wait_until("it leads", || running.all_status().role == "leading");
}

#[test]
fn etcd_settings_of_certificates_take_effect_while_it_runs() {
    let certificates = Arc::new(EtcdCertificates::new().unwrap());
    let mut etcd = Etcd::start_with_tls(Arc::clone(&certificates), &[]).unwrap();
    let home = tls_home_at(&etcd, &certificates, "renewed/");
    certificates.client_of_years("expired", "deputy", 2019..2020).unwrap();
    certificates.client_of_years("renewed", "deputy", 2020..2200).unwrap();
    let running = RunningCoordinator::start(&home);
    wait_until_it_leads(&running);

    put_client(&home, &certificates, "expired");
    etcd.kill(0);
    etcd.start_all().unwrap();
    wait_for_trouble(&running, "ended the TLS handshake");
    let expired = "the client certificate for etcd expired at 2020-01-01T00:00:00.000Z: renew it";
    running.wait_until("it says why", || running.log().contains(expired));

    // The chain of another key is not used.
    home.put_secret("client.pem", &read(&certificates, "renewed.pem"));
    running.wait_until("it says so", || running.log().contains("those before stay in use"));
    put_client(&home, &certificates, "renewed");
    wait_until_it_leads(&running);
    assert_eq!(running.stop(), Some(exit::OK));
}

#[test]
fn etcd_settings_of_a_password_take_effect_while_it_runs() {
    let etcd = start_with_user();
    let home = home_of_user(&etcd);
    let running = RunningCoordinator::start(&home);
    wait_until_it_leads(&running);

    for arguments in
        [&["delete", "deputy"][..], &["add", "deputy:canary-of-another-one"], &["grant-role", "deputy", "deputy"]]
    {
        etcd.ctl(&[&["--user", "root:root", "user"], arguments].concat()).unwrap();
    }
    wait_for_trouble(&running, "authentication failed");
    home.put_secret("password", "canary-of-another-one");
    wait_until_it_leads(&running);
    assert_eq!(running.stop(), Some(exit::OK));
}

#[test]
fn etcd_settings_of_a_user_that_is_denied_are_found_online() {
    let etcd = start_with_user();
    let mut home = home_of_user(&etcd);
    start_and_stop(&home);
    says(&home, &["check", "--online"], exit::OK, "all ok");

    home.put_secret("password", "wrong");
    says(&home, &["run"], exit::DENIED, "authentication failed");
    says(&home, &["check"], exit::OK, "all ok");
    says(&home, &["check", "--online"], exit::FAILED, "which needs `readwrite`");
    doctor_fixes(&home, "authentication failed", "which needs `readwrite`");

    home.replace(USER, "");
    says(&home, &["run"], exit::MISCONFIGURED, "hint: etcd has authentication: set `user` and `password`");
    doctor_fixes(&home, "user name is empty", "set `user` and `password`");
}
