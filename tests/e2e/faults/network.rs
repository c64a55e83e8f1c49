//! A network of machines, all on this one: each has a network namespace of its own, and all packets between two of them can
//! be dropped.

use std::env;
use std::io::{BufRead as _, BufReader};
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use deputy_test_harness::PATIENCE;
use deputy_test_servers::{Etcd, EtcdHost};

use super::namespace::{HELP, Namespace};

/// Set in the process of a test that runs in a network of its own.
const INSIDE: &str = "DEPUTY_OWN_NETWORK";

/// Between all machines and this process, which is at .1 there.
const LAN: Subnet = Subnet { bridge: "lan", number: 71 };

/// The same for services that a test plays itself. What is dropped between a machine and this process reaches them.
const SERVICES: Subnet = Subnet { bridge: "services", number: 72 };

/// No machine has it, so that what is sent there is dropped.
const UNUSED_MAC: &str = "02:00:00:00:00:99";

/// Has 127.0.0.0/8 mean more than this machine, but for 127.0.0.1. So all of it is loopback to Deputy, which does without
/// TLS there, and yet a network.
const LOOPBACK: &str = "echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet && ip link set lo up \
    && ip address add 127.0.0.1/32 dev lo && ip address del 127.0.0.1/8 dev lo";

#[derive(Clone, Copy)]
struct Subnet {
    bridge: &'static str,
    number: u8,
}

/// The machines, and this process's own place.
pub(crate) struct Network {
    machines: Vec<Machine>,
}

struct Machine {
    address: Ipv4Addr,
    namespace: Namespace,
}

impl Subnet {
    fn address(self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(127, self.number, 0, host)
    }
}

/// Runs the body of a test in a network of its own: in another process, which runs this test alone.
pub(crate) fn in_own_network(test: &str, body: fn(Network)) {
    if env::var_os(INSIDE).is_some() {
        return body(Network::new());
    }
    let options: &[&str] =
        [&["--net"][..], &["--net", "--map-root-user"]].into_iter().find(|options| is_permitted(options)).expect(HELP);
    let mut command = Command::new("unshare");
    command.args(options).arg("--").arg(env::current_exe().unwrap()).args(["--exact", "--nocapture", test]);
    command.env(INSIDE, "1").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut inside = command.spawn().unwrap();
    for line in BufReader::new(inside.stderr.take().unwrap()).lines() {
        eprintln!("{}", line.unwrap());
    }
    assert!(inside.wait().unwrap().success(), "{test} failed in its own network, see above");
}

fn is_permitted(options: &[&str]) -> bool {
    let mut command = Command::new("unshare");
    command.args(options).args(["--", "ip", "link", "add", "try", "type", "bridge"]).stderr(Stdio::null());
    command.status().expect(HELP).success()
}

impl Network {
    fn new() -> Self {
        run(&["sh", "-c", LOOPBACK]);
        for subnet in [LAN, SERVICES] {
            run(&["ip", "link", "add", subnet.bridge, "type", "bridge"]);
            let address = format!("{}/24", subnet.address(1));
            run(&["ip", "address", "add", &address, "dev", subnet.bridge]);
            run(&["ip", "link", "set", subnet.bridge, "up"]);
        }
        Self { machines: Vec::new() }
    }

    /// Where this process is in the network.
    pub(crate) fn here() -> Ipv4Addr {
        LAN.address(1)
    }

    /// Where services of this process are, which are never cut off.
    pub(crate) fn services() -> Ipv4Addr {
        SERVICES.address(1)
    }

    /// Adds a machine with a number from 2 to 254, and gives its address.
    pub(crate) fn add(&mut self, number: u8) -> Ipv4Addr {
        let mut namespace = Namespace::with_network(LOOPBACK);
        for subnet in [LAN, SERVICES] {
            let (cable, plug) = (format!("{}{number}", subnet.bridge), subnet.bridge);
            run(&["ip", "link", "add", &cable, "type", "veth", "peer", "name", plug, "netns", &namespace.pid()]);
            run(&["ip", "link", "set", &cable, "master", subnet.bridge, "up"]);
            let address = subnet.address(number);
            namespace.does(&format!("ip address add {address}/24 dev {plug} && ip link set {plug} up"));
        }
        let address = LAN.address(number);
        self.machines.push(Machine { address, namespace });
        address
    }

