//! The live page: in Chromium, and against clients that should see nothing of it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deputy_test_harness::{RunningCoordinator, exit};
use deputy_test_servers::{Browser, free_ports, guest, lasting_ports};
use serde_json::{Value, json};

use crate::script::{ScriptedServer, lease};
use crate::workers::site::TestSite;

/// A browser would run this, and show one word in bold, if the page took it for markup.
const MARKUP: &str = "<img src=x onerror=\"document.title='owned'\"><b>no</b> & <script>alert(1)</script>";

/// Pages that are open at once.
const MAX_PAGES: usize = 16;

/// A site whose coordinator has a health port, with an instance `api` that fails on demand.
struct PageSite {
    site: TestSite,
    port: u16,
    is_failing: Arc<AtomicBool>,
}

impl PageSite {
    fn new() -> Self {
        let is_failing = Arc::new(AtomicBool::new(false));
        let fails = Arc::clone(&is_failing);
        let script = ScriptedServer::new(move |call| match fails.load(Ordering::Relaxed) {
            true => format!("failure unavailable {MARKUP}\n"),
            false => lease(call, Duration::from_secs(3600)),
        });
        let [port] = free_ports().unwrap();
        let mut site = TestSite::standard(&format!("health = \"127.0.0.1:{port}\""));
        let component = guest("benign-obtain").unwrap();
        let lines = script.lines("api", "retry = { floor = \"200ms\", most = \"400ms\" }");
        site.home.append(&format!("[instances.api]\ncomponent = {component:?}\n{lines}"));
        Self { site, port, is_failing }
    }

    /// A URL to the page, whose token may be in no file at the end.
    fn url(&self) -> String {
        let output = self.site.home.command().args(["ui", "--json"]).output().unwrap();
        let url: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
        assert_eq!((&url["schema"], &url["expires_in_ms"]), (&json!(1), &json!(300_000)));
        let url = url["url"].as_str().unwrap();
        self.site.home.register_secret(url.rsplit('=').next().unwrap());
        url.to_owned()
    }

    fn fail(&self, fails: bool) {
        self.is_failing.store(fails, Ordering::Relaxed);
    }

    /// Asks for a path with further lines in the head.
    fn ask(&self, path: &str, head: &str) -> Answer {
        let mut stream = self.send(path, head);
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }

    fn send(&self, path: &str, head: &str) -> TcpStream {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let host = if head.contains("host:") { String::new() } else { format!("host: 127.0.0.1:{}\r\n", self.port) };
        write!(stream, "GET {path} HTTP/1.1\r\n{host}{head}connection: close\r\n\r\n").unwrap();
        stream
    }

    /// Opens a session. Returns the line of a request's head that has its cookie.
    fn session(&self) -> String {
        let opened = self.ask(&path_of(&self.url()), "");
        assert_eq!(opened.status, 303, "{}", opened.head);
        let cookie = opened.head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
        assert!(cookie.ends_with("; HttpOnly; SameSite=Strict; Path=/"), "{cookie}");
        let cookie = cookie.split(';').next().unwrap();
        self.site.home.register_secret(cookie.rsplit('=').next().unwrap());
        format!("cookie: other=1; {cookie}\r\n")
    }

