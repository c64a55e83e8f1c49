//! etcd: one member, or a cluster of three, whose members can be parted from each other.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use crate::{DroppingProxy, Error, EtcdCertificates, Lasting, Server, Start, get, lasting_ports, tool};

/// Where one member listens: for clients, for members, and for a look at its health.
#[derive(Debug, Clone, Copy)]
struct MemberPorts {
    client: u16,
    peer: u16,
    health: u16,
}

/// The folder of each member that was started.
type Folders = Arc<Mutex<Vec<PathBuf>>>;

/// A cluster whose members can be stopped and started again. The data ends with this value.
pub struct Etcd {
    members: Vec<(MemberPorts, Option<Server>)>,
    /// Before each member, for the others; none if they reach each other without.
    proxies: Vec<DroppingProxy>,
    folders: Folders,
    data: Lasting,
    certificates: Option<Arc<EtcdCertificates>>,
    options: Vec<String>,
    /// How often the cluster was restored from a snapshot: each time has data of its own.
    restored: usize,
}

impl Etcd {
    /// Starts one member with options of etcd's, such as `--quota-backend-bytes=4000000`.
    ///
    /// # Errors
    /// When it is not installed, or does not start.
    pub fn start(options: &[&str]) -> Result<Self, Error> {
        Self::new(1, None, options)?.started()
    }

    /// Starts a cluster of three.
    ///
    /// # Errors
    /// When it is not installed, or does not start.
    pub fn start_three(options: &[&str]) -> Result<Self, Error> {
        Self::new(3, None, options)?.started()
    }

    /// Starts a cluster of three that can be [parted](Self::part).
    ///
    /// # Errors
    /// When it is not installed, or does not start.
    pub fn start_three_to_part(options: &[&str]) -> Result<Self, Error> {
        let mut etcd = Self::new(3, None, options)?;
        for (ports, _) in &etcd.members {
            let folders = Arc::clone(&etcd.folders);
            let server = SocketAddr::from((Ipv4Addr::LOCALHOST, ports.peer));
            etcd.proxies.push(DroppingProxy::recognising(server, move |caller| member_at(caller, &folders))?);
        }
        etcd.started()
    }

    /// Starts one member that wants a certificate of its clients.
    ///
    /// # Errors
    /// When it is not installed, or does not start.
    pub fn start_with_tls(certificates: Arc<EtcdCertificates>, options: &[&str]) -> Result<Self, Error> {
        Self::new(1, Some(certificates), options)?.started()
    }

    fn new(members: usize, certificates: Option<Arc<EtcdCertificates>>, options: &[&str]) -> Result<Self, Error> {
        let ports = (0..members).map(|_| {
            let [client, peer, health] = lasting_ports()?;
            Ok((MemberPorts { client, peer, health }, None))
        });
        Ok(Self {
            members: ports.collect::<Result<_, Error>>()?,
            proxies: Vec::new(),
            folders: Arc::new(Mutex::new(vec![PathBuf::new(); members])),
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
        self.members.iter().map(|(ports, _)| format!("{scheme}://127.0.0.1:{}", ports.client)).collect()
    }

    /// Sends a member a signal by its name.
    ///
    /// # Errors
    /// When there is no such member, or it does not run.
    pub fn signal(&self, member: usize, name: &str) -> Result<(), Error> {
        let server = self.members.get(member).and_then(|(_, server)| server.as_ref());
        server.ok_or_else(|| Error::new(format!("member {member} does not run")))?.signal(name)
    }

    /// Ends a member without a warning.
    pub fn kill(&mut self, member: usize) {
        if let Some((_, server)) = self.members.get_mut(member) {
            *server = None;
        }
    }

    /// Parts a member of [such a cluster](Self::start_three_to_part) from the others. Clients reach it as before.
    pub fn part(&self, member: usize) {
        for (index, proxy) in self.proxies.iter().enumerate() {
            if index == member { proxy.part() } else { proxy.part_from(member) }
        }
    }

    /// Lets the members reach each other again.
    pub fn heal(&self) {
        self.proxies.iter().for_each(DroppingProxy::heal);
    }

    /// Starts the members that do not run, and waits until all are ready.
    ///
    /// # Errors
    /// When one does not start.
    pub fn start_all(&mut self) -> Result<(), Error> {
        for index in 0..self.members.len() {
            if self.members.get(index).is_some_and(|(_, server)| server.is_none()) {
                let server = self.member(index)?.begin()?;
                if let Some(folder) = self.folders.lock().unwrap_or_else(PoisonError::into_inner).get_mut(index) {
                    server.folder().clone_into(folder);
                }
                if let Some((_, place)) = self.members.get_mut(index) {
                    *place = Some(server);
                }
            }
        }
        for (ports, server) in &mut self.members {
            if let Some(server) = server {
                server.wait_until(|| get(ports.health, "/readyz").is_some_and(|answer| answer.status == 200))?;
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
        let Some((ports, Some(_))) = self.members.get(member) else { return false };
        get(ports.health, "/metrics").is_some_and(|answer| answer.body.contains("\netcd_server_is_leader 1"))
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
        for (_, server) in &mut self.members {
            *server = None;
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
        let peer = |index: usize| {
            let proxy = self.proxies.get(index).map(|proxy| proxy.address().port());
            proxy.or_else(|| self.members.get(index).map(|(ports, _)| ports.peer)).unwrap_or(0)
        };
        let all = (0..self.members.len()).map(|index| format!("member-{index}=http://127.0.0.1:{}", peer(index)));
        vec![
            format!("--name=member-{member}"),
            format!("--initial-cluster={}", all.collect::<Vec<_>>().join(",")),
            format!("--initial-advertise-peer-urls=http://127.0.0.1:{}", peer(member)),
        ]
    }

    fn member(&self, member: usize) -> Result<Start, Error> {
        let endpoint = self.endpoints().into_iter().nth(member).unwrap_or_default();
        let (ports, _) = self.members.get(member).ok_or_else(|| Error::new(format!("there is no member {member}")))?;
        let mut start = Start::new("etcd", &tool("etcd")?)?
            .bare()
            .args(self.cluster_options(member))
            .args([
                format!("--data-dir={}", self.data_dir(member).display()),
                format!("--listen-client-urls={endpoint}"),
                format!("--advertise-client-urls={endpoint}"),
                format!("--listen-peer-urls=http://127.0.0.1:{}", ports.peer),
                format!("--listen-metrics-urls=http://127.0.0.1:{}", ports.health),
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

/// Which member has the other end of a connection. The kernel lists connections with their inodes, and a process has its own.
fn member_at(caller: SocketAddr, folders: &Folders) -> Option<usize> {
    let connections = fs::read_to_string("/proc/net/tcp").ok()?;
    let ending = format!(":{:04X}", caller.port());
    let inode = connections.lines().find_map(|line| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        words.get(1).filter(|local| local.starts_with("0100007F") && local.ends_with(&ending))?;
        words.get(9).copied()
    })?;
    let socket = PathBuf::from(format!("socket:[{inode}]"));
    let folders = folders.lock().unwrap_or_else(PoisonError::into_inner);
    folders.iter().position(|folder| has_open(folder, &socket).unwrap_or(false))
}

/// Whether the server of a folder has this open.
fn has_open(folder: &Path, socket: &Path) -> std::io::Result<bool> {
    let pid = fs::read_to_string(folder.join("pid"))?;
    let mut open = fs::read_dir(format!("/proc/{}/fd", pid.trim()))?;
    Ok(open.any(|entry| entry.is_ok_and(|entry| fs::read_link(entry.path()).is_ok_and(|link| link == socket))))
}
