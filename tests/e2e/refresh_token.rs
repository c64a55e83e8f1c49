//! A provider that lives on refresh tokens which are good once, beside a real authorization server: a person logs in at the
//! beginning, and has to come back only if a kill falls between the server's answer and `save`.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use deputy_coordinator::status::InstanceStatus;
use deputy_test_harness::{RunningCoordinator, TestEnvironment, exit, fact};
use deputy_test_servers::{OidcProvider, guest};

use crate::gate::{Gate, Passage};
use crate::held::held;

const TOKEN: &str = "/token";
const USERINFO: &str = "/me";

/// Long enough for a call that should not be made.
const A_WHILE: Duration = Duration::from_millis(1200);

/// A server, the way to it, and a machine with the instance `login`, for which a person has logged in once.
struct Login {
    server: OidcProvider,
    gate: Gate,
    home: TestEnvironment,
}

impl Login {
    /// The life of the server's access tokens in seconds.
    fn new(seconds: u32) -> Self {
        Self::with(&guest("refresh-token").unwrap(), seconds, &format!("userinfo-url = \"ENDPOINT{USERINFO}\""))
    }

    /// With a build of the component, and a setting of its own.
    fn with(component: &Path, seconds: u32, setting: &str) -> Self {
        let server = OidcProvider::start(seconds).unwrap();
        let gate = Gate::before(server.port());
        let mut home = TestEnvironment::new()
            .secret("refresh-token", &server.login().unwrap())
            .secret("client-secret", OidcProvider::SECRET);
        let lines = lines(&gate.endpoint(), &setting.replace("ENDPOINT", &gate.endpoint()));
        home.append(&format!("audit = \"audit.jsonl\"\n[instances.login]\ncomponent = {component:?}\n{lines}"));
        Self { server, gate, home }
    }

    fn start(&self) -> RunningCoordinator<'_> {
        RunningCoordinator::start(&self.home)
    }

    /// The same once it has published this revision.
    fn start_until(&self, revision: u64) -> RunningCoordinator<'_> {
        let running = self.start();
        wait_for(&running, revision);
        running
    }

    /// `deputy renew`, which does not wait for its call.
    fn renew(&self) {
        self.home.run_unchecked(&["renew", "login"]).ends_with(exit::OK);
    }

    /// How often the server was asked for tokens.
    fn refreshes(&self) -> usize {
        self.gate.forwarded(TOKEN)
    }

    /// Stops it, and looks for every token that the server ever gave in all that was said and written.
    fn end(&self, running: RunningCoordinator<'_>) {
        let given = ["refresh_token", "access_token"].map(|member| self.gate.answered(member));
        for token in given.iter().flatten() {
            self.home.register_secret(token);
        }
        let [refresh_tokens, access_tokens] = given;
        assert!(refresh_tokens.len() >= 2 && refresh_tokens.len() == access_tokens.len(), "{}", refresh_tokens.len());
        assert_eq!(refresh_tokens.iter().collect::<BTreeSet<_>>().len(), refresh_tokens.len(), "each is another one");
        assert_eq!(running.stop(), Some(exit::OK));
        assert_eq!(self.home.leak(b"", b""), None);
    }
}

/// What stands below `[instances.login]`.
pub(crate) fn lines(endpoint: &str, setting: &str) -> String {
    let client = OidcProvider::CLIENT;
    format!(
        r#"retry = {{ floor = "100ms", most = "1s" }}

        [instances.login.settings]
        token-url = "{endpoint}{TOKEN}"
        {setting}
        client-id = "{client}"
        scope = "openid profile"

        [instances.login.state]

        [instances.login.secrets.refresh-token]
        file = "secrets/refresh-token"
        reveal = true

        [instances.login.secrets.client-secret]
        file = "secrets/client-secret"

        [[instances.login.http]]
        allow = "{endpoint}"
        networks = ["loopback"]
        methods = ["POST"]
        paths = ["{TOKEN}"]
        form = {{ client_secret = {{ secret = "client-secret" }} }}

        [[instances.login.http]]
        allow = "{endpoint}"
        networks = ["loopback"]
        methods = ["GET"]
        paths = ["{USERINFO}"]
        "#
    )
}

fn now(running: &RunningCoordinator<'_>) -> InstanceStatus {
    running.instance_status("login")
}