    /// Opens a stream of events. `None` if it is refused.
    fn stream(&self, session: &str, query: &str) -> Option<EventReader> {
        let mut reader = BufReader::new(self.send(&format!("/events{query}"), session));
        let mut status = String::new();
        reader.read_line(&mut status).unwrap();
        status.contains(" 200 ").then_some(EventReader { reader, read: String::new() })
    }
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

/// A client of the events, and all that it has read.
struct EventReader {
    reader: BufReader<TcpStream>,
    read: String,
}

impl EventReader {
    /// Reads until a line of data has this text.
    fn wait_for(&mut self, text: &str) -> String {
        loop {
            let mut line = String::new();
            assert!(self.reader.read_line(&mut line).unwrap() > 0, "{text}: not in {}", self.read);
            self.read.push_str(&line);
            if line.starts_with("data: ") && line.contains(text) {
                return line;
            }
        }
    }
}

fn path_of(url: &str) -> String {
    format!("/{}", url.splitn(4, '/').nth(3).unwrap())
}

/// Keeps what the page looks like, if a person wants to look at it.
fn screenshot(browser: &mut Browser, name: &str) {
    if let Some(folder) = std::env::var_os("DEPUTY_SCREENSHOTS") {
        let path = Path::new(&folder).join(name).with_extension("png");
        browser.run(&format!("await page.screenshot({{ path: {path:?}, fullPage: true }})")).unwrap();
    }
}

/// No finding of axe-core, and no complaint of the browser.
#[track_caller]
fn assert_accessible(browser: &mut Browser, look: &str) {
    let found = browser.run("return axe()").unwrap();
    assert_eq!(found["violations"], json!([]), "{look}");
    assert!(found["passes"].as_u64().unwrap() > 15, "{found}");
}

/// Waits until an expression of the page is true.
#[track_caller]
fn wait_until(browser: &mut Browser, expression: &str) {
    if let Err(error) = browser.run(&format!("await page.waitForFunction(() => {expression})")) {
        let body = browser.run("return page.innerText('body')").unwrap();
        panic!("{error}\n{body}");
    }
}

/// The text of an instance's row, as an expression.
fn row(name: &str) -> String {
    format!("document.querySelector('#instance-rows tr[data-key={name}]').innerText")
}

#[test]
fn live_page_shows_a_rotation_and_a_failure() {
    let page = PageSite::new();
    let coordinator = page.site.coordinator();
    let worker = page.site.worker("worker");
    worker.wait_until_published("app", "creds", 1);
    coordinator.wait_until("a lease", || coordinator.revision("api") == 1);
    let folder = tempfile::tempdir().unwrap();
    let browser = &mut Browser::start(folder.path()).unwrap();
    browser.run(&format!("await page.goto({:?})", page.url())).unwrap();
    wait_until(browser, &format!("{}.includes('revision 1')", row("api")));
    let address = browser.run("return page.url()").unwrap();
    assert_eq!(address, format!("http://127.0.0.1:{}/", page.port), "the token is not in the address");

    // A rotation, seen without loading the page again, and at the worker.
    browser.run("await page.evaluate(() => { window.same = true; })").unwrap();
    page.site.run_command(&["renew", "api"]);
    wait_until(browser, &format!("window.same && {}.includes('revision 2')", row("api")));
    page.site.publish_numbered("creds", 2);
    worker.wait_until_published("app", "creds", 2);
    wait_until(browser, "/creds 2, \\d+ s old/.test(document.querySelector('#worker-rows').innerText)");
    wait_until(browser, "document.querySelector('#cards').innerText.includes('2 of 2')");

    // A failure in the component's words, which are no markup, and its end.
    page.fail(true);
    page.site.run_command(&["renew", "api"]);
    wait_until(browser, &format!("{}.includes({})", row("api"), Value::from(format!("unavailable: {MARKUP}"))));
    let elements = "return page.locator('#instance-rows img, #instance-rows b, #instance-rows script').count()";
    assert_eq!(browser.run(elements).unwrap(), 0);
    for (scheme, width) in [("light", 1280), ("dark", 1280), ("dark", 390), ("light", 390)] {
        let look = format!("{scheme}-{width}");
        let height = if width < 500 { 844 } else { 900 };
        // A row that fades while the scheme changes has colours of both.
        let script = "await page.emulateMedia({ colorScheme: SCHEME, reducedMotion: 'reduce' }); \
                      await page.setViewportSize(SIZE);";
        let size = json!({"width": width, "height": height}).to_string();
        browser.run(&script.replace("SCHEME", &format!("{scheme:?}")).replace("SIZE", &size)).unwrap();
        let overflow = "return page.evaluate(() => document.documentElement.scrollWidth - innerWidth)";
        assert!(browser.run(overflow).unwrap().as_i64().unwrap() <= 0, "{look} scrolls sideways");
        assert_accessible(browser, &look);
        screenshot(browser, &look);
    }
    page.fail(false);
    wait_until(browser, &format!("!{}.includes('unavailable')", row("api")));

    // The audit stream, its filter, and the keyboard.
    wait_until(browser, "document.querySelector('#audit-rows').innerText.includes('instance api')");
    browser.run("await page.selectOption('#event', 'worker')").unwrap();
    wait_until(
        browser,
        "[...document.querySelectorAll('#audit-rows tr')].every((row) => row.children[2].innerText === 'worker') \
         && document.querySelector('#audit-rows').innerText.includes('join')",
    );
    browser.run("await page.keyboard.press('Tab'); await page.locator('body').press('/');").unwrap();
    browser.run("await page.locator('#audit').focus(); await page.keyboard.press('/');").unwrap();
    browser.run("await page.keyboard.type('cred')").unwrap();
    wait_until(browser, "document.querySelectorAll('#instance-rows tr').length === 1");

    // Nothing of a payload, and nothing that the policy of the page forbids.
    let text = browser.run("return page.content()").unwrap().to_string();
    assert!(!text.contains("canary"), "{text}");
    assert_eq!(browser.run("return complaints").unwrap(), json!([]));
    assert_eq!(browser.run("return page.title()").unwrap(), "Deputy");

    // The coordinator is gone, and with it the session.
    assert_eq!(coordinator.stop(), Some(exit::OK));
    wait_until(browser, "document.querySelector('#connection').innerText === 'not connected'");
    let _coordinator = page.site.coordinator();
    wait_until(browser, "document.querySelector('#notice').innerText.includes('deputy ui')");
}

#[test]
fn live_page_has_few_rows_of_a_thousand_instances() {
    let [port] = free_ports().unwrap();
    let mut site = TestSite::new(&format!("health = \"127.0.0.1:{port}\""));
    site.publish_numbered("shared", 1);
    let file = "file = { path = \"secrets/shared.payload\", lifetime = \"1h\" }";
    let instances =
        (0..1000).map(|number| format!("[instances.i-{number:03}]\nservice = \"any\"\nkind = \"hostile/1\"\n{file}\n"));
    site.home.append(&instances.collect::<String>());
    let page = PageSite { site, port, is_failing: Arc::default() };
    let _coordinator: RunningCoordinator<'_> = page.site.coordinator();
    let folder = tempfile::tempdir().unwrap();
    let browser = &mut Browser::start(folder.path()).unwrap();
    browser.run(&format!("await page.goto({:?})", page.url())).unwrap();
    let shows = |first: &str, count: &str| {
        format!(
            "document.querySelector('#instances-count').innerText === '{count}' && \
             document.querySelector('#instance-rows tr').dataset.key === '{first}' && \
             document.querySelectorAll('#instance-rows tr').length <= 50"
        )
    };
    wait_until(browser, &shows("i-000", "1–50 of 1000"));
    wait_until(browser, "document.querySelector('#cards').innerText.includes('1000 of 1000')");
    browser.run("await page.click('#instances-on')").unwrap();
    wait_until(browser, &shows("i-050", "51–100 of 1000"));
    // All of them change at once, and the page goes on.
    browser.run("await page.evaluate(() => { window.row = document.querySelector('#instance-rows tr'); })").unwrap();
    page.site.publish_numbered("shared", 2);
    wait_until(
        browser,
        "[...document.querySelectorAll('#instance-rows tr')].every((row) => row.innerText.includes('revision 2'))",
    );
    wait_until(browser, "window.row.isConnected");
    browser.run("await page.fill('#name', 'i-99')").unwrap();
    wait_until(browser, &shows("i-990", "1–10 of 10"));
    screenshot(browser, "many");
}

#[test]
fn live_page_is_closed_to_others() {
    let page = PageSite::new();
    let coordinator = page.site.coordinator();
    coordinator.wait_until("a lease", || coordinator.revision("api") == 1);
    let session = page.session();
    let status = |path: &str, head: &str| page.ask(path, head).status;

    // Another user of the machine has no token.
    for path in ["/", "/page.js", "/events", "/no-such-path", "/?token=", &format!("/?token={}", "0".repeat(64))] {
        let answer = page.ask(path, "");
        assert_eq!(answer.status, 401, "{path}");
        assert!(answer.body.contains("`deputy ui` prints"), "{}", answer.body);
    }
    assert_eq!(status("/", &session.replace('=', "=0")), 401);
    assert_eq!(status("/", &session), 200);
    assert_eq!(status("/no-such-path", &session), 404);

    // A URL opens once.
    let url = path_of(&page.url());
    assert_eq!((status(&url, ""), status(&url, "")), (303, 401));

    // A name that resolves to this machine, and pages of other ports.
    for host in ["deputy.example", "127.0.0.1.evil.example", "192.0.2.1"] {
        assert_eq!(status("/", &format!("host: {host}\r\n{session}")), 421, "{host}");
        assert_eq!(status("/events", &format!("host: {host}\r\n{session}")), 421, "{host}");
    }
    assert_eq!(status("/", &format!("host: localhost:1\r\n{session}")), 200);
    assert_eq!(status("/", &format!("host: [::1]\r\nhost: evil.example\r\n{session}")), 421);
    for site in ["cross-site", "same-site"] {
        assert_eq!(status("/events", &format!("sec-fetch-site: {site}\r\n{session}")), 403);
    }
    assert_eq!(status("/events?limit=1", &session), 400);

    // What keeps a browser from everything else.
    let answer = page.ask("/", &session);
    for line in ["content-security-policy: default-src 'none'; script-src 'self';", "cache-control: no-store"] {
        assert!(answer.head.contains(line), "{}", answer.head);
    }

    // Probes need no session, and any host may be in their requests.
    let probe = page.ask("/livez", "host: deputy.example\r\n");
    assert_eq!((probe.status, probe.body.as_str()), (200, "ok\n"));

    // No more pages than the limit, and one that reads nothing delays none.
    let mut readers: Vec<_> = (1..MAX_PAGES).map(|_| page.stream(&session, "").unwrap()).collect();
    let silent = page.send("/events", &session);
    readers.iter_mut().for_each(|reader| drop(reader.wait_for("\"coordinator\"")));
    coordinator.wait_until("all places are taken", || page.stream(&session, "").is_none());
    assert_eq!(status("/events", &session), 503);
    page.site.run_command(&["renew", "api"]);
    readers.iter_mut().for_each(|reader| drop(reader.wait_for("\"revision\":2")));
    drop(silent);
    let mut reader = None;
    coordinator.wait_until("a place is free", || {
        reader = page.stream(&session, "?event=call");
        reader.is_some()
    });

    // All that was sent, with its audit events.
    let mut reader = reader.unwrap();
    let events = reader.wait_for("\"event\":\"call\"");
    assert!(events.contains("obtain") && !events.contains("\"http\""), "{events}");
    readers.push(reader);
    for reader in &readers {
        assert!(!reader.read.contains("canary"), "{}", reader.read);
    }

    drop(readers);
    assert_eq!(coordinator.stop(), Some(exit::OK));
}

#[test]
fn live_page_is_for_this_machine_alone() {
    // At every address a port can be in use by a connection that was closed.
    let [port] = lasting_ports().unwrap();
    let site = TestSite::standard(&format!("health = \"0.0.0.0:{port}\""));
    let page = PageSite { site, port, is_failing: Arc::default() };
    let _coordinator = page.site.coordinator();
    let answer = page.ask("/", "");
    let line = format!("`health = \"127.0.0.1:{port}\"` in [coordinator]");
    assert_eq!(answer.status, 403);
    assert!(answer.body.contains(&line), "{}", answer.body);
    let refused = page.site.run_command(&["ui"]);
    assert!(refused.stderr.contains(&line) && refused.stdout.is_empty(), "{}", refused.stderr);
    assert!(refused.stderr.contains("`health-tls = { chain ="), "{}", refused.stderr);
    assert_eq!(page.ask("/livez", "").status, 200);
}
