//! etcd: one member, or a cluster of three, each on a host of its own if a test has several.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use crate::http::get_at;
use crate::{Error, EtcdCertificates, Lasting, Server, Start, lasting_ports, tool};

/// Where a member runs.
#[derive(Debug, Clone)]
pub struct EtcdHost {
    pub address: Ipv4Addr,
    /// The beginning of a command that runs there, such as `nsenter --target=1 --net --`.
    pub entering: Vec<OsString>,
}

/// A member, and its process while it runs.
struct Member {
    host: EtcdHost,
    ports: MemberPorts,
    server: Option<Server>,
}

/// Where one member listens: for clients, for members, and for a look at its health.
#[derive(Debug, Clone, Copy)]
struct MemberPorts {
    client: u16,
    peer: u16,
    health: u16,
}

/// A cluster whose members can be stopped and started again. The data ends with this value.
pub struct Etcd {
    members: Vec<Member>,
    data: Lasting,
    certificates: Option<Arc<EtcdCertificates>>,
    options: Vec<String>,
    /// How often the cluster was restored from a snapshot: each time has data of its own.
    restored: usize,
}

impl EtcdHost {
    fn here() -> Self {
        Self { address: Ipv4Addr::LOCALHOST, entering: Vec::new() }
    }
}

impl Member {
    fn health(&self) -> SocketAddr {
        (self.host.address, self.ports.health).into()
    }
}

impl Etcd {
    /// Starts one member with options of etcd's, such as `--quota-backend-bytes=4000000`.
    ///
    /// # Errors
    /// When it is not installed, or does not start.
    pub fn start(options: &[&str]) -> Result<Self, Error> {
        Self::new([EtcdHost::here()], None, options)?.started()
    }

    /// Starts a cluster of three.
    ///
    /// # Errors
    /// When it is not installed, or does not start.
    pub fn start_three(options: &[&str]) -> Result<Self, Error> {
        Self::new([(); 3].map(|()| EtcdHost::here()), None, options)?.started()
    }

    /// Starts a cluster of three with a member on each of these hosts.
    ///
    /// # Errors
    /// When it is not installed, or does not start.
    pub fn start_three_on(hosts: [EtcdHost; 3]) -> Result<Self, Error> {
        Self::new(hosts, None, &[])?.started()
    }

    /// Starts one member that wants a certificate of its clients.
    ///
    /// # Errors
    /// When it is not installed, or does not start.
    pub fn start_with_tls(certificates: Arc<EtcdCertificates>, options: &[&str]) -> Result<Self, Error> {
        Self::new([EtcdHost::here()], Some(certificates), options)?.started()
    }

    fn new(
        hosts: impl IntoIterator<Item = EtcdHost>,
        certificates: Option<Arc<EtcdCertificates>>,
        options: &[&str],
    ) -> Result<Self, Error> {
        let members = hosts.into_iter().map(|host| {
            let [client, peer, health] = lasting_ports()?;
            Ok(Member { host, ports: MemberPorts { client, peer, health }, server: None })
        });
        Ok(Self {
            members: members.collect::<Result<_, Error>>()?,
            data: Lasting::new("etcd-data")?,
            certificates,
            options: options.iter().map(ToString::to_string).collect(),
            restored: 0,
        })
    }

    fn started(mut self) -> Result<Self, Error> {
        self.start_all()?;
        Ok(self)
    }

    /// Where clients connect, for each member.
    #[must_use]
    pub fn endpoints(&self) -> Vec<String> {
        let scheme = if self.certificates.is_some() { "https" } else { "http" };
        let addresses = self.members.iter().map(|member| (member.host.address, member.ports.client));
        addresses.map(|(host, port)| format!("{scheme}://{host}:{port}")).collect()
    }

    /// Where the members run.
    #[must_use]
    pub fn hosts(&self) -> Vec<Ipv4Addr> {
        self.members.iter().map(|member| member.host.address).collect()
    }

    /// Sends a member a signal by its name.
    ///
    /// # Errors
    /// When there is no such member, or it does not run.
    pub fn signal(&self, member: usize, name: &str) -> Result<(), Error> {
        let server = self.members.get(member).and_then(|member| member.server.as_ref());
        server.ok_or_else(|| Error::new(format!("member {member} does not run")))?.signal(name)
    }

    /// Ends a member without a warning.
    pub fn kill(&mut self, member: usize) {
        if let Some(member) = self.members.get_mut(member) {
            member.server = None;
        }
    }

    /// Starts the members that do not run, and waits until all are ready.
    ///
    /// # Errors
    /// When one does not start.
    pub fn start_all(&mut self) -> Result<(), Error> {
        for index in 0..self.members.len() {
            if self.members.get(index).is_some_and(|member| member.server.is_none()) {
                let server = self.member(index)?.begin()?;
                if let Some(member) = self.members.get_mut(index) {
                    member.server = Some(server);
                }
            }
        }
        for member in &mut self.members {
            let health = member.health();
            if let Some(server) = &mut member.server {
                server.wait_until(|| get_at(health, "/readyz").is_some_and(|answer| answer.status == 200))?;
            }
        }
        Ok(())
    }

