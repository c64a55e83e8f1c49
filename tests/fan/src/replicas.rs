//! Many workers at several servers, which publish the same leases at the same moment.

use std::thread;
use std::time::Duration;

use deputy_link::EnrolledWorker;

use crate::capacity::Capacity;
use crate::child::Process;
use crate::load::{self, Done, Handshake};
use crate::measure::pushes;
use crate::replicas_report::{Memory, ReplicasReport, Sample, Storms};
use crate::serve::{self, Begin, By, Hello, Lease, Times};
use crate::table::Push;
use crate::{Arguments, Result, process};

/// Until nothing moves any more, for each worker, and for any number of workers.
const SETTLE_OF_WORKER: Duration = Duration::from_millis(1);
const MAX_SETTLE: Duration = Duration::from_secs(2);

/// Workers that connect to the floors at once, which limit no handshakes.
const FLOOR_STEP: usize = 10_000;

pub(crate) fn measure(arguments: &Arguments, capacity: &Capacity) -> Result {
    let mut replicas = Replicas::start(arguments, capacity)?;
    let mut report = ReplicasReport::new(replicas.workers, replicas.wanted.clone(), replicas.loads.len());
    replicas.memory(&mut report, "with the records of all workers")?;
    replicas.storms(&mut report, arguments.rounds.max(1))?;
    replicas.push(&mut report.link, By::Link)?;
    replicas.memory(&mut report, "after pushes")?;
    replicas.cut()?;
    replicas.connect_floors()?;
    replicas.push(&mut report.floor, By::Floor)?;
    if arguments.json {
        report.print_json()
    } else {
        report.print();
        Ok(())
    }
}

/// All processes. Those of the workers end first, so that no worker misses its server.
struct Replicas {
    loads: Vec<Process>,
    servers: Vec<Process>,
    hellos: Vec<Hello>,
    workers: usize,
    /// The workers of each server.
    wanted: Vec<usize>,
    /// The next lease's.
    revision: u64,
}

impl Replicas {
    fn start(arguments: &Arguments, capacity: &Capacity) -> Result<Self> {
        let (workers, servers) = (arguments.workers.max(1), usize::from(arguments.servers));
        let split = capacity.split(workers, servers, arguments.loads)?;
        let wanted = (0..servers).map(|number| split.of_server(number)).collect();
        let mut replicas =
            Self { servers: Vec::new(), hellos: Vec::new(), loads: Vec::new(), workers, wanted, revision: 1 };
        for number in 0..arguments.servers {
            let authority = replicas.hellos.first().map(|first: &Hello| first.authority.clone());
            let mut server = Process::start("serve")?;
            replicas.hellos.push(server.ask(&serde_json::to_string(&Begin { number, authority })?)?);
            replicas.servers.push(server);
        }
        replicas.loads = (0..split.loads).map(|_| Process::start("load")).collect::<Result<_>>()?;
        replicas.join()?;
        Ok(replicas)
    }

    /// Each worker joins at one server, and all servers get to know it.
    fn join(&mut self) -> Result {
        let strings: Vec<String> = self.hellos.iter().map(|hello| hello.join.clone()).collect();
        let join = |number, count| load::Order::Join { number, strings: strings.clone(), count };
        load::tell(&mut self.loads, self.workers, join)?;
        let enrolled = serde_json::to_string(&serve::Order::Enrolled)?;
        let records = self.servers.iter_mut().map(|server| server.ask::<Vec<EnrolledWorker>>(&enrolled));
        for (joined_at, workers) in records.collect::<Result<Vec<_>>>()?.into_iter().enumerate() {
            let order = serde_json::to_string(&serve::Order::Enrol { workers })?;
            for (number, server) in self.servers.iter_mut().enumerate() {
                if number != joined_at {
                    server.ask::<()>(&order)?;
                }
            }
        }
        eprintln!("{} workers joined", self.workers);
        Ok(())
    }

    fn connect(&mut self, by: By, workers: usize, with: Handshake) -> Result<Done> {
        let ports: Vec<u16> =
            self.hellos.iter().map(|hello| if by == By::Link { hello.link } else { hello.floor }).collect();
        let connect = |_, count| load::Order::Connect { ports: ports.clone(), count, with };
        load::tell(&mut self.loads, workers, connect)
    }

