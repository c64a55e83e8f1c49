//! `cargo xtask demo hadoop`: one keytab at the coordinator, a real KDC, HDFS and KMS, and Hadoop's own client, which has no
//! ticket: it writes and reads with what a worker's file holds, in an encryption zone, too, through renewals and new tokens.

use std::fs;
use std::path::Path;
use std::time::Duration;

use deputy_test_servers::{Hdfs, Kdc, Kms, Proof, Site};
use serde_json::Value;

use super::daemon::{Process, now, since, until};
use super::{build, free_port};
use crate::digest::write;
use crate::failure::{Doing, Failure, Result};
use crate::process::Run;
use crate::say::{self, Step};
use crate::workspace::Workspace;
use crate::{guests, tools};

/// The seconds that a token works without a renewal, and at all. Clusters have a day and a week.
const RENEWAL: u32 = 15;
const LONGEST: u32 = 40;

/// How long the client works: beyond the maximum lifetime of the first token.
const WORKING: Duration = Duration::from_secs(55);

/// How many leases there must have been in the end: renewals, and at least one new token.
const LEASES: u64 = 4;

/// The encryption zone: files in it need a token of the KMS as well.
const ZONE: &str = "/zone";

/// The token file of the worker.
const TOKENS: &str = "worker/hadoop/hadoop.tokens";

/// Runs it.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    tools::install_hadoop(workspace)?;
    guests::build_connectors(workspace)?;
    let deputy = build(workspace)?;
    let step = Step::begin(
        "kerberos",
        "starting the KDC of the realm TEST.LOCAL, and a real KMS and HDFS that want its tickets",
    );
    let kdc = Kdc::start().doing(|| "starting the KDC".into())?;
    let kms = Site::new().kms_token_lives(RENEWAL, LONGEST);
    let kms = Kms::start(&kdc, &kms).doing(|| "starting KMS".into())?;
    let settings = Site::new().hdfs_token_lives(RENEWAL, LONGEST).key_provider(&kms);
    let hdfs = Hdfs::start(&kdc, &settings).doing(|| "starting HDFS".into())?;
    hdfs.encryption_zone(&kdc, ZONE, "demo-key").doing(|| "making an encryption zone".into())?;
    step.end(format!("ready: hdfs://localhost:{}", hdfs.rpc_port()));

    // In the server's folder: it ends with the server, also when this program is interrupted.
    let folder = hdfs.folder().join("demo");
    fs::create_dir_all(folder.join("worker")).doing(|| "making the demonstration's folder".into())?;
    let demo = Demo { deputy: &deputy, folder: &folder, hdfs: &hdfs };
    demo.configure(workspace, &kdc)?;
    demo.refuses_without_a_token()?;
    let coordinator = Process::start(&deputy, &folder, "coordinator", &["--config", "deputy.toml", "run"])?;
    until("the coordinator to hold a token", || demo.call(&["get", "hdfs-localhost", "--wait", "1s"]).succeeds())?;
    demo.call(&["token", "create", "--group", "readers", "--out", "join"]).said().shown()?;
    let arguments = ["worker", "--join", "join", "--output", "worker", "--state", "worker-state"];
    let worker = Process::start(&deputy, &folder, "worker", &arguments)?;
    until("the worker to publish the token file", || folder.join(TOKENS).exists())?;
    let files = demo.work()?;
    say::note("deputy", "what the coordinator says of it:");
    demo.call(&["status"]).said().shown()?;
    demo.conclude(files, &kdc)?;
    worker.stop()?;
    coordinator.stop()
}

struct Demo<'a> {
    deputy: &'a Path,
    folder: &'a Path,
    hdfs: &'a Hdfs,
}