    /// A machine, for a member of etcd.
    pub(crate) fn etcd_host(&self, machine: Ipv4Addr) -> EtcdHost {
        EtcdHost { address: machine, entering: self.machine(machine).namespace.entering() }
    }

    /// A command that runs on a machine. It is given its whole environment.
    pub(crate) fn enter(&self, machine: Ipv4Addr, command: &Command) -> Command {
        self.machine(machine).namespace.enter(command)
    }

    /// Drops all packets between two machines, in both directions. One of them may be this process.
    pub(crate) fn partition(&mut self, one: Ipv4Addr, other: Ipv4Addr) {
        for (from, to) in [(one, other), (other, one)] {
            self.at(from, &format!("ip neighbour replace {to} lladdr {UNUSED_MAC} nud permanent dev {}", LAN.bridge));
        }
    }

    /// Lets everything through again.
    pub(crate) fn heal(&mut self) {
        let script = format!("ip neighbour flush nud permanent dev {}", LAN.bridge);
        let machines: Vec<Ipv4Addr> = self.machines.iter().map(|machine| machine.address).collect();
        for machine in [vec![Self::here()], machines].concat() {
            self.at(machine, &script);
        }
    }

    fn machine(&self, address: Ipv4Addr) -> &Machine {
        self.machines.iter().find(|machine| machine.address == address).unwrap()
    }

    fn at(&mut self, address: Ipv4Addr, script: &str) {
        if address == Self::here() {
            return run(&["sh", "-c", script]);
        }
        self.machines.iter_mut().find(|machine| machine.address == address).unwrap().namespace.does(script);
    }
}

fn run(words: &[&str]) {
    let output = Command::new(words[0]).args(&words[1..]).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// etcd's own leader shows that nothing gets through, in either direction, and everything does again.
#[test]
fn network_partition_of_etcd_has_the_others_elect_a_leader() {
    in_own_network("faults::network::network_partition_of_etcd_has_the_others_elect_a_leader", partitions_etcd);
}

fn partitions_etcd(mut network: Network) {
    let hosts = [2, 3, 4].map(|number| network.add(number));
    let etcd = Etcd::start_three_on(hosts.map(|host| network.etcd_host(host))).unwrap();
    let leader = etcd.leader().unwrap();
    for member in [leader, (leader + 1) % 3] {
        let others = [(member + 1) % 3, (member + 2) % 3];
        for other in others {
            network.partition(hosts[member], hosts[other]);
        }
        wait_until("the others have a leader", || others.iter().any(|other| etcd.leads(*other)));
        wait_until("it leads no more", || !etcd.leads(member));
        // TCP may pass it on later.
        assert!(etcd.ctl_at(member, &["put", "other", "alone", "--command-timeout=2s"]).is_err(), "it writes alone");
        // What is sent on to a leader that is about to go times out.
        let number = member.to_string();
        assert!((0..3).any(|_| etcd.ctl_at(others[0], &["put", "key", &number]).is_ok()));
        network.heal();
        wait_until("it has what was written", || {
            etcd.ctl_at(member, &["get", "key"]).is_ok_and(|told| told == format!("key\n{number}\n"))
        });
    }
    // This process is a machine, too.
    network.partition(hosts[0], Network::here());
    assert!(etcd.ctl_at(0, &["get", "key", "--command-timeout=2s"]).is_err(), "it is reached");
    etcd.ctl_at(1, &["get", "key"]).unwrap();
    network.heal();
    etcd.ctl_at(0, &["get", "key"]).unwrap();
}

fn wait_until(what: &str, mut so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < PATIENCE, "{what}: not in time");
        thread::sleep(Duration::from_millis(50));
    }
}