/// The identity that the state is kept for.
fn keeper(running: &RunningCoordinator<'_>) -> Option<String> {
    now(running).kept_state.map(|kept| kept.identity)
}

fn trouble_kind(running: &RunningCoordinator<'_>) -> Option<String> {
    now(running).trouble.map(|trouble| trouble.kind)
}

/// Waits until this revision or a later one is ready.
#[track_caller]
fn wait_for(running: &RunningCoordinator<'_>, revision: u64) {
    running.wait_until(&format!("revision {revision}"), || running.revision("login") >= revision && now(running).ready);
}

#[test]
fn refresh_token_outlives_an_outage_longer_than_its_lease() {
    let login = Login::new(5);
    let running = login.start_until(2);
    assert_eq!(fact(&now(&running), "account"), "person");

    login.gate.set(Passage::Shut);
    let begun = Instant::now();
    running.wait_until("its lease has ended", || {
        let now = now(&running);
        !now.ready && now.reason.starts_with("lease expired")
    });
    assert_eq!(trouble_kind(&running).as_deref(), Some("unavailable"));
    let revision = now(&running).lease.map_or(0, |lease| lease.revision);
    login.gate.set(Passage::Open);
    wait_for(&running, revision + 1);
    assert!(begun.elapsed() > Duration::from_secs(1), "{:?}", begun.elapsed());

    let revision = running.revision("login");
    login.renew();
    wait_for(&running, revision + 1);

    // Another setting makes other tokens, and the refresh token is the same account's.
    let revision = running.revision("login");
    login.home.edit("\"openid profile\"", "\"openid email\"");
    assert_eq!(login.home.run_unchecked(&["reload"]).ends_with(exit::OK).stdout, "changed    login\nunchanged  0\n");
    wait_for(&running, revision + 1);
    assert!(!running.log().contains("\"attention\""), "{}", running.log());
    login.end(running);
}

#[test]
fn refresh_token_outlives_a_kill_at_each_step() {
    let login = Login::new(3600);

    // Before the request, the first one and a later one: the server hears nothing of it.
    login.gate.set(Passage::HeldBefore(TOKEN));
    let mut running = None;
    login.gate.until_held(|| running = Some(login.start()));
    running.unwrap().kill();
    login.gate.open_anew();
    assert_eq!(login.refreshes(), 0);
    let running = login.start_until(1);
    assert_eq!(login.refreshes(), 1);
    login.gate.set(Passage::HeldBefore(TOKEN));
    login.gate.until_held(|| login.renew());
    running.kill();
    login.gate.open_anew();
    assert_eq!(login.refreshes(), 1);

    // After the call: the lease is served again, and nothing is asked for.
    let running = login.start_until(1);
    std::thread::sleep(A_WHILE);
    assert_eq!((running.revision("login"), login.refreshes()), (1, 1), "{}", running.log());
    login.renew();
    wait_for(&running, 2);
    running.kill();
    let running = login.start_until(2);
    assert_eq!(login.refreshes(), 2);

    // After `save`, within the call: the lease is lost, and what was saved is good.
    login.gate.set(Passage::HeldBefore(USERINFO));
    login.gate.until_held(|| login.renew());
    assert_eq!(login.refreshes(), 3);
    running.kill();
    login.gate.open_anew();
    let running = login.start_until(2);
    assert_eq!(running.revision("login"), 2, "the call was cut off");
    login.renew();
    wait_for(&running, 3);

    // The last answer is on its way to the provider, which has saved long before.
    login.gate.set(Passage::HeldAfter(USERINFO));
    login.gate.until_held(|| login.renew());
    running.kill();
    login.gate.open_anew();
    let running = login.start_until(3);
    login.renew();
    wait_for(&running, 4);
    assert_eq!(login.refreshes(), 6);
    assert!(!running.log().contains("invalid_grant"), "{}", running.log());
    login.end(running);
}