    /// The member that leads.
    #[must_use]
    pub fn leader(&self) -> Option<usize> {
        (0..self.members.len()).find(|member| self.leads(*member))
    }

    /// Whether a member says that it leads.
    #[must_use]
    pub fn leads(&self, member: usize) -> bool {
        let Some(member) = self.members.get(member).filter(|member| member.server.is_some()) else { return false };
        get_at(member.health(), "/metrics").is_some_and(|answer| answer.body.contains("\netcd_server_is_leader 1"))
    }

    /// Runs `etcdctl`, and returns what it printed.
    ///
    /// # Errors
    /// When it fails: with what it printed.
    pub fn ctl(&self, arguments: &[&str]) -> Result<String, Error> {
        self.ctl_of(&self.endpoints().join(","), arguments)
    }

    /// Runs it with one member alone.
    ///
    /// # Errors
    /// When it fails: with what it printed.
    pub fn ctl_at(&self, member: usize, arguments: &[&str]) -> Result<String, Error> {
        self.ctl_of(&self.endpoints().into_iter().nth(member).unwrap_or_default(), arguments)
    }

    fn ctl_of(&self, endpoints: &str, arguments: &[&str]) -> Result<String, Error> {
        let mut command = Command::new(tool("etcdctl")?);
        command.args(["--endpoints", endpoints, "--command-timeout=20s", "--dial-timeout=5s"]);
        if let Some(certificates) = &self.certificates {
            command.arg("--cacert").arg(certificates.file("roots.pem"));
            command.arg("--cert").arg(certificates.file("client.pem"));
            command.arg("--key").arg(certificates.file("client.key"));
        }
        run(command.args(arguments))
    }

    /// Saves a snapshot of the cluster to a file.
    ///
    /// # Errors
    /// When it cannot.
    pub fn save(&self, snapshot: &Path) -> Result<(), Error> {
        let first = self.endpoints().into_iter().next().unwrap_or_default();
        let mut command = Command::new(tool("etcdctl")?);
        run(command.args(["--endpoints", &first, "snapshot", "save"]).arg(snapshot)).map(drop)
    }

    /// Replaces the whole cluster by one that is restored from a snapshot, as an operator does after a loss, with options of
    /// `etcdutl snapshot restore`.
    ///
    /// # Errors
    /// When it cannot, or a member does not start.
    pub fn restore(&mut self, snapshot: &Path, options: &[&str]) -> Result<(), Error> {
        for member in &mut self.members {
            member.server = None;
        }
        self.restored += 1;
        for index in 0..self.members.len() {
            let mut command = Command::new(tool("etcdutl")?);
            command.args(["snapshot", "restore"]).arg(snapshot).arg("--data-dir").arg(self.data_dir(index));
            run(command.args(self.cluster_options(index)).args(options))?;
        }
        self.start_all()
    }

    fn data_dir(&self, member: usize) -> PathBuf {
        self.data.path().join(format!("member-{member}-{}", self.restored))
    }

    /// What a member and its restored data have to agree on.
    fn cluster_options(&self, member: usize) -> Vec<String> {
        let peers: Vec<String> =
            self.members.iter().map(|peer| format!("http://{}:{}", peer.host.address, peer.ports.peer)).collect();
        let all: Vec<String> = peers.iter().enumerate().map(|(index, peer)| format!("member-{index}={peer}")).collect();
        vec![
            format!("--name=member-{member}"),
            format!("--initial-cluster={}", all.join(",")),
            format!("--initial-advertise-peer-urls={}", peers.get(member).map_or("", String::as_str)),
        ]
    }

    fn member(&self, member: usize) -> Result<Start, Error> {
        let endpoint = self.endpoints().into_iter().nth(member).unwrap_or_default();
        let missing = || Error::new(format!("there is no member {member}"));
        let Member { host: EtcdHost { address, entering }, ports, .. } =
            self.members.get(member).ok_or_else(missing)?;
        let mut start = Start::entering("etcd", entering, &tool("etcd")?)?
            .bare()
            .args(self.cluster_options(member))
            .args([
                format!("--data-dir={}", self.data_dir(member).display()),
                format!("--listen-client-urls={endpoint}"),
                format!("--advertise-client-urls={endpoint}"),
                format!("--listen-peer-urls=http://{address}:{}", ports.peer),
                format!("--listen-metrics-urls=http://{address}:{}", ports.health),
            ])
            // Elections within a second, as with a network of milliseconds. A test's machine may be slow.
            .args(["--heartbeat-interval=100", "--election-timeout=1000", "--log-level=warn", "--bcrypt-cost=4"])
            .args(&self.options);
        if let Some(certificates) = &self.certificates {
            start = start.args([
                format!("--cert-file={}", certificates.file("server.pem").display()),
                format!("--key-file={}", certificates.file("server.key").display()),
                format!("--trusted-ca-file={}", certificates.file("roots.pem").display()),
                "--client-cert-auth".to_owned(),
            ]);
        }
        Ok(start)
    }
}

fn run(command: &mut Command) -> Result<String, Error> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| Error::new(format!("etcd's tools: {error}")))?;
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    match output.status.success() {
        true => Ok(out),
        false => Err(Error::new(format!("{out}{}", String::from_utf8_lossy(&output.stderr)))),
    }
}