impl Demo<'_> {
    fn call(&self, arguments: &[&str]) -> Run {
        Run::new(self.deputy).args(["--config", "deputy.toml"]).args(arguments).dir(self.folder)
    }

    /// What an operator does: a keytab, a configuration that Deputy proposes, and where workers connect.
    fn configure(&self, workspace: &Workspace, kdc: &Kdc) -> Result<()> {
        let keytab = kdc.add("etl").doing(|| "making a keytab".into())?;
        fs::copy(&keytab, self.folder.join("etl.keytab")).doing(|| "copying the keytab".into())?;
        for component in ["hdfs", "webhdfs", "kms", "hadoop-credentials"] {
            let file = format!("{component}.wasm");
            fs::copy(workspace.guests().join(&file), self.folder.join(&file)).doing(|| format!("copying {file}"))?;
        }
        say::note("deputy", "from the configuration of a Hadoop client to one of Deputy, with one keytab:");
        let (conf, krb5_conf) =
            (self.hdfs.client().conf().display().to_string(), kdc.krb5_conf().display().to_string());
        let proposal = ["--principal", "etl@TEST.LOCAL", "--keytab", "etl.keytab", "--krb5-conf", &krb5_conf];
        let whole = ["hadoop-conf", &conf, "--components", ".", "--group", "readers", "--output", "deputy.toml"];
        self.call(&whole).args(proposal).said().shown()?;
        let file = self.folder.join("deputy.toml");
        let proposed = fs::read_to_string(&file).doing(|| "reading the proposal".into())?;
        let port = free_port()?;
        let configuration = format!("state = \"state\"\n\n[coordinator]\nlisten = \"127.0.0.1:{port}\"\n\n{proposed}");
        write(&file, configuration.as_bytes())?;
        configuration.lines().for_each(|line| eprintln!("              | {line}"));
        self.call(&["check"]).said().shown()
    }

    /// The client proves nothing yet.
    fn refuses_without_a_token(&self) -> Result<()> {
        match self.hdfs.client().fs(&["-ls", "/open"], Proof::Nothing) {
            Ok(_) => Err(Failure::new("HDFS serves a client that proves nothing")),
            Err(error) if error.to_string().contains("Client cannot authenticate") => {
                say::note(
                    "hadoop fs",
                    "without a ticket or a token: refused (Client cannot authenticate via:[TOKEN, KERBEROS])",
                );
                Ok(())
            }
            Err(error) => Err(error).doing(|| "asking HDFS without a token".into()),
        }
    }

    /// Writes and reads files, each time by a new client, as jobs that start one after the other. The number of files.
    fn work(&self) -> Result<u32> {
        let seconds = WORKING.as_secs();
        let step = Step::begin("hadoop fs", format!("writes and reads for {seconds} s with the worker's file alone"));
        let tokens = self.folder.join(TOKENS);
        let client = self.hdfs.client();
        let text = self.folder.join("greeting");
        write(&text, b"Good morning from a worker without a key.")?;
        let text = text.display().to_string();
        let begun = now();
        let mut files = 0;
        while since(begun) < WORKING {
            let path = format!("{}/{files}", if files % 2 == 0 { ZONE } else { "/open" });
            client.fs(&["-put", &text, &path], Proof::TokenFile(&tokens)).doing(|| format!("writing {path}"))?;
            let read = client.fs(&["-cat", &path], Proof::TokenFile(&tokens)).doing(|| format!("reading {path}"))?;
            if !read.starts_with("Good morning") {
                return Err(Failure::new(format!("{path} has {read:?}")));
            }
            files += 1;
        }
        step.end(format!("{files} files written and read back, half of them encrypted, and nothing failed"));
        Ok(files)
    }

    /// Says what was shown, from what the coordinator and the KDC counted.
    fn conclude(&self, files: u32, kdc: &Kdc) -> Result<()> {
        let status = self.call(&["status", "--json"]).json()?;
        let instances = status.get("instances").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let hdfs = instances.iter().find(|instance| instance.get("name").is_some_and(|name| name == "hdfs-localhost"));
        let revision =
            hdfs.and_then(|hdfs| hdfs.pointer("/lease/revision")).and_then(Value::as_u64).unwrap_or_default();
        if revision < LEASES {
            return Err(Failure::new(format!("{revision} leases, where {LEASES} were to be seen")));
        }
        let logins = kdc.issued("AS_REQ", "etl@TEST.LOCAL");
        say::note(
            "shown",
            format!("Hadoop's own client wrote and read {files} files through {revision} leases of tokens that"),
        );
        say::note(
            "",
            format!(
                "lived {RENEWAL} s, and {LONGEST} s at most; the KDC saw {logins} logins, by `check` and the coordinator,"
            ),
        );
        say::note("", "and none by the worker or the client: the keytab was in one place");
        Ok(())
    }
}
