//! `docs/hadoop.md`: its commands, run as they stand there, lead from nothing to a client without a ticket.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use deputy_test_harness::{RunningCoordinator, TestEnvironment, exit};
use deputy_test_servers::{Hdfs, Kdc, Site, free_ports, guest, tool};

use crate::logins::home;

const PAGE: &str = include_str!("../../docs/hadoop.md");

/// The shell blocks of the page, in their order.
fn blocks() -> [&'static str; 7] {
    let blocks: Vec<&str> = PAGE.split("```sh\n").skip(1).map(|block| block.split("\n```").next().unwrap()).collect();
    blocks.try_into().expect("docs/hadoop.md has other commands than this test knows")
}

/// A block with what differs between the page's machines and this one.
fn changed(block: &str, changes: &[(&str, &str)]) -> String {
    changes.iter().fold(block.to_owned(), |block, (old, new)| {
        assert!(block.contains(old), "docs/hadoop.md no longer has {old} in:\n{block}");
        block.replace(old, new)
    })
}

/// A folder for the page's commands. Their path has `deputy`, the programs of Kerberos, and `hdfs`.
struct Machine<'a> {
    home: &'a TestEnvironment,
    kdc: &'a Kdc,
    programs: PathBuf,
}

impl<'a> Machine<'a> {
    fn new(home: &'a TestEnvironment, kdc: &'a Kdc, hdfs: &Hdfs) -> Self {
        let programs = home.path("bin");
        fs::create_dir(&programs).unwrap();
        symlink(env!("CARGO_BIN_EXE_deputy"), programs.join("deputy")).unwrap();
        // What Hadoop's own script runs for `hdfs dfs`.
        let jars = tool("wasmtime").unwrap().ancestors().nth(2).unwrap().join("java/hadoop/jars/*");
        let script = format!(
            "#!/bin/sh\nshift\nexec java -XX:TieredStopAtLevel=1 -Xmx256m -Djava.security.krb5.conf={} -cp {}:{} \
             org.apache.hadoop.fs.FsShell \"$@\"\n",
            kdc.krb5_conf().display(),
            hdfs.client().conf().display(),
            jars.display()
        );
        fs::write(programs.join("hdfs"), script).unwrap();
        fs::set_permissions(programs.join("hdfs"), fs::Permissions::from_mode(0o755)).unwrap();
        Self { home, kdc, programs }
    }

    fn command(&self, script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-e", "-c", script])
            .env_clear()
            .env("PATH", format!("{}:/usr/sbin:/usr/bin:/bin", self.programs.display()))
            .env("DEPUTY_STATE", self.home.state())
            .env("KRB5_CONFIG", self.kdc.krb5_conf())
            .env("KRB5_KDC_PROFILE", self.kdc.krb5_conf().with_file_name("kdc.conf"))
            .env("KRB5CCNAME", "/nonexistent/ticket-cache")
            .current_dir(self.home.path("."))
            .stdin(Stdio::null());
        command
    }

    fn run(&self, script: &str) -> String {
        let output = self.command(script).output().unwrap();
        let [stdout, stderr] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        assert!(output.status.success(), "{script}\n{stdout}\n{stderr}");
        self.home.record_output("the-page", &(stdout.clone() + &stderr));
        stdout
    }
}

#[test]
fn hadoop_page_leads_from_nothing_to_a_client() {
    let [keytab, configure, run, token, work, client, mounts] = blocks();
    let kdc = Kdc::start().unwrap();
    let hdfs = Hdfs::start(&kdc, &Site::new()).unwrap();
    let home = home();
    fs::remove_file(home.path("deputy.toml")).unwrap();
    let machine = Machine::new(&home, &kdc, &hdfs);
    machine.run(&changed(keytab, &[("kadmin -q", "kadmin.local -q"), ("EXAMPLE.COM", "TEST.LOCAL")]));

    let components = guest("hdfs").unwrap().parent().unwrap().display().to_string();
    let here = format!("etl.keytab --krb5-conf {} --components {components}", kdc.krb5_conf().display());
    let conf = hdfs.client().conf().display().to_string();
    let changes = [
        ("/etc/hadoop/conf", conf.as_str()),
        ("EXAMPLE.COM", "TEST.LOCAL"),
        ("etl.keytab", &here),
        ("hdfs-prod", "hdfs-localhost"),
    ];
    let shown = machine.run(&changed(configure, &changes));
    assert!(shown.contains("etl@TEST.LOCAL: ok, ticket until") && shown.contains("all ok"), "{shown}");

    let [port] = free_ports().unwrap();
    let file = home.path("deputy.toml");
    let proposed = fs::read_to_string(&file).unwrap();
    // The page shows these two lines with its own names.
    assert!(PAGE.contains("[coordinator]\nlisten = \"0.0.0.0:8271\""), "the page names the port for workers");
    fs::write(&file, format!("{proposed}\n[coordinator]\nlisten = \"127.0.0.1:{port}\"\n")).unwrap();
    assert_eq!(run, "deputy run");
    let running = RunningCoordinator::start(&home);
    running.wait_until("a token", || running.revision("hdfs-localhost") >= 1);
    let status = machine.run(token);
    assert!(status.contains("hdfs-localhost") && status.contains("etl@TEST.LOCAL"), "{status}");

    let output = home.path("run-deputy");
    fs::create_dir(&output).unwrap();
    let place = output.display().to_string();
    let work = changed(work, &[("/run/deputy", &place)]);
    let mut worker = machine.command(&format!("exec {work} --state {}", home.path("worker-state").display()));
    let worker = EndsWithTest(worker.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let tokens = output.join("hadoop/hadoop.tokens");
    running.wait_until("the token file", || tokens.exists());
    let listed = machine.run(&changed(client, &[("/run/deputy", &place)]));
    assert!(listed.contains("/open"), "{listed}");
    // It is the file that does it.
    let [first, second] = client.split_once('\n').map(<[&str; 2]>::from).unwrap();
    assert!(first.starts_with("export HADOOP_TOKEN_FILE_LOCATION="), "{first}");
    assert!(!machine.command(second).output().unwrap().status.success(), "HDFS serves a client without a token");
    drop(worker);

    let core = "<value>hdfs://prod/data</value><value>hdfs://logs:8020/</value><value>hdfs://prod/x</value>";
    fs::write(home.path("core-site.xml"), core).unwrap();
    assert_eq!(machine.run(mounts), "hdfs://logs:8020\nhdfs://prod\n");
    assert_eq!(running.stop(), Some(exit::OK));
    assert!(is_private(&home.path("etl.keytab")), "the page closes the keytab");
}

fn is_private(path: &Path) -> bool {
    path.metadata().unwrap().permissions().mode() & 0o077 == 0
}

/// A process that is killed with the test.
struct EndsWithTest(std::process::Child);

impl Drop for EndsWithTest {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