#[test]
fn refresh_token_that_a_kill_loses_needs_a_person() {
    let login = Login::new(3600);
    let running = login.start_until(1);
    // The server has used up the old one and answered, and the provider has not saved the new one.
    login.gate.set(Passage::HeldAfter(TOKEN));
    login.gate.until_held(|| login.renew());
    running.kill();
    login.gate.open_anew();

    let running = login.start();
    login.renew();
    running.wait_until("its word", || now(&running).state == "needs-attention");
    let status = now(&running);
    let trouble = status.trouble.unwrap();
    assert_eq!((trouble.kind.as_str(), trouble.code.as_deref()), ("attention", Some("invalid_grant")));
    assert_eq!(status.kept_state, None, "what was kept is of no use");
    let advice = "the refresh token is used up or revoked: log in again, and put the new one into the secret";
    for args in [&["status"][..], &["status", "login"], &["status", "--json"], &["status", "login", "--json"]] {
        let shown = login.home.run_unchecked(args).ends_with(exit::OK).stdout;
        // The list has a line for each instance, cut to the width of the terminal.
        let advice = if args == ["status"] { "log in again" } else { advice };
        assert!(shown.contains("attention") && shown.contains(advice), "{args:?}: {shown}");
    }
    let log = running.log();
    let told = |line: &&str| line.contains("attention") && line.contains(advice);
    assert_eq!(log.lines().filter(told).count(), 1, "{log}");
    // The old lease is as good as before, and nothing is tried until a person acts.
    assert_eq!((status.ready, running.revision("login")), (true, 1), "{}", status.reason);
    let refreshes = login.refreshes();
    std::thread::sleep(A_WHILE);
    assert_eq!(login.refreshes(), refreshes);

    let renewed = login.server.login().unwrap();
    login.home.put_secret("refresh-token", &renewed);
    login.home.register_secret(&renewed);
    login.renew();
    wait_for(&running, 2);
    login.renew();
    wait_for(&running, 3);
    assert_eq!(now(&running).trouble, None);
    login.end(running);
}

#[test]
fn refresh_token_goes_to_other_hosts_by_inheritance_alone() {
    let login = Login::new(3600);
    let running = login.start_until(1);
    let saved = keeper(&running).unwrap();
    // The server moves: another way to the same one.
    let moved = Gate::before(login.server.port());
    let config = std::fs::read_to_string(login.home.path("deputy.toml")).unwrap();
    let config = config.replace(&login.gate.endpoint(), &moved.endpoint());
    std::fs::write(login.home.path("deputy.toml"), &config).unwrap();
    let fix = format!("[instances.login.state]\ninherit = \"{saved}\"");

    let warns = || {
        let shown = login.home.deputy(&["check"]).ends_with(exit::OK).stdout;
        assert!(shown.contains("state is kept for another; to inherit it, write\n"), "{shown}");
        assert!(shown.contains(&format!("inherit = \"{saved}\"")), "{shown}");
    };
    warns();
    running.kill();
    warns(); // from the sealed record
    let running = login.start();
    running.wait_until("its failure", || trouble_kind(&running).as_deref() == Some("refused"));
    assert!(running.log().contains("it stays sealed until the configuration says `inherit`"), "{}", running.log());
    assert_eq!((moved.forwarded(TOKEN), keeper(&running).as_ref()), (0, Some(&saved)));

    std::fs::write(login.home.path("deputy.toml"), config.replace("[instances.login.state]", &fix)).unwrap();
    let shown = login.home.deputy(&["check"]).ends_with(exit::OK).stdout;
    assert!(!shown.contains("state is kept for another"), "{shown}");
    login.home.run_unchecked(&["reload"]).ends_with(exit::OK);
    wait_for(&running, 2);
    assert_eq!(moved.forwarded(TOKEN), 1);
    assert!(running.log().contains("state inherited"), "{}", running.log());
    assert_ne!(keeper(&running), Some(saved), "it is its own now");
    for token in [moved.answered("refresh_token"), login.gate.answered("refresh_token")].concat() {
        login.home.register_secret(&token);
    }
    assert_eq!(running.stop(), Some(exit::OK));
    assert_eq!(login.home.leak(b"", b""), None);
}

/// The component that was built when the contract came out.
#[test]
fn refresh_token_is_kept_by_the_held_component() {
    let login = Login::with(&held("refresh-token.wasm"), 3600, "");
    let running = login.start_until(1);
    login.renew();
    wait_for(&running, 2);
    running.kill();
    let running = login.start_until(2);
    login.renew();
    wait_for(&running, 3);
    assert_eq!(login.refreshes(), 3);
    login.end(running);
}