    fn cut(&mut self) -> Result {
        load::tell(&mut self.loads, self.workers, |_, _| load::Order::Cut).map(drop)
    }

    /// The floors limit no handshakes, so all at once would only get into each other's way.
    fn connect_floors(&mut self) -> Result {
        let mut connected = 0;
        while connected < self.workers {
            connected = (connected + FLOOR_STEP).min(self.workers);
            self.connect(By::Floor, connected, Handshake::Full)?;
        }
        eprintln!("{} workers connected to the floors", self.workers);
        self.settle();
        Ok(())
    }

    fn settle(&self) {
        let all = u32::try_from(self.workers).map_or(MAX_SETTLE, |workers| SETTLE_OF_WORKER * workers);
        thread::sleep(all.min(MAX_SETTLE));
    }

    fn memory(&mut self, report: &mut ReplicasReport, when: &'static str) -> Result {
        self.settle();
        let order = serde_json::to_string(&serve::Order::Memory)?;
        let bytes = self.servers.iter_mut().map(|server| server.ask(&order)).collect::<Result<_>>()?;
        report.memory.push(Memory { when, bytes });
        Ok(())
    }

    fn storms(&mut self, report: &mut ReplicasReport, rounds: usize) -> Result {
        self.connect(By::Link, self.workers, Handshake::Full)?;
        self.memory(report, "as they came")?;
        for (name, with, when) in [
            ("full handshakes", Handshake::Full, "after storms"),
            ("with tickets", Handshake::Tickets, "after storms with tickets"),
        ] {
            if with == Handshake::Tickets {
                // Once more, for the tickets.
                self.storm(with)?;
            }
            let (mut samples, mut all) = (Vec::new(), Done::default());
            for _ in 0..rounds {
                let (sample, done) = self.storm(with)?;
                samples.push(sample);
                all.add(&done);
                eprintln!("{} workers came {name}", self.workers);
            }
            let (resumed, repeated) = (all.resumed / rounds, all.repeated / rounds);
            report.storms.push(Storms { name, resumed, repeated, samples });
            self.memory(report, when)?;
        }
        Ok(())
    }

    /// All servers restart, and all workers come back at once.
    fn storm(&mut self, with: Handshake) -> Result<(Sample, Done)> {
        self.cut()?;
        let lease = self.lease();
        self.tell_servers(|workers| serve::Order::Storm { lease, workers })?;
        for server in &mut self.servers {
            server.answer::<()>()?;
        }
        let begun = process::clock();
        let done = self.connect(By::Link, self.workers, with)?;
        Ok((self.sample(begun)?, done))
    }

    /// A lease that all servers publish, several times.
    fn push(&mut self, samples: &mut Vec<Sample>, by: By) -> Result {
        // The first finds caches cold.
        for number in 0..=pushes(self.workers) {
            let lease = self.lease();
            let begun = process::clock();
            self.tell_servers(|workers| serve::Order::Publish { by, lease, workers })?;
            let sample = self.sample(begun)?;
            if number > 0 {
                samples.push(sample);
            }
        }
        eprintln!("{} workers were pushed to", self.workers);
        Ok(())
    }

    fn lease(&mut self) -> Lease {
        self.revision += 1;
        Lease::new(self.revision)
    }

    fn tell_servers(&mut self, order: impl Fn(usize) -> serve::Order) -> Result {
        for (server, workers) in self.servers.iter_mut().zip(&self.wanted) {
            server.tell(&serde_json::to_string(&order(*workers))?)?;
        }
        Ok(())
    }

    /// The times of all servers, since one moment.
    fn sample(&mut self, begun: u64) -> Result<Sample> {
        let (mut all, mut servers, mut cpu) = (Vec::with_capacity(self.workers), Vec::new(), 0);
        for server in &mut self.servers {
            let times: Times = server.answer()?;
            let since = |after: u64| Duration::from_micros((times.begun + after).saturating_sub(begun));
            let own: Vec<_> = times.after.iter().map(|after| since(*after)).collect();
            servers.push(Push::new(&own, times.cpu));
            all.extend(own);
            cpu += times.cpu;
        }
        all.sort_unstable();
        Ok(Sample { all: Push::new(&all, cpu), servers })
    }
}
